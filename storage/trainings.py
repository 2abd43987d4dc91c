# SPDX-License-Identifier: GPL-3.0-or-later
"""Trainings that were held, with real cases, and who is due for the next one (G3, P7)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from compliance.calendar import add_calendar_months
from compliance.errors import BadInput
from compliance.exam import ROLES
from compliance.facts import Actor, Evolve, Role
from storage.case_tables import CaseRow
from storage.context import Context, new_id, parse_roles
from storage.exam_tables import TrainedPerson, TrainingRow
from storage.models import Person

REFRESH_MONTHS = 12
FIRST_WITHIN = timedelta(days=30)  # after somebody was registered
_ALL_SEE = (Role.ADMIN, Role.COMPLIANCE, Role.AUDITOR)


@dataclass(frozen=True, slots=True)
class Training(Evolve):
    """One training, as lists show it."""

    id: str
    topic: str
    held_at: datetime
    people: tuple[str, ...]  # names
    roles: frozenset[Role]  # of those who took part, then
    case: str  # id; empty: none
    material: str  # SHA-256 of what was shown; empty: none
    recorded_by: str  # actor id


@dataclass(frozen=True, slots=True)
class TrainingDue(Evolve):
    """When somebody must be trained again."""

    person: str
    name: str
    roles: frozenset[Role]
    last: datetime | None
    due: datetime
    overdue: bool


class Trainings:
    """Recording trainings, and watching that they are held."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(
        self,
        actor: Actor,
        topic: str,
        held_at: datetime,
        *,
        people: Collection[str] = (),
        roles: Collection[Role] = (),
        case: str = "",
        material: str = "",
    ) -> str:
        """Record a training of ``people`` (by name) and of everybody in office with one of
        ``roles``; returns its id.

        Args:
            material: SHA-256 hex of what was shown.

        Raises:
            NotAllowed: not a compliance officer.
            BadInput: held in the future, nobody took part, an unknown or departed person, no
                such case, no digest.
        """
        context = self._context
        context.require(actor, "training.add", Role.COMPLIANCE)
        topic = topic.strip()
        if not topic or len(topic) > 200 or not topic.isprintable():
            raise BadInput("a topic has 1 to 200 printable characters", field="topic")
        if material and (len(material) != 64 or not set(material) <= set("0123456789abcdef")):
            raise BadInput("is no SHA-256", field="material")
        training, now = new_id(), context.clock.wall()
        if held_at > now:
            raise BadInput("lies in the future: record a training once it was held", field="date")
        with context.write() as session:
            if case and session.get(CaseRow, case) is None:
                raise BadInput("there is no such case", field="case", remedy="candor case list")
            present = _present(session, people, frozenset(roles))
            session.execute(
                insert(TrainingRow).values(
                    id=training,
                    topic=topic,
                    held_at=held_at,
                    case=case or None,
                    material=material or None,
                    recorded_by=actor.id,
                    recorded_at=now,
                )
            )
            for person in present:
                session.execute(
                    insert(TrainedPerson).values(
                        training=training, person=person.id, roles=person.roles
                    )
                )
            context.log(
                session,
                "training.add",
                actor.id,
                now,
                training=training,
                held_at=held_at.isoformat(),
                people=[person.id for person in present],
                case=case,
                material=material,
            )
        return training

    def trainings(self, actor: Actor) -> list[Training]:
        """Every training, newest first; for others than administrators, compliance officers
        and auditors those they took part in.

        Raises:
            NotAllowed: nobody who is registered here.
        """
        context = self._context
        context.require(actor, "training.list", *ROLES)
        with context.read() as session:
            rows = session.scalars(
                select(TrainingRow).order_by(TrainingRow.held_at.desc(), TrainingRow.id)
            ).all()
            took_part = session.execute(
                select(TrainedPerson.training, TrainedPerson.roles, Person.id, Person.name)
                .join(Person, Person.id == TrainedPerson.person)
                .order_by(Person.name)
            ).all()
        all_seen = any(actor.has(role) for role in _ALL_SEE)
        found = []
        for row in rows:
            present = [one for one in took_part if one.training == row.id]
            if not all_seen and actor.id not in {one.id for one in present}:
                continue
            found.append(
                Training(
                    row.id,
                    row.topic,
                    row.held_at,
                    tuple(one.name for one in present),
                    frozenset().union(*(parse_roles(one.roles) for one in present)),
                    row.case or "",
                    row.material or "",
                    row.recorded_by,
                )
            )
        return found

    def due(self) -> list[TrainingDue]:
        """When everybody in office must be trained again, earliest first: twelve calendar
        months after the last training; who had none yet, 30 days after they were registered.
        """
        now = self._context.clock.wall()
        with self._context.read() as session:
            people = session.scalars(select(Person).where(Person.disabled_at.is_(None))).all()
            held = session.execute(
                select(TrainedPerson.person, TrainingRow.held_at).join(
                    TrainingRow, TrainingRow.id == TrainedPerson.training
                )
            ).all()
        found = []
        for person in people:
            last = max((row.held_at for row in held if row.person == person.id), default=None)
            due = (
                add_calendar_months(last, REFRESH_MONTHS)
                if last is not None
                else person.created_at + FIRST_WITHIN
            )
            roles = parse_roles(person.roles)
            found.append(TrainingDue(person.id, person.name, roles, last, due, now >= due))
        return sorted(found, key=lambda one: (one.due, one.name))


def _present(session: Session, names: Collection[str], roles: frozenset[Role]) -> list[Person]:
    in_office = session.scalars(
        select(Person).where(Person.disabled_at.is_(None)).order_by(Person.name)
    ).all()
    known = {person.name for person in in_office}
    for name in names:
        if name not in known:
            raise BadInput(f"nobody in office is called {name}", field="person")
    present = [
        person for person in in_office if person.name in names or parse_roles(person.roles) & roles
    ]
    if not present:
        raise BadInput("nobody took part", field="person", remedy="--person NAME or --role ROLE")
    return present
