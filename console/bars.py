# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of long work: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

_SAY_EVERY_S = 10.0
_LOOK_EVERY_S = 0.1


class Bar:
    """To be called with how much is done, of how much; cheap enough for every row."""

    def __init__(self, console: Console, *, show_after: int = 1000) -> None:
        """``show_after``: less work than that is done before anybody looks."""
        self._console, self._show_after = console, show_after
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)
        self._drawn = False
        self._looked = self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S and self._drawn:
            return
        self._looked = now
        if self._console.is_terminal:
            if not self._drawn and total >= self._show_after:
                self._drawn = True
                self._bar.start()
            self._bar.update(self._task, completed=done, total=total)
        elif now - self._said >= _SAY_EVERY_S:
            self._said = now
            self._console.print(f"{done} / {total}", markup=False, highlight=False)
