# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking after our own numbers: figures, rest, and the case of one that seems blocked (C4b).

Calls that ended are looked at every few seconds while a campaign runs (``dialer.schedule``),
not in the transaction that finishes a call: no call's record may wait for, or fail with, a
judgement about a number.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, Role
from compliance.own_numbers import (
    DAY,
    Judgement,
    NumberCall,
    State,
    judge,
    looks_blocked,
    rest,
)
from storage import ledger
from storage.context import SYSTEM, Context, new_id
from storage.dialects import insert_or_ignore
from storage.lines import all_lines
from storage.number_tables import NumberCase, NumberCaseNote, OwnNumberRow
from storage.numbers import own_number
from storage.own_numbers import due_again, hold, last_calls, row_of, shown_by, use_of
from storage.sensitive import find_sensitive

LONGEST_TEXT = 4000  # of a note, in characters
_LATEST = 30  # calls by which a change is noticed
_MANY = 100_000  # more than any cap
_HANDLERS = (Role.OPERATOR, Role.COMPLIANCE, Role.ADMIN)
_READERS = (*_HANDLERS, Role.AUDITOR)


class CaseState(enum.StrEnum):
    """Where the case of a blocked number stands (封号 workflow)."""

    OPEN = "open"
    CARRIER_CONTACTED = "carrier_contacted"
    RELEASED = "released"  # the carrier gave it back, or it was a false alarm
    ABANDONED = "abandoned"  # not used any more


TERMS = {CaseState.OPEN: timedelta(hours=24), CaseState.CARRIER_CONTACTED: timedelta(days=5)}
"""By when the next step is due."""
_FOR_GOOD = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CaseNote(Evolve):
    """One step. ``text`` may name people."""

    at: datetime
    by: str
    state: CaseState
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Case(Evolve):
    id: str
    state: CaseState
    figures: Mapping[str, int]
    opened_by: str
    opened_at: datetime
    due: datetime
    closed_at: datetime | None

    def overdue(self, now: datetime) -> bool:
        return self.closed_at is None and now >= self.due


@dataclass(frozen=True, slots=True)
class Figures(Evolve):
    """One of our numbers. Shares are 0-1 of the calls of 24 hours that ended."""

    number: str
    lines: tuple[str, ...]
    calls: int  # of the last 24 hours
    ended: int
    answered: int
    failed: int  # as calls of a blocked number fail
    day_cap: int | None
    rest_until: datetime | None  # None: it may be used
    rest_reason: str
    on_trial: bool
    judgement: State
    case: Case | None  # the open one

    @property
    def answer_rate(self) -> float | None:
        return self.answered / self.ended if self.ended else None

    @property
    def failure_rate(self) -> float | None:
        return self.failed / self.ended if self.ended else None

    def state(self, now: datetime) -> str:
        """``abandoned``, ``resting``, ``trial`` or ``in_use``."""
        if self.rest_until is not None and self.rest_until > now:
            return "abandoned" if self.rest_reason == "abandoned" else "resting"
        return "trial" if self.on_trial else "in_use"


