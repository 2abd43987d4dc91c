# SPDX-License-Identifier: GPL-3.0-or-later
"""The one sequencer: gives entries their place in the tree, signs it, anchors it (P5).

Any number of processes may run one; the lock on the head row lets one at a
time through, so there is no fork and no index twice. On SQLite the first
statement of the turn is a write, which takes the database's lock; on
PostgreSQL it locks the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from sqlalchemy import Connection, Engine, Row, Table, insert, select, update

from compliance.errors import Corrupt, LedgerError, StorageAway
from storage.anchors import Anchor
from storage.checkpoint import Checkpoint, parse_note, sign_note
from storage.database import READ_ONLY
from storage.destruction_log import DestructionLog
from storage.dialects import insert_many, insert_or_ignore
from storage.keys import Keyring
from storage.ledger_tables import (
    LedgerCheckpoint,
    LedgerHead,
    LedgerLeaf,
    LedgerOutbox,
    LedgerSequenced,
    LedgerSubtree,
)
from storage.merkle import Frontier, leaf_hash

if TYPE_CHECKING:  # which compares with verify_start, below
    from storage.further_anchors import FurtherAnchors

_LEAVES = cast(Table, LedgerLeaf.__table__)
_WAITING = (
    select(
        LedgerOutbox.id,
        LedgerOutbox.node,
        LedgerOutbox.node_seq,
        LedgerOutbox.prev_hash,
        LedgerOutbox.leaf_hash,
        LedgerOutbox.body,
    )
    .join(LedgerSequenced, LedgerSequenced.node == LedgerOutbox.node)
    .where(LedgerOutbox.node_seq > LedgerSequenced.seq)
    .order_by(LedgerOutbox.id)
)
AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"

CHECKPOINT_EVERY = timedelta(seconds=60)
CHECKPOINT_ENTRIES = 1000
_AT_ONCE = 512  # leaves read: more of them alive make Python look for garbage, at half the speed
SUBTREE_BITS = 8  # 256 leaves a kept subtree


class Sequencer:
    """Gives indices and signs checkpoints. One per process is enough; not thread-safe.

    ``behind`` names the anchors that did not take the last checkpoint; each
    :meth:`checkpoint` tries them again.
    """

    def __init__(
        self,
        engine: Engine,
        keyring: Keyring,
        anchors: Sequence[Anchor],
        origin: str,
        *,
        batch: int = 4096,
        further: FurtherAnchors | None = None,
    ) -> None:
        Checkpoint(origin, 0, bytes(32)).text()  # a bad origin fails here, not at midnight
        self._engine = engine
        self._keyring = keyring
        self._anchors = tuple(anchors)
        self._origin = origin
        self._batch = batch
        self._further = further
        self._behind: tuple[Anchor, ...] = ()
        self._log = DestructionLog(engine, keyring)
        self._spoilt: Corrupt | None = None

    @property
    def behind(self) -> tuple[str, ...]:
        further = self._further.behind if self._further is not None else ()
        return (*(anchor.name for anchor in self._behind), *further)

    @property
    def has_further(self) -> bool:
        """Whether :meth:`carry` has anywhere to go."""
        return bool(self._further)

    def carry(self) -> None:
        """Take the newest checkpoint to the further anchors; may wait for a network.

        Safe beside the other methods in another thread.

        Raises:
            LedgerError: one of them has seen more, or another tree, than this database.
        """
        if self._further is not None:
            self._further.catch_up()

    # ------------------------------------------------------------ indices

    def run_once(self, now: datetime) -> int:
        """Give indices to what waits, at most one batch, in one transaction; returns how many.

        Raises:
            LedgerError: a waiting entry was altered or removed; nothing is sequenced.
        """
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            if not _waiting(connection, 1):  # an idle look takes no lock and writes nothing
                return 0
        with self._engine.begin() as connection:
            head = self._lock_head(connection)
            rows = _waiting(connection, self._batch)
            tails = self._follow_chains(connection, rows)
            frontier = _frontier(head)
            perfect: list[tuple[int, int, bytes]] = []
            leaves = []
            for row in rows:
                leaves.append((frontier.size, row.leaf_hash, row.id))
                frontier.append(row.leaf_hash, perfect)
            if not leaves:
                return 0
            insert_many(connection, _LEAVES, ("index", "leaf_hash", "outbox_id"), leaves)
            kept = [
                {"level": level, "index": index, "hash": node}
                for level, index, node in perfect
                if level % SUBTREE_BITS == 0
            ]
            if kept:
                connection.execute(insert(LedgerSubtree), kept)
            for node, (seq, last) in tails.items():
                connection.execute(
                    update(LedgerSequenced)
                    .where(LedgerSequenced.node == node)
                    .values(seq=seq, leaf_hash=last)
                )
            connection.execute(
                update(LedgerHead).values(size=frontier.size, frontier=b"".join(frontier.hashes))
            )
            return len(leaves)

    def _lock_head(self, connection: Connection) -> AnyRow:
        turn = update(LedgerHead).values(turn=LedgerHead.turn + 1)
        if connection.execute(turn).rowcount == 0:
            insert_or_ignore(
                connection,
                LedgerHead,
                id=1,
                origin=self._origin,
                public_key=self._keyring.public_key(),
                size=0,
                frontier=b"",
                turn=0,
            )
            connection.execute(turn)
        head = connection.execute(select(*LedgerHead.__table__.c)).one()
        if head.origin != self._origin or head.public_key != self._keyring.public_key():
            raise LedgerError(
                "this ledger is signed by another key or under another origin",
                remedy="use the key file and the home it was made with",
            )
        return head

    def _follow_chains(
        self, connection: Connection, rows: Sequence[AnyRow]
    ) -> dict[str, tuple[int, bytes]]:
        """Each node's chain must go on where it stood: no gap, no altered byte."""
        nodes = {row.node for row in rows}
        found = connection.execute(
            select(LedgerSequenced.node, LedgerSequenced.seq, LedgerSequenced.leaf_hash).where(
                LedgerSequenced.node.in_(nodes)
            )
        )
        tails: dict[str, tuple[int, bytes]] = {r.node: (r.seq, r.leaf_hash) for r in found}
        for row in rows:
            seq, last = tails[row.node]
            where = f"entry {row.node_seq} of node {row.node}"
            if row.node_seq != seq + 1:
                raise LedgerError(f"{where} follows {seq}: entries between are missing")
            if row.prev_hash != last:
                raise LedgerError(f"{where} does not follow the entry before it")
            if leaf_hash(row.body) != row.leaf_hash:
                raise LedgerError(f"{where} was altered before it was sequenced")
            tails[row.node] = (row.node_seq, row.leaf_hash)
        return tails

    # ------------------------------------------------------------ checkpoints

    def checkpoint(
        self, now: datetime, *, force: bool = False, carry: bool = True
    ) -> Checkpoint | None:
        """Sign and anchor the tree when 60 s or 1,000 entries have passed (or ``force``).

        Further anchors follow at once unless ``carry`` is false: then :meth:`carry` must.

        The note goes outside first and then into the database, so that the
        outside is never behind what the database claims to have anchored. It
        says how long the log of destructions beside it is.

        Raises:
            StorageAway: no anchor took it; nothing was recorded, call again.
            LedgerError: an anchor holds a different tree of this size.
            Corrupt: a log of destructions was altered; the checkpoint was made all the same.
        """
        try:
            return self._sign(now, force)
        finally:
            if carry:
                self.carry()

    def _sign(self, now: datetime, force: bool) -> Checkpoint | None:
        self._spoilt = None
        with self._engine.begin() as connection:
            head = self._lock_head(connection)
            last = connection.execute(
                select(*LedgerCheckpoint.__table__.c)
                .order_by(LedgerCheckpoint.size.desc())
                .limit(1)
            ).one_or_none()
            if not _due(head.size, now, last, force):
                if last is not None and self._behind:
                    self._behind = self._anchor(last.size, last.note, self._behind)
                return None
            checkpoint = Checkpoint(self._origin, head.size, _frontier(head).root())
            before = Checkpoint(self._origin, *((last.size, last.root) if last else (0, bytes(32))))
            log = self._log.length(connection, head.size, last.note if last else "", before)
            note = sign_note(checkpoint, self._origin, self._keyring, more=[log.line()])
            missed = self._anchor(checkpoint.size, note, self._anchors)
            if self._anchors and len(missed) == len(self._anchors):
                raise StorageAway(
                    "no outside anchor took the ledger's checkpoint",
                    remedy="bring the anchor folder back",
                )
            connection.execute(
                insert(LedgerCheckpoint).values(
                    size=checkpoint.size, root=checkpoint.root, note=note, at=now
                )
            )
        self._behind = missed
        if self._spoilt is not None:
            raise self._spoilt
        return checkpoint

    def _anchor(self, size: int, note: str, anchors: Sequence[Anchor]) -> tuple[Anchor, ...]:
        """Write the note, after the entries of destruction it covers; returns who missed it."""
        missed = []
        for anchor in anchors:
            try:
                try:
                    if anchor.beside is not None:
                        self._log.catch_up(anchor.beside, size=size)
                except Corrupt as error:  # the ledger must be signed on
                    self._spoilt = error
                anchor.write(size, note)
            except (StorageAway, OSError):
                missed.append(anchor)
        return tuple(missed)


