# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark measures, and how much of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sizes:
    """``people`` in the imported file; calls are authorised among ``few`` and ``many`` contacts;
    ``entries`` of the ledger; ``sound_mb`` of sealed sound (10^6 bytes)."""

    people: int
    few: int
    many: int
    calls: int
    entries: int
    sound_mb: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure; ``beside`` says what it compares with, ``n`` how many were measured."""

    what: str
    value: float
    unit: str
    n: int
    beside: str = ""

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Lap:
    """Seconds of a ``with`` block."""

    seconds = 0.0


@contextmanager
def timed() -> Iterator[Lap]:
    lap, began = Lap(), time.perf_counter()
    yield lap
    lap.seconds = time.perf_counter() - began
