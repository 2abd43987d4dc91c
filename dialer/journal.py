# SPDX-License-Identifier: GPL-3.0-or-later
"""What live calls leave: on this machine's disk at once, in the database as soon as it answers.

A call never waits for the database. Whatever it must leave is noted here: it is on disk when
:meth:`Journal.note` returns, and moved in order by a task of its own. As long as something
noted is not moved, no further call is placed from this process (experiment 7).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from compliance.errors import StorageAway, StorageError
from dialer.writer import Writer
from storage.call_entries import Entry, kind_of, may_pass, take, to_text
from storage.call_journal import CallJournal, Frame, lies_aside, refusal_waits
from storage.store import Store

log = structlog.get_logger("dialer.journal")

PATIENCE_S = 2.0  # what is noted is usually moved within some milliseconds
_LAST_PATIENCE_S = 60.0
_BEHIND_S = 1.0
_RETRY_S, _RETRY_MOST_S = 0.2, 2.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    entry: Entry
    frame: Frame | None  # None: not on disk, because the disk failed
    since: float
    moved: asyncio.Future[str]


class Journal:
    """The journal of one dialer process. ``files`` is the thread of the disk, ``database`` that
    of the store; ``disk_failed`` is told why a record could not be written here."""

    def __init__(
        self,
        file: CallJournal,
        store: Store,
        *,
        files: Writer,
        database: Writer,
        disk_failed: Callable[[BaseException], None],
    ) -> None:
        self._file = file
        self._store = store
        self._files = files
        self._database = database
        self._disk_failed = disk_failed
        self._queue: deque[_Waiting] = deque()
        self._writing = 0
        self._wake = asyncio.Event()
        self._mover = asyncio.create_task(self._move(), name="journal")

    @property
    def behind(self) -> bool:
        """Whether something has waited for the database for longer than a moment."""
        return bool(self._queue) and time.monotonic() - self._queue[0].since > _BEHIND_S

    def aside(self) -> bool:
        """Whether the database did not take something of this node (see ``call_journal``)."""
        return lies_aside(self._file.path.parent)

    async def note(self, entry: Entry) -> asyncio.Future[str]:
        """Make a record durable; the future is the ledger leaf it gets, if it gets one.

        With a disk that fails it is durable once the database has it, which is waited for. A
        caller that is cancelled meanwhile does not stop it.

        Raises:
            StorageError: neither has it yet. The database still gets it, should it answer
                while this process lives.
        """
        return await asyncio.shield(asyncio.create_task(self._note(entry), name="note"))

    async def _note(self, entry: Entry) -> asyncio.Future[str]:
        frame: Frame | None = None
        kind, text = kind_of(entry), to_text(entry)
        self._writing += 1
        try:
            frame = await self._files.run(self._file.append, kind, entry.attempt, text)
        except StorageError as error:
            log.error("journal not written", action="journal.lost", cause=type(error).__name__)
            self._disk_failed(error.__cause__ or error)
        finally:
            self._writing -= 1
        moved = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(entry, frame, time.monotonic(), moved))
        self._wake.set()
        if frame is None and not await self.is_moved(moved):
            raise StorageAway("neither disk nor database takes what this call leaves")
        return moved

    async def is_moved(self, moved: asyncio.Future[str]) -> bool:
        """Whether the database has it within a moment."""
        done, _ = await asyncio.wait((moved,), timeout=PATIENCE_S)
        return bool(done)

    async def clear(self) -> bool:
        """Whether the next call may be placed: everything noted here so far is in the database,
        and no refusal heard by another process of this node waits on its way there."""
        if self._queue and not await self.is_moved(self._queue[-1].moved):
            return False
        try:
            return not await self._files.run(refusal_waits, self._file.path.parent, self._file.path)
        except OSError as error:  # what cannot be read may say anything
            log.error("journals not readable", action="journal.unread", cause=type(error).__name__)
            return False

    async def close(self) -> None:
        """Move what still can be moved, then leave the rest to the next start."""
        while self._writing:
            await asyncio.sleep(0.01)
        if self._queue:
            alone = any(waiting.frame is None for waiting in self._queue)  # nowhere but in memory
            last = self._queue[-1].moved
            await asyncio.wait((last,), timeout=_LAST_PATIENCE_S if alone else PATIENCE_S)
        self._mover.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._mover
        await self._files.run(self._file.close)

    # ------------------------------------------------------------ the way to the database

    async def _move(self) -> None:
        wait_s = _RETRY_S
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                first = self._queue[0]
                leaf = await self._taken(first)
                if leaf is None:
                    await asyncio.sleep(wait_s)
                    wait_s = min(wait_s * 2, _RETRY_MOST_S)
                    continue
                wait_s = _RETRY_S
                self._queue.popleft()
                first.moved.set_result(leaf)
            if not self._writing:  # what is written from here on is written behind this
                await self._files.run(self._file.empty)

    async def _taken(self, waiting: _Waiting) -> str | None:
        """The leaf, empty if there is none; None: not now. What is never taken is set aside."""
        try:
            return await self._database.run(take, self._store, waiting.entry)
        except Exception as error:
            cause = type(error).__name__
            if may_pass(error):
                log.error("record not moved yet", action="journal.wait", cause=cause)
                return None
            log.error("record not taken", action="journal.aside", cause=cause)
        if waiting.frame is not None:
            try:
                await self._files.run(self._file.set_aside, waiting.frame)
            except StorageError as failure:
                self._disk_failed(failure.__cause__ or failure)
                return None
        return ""