def _due(size: int, now: datetime, last: AnyRow | None, force: bool) -> bool:
    if size == (0 if last is None else last.size):
        return False
    if force or last is None or size - last.size >= CHECKPOINT_ENTRIES:
        return True
    # A clock set back must not silence the ledger until it has caught up.
    return not last.at <= now < last.at + CHECKPOINT_EVERY


def _frontier(head: AnyRow) -> Frontier:
    edge = head.frontier
    try:
        return Frontier(head.size, [edge[i : i + 32] for i in range(0, len(edge), 32)])
    except ValueError:
        raise LedgerError("the ledger's head row is damaged") from None


def _waiting(connection: Connection, limit: int) -> Sequence[AnyRow]:
    """Entries without an index, oldest first.

    Within a node the ids ascend with its sequence, because the chain row's
    lock is taken before the insert; so a cut by id never leaves a gap.
    """
    return connection.execute(_WAITING.limit(limit)).all()


def lag(engine: Engine, now: datetime) -> float:
    """Seconds the oldest entry has waited for its index; 0.0 when none waits."""
    with engine.connect().execution_options(**READ_ONLY) as connection:
        oldest = connection.execute(_WAITING.with_only_columns(LedgerOutbox.at).limit(1)).first()
    return max(0.0, (now - oldest.at).total_seconds()) if oldest is not None else 0.0


