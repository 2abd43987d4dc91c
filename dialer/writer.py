# SPDX-License-Identifier: GPL-3.0-or-later
"""A writer thread: database and fsync happen on one, never beside SIP, media or dialogue.

A dialer process has two: a database that hangs must not keep anything from the disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Writer:
    """One thread, so that writes keep their order."""

    def __init__(self, name: str = "writer") -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self.pending = 0
        self._began: float | None = None

    @property
    def busy_s(self) -> float:
        """How long what runs there just now has taken; 0.0: nothing does."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` on the writer thread; its exception is raised here.

        A cancelled caller does not stop the work: what was begun is finished.
        """
        self.pending += 1

        def timed() -> T:
            self._began = time.monotonic()
            try:
                return work(*args, **kwargs)
            finally:
                self._began = None

        future = asyncio.get_running_loop().run_in_executor(self._pool, timed)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[T]) -> None:
        self.pending -= 1
        if not future.cancelled():
            future.exception()  # seen, also when the caller was cancelled meanwhile

    def close(self) -> None:
        """Finish what is queued, then stop the thread."""
        self._pool.shutdown(wait=True)
