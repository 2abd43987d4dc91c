# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed copies of frozen values; apart from the facts, so that parts of them can be apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self


class Evolve:
    """Mix-in for frozen dataclasses: ``evolve(field=value)`` returns a changed copy."""

    __slots__ = ()

    def evolve(self, **changes: Any) -> Self:
        return replace(self, **changes)  # type: ignore[type-var]
