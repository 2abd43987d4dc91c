# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's end of the pipe to the process that checks ended calls."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import structlog

from dialer.orders import END, CheckOrder

log = structlog.get_logger("dialer.check_process")


class CheckProcess:
    """One checker a run. What becomes of it touches no call: its work is taken up later."""

    def __init__(self, order: CheckOrder, environment: dict[str, str], errors: int) -> None:
        """``errors`` is an open file for its standard error; this object closes it."""
        self._order = order
        self._environment = environment
        self._errors = errors
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dialer.checker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=self._errors,
            env=self._environment,
            start_new_session=True,
        )
        self._say(self._order.to_json())

    def ended(self, attempt: str) -> None:
        """A call is over."""
        self._say(attempt)

    def _say(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
            self._process.stdin.write(line.encode() + b"\n")

    def leave(self) -> None:
        """The run is to end soon: what waits is the next run's."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def finish(self, within_s: float) -> None:
        """The run is over: let it check what waits, for ``within_s`` at most, then end it."""
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
