# SPDX-License-Identifier: GPL-3.0-or-later
"""The law a home lives by: which rulebook was adopted, by whom, and imported calendars (G1, T2)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, insert, select
from sqlalchemy.orm import Session

from compliance.calendar import Calendar
from compliance.canonical import encode, read
from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, Role
from storage.context import Context, new_id
from storage.dialects import Guarded, insert_or_ignore, lock
from storage.exam_tables import AdoptedLaw, CalendarRow
from storage.models import RulebookText
from storage.sensitive import find_sensitive

MAX_EXAM_DAYS = 366


@dataclass(frozen=True, slots=True)
class Adoption(Evolve):
    """A rulebook as a compliance officer adopted it."""

    number: int  # from 1
    rulebook: str  # its digest
    wording: str  # digest of the lexicons it was read with
    reason: str
    by: str  # actor id
    at: datetime
    exam_by: datetime | None  # earlier passes of the exam end then


@dataclass(frozen=True, slots=True)
class ImportedCalendar(Evolve):
    """A table somebody imported; the newest of a region and year counts."""

    calendar: Calendar
    by: str  # actor id
    at: datetime
    reason: str


class Law:
    """Adopting rulebooks, importing calendars."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def adopt(
        self,
        actor: Actor,
        rulebook: str,
        text: bytes,
        *,
        reason: str,
        wording: str = "",
        exam_days: int | None = None,
    ) -> Adoption:
        """Make ``rulebook`` (its digest) the one calls are decided under, from now on.

        With ``exam_days`` everybody must pass the exam again within that many days.

        Raises:
            NotAllowed: not a compliance officer.
            BadInput: not the text's digest, adopted already, no reason, or days that are none.
        """
        context = self._context
        context.require(actor, "rulebook.adopt", Role.COMPLIANCE)
        reason = _reason(reason)
        if hashlib.sha256(text).hexdigest() != rulebook:
            raise BadInput("the rulebook's text does not have this hash", field="rulebook")
        if exam_days is not None and not 0 <= exam_days <= MAX_EXAM_DAYS:
            raise BadInput(f"must lie between 0 and {MAX_EXAM_DAYS}", field="exam_days")
        now = context.clock.wall()
        exam_by = None if exam_days is None else now + timedelta(days=exam_days)
        with context.write() as session:
            lock(session, Guarded.DIALING)  # what is being authorised is through, or sees it
            last = newest(session)
            if last is not None and (last.rulebook, last.wording) == (rulebook, wording):
                raise BadInput("this rulebook is adopted already", field="rulebook")
            number = 1 if last is None else last.number + 1
            made = Adoption(number, rulebook, wording, reason, actor.id, now, exam_by)
            insert_or_ignore(
                session, RulebookText, digest=rulebook, text=text.decode(), kept_at=now
            )
            session.execute(insert(AdoptedLaw).values(**dataclasses.asdict(made)))
            context.log(
                session,
                "rulebook.adopt",
                actor.id,
                now,
                rulebook=rulebook,
                before=last.rulebook if last is not None else "",
                wording=wording,
                reason=reason,
                exam_by=exam_by.isoformat() if exam_by is not None else None,
            )
        return made

    def adopted(self) -> Adoption | None:
        """What is in force; None: nobody ever adopted anything."""
        with self._context.read() as session:
            row = newest(session)
            return None if row is None else _adoption(row)

    def adoptions(self) -> list[Adoption]:
        """Every one, newest first."""
        with self._context.read() as session:
            rows = session.scalars(select(AdoptedLaw).order_by(AdoptedLaw.number.desc()))
            return [_adoption(row) for row in rows]

    # ------------------------------------------------------------ calendars

    def import_calendar(
        self,
        actor: Actor,
        calendar: Calendar,
        *,
        shipped: bool = False,
        replace: bool = False,
        reason: str = "",
    ) -> None:
        """Take a table in; all nodes see it. ``shipped``: the program brings one for that year.

        The changed rulebook must be adopted before anything is dialed under it.

        Raises:
            NotAllowed: not a compliance officer.
            BadInput: there is a table, and ``replace`` or its reason is missing; or nothing new.
        """
        context = self._context
        context.require(actor, "calendar.import", Role.COMPLIANCE)
        text = encode(calendar).decode()
        reason = _reason(reason) if replace else ""
        now = context.clock.wall()
        with context.write() as session:
            lock(session, Guarded.DIALING)
            last = session.scalar(_of(calendar).order_by(CalendarRow.edition.desc()).limit(1))
            if last is not None and last.text == text:
                raise BadInput("this very table was imported before", field="calendar")
            if (last is not None or shipped) and not replace:
                raise BadInput(
                    f"there is a calendar for {calendar.region} {calendar.year}",
                    field="calendar",
                    remedy="give --replace and --reason if it is wrong",
                )
            session.execute(
                insert(CalendarRow).values(
                    id=new_id(),
                    region=calendar.region,
                    year=calendar.year,
                    edition=1 if last is None else last.edition + 1,
                    text=text,
                    reason=reason,
                    by=actor.id,
                    at=now,
                )
            )
            context.log(
                session,
                "calendar.import",
                actor.id,
                now,
                region=calendar.region,
                year=calendar.year,
                official=calendar.official,
                calendar=hashlib.sha256(text.encode()).hexdigest(),
                replaces=last is not None or shipped,
                reason=reason,
            )

    def calendars(self) -> list[ImportedCalendar]:
        """The imported table of each region and year that counts."""
        newest_of = (
            select(CalendarRow.region, CalendarRow.year, func.max(CalendarRow.edition).label("e"))
            .group_by(CalendarRow.region, CalendarRow.year)
            .subquery()
        )
        query = select(CalendarRow).join(
            newest_of,
            (CalendarRow.region == newest_of.c.region)
            & (CalendarRow.year == newest_of.c.year)
            & (CalendarRow.edition == newest_of.c.e),
        )
        with self._context.read() as session:
            rows = session.scalars(query.order_by(CalendarRow.region, CalendarRow.year)).all()
        return [
            ImportedCalendar(read(Calendar, json.loads(row.text)), row.by, row.at, row.reason)
            for row in rows
        ]


def newest(session: Session) -> AdoptedLaw | None:
    """The adoption in force."""
    return session.scalar(select(AdoptedLaw).order_by(AdoptedLaw.number.desc()).limit(1))


def adopted_digest(session: Session) -> str:
    """Digest of the rulebook in force; empty: none."""
    row = newest(session)
    return "" if row is None else row.rulebook


def _adoption(row: AdoptedLaw) -> Adoption:
    return Adoption(row.number, row.rulebook, row.wording, row.reason, row.by, row.at, row.exam_by)


def _of(calendar: Calendar) -> Select[CalendarRow]:
    return select(CalendarRow).where(
        CalendarRow.region == calendar.region, CalendarRow.year == calendar.year
    )


def _reason(reason: str) -> str:
    """The ledger keeps it for good: one line, and nobody's numbers in it."""
    reason = reason.strip()
    if not reason or len(reason) > 200 or not reason.isprintable():
        raise BadInput("say why, in 1 to 200 printable characters", field="reason")
    if find_sensitive(reason) or sum(character.isdigit() for character in reason) > 20:
        raise BadInput("holds a number of somebody's", field="reason")
    return reason
