# SPDX-License-Identifier: GPL-3.0-or-later
"""The `candor` command, one module a noun."""