def verify_start(engine: Engine, anchors: Sequence[Anchor], keyring: Keyring) -> int:
    """Recompute the tree and hold it against every outside checkpoint; returns its size.

    Raises:
        LedgerError: the tree is shorter than, or inconsistent with, the last
            outside checkpoint or its own records: rolled back, cut, edited; or
            the database has checkpoints and no anchor has any.
        StorageAway: an anchor does not answer, and no other one holds a checkpoint.
    """
    outside: list[tuple[str, Checkpoint]] = []
    away: StorageAway | None = None
    for anchor in anchors:
        try:
            note, forks = anchor.latest(), anchor.forks()
        except StorageAway as error:  # it is compared when it is back: FurtherAnchors
            away = error
            continue
        if note is not None:
            try:
                parsed = parse_note(note)
                whole = parsed.verify(parsed.checkpoint.origin, keyring.public_key())
            except Corrupt:
                whole = False
            if not whole:
                raise LedgerError(
                    f"the last checkpoint in {anchor.name} is damaged or signed by another key",
                    remedy="compare the anchors with one another; if a stranger wrote there, name "
                    "a new folder or prefix and keep the old one",
                )
            outside.append((anchor.name, parsed.checkpoint))
        for number, fork in enumerate(map(parse_note, forks), 1):
            if not fork.verify(fork.checkpoint.origin, keyring.public_key()):
                raise LedgerError(f"a branch in {anchor.name} is signed by another key")
            if branch_line(number) not in fork.text.splitlines()[3:]:  # an old note, put there
                raise LedgerError(
                    f"branch {number} in {anchor.name} was not begun by a restore",
                    remedy="compare the anchors with another copy of them",
                )
    if away is not None and not outside:
        raise away
    with engine.connect().execution_options(**READ_ONLY) as connection:
        head = connection.execute(select(*LedgerHead.__table__.c)).one_or_none()
        kept = connection.execute(select(LedgerCheckpoint.size, LedgerCheckpoint.root)).all()
        if kept and anchors and not outside:
            raise LedgerError(
                "the database has checkpoints, but no anchor outside holds one",
                remedy="mount the anchor folder again, or name a copy of it",
            )
        claims = [(name, c.size, c.root) for name, c in outside]
        claims += [("the database", row.size, row.root) for row in kept]
        size, roots = _recompute(connection, {claim[1] for claim in claims})
    for name, checkpoint in outside:
        if head is not None and checkpoint.origin != head.origin:
            raise LedgerError(f"{name} anchors another ledger")
    for name, claimed, root in claims:
        if claimed > size:
            raise LedgerError(
                f"the ledger holds {size} entries, but {name} anchors {claimed}: it was rolled "
                "back or cut",
                remedy="restore the newest database, or a backup by `candor restore --anchors`; "
                "do not delete the anchor",
            )
        if roots[claimed] != root:
            raise LedgerError(
                f"the ledger's first {claimed} entries are not those that {name} anchors",
                remedy="run the independent verifier on an export",
            )
    stated = (head.size, _frontier(head).root()) if head is not None else (0, roots[0])
    if stated != (size, roots[size]):
        raise LedgerError("the ledger's head differs from its entries")
    return size


