# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clock does to complaints, written down once each: escalation, alarm, breach (P2, P6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from compliance.complaints import ALARM_AFTER, ANSWER_WITHIN, ESCALATE_AFTER, Team, answer_due
from compliance.facts import Evolve, Role
from storage.complaint_tables import ComplaintRow
from storage.context import SYSTEM, Context, parse_roles
from storage.models import Person


@dataclass(frozen=True, slots=True)
class Swept(Evolve):
    """How many complaints reached which step since somebody last looked."""

    escalated: int = 0
    alarmed: int = 0
    breached: int = 0
    remedies: int = 0


def sweep(context: Context) -> Swept:
    """Write down what the clock did meanwhile, once each; for the scheduler and commands."""
    now = context.clock.wall()
    due = or_(
        _passed(ComplaintRow.escalated_at, now - ESCALATE_AFTER),
        _passed(ComplaintRow.alarmed_at, now - ALARM_AFTER),
        _passed(ComplaintRow.breached_at, now - ANSWER_WITHIN),
        (ComplaintRow.remedy_due <= now)
        & ComplaintRow.remedied_at.is_(None)
        & ComplaintRow.remedy_breached_at.is_(None),
    )
    with context.read() as session:
        found = session.scalars(
            select(ComplaintRow.id).where(ComplaintRow.closed_at.is_(None), due)
        ).all()
    swept = Swept()
    for complaint in found:
        with context.write() as session:
            row = session.get(ComplaintRow, complaint, with_for_update=True)
            assert row is not None  # complaints are never deleted
            more = tick(context, session, row, now)
            swept = Swept(
                swept.escalated + more.escalated,
                swept.alarmed + more.alarmed,
                swept.breached + more.breached,
                swept.remedies + more.remedies,
            )
    return swept


def tick(context: Context, session: Session, row: ComplaintRow, now: datetime) -> Swept:
    """What the clock did to one complaint, whose row is locked."""
    escalated = alarmed = breached = remedies = 0
    if row.answered_at is None:
        age = now - row.received_at
        if row.escalated_at is None and age >= ESCALATE_AFTER:
            row.escalated_at, row.team = now, str(Team.COMPLIANCE)
            _told(context, session, "complaint.escalate", row, now)
            escalated = 1
        if row.alarmed_at is None and age >= ALARM_AFTER:
            row.alarmed_at = now
            _told(context, session, "complaint.alarm", row, now)
            alarmed = 1
        if row.breached_at is None and age >= ANSWER_WITHIN:
            row.breached_at = answer_due(row.received_at)
            context.log(session, "complaint.breach", SYSTEM, now, complaint=row.id, what="answer")
            breached = 1
    if (
        row.remedy_due is not None
        and row.remedied_at is None
        and row.remedy_breached_at is None
        and now >= row.remedy_due
    ):
        row.remedy_breached_at = row.remedy_due
        context.log(session, "complaint.breach", SYSTEM, now, complaint=row.id, what="remedy")
        remedies = 1
    session.flush()
    return Swept(escalated, alarmed, breached, remedies)


def _told(context: Context, session: Session, kind: str, row: ComplaintRow, now: datetime) -> None:
    people = session.execute(select(Person.id, Person.roles).where(Person.disabled_at.is_(None)))
    officers = sorted(p.id for p in people if Role.COMPLIANCE in parse_roles(p.roles))
    context.log(session, kind, SYSTEM, now, complaint=row.id, officers=officers)


def _passed(
    noted: InstrumentedAttribute[datetime | None], received: datetime
) -> ColumnElement[bool]:
    """Not answered, received by then, and not yet noted."""
    return and_(
        noted.is_(None), ComplaintRow.answered_at.is_(None), ComplaintRow.received_at <= received
    )
