# SPDX-License-Identifier: GPL-3.0-or-later
"""Closing what dead processes left open: their journals first, then their leases.

A database that was away is given time: live calls renew their leases before anybody judges
them by the clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from compliance.clock import Clock
from compliance.errors import StorageError
from storage.call_replay import Replay
from storage.store import Store

log = structlog.get_logger("dialer.settling")

GRACE_S = 10.0  # after the database was away or slow; live processes try once a second
_SLOW_S = 3.0


class Settling:
    """What a supervisor settles. Safe to call from any thread."""

    def __init__(
        self, replay: Replay, store: Store, clock: Clock, settled: Callable[[list[str]], None]
    ) -> None:
        self._replay = replay
        self._store = store
        self._clock = clock
        self._settled = settled
        self._dead: dict[str, Callable[[], None]] = {}
        self._from = clock.monotonic()
        self._one = threading.Lock()

    @property
    def owed(self) -> bool:
        """Whether somebody who died is not settled yet."""
        return bool(self._dead)

    def bury(self, dead: str, then: Callable[[], None] = lambda: None) -> None:
        """Settle ``dead`` (see ``store.settle_expired``) at the next look, and do ``then``."""
        self._dead[dead] = then

    def look(self) -> None:
        """Move the journals of the dead, settle their calls and what is overdue.

        Raises:
            StorageError: the database does not answer; who died is settled at a later look.
        """
        with self._one:
            began = self._clock.monotonic()
            try:
                self._look(overdue=began >= self._from)
            except StorageError:
                self._from = self._clock.monotonic() + GRACE_S
                raise
            if self._clock.monotonic() - began > _SLOW_S:
                self._from = self._clock.monotonic() + GRACE_S

    def _look(self, *, overdue: bool) -> None:
        dead = tuple(self._dead.items())  # whoever dies from here on may not be replayed below
        moved = self._replay.run()
        if moved.records or moved.aside:
            log.warning(
                "moved what dead processes noted", action="journal.replay",
                records=moved.records, aside=moved.aside,
            )  # fmt: skip
        for name, then in dead:
            self._told(self._store.settle_expired(self._clock.wall(), dead=name, overdue=False))
            then()
            del self._dead[name]
        if overdue:
            self._told(self._store.settle_expired(self._clock.wall()))

    def _told(self, attempts: list[str]) -> None:
        if attempts:
            self._settled(attempts)
