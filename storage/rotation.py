# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotation of the master key while calls go on (D7).

1. *Begin*: a new master key becomes current. From then on everything is sealed under it;
   running processes learn of it by themselves.
2. *Reseal*: what older keys sealed is sealed again, some hundred rows a transaction. A
   row is replaced only if it is still as it was read, so that no write of anybody is lost;
   killed at any point, it goes on where it was.
3. *Retire*: an old key that nothing names any more is destroyed.

Blind indexes have a key of their own and do not take part.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, Table, select, tuple_
from sqlalchemy.orm import Session

from compliance.errors import Corrupt, StorageAway, StorageError
from compliance.facts import Actor, Evolve, Role
from storage import sealed_columns
from storage.context import SYSTEM, Context
from storage.key_document import new_key_id
from storage.keys_memory import is_current, no_such_key
from storage.ledger_tables import LedgerOutbox

AT_ONCE = 200  # rows a transaction
GRACE = timedelta(seconds=60)
"""How long after its replacement a key stays: a running process may use it a little longer."""

_PASSES = 10
_BETWEEN_PASSES_S = 1.0
_LOCK_S = 30.0
_BEGIN, _PREPARE, _DONE, _RETIRE = "keys.rotate", "keys.prepare", "keys.resealed", "keys.retire"
_PASSPHRASE = "keys.passphrase"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MasterKey(Evolve):
    """One master key, and how many values lie under it, by table."""

    id: str
    state: str  # current, prepared, old, or missing: named by values, but not held
    since: datetime | None  # None: from the beginning
    uses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Resealed(Evolve):
    """What a pass did. ``damaged`` rows open under no key and were left as they are."""

    key: str
    rows: int
    remaining: int
    damaged: tuple[str, ...] = ()  # table and row id; the first hundred


@dataclass(slots=True)
class _Pass:
    actor: Actor
    key: str
    total: int
    progress: Progress
    sleep: Callable[[float], None]
    rows: int = 0
    damaged: set[str] = field(default_factory=set)


def _nothing() -> None:
    """The keyring keeps its keys by itself."""


