# SPDX-License-Identifier: GPL-3.0-or-later
"""Time is passed in, never fetched.

Rules, pacing and dialogue take a :class:`Clock`; production uses
:class:`SystemClock`, tests :class:`VirtualClock`. No environment variable
changes the time.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time (may jump) and monotonic time (never goes back)."""

    def wall(self) -> datetime:
        """Now, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; differences are real durations."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class VirtualClock:
    """A clock that moves only when told to: for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("start must be timezone-aware")
        self._wall = start.astimezone(UTC)
        self._monotonic = 0.0

    def wall(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both clocks."""
        if seconds < 0:
            raise ValueError("time does not go back; use jump_wall for a skewed clock")
        self._wall += timedelta(seconds=seconds)
        self._monotonic += seconds

    def jump_wall(self, seconds: float) -> None:
        """Move the wall clock alone, as NTP or an operator would."""
        self._wall += timedelta(seconds=seconds)
