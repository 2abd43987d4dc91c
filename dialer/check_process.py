# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's end of the pipe to the process that checks ended calls."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable

import structlog

from dialer.orders import END, CheckOrder

log = structlog.get_logger("dialer.check_process")

# Nice before anything is imported: loading takes a second that live calls must not miss.
_PROGRAM = """\
import os, runpy
os.nice(19)
runpy.run_module("dialer.checker", run_name="__main__", alter_sys=True)
"""


class CheckProcess:
    """One checker a run, started when its first call is over. What becomes of it touches no
    call: its work is taken up later."""

    def __init__(
        self, order: CheckOrder, environment: dict[str, str], errors: Callable[[], int]
    ) -> None:
        """``errors`` opens the file for its standard error."""
        self._order = order
        self._environment = environment
        self._errors = errors
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._over = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def ended(self, attempt: str) -> None:
        """A call is over."""
        async with self._starting:
            if self._process is None and not self._over:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-c",
                    _PROGRAM,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=self._errors(),
                    env=self._environment,
                    start_new_session=True,
                )
                self._say(self._order.to_json())
        self._say(attempt)

    def _say(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
            self._process.stdin.write(line.encode() + b"\n")

    def leave(self) -> None:
        """The run is to end soon: what waits is the next run's."""
        self._over = True
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def finish(self, within_s: float) -> None:
        """The run is over: let it check what waits, for ``within_s`` at most, then end it."""
        self._over = True
        if self._process is None:
            return
        self._say(END)
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            log.warning("checks left for later", action="check.later")
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