class Rotation:
    """Rotating the master key."""

    def __init__(self, context: Context) -> None:
        self._context = context

    # ------------------------------------------------------------ looking

    def keys(self, actor: Actor) -> list[MasterKey]:
        """Every master key, the current one first.

        Raises:
            NotAllowed: neither administrator, compliance officer nor auditor.
        """
        self._context.require(actor, "keys.list", Role.ADMIN, Role.COMPLIANCE, Role.AUDITOR)
        return self._keys()

    def left(self) -> list[MasterKey]:
        """Keys that were rotated away and never retired."""
        return [key for key in self._keys() if key.state == "old"]

    def _keys(self) -> list[MasterKey]:
        context, ring = self._context, self._context.keyring
        with context.read() as session:
            uses, entries = sealed_columns.uses(session), _entries(session)
        held, prepared = ring.key_ids(), ring.prepared()
        states = dict.fromkeys(held, "old") | {ring.key_id(): "current"}
        if prepared is not None:
            states[prepared] = "prepared"
        since = {body.get("to"): at for _, at, body in entries}
        found = [
            MasterKey(key, states.get(key, "missing"), since.get(key), uses.get(key, {}))
            for key in {*held, *uses}
        ]
        order = ["current", "prepared", "old", "missing"]
        return sorted(found, key=lambda key: (order.index(key.state), key.id))

    def unfinished(self) -> bool:
        """Whether a rotation to the current key began and its pass was not completed."""
        current = self._context.keyring.key_id()
        with self._context.read() as session:
            entries = _entries(session)
        begun = any(kind == _BEGIN and body["to"] == current for kind, _, body in entries)
        done = any(kind == _DONE and body["key"] == current for kind, _, body in entries)
        return begun and not done

    # ------------------------------------------------------------ the three steps

    def prepare(self, actor: Actor, keep: Callable[[], None] = _nothing) -> str:
        """Make a master key that nobody seals under yet, to be brought to every machine first.

        Raises: as :meth:`begin`; BadInput: one is prepared already, or the keys are in an HSM.
        """
        return self._add(actor, _PREPARE, keep)

    def begin(self, actor: Actor, keep: Callable[[], None] = _nothing) -> str:
        """Make a new master key, or the prepared one, current; returns its id.

        ``keep`` is called when the keyring has changed, before the entry is committed: it
        keeps what the keyring cannot keep by itself.

        Raises:
            NotAllowed: not an administrator.
            StorageError: the key cannot be kept; nothing has changed.
        """
        return self._add(actor, _BEGIN, keep)

    def _add(self, actor: Actor, kind: str, keep: Callable[[], None]) -> str:
        context, ring = self._context, self._context.keyring
        context.require(actor, kind, Role.ADMIN)
        old, prepared = ring.key_id(), ring.prepared()
        new = prepared if prepared is not None and kind == _BEGIN else new_key_id()
        with context.write() as session:
            self._note_unwritten(session)
            now = context.clock.wall()
            context.log(session, kind, actor.id, now, **{"from": old, "to": new})
            if new == prepared:
                ring.use_master(new)
            else:
                ring.add_master(new, use=kind == _BEGIN)
            keep()
        return new

    def reseal(
        self,
        actor: Actor,
        progress: Progress = lambda done, total: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Resealed:
        """Seal under the current key what lies under older ones; ``progress(rows, total)``.

        Between two transactions it rests as long as the last one took, so that calls
        find the database free.

        Raises:
            NotAllowed: not an administrator.
            StorageAway: the database or the HSM does not answer; run it again later.
        """
        context = self._context
        context.require(actor, "keys.reseal", Role.ADMIN)
        key = context.keyring.key_id()
        remaining = self._remaining(key)
        done = _Pass(actor, key, remaining, progress, sleep)
        progress(0, remaining)
        for number in range(_PASSES):
            if number:  # a process that had not heard of the key may have written behind us
                sleep(_BETWEEN_PASSES_S)
            for table in sealed_columns.tables():
                self._reseal_table(table, done)
            remaining = self._remaining(key)
            if remaining <= len(done.damaged):
                break
        with context.write() as session:
            body = {"key": key, "rows": done.rows, "remaining": remaining}
            context.log(session, _DONE, actor.id, context.clock.wall(), **body)
        return Resealed(key, done.rows, remaining, tuple(sorted(done.damaged)[:100]))

    def retire(self, actor: Actor, key: str, keep: Callable[[], None] = _nothing) -> None:
        """Destroy an old master key. Backups made before the rotation cannot be read any more.

        Raises:
            NotAllowed: not an administrator.
            BadInput: the current key, or no such key.
            StorageError: something still lies under it, by table; or it was replaced less
                than a minute ago. StorageAway: others write without a pause.
        """
        context, ring = self._context, self._context.keyring
        context.require(actor, _RETIRE, Role.ADMIN)
        now = context.clock.wall()
        if key not in ring.key_ids():
            raise no_such_key(key)
        if key == ring.key_id():
            raise is_current(key)
        with context.read() as session:
            _refuse_used(session, key)  # before everybody has to wait for the lock
            _refuse_recent(session, key, now)
        with context.write() as session:
            _hold_still(session, context.node)
            _refuse_used(session, key)
            self._note_unwritten(session)
            context.log(session, _RETIRE, actor.id, now, key=key)
            ring.remove_master(key)
            keep()

    def change_passphrase(self, actor: Actor, change: Callable[[], None]) -> None:
        """Change what opens the keys; ``change`` does it before its entry is committed.

        Raises:
            NotAllowed: not an administrator.
        """
        context = self._context
        context.require(actor, _PASSPHRASE, Role.ADMIN)
        with context.write() as session:
            context.log(session, _PASSPHRASE, actor.id, context.clock.wall())
            change()

    # ------------------------------------------------------------ the pass

    def _remaining(self, key: str) -> int:
        with self._context.read() as session:
            return sealed_columns.count_under_others(session, key)

    def _reseal_table(self, table: Table, done: _Pass) -> None:
        context = self._context
        for rows in self._pages(table, done.key):
            changes = [(row, self._sealed_again(table, row, done)) for row in rows]
            began = time.monotonic()
            with context.write() as session:
                changed = sum(
                    sealed_columns.replace(session, table, row, new) for row, new in changes if new
                )
                if changed:
                    body = {"key": done.key, "table": table.name, "rows": changed}
                    now = context.clock.wall()
                    context.log(session, "keys.reseal", done.actor.id, now, **body)
            done.rows += changed
            done.progress(min(done.rows, done.total), done.total)
            done.sleep(min(time.monotonic() - began, 0.5))

    def _pages(self, table: Table, key: str) -> Iterator[list[RowMapping]]:
        """Rows with a value under another key, in the order of their names."""
        names = sealed_columns.keys(table)
        query = sealed_columns.rows_under_others(table, key).limit(AT_ONCE)
        page = query
        while True:
            with self._context.read() as session:
                rows = list(session.execute(page).mappings())
            if not rows:
                return
            yield rows
            last = tuple(rows[-1][name.name] for name in names)
            page = query.where(tuple_(*names) > tuple_(*last))

    def _sealed_again(self, table: Table, row: RowMapping, done: _Pass) -> dict[str, bytes]:
        ring, tenant = self._context.keyring, self._context.tenant
        try:
            return sealed_columns.seal_again(ring, tenant, table, row, done.key)
        except Corrupt:
            names = "/".join(str(row[name.name]) for name in sealed_columns.keys(table))
            done.damaged.add(f"{table.name} {names}")
            return {}

    def _note_unwritten(self, session: Session) -> None:
        """Write down keys of a process that was killed before its own entry was committed."""
        context, ring = self._context, self._context.keyring
        held = set(ring.key_ids())
        written = {body.get(side) for _, _, body in _entries(session) for side in ("from", "to")}
        # The home's first key was never written down.
        known = written or (held - {ring.key_id()} if len(held) > 1 else held)
        for key in sorted(held - known):
            kind = _PREPARE if key == ring.prepared() else _BEGIN
            body = {"from": "", "to": key, "found": True}
            context.log(session, kind, SYSTEM, context.clock.wall(), **body)


def _entries(session: Session) -> list[tuple[str, datetime, dict[str, Any]]]:
    """What the ledger has of rotations, oldest first: kind, time, body."""
    query = (
        select(LedgerOutbox.kind, LedgerOutbox.at, LedgerOutbox.body)
        .where(LedgerOutbox.kind.in_([_BEGIN, _PREPARE, _DONE, _RETIRE]))
        .order_by(LedgerOutbox.id)
    )
    return [(kind, at, json.loads(body)["body"]) for kind, at, body in session.execute(query)]


def _hold_still(session: Session, node: str) -> None:
    until = time.monotonic() + _LOCK_S
    while not sealed_columns.hold_still(session, node):
        if time.monotonic() > until:
            raise StorageAway(
                "others write without a pause; nothing was retired",
                remedy="try again at a quieter time",
            )
        time.sleep(0.01)


def _refuse_used(session: Session, key: str) -> None:
    used = sealed_columns.uses(session).get(key)
    if used:
        counts = ", ".join(f"{table} {count}" for table, count in sorted(used.items()))
        raise StorageError(
            f"values still lie under master key {key}: {counts}",
            remedy="candor keys rotate seals them again under the current key",
        )


def _refuse_recent(session: Session, key: str, now: datetime) -> None:
    replaced = [
        at
        for kind, at, body in _entries(session)
        if kind == _BEGIN and body["from"] in (key, "") and body["to"] != key
    ]
    if replaced and now - replaced[-1] < GRACE:
        left = (replaced[-1] + GRACE - now).total_seconds()
        raise StorageError(
            f"master key {key} was replaced a moment ago; a running process may still use it",
            remedy=f"try again in {int(left) + 1} s",
        )
