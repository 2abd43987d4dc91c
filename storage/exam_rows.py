# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose exam counts, and until when; and what may be done without one (G4)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from compliance.exam import EDITION
from storage.exam_tables import AdoptedLaw, ExamRow
from storage.models import Person

WITHOUT_EXAM = frozenset(
    {
        # Setting a home up, before anybody could have passed.
        *("person.add", "person.list", "person.disable", "line.add", "line.enable"),
        *("agent.add", "agent.enable", "home.backup"),
        *("keys.list", "keys.rotate", "keys.prepare", "keys.resealed", "keys.reseal"),
        *("keys.retire", "keys.passphrase"),
        # The exam itself, and who must take it or be trained.
        *("exam.take", "exam.list", "training.list"),
        # Stopping is always allowed; a run that began must be able to end.
        *("platform.stop", "campaign.pause", "campaign.stop"),
        *("run.drain", "run.abort", "run.end"),
        # What a person has a right to, or the law sets a day for, waits for nobody's exam.
        *("refusal.record", "complaint.add", "tester.remove", "retention.run", "hold.add"),
        # Proof, and looking at what was destroyed: neither opens anybody's data.
        *("ledger.checkpoint", "destruction.list"),
    }
)
"""Kinds of work that need no exam; every other kind does, those of tomorrow too."""


def valid_until(session: Session, people: Collection[str]) -> dict[str, datetime]:
    """When each one's exam ends, past ends too; who never passed one that counts is left out.

    A pass counts for the roles somebody had when they took it: a new role asks again. So
    does a later edition of the questions, and adopted law that sets a day for it.
    """
    passes = session.execute(
        select(
            ExamRow.person,
            ExamRow.roles,
            ExamRow.handed_in_at,
            ExamRow.valid_until,
            Person.roles.label("held"),
        )
        .join(Person, Person.id == ExamRow.person)
        .where(
            ExamRow.person.in_(people),
            ExamRow.valid_until.is_not(None),
            ExamRow.edition >= EDITION,
        )
    ).all()
    again = session.execute(
        select(AdoptedLaw.at, AdoptedLaw.exam_by).where(AdoptedLaw.exam_by.is_not(None))
    ).all()
    found: dict[str, datetime] = {}
    for row in passes:
        if not set(row.held.split(",")) <= set(row.roles.split(",")):
            continue
        ends = [law.exam_by for law in again if row.handed_in_at < law.at]
        until = min([row.valid_until, *(end for end in ends if end is not None)])
        found[row.person] = max(until, found.get(row.person, until))
    return found


def holds_exam(session: Session, person: str, now: datetime) -> bool:
    until = valid_until(session, (person,)).get(person)
    return until is not None and now < until