def branch_line(number: int) -> str:
    """What the first note of a branch must say, so that no other signed note makes one."""
    return f"branch {number}"


def tree(engine: Engine, sizes: set[int]) -> tuple[int, dict[int, bytes]]:
    """The tree's size, and its roots at ``sizes``, at 0 and at its end, by size.

    Raises:
        LedgerError: an entry is missing.
    """
    with engine.connect().execution_options(**READ_ONLY) as connection:
        return _recompute(connection, sizes)


def _recompute(connection: Connection, sizes: set[int]) -> tuple[int, dict[int, bytes]]:
    frontier = Frontier()
    roots = {0: frontier.root()}
    stops = sorted(sizes, reverse=True)
    query = select(LedgerLeaf.index, LedgerLeaf.leaf_hash).order_by(LedgerLeaf.index)
    with connection.execution_options(yield_per=_AT_ONCE).execute(query) as rows:
        for part in rows.partitions():
            indices, leaves = zip(*part, strict=True)
            # No index comes twice: those in a row end where their number says.
            if indices[0] != frontier.size or indices[-1] - indices[0] != len(indices) - 1:
                missing = next(n for n, at in enumerate(indices, frontier.size) if n != at)
                raise LedgerError(f"the ledger's entry {missing} is missing")
            base = frontier.size
            while stops and stops[-1] <= base + len(leaves):
                size = stops.pop()
                frontier.extend(leaves[frontier.size - base : size - base])
                roots[size] = frontier.root()
            frontier.extend(leaves[frontier.size - base :])
    roots[frontier.size] = frontier.root()
    return frontier.size, roots
