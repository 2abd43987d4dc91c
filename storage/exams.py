# SPDX-License-Identifier: GPL-3.0-or-later
"""The exam before work: sittings, their results, and who holds a valid one (G4)."""

from __future__ import annotations

import enum
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from compliance import exam
from compliance.errors import BadInput, NotAllowed
from compliance.exam import Bank, Drawn, Result
from compliance.facts import Actor, Evolve, Role
from storage.context import Context, new_id, parse_roles
from storage.exam_rows import valid_until
from storage.exam_tables import ExamRow
from storage.models import Person

TIME_TO_ANSWER = timedelta(hours=2)
WARN = timedelta(days=30)
_ALL_SEE = (Role.ADMIN, Role.COMPLIANCE, Role.AUDITOR)


class ExamState(enum.StrEnum):
    """Where somebody stands."""

    VALID = "valid"
    ENDS_SOON = "ends_soon"  # within 30 days
    EXPIRED = "expired"  # or asked again: a new role, new questions, new law
    FAILED = "failed"  # handed in, never passed
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Sitting(Evolve):
    """One draw, to be handed in once, within two hours."""

    id: str
    bank: str
    edition: int
    seed: str
    questions: tuple[Drawn, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class HandedIn(Evolve):
    """What came of a sitting; ``valid_until`` is None unless it was passed."""

    result: Result
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class ExamStanding(Evolve):
    """One person's exam."""

    person: str
    name: str
    roles: frozenset[Role]
    state: ExamState
    passed_at: datetime | None
    valid_until: datetime | None
    tries: int  # sittings handed in


class Exams:
    """Sitting the exam, and looking who passed it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def begin(self, actor: Actor, bank: Bank) -> Sitting:
        """Draw the questions of a sitting for the actor's roles; never the set of last time.

        An earlier sitting that was not handed in can no longer be.

        Raises:
            NotAllowed: nobody who is registered here.
        """
        context = self._context
        context.require(actor, "exam.take", *exam.ROLES)
        now, sitting = context.clock.wall(), new_id()
        with context.write() as session:
            person = session.get(Person, actor.id)
            assert person is not None  # or it would not be allowed
            last = _last(session, actor.id)
            roles = parse_roles(person.roles)
            seed, drawn = _draw(bank, roles, frozenset(last.questions) if last else frozenset())
            session.execute(
                insert(ExamRow).values(
                    id=sitting,
                    person=actor.id,
                    roles=person.roles,
                    language=bank.language,
                    edition=bank.edition,
                    bank=bank.digest,
                    seed=seed,
                    questions=[one.question.id for one in drawn],
                    drawn_at=now,
                    answers={},
                    correct=0,
                )
            )
            context.log(
                session,
                "exam.begin",
                actor.id,
                now,
                sitting=sitting,
                bank=bank.digest,
                edition=bank.edition,
                language=bank.language,
                seed=seed,
                roles=sorted(roles),
            )
        return Sitting(sitting, bank.digest, bank.edition, seed, drawn, now + TIME_TO_ANSWER)

    def hand_in(
        self, actor: Actor, sitting: str, bank: Bank, answers: Mapping[str, int]
    ) -> HandedIn:
        """Judge a sitting; it is over, passed or not. All answers right, or it is not passed.

        Raises:
            NotAllowed: another person's sitting.
            BadInput: no such sitting, handed in before, replaced by a newer one, too late,
                drawn from other questions, or answers that cannot be judged; nothing counts.
        """
        context = self._context
        context.require(actor, "exam.take", *exam.ROLES)
        now = context.clock.wall()
        with context.write() as session:
            row = session.get(ExamRow, sitting, with_for_update=True)
            _check(session, row, actor, bank, now)
            assert row is not None
            drawn = exam.draw(bank, parse_roles(row.roles), row.seed)
            result = exam.judge(drawn, answers)
            until = exam.valid_until(now) if result.passed else None
            row.handed_in_at, row.valid_until = now, until
            row.answers, row.correct = dict(answers), result.correct
            context.log(
                session,
                "exam.hand_in",
                actor.id,
                now,
                sitting=sitting,
                bank=bank.digest,
                answers=[f"{name}={chosen}" for name, chosen in sorted(answers.items())],
                correct=result.correct,
                asked=result.asked,
                passed=result.passed,
                until=until.isoformat() if until is not None else None,
            )
        return HandedIn(result, until)

    def standings(self, actor: Actor) -> list[ExamStanding]:
        """Everybody in office, longest registered first; for others than administrators,
        compliance officers and auditors themselves alone.

        Raises:
            NotAllowed: nobody who is registered here.
        """
        context = self._context
        context.require(actor, "exam.list", *exam.ROLES)
        found = self.in_office()
        if any(actor.has(role) for role in _ALL_SEE):
            return found
        return [standing for standing in found if standing.person == actor.id]

    def in_office(self) -> list[ExamStanding]:
        """As the doctor sees it."""
        now = self._context.clock.wall()
        with self._context.read() as session:
            people = session.scalars(
                select(Person)
                .where(Person.disabled_at.is_(None))
                .order_by(Person.created_at, Person.id)
            ).all()
            ids = [person.id for person in people]
            ends = valid_until(session, ids)
            rows = session.execute(
                select(ExamRow.person, ExamRow.handed_in_at, ExamRow.valid_until).where(
                    ExamRow.person.in_(ids), ExamRow.handed_in_at.is_not(None)
                )
            ).all()
        found = []
        for person in people:
            own = [row for row in rows if row.person == person.id]
            passes = [row.handed_in_at for row in own if row.valid_until is not None]
            end = ends.get(person.id)
            state = _state(end, bool(passes), bool(own), now)
            passed_at = max(passes, default=None)
            roles = parse_roles(person.roles)
            found.append(
                ExamStanding(person.id, person.name, roles, state, passed_at, end, len(own))
            )
        return found


def _state(end: datetime | None, passed: bool, tried: bool, now: datetime) -> ExamState:
    if end is not None and now < end:
        return ExamState.VALID if end - now > WARN else ExamState.ENDS_SOON
    if passed:
        return ExamState.EXPIRED
    return ExamState.FAILED if tried else ExamState.NEVER


def _draw(
    bank: Bank, roles: frozenset[Role], before: frozenset[str]
) -> tuple[str, tuple[Drawn, ...]]:
    while True:
        seed = secrets.token_hex(16)
        drawn = exam.draw(bank, roles, seed)
        if {one.question.id for one in drawn} != before or len(bank.of(roles)) <= len(drawn):
            return seed, drawn


def _last(session: Session, person: str) -> ExamRow | None:
    return session.scalar(
        select(ExamRow)
        .where(ExamRow.person == person)
        .order_by(ExamRow.drawn_at.desc(), ExamRow.id)
        .limit(1)
    )


def _check(session: Session, row: ExamRow | None, actor: Actor, bank: Bank, now: datetime) -> None:
    again = "candor exam take"
    if row is None:
        raise BadInput("there is no such sitting", field="sitting", remedy=again)
    if row.person != actor.id:
        raise NotAllowed("this sitting is another person's", remedy=again)
    if row.handed_in_at is not None:
        raise BadInput("was handed in before", field="sitting", remedy=again)
    last = _last(session, actor.id)
    if last is not None and last.id != row.id:
        raise BadInput("a newer draw replaced it", field="sitting", remedy=again)
    if now > row.drawn_at + TIME_TO_ANSWER:
        raise BadInput("its two hours are over", field="sitting", remedy=again)
    if row.bank != bank.digest:
        raise BadInput("the questions changed since", field="sitting", remedy=again)
