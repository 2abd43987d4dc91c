# SPDX-License-Identifier: GPL-3.0-or-later
"""Anchors beyond the first: a second disk, a network mount, a bucket (P5).

The first anchor gets each checkpoint before the database does. These get it afterwards, outside
every transaction: a network that is slow or away must hold up no call. What one of them missed,
its next checkpoint makes good, for each holds the tree of all before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, select

from compliance.errors import Corrupt, LedgerError, StorageError
from storage.anchors import Anchor
from storage.checkpoint import parse_note
from storage.database import READ_ONLY
from storage.destruction_log import DestructionLog
from storage.keys import Keyring
from storage.ledger_tables import LedgerCheckpoint
from storage.sequencer import verify_start


class FurtherAnchors:
    """Carries the newest checkpoint to them. One instance a process; not thread-safe.

    ``behind`` names those that do not hold it.
    """

    def __init__(self, engine: Engine, keyring: Keyring, anchors: Sequence[Anchor]) -> None:
        self._engine = engine
        self._keyring = keyring
        self._anchors = tuple(anchors)
        self._holds: dict[int, int] = {}  # place of the anchor: size of what it holds
        self._behind: set[int] = set()
        self._log = DestructionLog(engine, keyring)

    def __bool__(self) -> bool:
        return bool(self._anchors)

    @property
    def behind(self) -> tuple[str, ...]:
        return tuple(self._anchors[place].name for place in sorted(self._behind))

    def catch_up(self) -> None:
        """Take the newest checkpoint to each anchor that lacks it; one that is away waits.

        Raises:
            LedgerError: an anchor that was away has seen more, or another tree, than this
                database: it was rolled back while nobody could look. Corrupt: what it holds is
                damaged. ConfigError: it is no place that keeps anything.
        """
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            newest = connection.execute(
                select(LedgerCheckpoint.size, LedgerCheckpoint.note)
                .order_by(LedgerCheckpoint.size.desc())
                .limit(1)
            ).one_or_none()
        if newest is None:
            return
        spoilt: Corrupt | None = None
        for place, anchor in enumerate(self._anchors):
            try:
                if place not in self._holds:
                    self._compare(anchor)
                if self._holds.get(place) != newest.size:
                    try:
                        self._carry_log(anchor, newest.size)
                    except Corrupt as error:  # the ledger must be anchored all the same
                        spoilt = error
                    anchor.write(newest.size, newest.note)
                    self._holds[place] = newest.size
                self._behind.discard(place)
            except (LedgerError, Corrupt):
                raise
            except (StorageError, OSError):  # `candor doctor` asks it again and says why
                self._behind.add(place)
        if spoilt is not None:
            raise spoilt

    def _carry_log(self, anchor: Anchor, size: int) -> None:
        """The entries of destruction that the note speaks of go before it."""
        beside = anchor.beside
        if beside is not None:
            self._log.catch_up(beside, size=size)

    def _compare(self, anchor: Anchor) -> None:
        """Before the first note goes there: whoever rolled back while it was away is found."""
        note = anchor.latest()
        if note is None:
            return
        seen = parse_note(note).checkpoint
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            root = connection.scalar(
                select(LedgerCheckpoint.root).where(LedgerCheckpoint.size == seen.size)
            )
        if root != seen.root:  # else the start has held this very checkpoint against the tree
            verify_start(self._engine, [anchor], self._keyring)
