# SPDX-License-Identifier: GPL-3.0-or-later
"""Time is passed in, never fetched.

Rules, pacing and dialogue take a :class:`Clock`; production uses
:class:`SystemClock`, tests :class:`VirtualClock`. No environment variable
changes the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

MOST_AHEAD_S = 2.0
"""Whoever's clock is further than this from the database's, ahead or behind, does not dial:
hours, caps and leases compare times that several machines wrote."""

PERMIT_S = 5.0
"""A permit's life: an INVITE leaves at most this long after its attempt was committed."""

RINGS_WITHIN_S = PERMIT_S + 2 * MOST_AHEAD_S
"""An attempt's telephone may ring this much later than its committed time says, to whoever
reads that time by another clock. Rolling caps count it, so that two rings and not just two
commits are an hour apart (C4)."""

_SAMPLES = 3
_QUICK_S = 0.2  # an answer as quick as this says the difference well enough


class Clock(Protocol):
    """Wall time (may jump) and monotonic time (never goes back)."""

    def wall(self) -> datetime:
        """Now, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; differences are real durations."""
        ...

    def ahead_of(self, other: Callable[[], datetime]) -> float:
        """Seconds the wall time is ahead of another clock, which ``other`` asks."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def ahead_of(self, other: Callable[[], datetime]) -> float:
        """To half the time the other takes to answer: the quickest of three, if it is slow."""
        best = (float("inf"), float("inf"))
        for _ in range(_SAMPLES):
            here, began = self.wall(), self.monotonic()
            there = other()
            took = self.monotonic() - began
            best = min(best, (took, (here - there).total_seconds() + took / 2))
            if took < _QUICK_S:
                break
        return best[1]


class VirtualClock:
    """A clock that moves only when told to: for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("start must be timezone-aware")
        self._wall = start.astimezone(UTC)
        self._monotonic = 0.0
        self.ahead_s = 0.0  # of whatever other clock is asked: its own time is nobody else's

    def wall(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def ahead_of(self, other: Callable[[], datetime]) -> float:
        return self.ahead_s

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both clocks."""
        if seconds < 0:
            raise ValueError("time does not go back; use jump_wall for a skewed clock")
        self._wall += timedelta(seconds=seconds)
        self._monotonic += seconds

    def jump_wall(self, seconds: float) -> None:
        """Move the wall clock alone, as NTP or an operator would."""
        self._wall += timedelta(seconds=seconds)