class OwnNumbers:
    """Figures, rest and cases of our own numbers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: dict[str, tuple[NumberCall, ...]] = {}

    # ------------------------------------------------------------ reading

    def figures(self) -> list[Figures]:
        """Every number a line shows or that somebody decided about, in order."""
        now = self._context.clock.wall()
        with self._context.read() as session:
            shown = _shown(session)
            known = {row.number: row for row in session.scalars(select(OwnNumberRow))}
            numbers = sorted({*shown, *known})
            use = use_of(session, numbers, now)
            cases = {
                row.number: _case(row)
                for row in session.scalars(select(NumberCase).where(NumberCase.closed_at.is_(None)))
            }
            found = []
            for number in numbers:
                row = known.get(number)
                today = last_calls(session, number, _MANY, now - DAY)
                judged = _judged(row, last_calls(session, number))
                found.append(
                    Figures(
                        number=number,
                        lines=tuple(shown.get(number, ())),
                        calls=use[number].calls,
                        ended=len(today),
                        answered=sum(c.answered for c in today),
                        failed=sum(looks_blocked(c) is True for c in today),
                        day_cap=use[number].day_cap,
                        rest_until=use[number].rest_until,
                        rest_reason=row.rest_reason if row is not None else "",
                        on_trial=row.on_trial if row is not None else False,
                        judgement=judged.state,
                        case=cases.get(number),
                    )
                )
        return found

    def cases(self, number: str) -> list[Case]:
        """Every case of a number, newest first."""
        with self._context.read() as session:
            rows = session.scalars(
                select(NumberCase)
                .where(NumberCase.number == number)
                .order_by(NumberCase.opened_at.desc(), NumberCase.id)
            )
            return [_case(row) for row in rows]

    def notes(self, actor: Actor, case: str) -> list[CaseNote]:
        """What was done about a case, oldest first; a raw read, in the ledger first (D10).

        Raises:
            NotAllowed: neither operator, compliance officer, administrator nor auditor.
            BadInput: no such case.
        """
        context = self._context
        context.require(actor, "pii.read", *_READERS)
        with context.write() as session:
            if session.get(NumberCase, case) is None:
                raise BadInput("there is no such case", field="case")
            context.log(
                session, "pii.read", actor.id, context.clock.wall(), what="number_case", case=case
            )
            rows = session.scalars(
                select(NumberCaseNote)
                .where(NumberCaseNote.case == case)
                .order_by(NumberCaseNote.at, NumberCaseNote.id)
            ).all()
        return [
            CaseNote(
                row.at,
                row.by,
                CaseState(row.state),
                context.unseal(row.text_sealed, "number_case_notes", "text", row.id),
            )
            for row in rows
        ]

    # ------------------------------------------------------------ by hand

    def rest(self, actor: Actor, number: str, until: datetime, text: str = "") -> None:
        """No call shows the number until ``until``. With a ``text`` a case is opened.

        Raises:
            NotAllowed: neither operator, compliance officer nor administrator.
            BadInput: no such number, or ``until`` is over.
        """
        context = self._context
        context.require(actor, "number.rest", *_HANDLERS)
        now = context.clock.wall()
        if until <= now:
            raise BadInput("a rest ends after now", field="until")
        with context.write() as session:
            row = self._held(session, number)
            self._rest(row, until, "by_hand")
            context.log(
                session,
                "number.rest",
                actor.id,
                now,
                lines=_lines(session, row.number),
                until=until.isoformat(),
            )
            if text:
                case = self._open_case(session, row.number, actor.id, now, {})
                self._note(session, case, actor.id, now, text)

    def release(self, actor: Actor, number: str, text: str) -> None:
        """The number may be used again, on trial; its case is closed as released.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            BadInput: no such number, it does not rest and has no case, or no text.
        """
        context = self._context
        context.require(actor, "number.release", Role.COMPLIANCE, Role.ADMIN)
        now = context.clock.wall()
        with context.write() as session:
            row = self._held(session, number)
            resting = row.rest_until is not None and row.rest_until > now
            case = self._open(session, row.number)
            if not resting and case is None:
                raise BadInput("this number does not rest", field="number")
            row.rest_until, row.rest_reason = None, ""
            row.watch_from, row.on_trial = now, True
            context.log(session, "number.release", actor.id, now, lines=_lines(session, row.number))
            if case is not None:
                self._step(session, case, CaseState.RELEASED, actor.id, now, text)
            due_again(session, row.number, now)

    def limit(self, actor: Actor, number: str, calls: int | None) -> None:
        """A daily cap of its own, at least 1; the profile's still holds. None: no own one.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            BadInput: no such number, or a cap below 1.
        """
        context = self._context
        context.require(actor, "number.limit", Role.COMPLIANCE, Role.ADMIN)
        if calls is not None and not 1 <= calls <= 100_000:
            raise BadInput("a cap is 1 to 100,000 calls; `rest` stops a number", field="calls")
        with context.write() as session:
            row = self._held(session, number)
            row.day_cap = calls
            now = context.clock.wall()
            context.log(
                session,
                "number.limit",
                actor.id,
                now,
                lines=_lines(session, row.number),
                calls=calls,
            )
            due_again(session, row.number, now)

    def step(self, actor: Actor, number: str, state: CaseState, text: str) -> None:
        """The open case goes on: the carrier was contacted, or the number is given up.

        A number that is given up rests for good.

        Raises:
            NotAllowed: neither operator, compliance officer nor administrator.
            BadInput: no open case, no text, or a step that does not follow.
        """
        context = self._context
        context.require(actor, "number.case", *_HANDLERS)
        if state not in (CaseState.CARRIER_CONTACTED, CaseState.ABANDONED):
            raise BadInput("a case goes on to carrier_contacted or abandoned", field="state")
        now = context.clock.wall()
        with context.write() as session:
            row = self._held(session, number)
            case = self._open(session, row.number)
            if case is None:
                raise BadInput("this number has no open case", field="number")
            if state is CaseState.ABANDONED:
                self._rest(row, _FOR_GOOD, "abandoned")
            self._step(session, case, state, actor.id, now, text)

    # ------------------------------------------------------------ by itself

    def watch(self, rest_hours: int) -> list[str]:
        """Judge every number whose calls ended since the last look; those newly suspected.

        Each of them rests and gets a case. A number that did well on trial is no longer on it.
        """
        context, now = self._context, self._context.clock.wall()
        suspected = []
        with context.read() as session:
            numbers = sorted(_shown(session))
            changed = {}
            for number in numbers:
                latest = tuple(last_calls(session, number, _LATEST))
                if latest and self._seen.get(number) != latest:
                    changed[number] = latest
        for number, latest in changed.items():
            with context.read() as session:
                row = session.get(OwnNumberRow, number)
                state = _judged(row, last_calls(session, number)).state
                on_trial = row is not None and row.on_trial
            changes = state is State.SUSPECTED or (state is State.WELL and on_trial)
            if changes and self._decide(number, rest_hours, now):
                suspected.append(number)
            self._seen[number] = latest
        return suspected

    def _decide(self, number: str, rest_hours: int, now: datetime) -> bool:
        context = self._context
        with context.write() as session:
            hold(session, number)
            row = row_of(session, number)
            if row.rest_until is not None and row.rest_until > now:
                return False
            found = _judged(row, last_calls(session, number))
            if found.state is State.WELL and row.on_trial:
                row.on_trial, row.rests = False, 0
                context.log(session, "number.well", SYSTEM, now, lines=_lines(session, number))
            if found.state is not State.SUSPECTED:
                return False
            until = now + rest(rest_hours, row.rests)
            row.rests += 1
            self._rest(row, until, "suspected")
            figures = dict(found.figures)
            context.log(
                session,
                "number.suspect",
                SYSTEM,
                now,
                lines=_lines(session, number),
                until=until.isoformat(),
                **figures,
            )
            self._open_case(session, number, SYSTEM, now, figures)
            return True

    # ------------------------------------------------------------ parts

    def _held(self, session: Session, number: str) -> OwnNumberRow:
        """The row of one of our numbers, in any spelling, held until the transaction ends."""
        name = own_number(number) if not number.startswith("line:") else number
        known = session.get(OwnNumberRow, name) is not None
        if not known and name not in _shown(session):
            raise BadInput(
                "no line shows this number", field="number", remedy="candor numbers list"
            )
        hold(session, name)
        return row_of(session, name)

    @staticmethod
    def _rest(row: OwnNumberRow, until: datetime, reason: str) -> None:
        row.rest_until, row.rest_reason = until, reason
        row.watch_from, row.on_trial = until, True

    @staticmethod
    def _open(session: Session, number: str) -> NumberCase | None:
        return session.scalar(
            select(NumberCase).where(NumberCase.number == number, NumberCase.closed_at.is_(None))
        )

    def _open_case(
        self, session: Session, number: str, by: str, now: datetime, figures: dict[str, int]
    ) -> NumberCase:
        case = new_id()
        insert_or_ignore(
            session,
            NumberCase,
            id=case,
            number=number,
            state=CaseState.OPEN,
            figures=figures,
            opened_by=by,
            opened_at=now,
            due=now + TERMS[CaseState.OPEN],
        )
        row = self._open(session, number)
        assert row is not None
        if row.id == case:
            self._context.log(
                session,
                "number_case.open",
                by,
                now,
                case=case,
                lines=_lines(session, number),
                **figures,
            )
        return row

    def _step(
        self,
        session: Session,
        case: NumberCase,
        state: CaseState,
        by: str,
        now: datetime,
        text: str,
    ) -> None:
        case.state = state
        if state in TERMS:
            case.due = now + TERMS[state]
        else:
            case.closed_by, case.closed_at = by, now
        self._note(session, case, by, now, text)

    def _note(self, session: Session, case: NumberCase, by: str, now: datetime, text: str) -> None:
        context, text = self._context, text.strip()
        if not 1 <= len(text) <= LONGEST_TEXT:
            raise BadInput(f"say in 1 to {LONGEST_TEXT} characters what was done", field="note")
        if find_sensitive(text):
            raise BadInput("holds an ID-card or bank-card number (D5)", field="note")
        note = new_id()
        commitment, key = ledger.commit_to(text.encode())
        session.add(
            NumberCaseNote(
                id=note,
                case=case.id,
                at=now,
                by=by,
                state=case.state,
                text_sealed=context.seal(text, "number_case_notes", "text", note),
                text_key=context.hide(key, "number_case_notes", "text_key", note),
            )
        )
        context.log(
            session,
            "number_case.step",
            by,
            now,
            case=case.id,
            state=str(case.state),
            note=note,
            text=commitment,
        )


def _judged(row: OwnNumberRow | None, calls: list[NumberCall]) -> Judgement:
    if row is None:
        return judge(calls)
    return judge(calls, since=row.watch_from, on_trial=row.on_trial)


def _shown(session: Session) -> dict[str, list[str]]:
    """The lines that show each number."""
    found: dict[str, list[str]] = {}
    for line in all_lines(session):
        found.setdefault(shown_by(line), []).append(line.id)
    return found


def _lines(session: Session, number: str) -> list[str]:
    """How the ledger names a number: by the lines that show it. It holds no telephone number."""
    return _shown(session).get(number, [])


def _case(row: NumberCase) -> Case:
    return Case(
        row.id,
        CaseState(row.state),
        row.figures,
        row.opened_by,
        row.opened_at,
        row.due,
        row.closed_at,
    )
