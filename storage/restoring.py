# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a restored backup a home again: a fork that is told, and destructions replayed.

The order is: the ledger says that it was restored and which checkpoint it lost; the platform
stops; what was destroyed since goes again. Only then may anybody use the home.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, insert

from compliance.clock import Clock
from compliance.errors import LedgerError, TooEarlyToDestroy
from compliance.facts import Evolve
from storage.anchors import Anchor
from storage.checkpoint import Checkpoint, parse_note, sign_note
from storage.context import SYSTEM, Context, new_id
from storage.database import READ_ONLY
from storage.destruction_log import Destroyed, beyond, done
from storage.destructions import Method, Why
from storage.keys import Keyring
from storage.models import EmergencyStop
from storage.objects import Objects, make_folder, synced_draft
from storage.sequencer import branch_line, tree
from storage.stops import StopReason, stopped_at
from storage.store import Store
from storage.terms import Terms


@dataclass(frozen=True, slots=True)
class Lost(Evolve):
    """The checkpoint a restored home no longer reaches, and where it forks from it."""

    size: int
    root: bytes
    kept: int
    kept_root: bytes


@dataclass(frozen=True, slots=True)
class Replayed(Evolve):
    """What was destroyed again. ``held``: under a hold of the restored database, so it stays;
    ``waiting``: the object store held it up."""

    calls: int = 0
    contacts: int = 0
    persons: int = 0  # erased on request
    testers: int = 0  # of a lab home
    refusals: int = 0  # entries of the refusal list whose term was over
    held: int = 0
    waiting: int = 0


def fork(engine: Engine, keyring: Keyring, anchor: Anchor, backup: str) -> Lost | None:
    """Begin a branch of the anchors if they, or the log beside them, have seen more than this
    database; None: they have not.

    The branch's first note is a checkpoint of what is kept, signed, with the lines ``branch
    NUMBER``, ``restored BACKUP`` and ``lost SIZE ROOT``: nobody without the keys can explain a
    fork away, nor with a note of another time.

    Raises:
        LedgerError: the anchors are another home's.
    """
    latest = anchor.latest()
    if latest is None:
        return None
    note = parse_note(latest)
    if not note.verify(note.checkpoint.origin, keyring.public_key()):
        raise LedgerError("the anchors are signed by another key", remedy="name this home's")
    lost = note.checkpoint
    size, roots = tree(engine, {lost.size})
    beside = anchor.beside
    with engine.connect().execution_options(**READ_ONLY) as connection:
        more = beside is not None and beyond(connection, beside, keyring)
    if roots.get(lost.size) == lost.root and not more:
        return None
    kept = Checkpoint(lost.origin, size, roots[size])
    root = base64.b64encode(lost.root).decode()
    number = len(anchor.forks()) + 1
    lines = [branch_line(number), f"restored {backup}", f"lost {lost.size} {root}"]
    anchor.fork(size, sign_note(kept, lost.origin, keyring, more=lines))
    return Lost(lost.size, lost.root, size, roots[size])


def tell(
    engine: Engine,
    keyring: Keyring,
    *,
    node: str,
    clock: Clock,
    backup: str,
    sha256: str,
    lost: Lost | None,
) -> None:
    """The entry ``home.restore``, and a stop of the platform, in one transaction.

    Whoever said no after the backup is not on its refusal list: a compliance officer lifts
    the stop when those are on it again.
    """
    context, now = Context(engine, keyring, node=node, clock=clock), clock.wall()
    with context.write() as session:
        context.log(
            session,
            "home.restore",
            SYSTEM,
            now,
            backup=backup,
            sha256=sha256,
            lost_size=lost.size if lost else None,
            lost_root=lost.root.hex() if lost else "",
            kept_size=lost.kept if lost else None,
            kept_root=lost.kept_root.hex() if lost else "",
        )
        if stopped_at(session) is None:
            stop = new_id()
            session.execute(insert(EmergencyStop).values(id=stop, at=now, by=SYSTEM))
            context.log(
                session, "platform.stop", SYSTEM, now, stop=stop, reason=str(StopReason.OTHER)
            )


def gone(log: Sequence[Destroyed]) -> frozenset[str]:
    """Names of the objects the log says are destroyed: they are not even unpacked."""
    return frozenset(name for line in log for name in line.body.get("destroyed", ()))


def replay(store: Store, objects: Objects, log: Sequence[Destroyed], terms: Terms) -> Replayed:
    """Destroy again what the log says; may be repeated. Each leaves a record of its own.

    What the database's own ledger holds was done before the backup: who was erased then and
    came again with a new consent stays.
    """
    with store.engine.connect().execution_options(**READ_ONLY) as connection:
        before = done(connection)
    counts: Counter[str] = Counter()
    for line in log:
        if line.leaf in before:
            continue
        try:
            counts.update(_again(store, line, terms))
        except TooEarlyToDestroy:
            counts["held"] += 1
    return Replayed(**counts, waiting=store.retention.complete(objects))


def _again(store: Store, line: Destroyed, terms: Terms) -> dict[str, int]:
    body = line.body
    if body.get("method") == Method.FORGET:
        return {}  # of a live call: never in a backup
    if line.kind == "subject.erase":
        if not body["record"]:
            return {}  # nothing was left to erase
        again = store.subjects.erase_again(
            body["record"],
            body["commitment"],
            terms.recording_until,
            withdrawn=body.get("withdrawn", ""),
            at=line.at,
        )
        return {"persons": int(again)}
    if body.get("attempt"):
        return {"calls": int(store.retention.destroy_again(body["attempt"], body["reason"]))}
    if body.get("contacts"):
        return {"contacts": store.retention.purge_again(body["contacts"], body["reason"])}
    if body.get("reason") == Why.LIST_OVER:
        return {"refusals": store.retention.purge_refusals_again(line.at)}
    # What is left of the kinds: a tester who was taken off a lab home's list.
    return {"testers": int(store.testers.remove_again(body["record"], body["commitment"]))}


def join_anchors(newer: Path, mine: Path) -> None:
    """Bring a surviving anchor folder's notes, time stamps and logs to a restored home's own.

    Raises:
        LedgerError: both have a note of one size in one branch, and they differ.
    """
    for source in sorted(p for p in newer.rglob("*") if p.is_file() and p.suffix in _KEPT):
        target = mine / source.relative_to(newer)
        if target.suffix == ".note" and target.exists():
            if target.read_bytes() != source.read_bytes():
                raise LedgerError(
                    f"{source.name} of these anchors differs from the backup's",
                    remedy="they are of another home, or one of both was forged",
                )
            continue
        if target.suffix == ".tsr" and target.exists():
            continue  # each is checked by itself
        make_folder(target.parent)
        if not target.exists() or target.stat().st_size < source.stat().st_size:
            _put(target, source.read_bytes())


def _put(target: Path, data: bytes) -> None:
    """Write or replace a private file, whole or not at all, durably."""
    with synced_draft(target, data) as draft:
        draft.replace(target)


_KEPT = frozenset({".note", ".tsr", ".jsonl"})
