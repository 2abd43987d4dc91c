# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that are counted: what held is a number, what did not hold is a sentence."""

from __future__ import annotations


class Checks:
    """Collects the faults of one call, or of a whole run."""

    def __init__(self) -> None:
        self.made = 0
        self.faults: list[str] = []

    def that(self, holds: bool, otherwise: str) -> bool:
        """Count one check; ``otherwise`` says what is wrong if it does not hold."""
        self.made += 1
        if not holds:
            self.faults.append(otherwise)
        return holds
