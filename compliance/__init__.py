# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules a call must obey: pure, standard library and data only."""

# First of all: the gate claims the one permit maker before anybody else can.
from compliance import gate as gate
