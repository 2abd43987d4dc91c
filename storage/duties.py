# SPDX-License-Identifier: GPL-3.0-or-later
"""Periodic duties: what is owed by when, and that somebody did it (G2, G6, T5).

An audit is done when it is signed; the others are closed by hand, with a note and where it
is asked a file, of which the SHA-256 stays. Who is due for a training: ``store.trainings``.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from compliance import duties
from compliance.calendar import zone
from compliance.duties import Duty, DutyKind
from compliance.errors import BadInput
from compliance.facts import Actor, HomeKind, Role
from storage import ledger
from storage.case_tables import AuditRow, DutyDone
from storage.cases import written
from storage.context import Context, new_id
from storage.ledger_tables import LedgerOutbox
from storage.models import Home

_SCHEMA = "0007"  # the first with duties: nothing was owed before a home had it
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BY_HAND = {
    DutyKind.SCRIPT_REVIEW: (Role.COMPLIANCE,),
    DutyKind.SECURITY: (Role.COMPLIANCE, Role.ADMIN),
}


class Duties:
    """Listing what is owed, and closing it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def duties(self, timezone: str) -> list[Duty]:
        """Everything owed since this home has duties, those due first in front.

        ``timezone``: of the company; its calendar ends months and days.
        """
        with self._context.read() as session:
            return owed(session, _zone_of(timezone), self._context.clock.wall())

    def close(
        self, actor: Actor, kind: DutyKind, period: str, note: str, timezone: str, file: str = ""
    ) -> None:
        """The duty of this period is done; ``file``: SHA-256 in hex of its report.

        Raises:
            NotAllowed: not a compliance officer; administrators close the assessment too.
            BadInput: an audit, a period that is not owed or is closed, no note, or a security
                assessment without its report.
        """
        context = self._context
        context.require(actor, "duty.close", Role.COMPLIANCE, Role.ADMIN)
        if kind not in _BY_HAND:
            raise BadInput("an audit is done when it is signed", remedy="candor audit sign")
        context.require(actor, "duty.close", *_BY_HAND[kind])
        note, now = written(note, "note"), context.clock.wall()
        if kind is DutyKind.SECURITY and not file:
            raise BadInput("needs its report (T5)", field="file", remedy="--file REPORT")
        if file and not _SHA256.fullmatch(file):
            raise BadInput("is no SHA-256", field="file")
        duty, (commitment, key) = new_id(), ledger.commit_to(note.encode())
        with context.write() as session:
            known = [d for d in owed(session, _zone_of(timezone), now) if d.period.kind is kind]
            found = next((d for d in known if d.period.name == period), None)
            if found is None:
                owing = ", ".join(d.period.name for d in known if d.done_at is None)
                raise BadInput(
                    "is not owed", field="period", remedy=f"owed: {owing}" if owing else ""
                )
            if found.done_at is not None:
                raise BadInput("is done already", field="period")
            session.execute(
                insert(DutyDone).values(
                    id=duty,
                    kind=str(kind),
                    period=period,
                    by=actor.id,
                    at=now,
                    note_sealed=context.seal(note, "duties_done", "note", duty),
                    note_key=context.hide(key, "duties_done", "note_key", duty),
                    file_sha256=file,
                )
            )
            context.log(
                session,
                "duty.close",
                actor.id,
                now,
                duty=duty,
                about=str(kind),
                period=period,
                note=commitment,
                file=file,
                late=found.overdue(now),
            )


def owed(session: Session, place: ZoneInfo, now: datetime) -> list[Duty]:
    """Every duty, as the caller's transaction sees it."""
    done: dict[tuple[DutyKind, str], tuple[datetime, str]] = {}
    for row in session.scalars(select(DutyDone)):
        done[DutyKind(row.kind), row.period] = (row.at, row.by)
    for audit in session.scalars(select(AuditRow).where(AuditRow.signed_at.is_not(None))):
        assert audit.signed_at is not None
        done[DutyKind.AUDIT, audit.month] = (audit.signed_at, audit.signed_by or "")
    return duties.owed(_since(session), now, place, done)


def refuse_if_blocked(context: Context, session: Session, now: datetime) -> None:
    """No new campaign starts in production while an audit or a security assessment is overdue
    for longer than the grace. Counted in UTC: a few hours do not matter after weeks.

    Raises:
        BadInput: names what is owed.
    """
    if context.home is not HomeKind.PRODUCTION:
        return
    late = duties.blocking(owed(session, ZoneInfo("UTC"), now), now)
    if late:
        named = ", ".join(f"{duty.period.kind} {duty.period.name}" for duty in late)
        raise BadInput(
            f"no new campaign starts: overdue for more than {duties.GRACE.days} days: {named}",
            field="campaign",
            remedy="candor duty list",
        )


def _since(session: Session) -> datetime:
    """When the home was made, or came to a schema that has duties."""
    made = session.scalars(select(Home.created_at)).one()
    upgrades = select(LedgerOutbox.body, LedgerOutbox.at).where(LedgerOutbox.kind == "db.upgrade")
    for body, at in session.execute(upgrades.order_by(LedgerOutbox.id)):
        versions = json.loads(body)["body"]
        if versions["from"] < _SCHEMA <= versions["to"]:
            return max(made, at)
    return made


def _zone_of(timezone: str) -> ZoneInfo:
    place = zone(timezone)
    if place is None:
        raise BadInput("is not an IANA time zone", field="retention.timezone")
    return place
