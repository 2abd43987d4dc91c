# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the small demonstration models for Vosk out of espeak-ng speech."""
