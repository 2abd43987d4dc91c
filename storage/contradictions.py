# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that the ledger contradicts: what was written into the database past Candor.

Each of these changes leaves an entry in its own transaction, so a row without one, or an entry
without its row, was not Candor's doing. Entries are read by their own bytes, which the tree
holds; the columns beside them are not trusted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from compliance.facts import Evolve
from storage.context import Context
from storage.ledger_tables import LedgerOutbox
from storage.models import EmergencyStop, Person, RefusalRow

_KINDS = ("refusal.record", "person.add", "person.disable", "platform.stop", "platform.lift")
_MARKS = tuple(f'"kind":"{kind}"'.encode() for kind in _KINDS)
_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Contradictions(Evolve):
    """What does not fit. ``people`` and ``stops`` are ids."""

    refusals: int = 0  # on the ledger, still in force, and not on the list
    people: tuple[str, ...] = ()  # with roles nobody gave, unknown, or enabled again
    stops: tuple[str, ...] = ()  # of the platform: removed, or lifted by nobody


def find(context: Context) -> Contradictions:
    """Hold refusals, people and emergency stops against the ledger. Changes nothing."""
    now = context.clock.wall()
    with context.read() as session:
        listed = Counter(session.scalars(select(RefusalRow.until).where(RefusalRow.until > now)))
        people = {row.id: row for row in session.scalars(select(Person))}
        stopped = {row.id: row for row in session.scalars(select(EmergencyStop))}
        owed: Counter[datetime] = Counter()
        roles: dict[str, str] = {}
        disabled, stops, lifted = set(), set(), set()
        for kind, body in _entries(session):
            if kind == "refusal.record":
                owed[datetime.fromisoformat(body["until"])] += 1
            elif kind == "person.add":
                roles[body["person"]] = ",".join(sorted(body["roles"]))
            elif kind == "person.disable":
                disabled.add(body["person"])
            elif kind == "platform.stop":
                stops.add(body["stop"])
            else:
                lifted.update(body["stops"])
    missing = Counter({until: n for until, n in owed.items() if until > now}) - listed
    odd = {id for id, row in people.items() if _roles(row) != roles.get(id)}
    odd |= {id for id in disabled if id not in people or people[id].disabled_at is None}
    gone = {id for id in stops if id not in stopped}
    gone |= {id for id, row in stopped.items() if row.lifted_at is not None and id not in lifted}
    return Contradictions(sum(missing.values()), tuple(sorted(odd)), tuple(sorted(gone)))


def _entries(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    query = select(LedgerOutbox.body).order_by(LedgerOutbox.id)
    for data in session.scalars(query.execution_options(yield_per=_AT_ONCE)):
        if any(mark in data for mark in _MARKS):
            entry = json.loads(data)
            if entry["kind"] in _KINDS:
                yield entry["kind"], entry["body"]


def _roles(person: Person) -> str:
    return ",".join(sorted(person.roles.split(",")))
