# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may sign in, and as what (D9, G1). Command-line users sign in too."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput, NotAllowed, SignInFailed
from compliance.facts import Actor, Evolve, Role
from storage.context import SYSTEM, Context, new_id, parse_roles
from storage.models import Person, SignedIn

MIN_PASSWORD = 8
MAX_PASSWORD = 1024  # bounds the hasher's work, not the person
FAILURES_ALLOWED = 5
LOCK = timedelta(minutes=15)
MAX_SESSION = timedelta(hours=24)

# Argon2id at the library's RFC 9106 low-memory level.
_HASHER = PasswordHasher()
_NOBODY = _HASHER.hash(secrets.token_hex(16))  # an unknown name costs the same time


@dataclass(frozen=True, slots=True)
class PersonRow(Evolve):
    """Somebody of the company, as lists show them."""

    id: str
    name: str
    roles: frozenset[Role]
    created_at: datetime
    disabled_at: datetime | None


class People:
    """Persons and their sessions."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add_person(
        self, actor: Actor | None, name: str, password: str, roles: Iterable[Role]
    ) -> str:
        """Register somebody; returns their id.

        ``actor`` is None only for the very first person, who must be an administrator.

        Raises:
            NotAllowed: not an administrator, or the home has people already.
            BadInput: name taken or empty, password too short, no or unusable role.
        """
        context = self._context
        granted = frozenset(roles)
        name = name.strip()
        check_person(name, password, granted)
        if actor is not None:
            context.require(actor, "person.add", Role.ADMIN)
        hashed = _HASHER.hash(password)
        person, now = new_id(), context.clock.wall()
        with context.write() as session:
            if actor is None:
                _check_first(session, granted)
            if session.scalar(select(Person.id).where(Person.name == name)) is not None:
                raise BadInput("this name is taken", field="name")
            session.execute(
                insert(Person).values(
                    id=person,
                    name=name,
                    password_hash=hashed,
                    roles=",".join(sorted(granted)),
                    created_at=now,
                    failures=0,
                )
            )
            context.log(
                session,
                "person.add",
                actor.id if actor is not None else SYSTEM,
                now,
                person=person,
                roles=sorted(str(role) for role in granted),
            )
        return person

    def people(self, actor: Actor) -> list[PersonRow]:
        """Everybody who is or was registered, oldest first.

        Raises:
            NotAllowed: neither administrator, compliance officer nor auditor.
        """
        context = self._context
        context.require(actor, "person.list", Role.ADMIN, Role.COMPLIANCE, Role.AUDITOR)
        query = select(Person).order_by(Person.created_at, Person.id)
        with context.read() as session:
            return [
                PersonRow(p.id, p.name, parse_roles(p.roles), p.created_at, p.disabled_at)
                for p in session.scalars(query)
            ]

    def names(self) -> dict[str, str]:
        """Name of everybody who ever worked here, by actor id: staff, never a callee."""
        with self._context.read() as session:
            return {row.id: row.name for row in session.execute(select(Person.id, Person.name))}

    def roles_in_office(self) -> dict[Role, int]:
        """How many people hold each role now; names nobody (G1)."""
        query = select(Person.roles).where(Person.disabled_at.is_(None))
        with self._context.read() as session:
            held = [parse_roles(roles) for roles in session.scalars(query)]
        people_roles = [role for role in Role if role is not Role.SYSTEM]
        return {role: sum(role in roles for roles in held) for role in people_roles}

    def disable_person(self, actor: Actor, person: str) -> None:
        """Somebody leaves: they cannot sign in and their sessions end at once.

        Raises:
            NotAllowed: not an administrator.
            BadInput: nobody has this id.
        """
        context = self._context
        context.require(actor, "person.disable", Role.ADMIN)
        now = context.clock.wall()
        with context.write() as session:
            changed = session.execute(
                update(Person)
                .where(Person.id == person, Person.disabled_at.is_(None))
                .values(disabled_at=now)
            )
            if not _rows(changed):
                raise BadInput("no such person, or disabled already", field="person")
            _revoke_all(session, person, now)
            context.log(session, "person.disable", actor.id, now, person=person)

    # ------------------------------------------------------------ signing in

    def sign_in(self, name: str, password: str) -> Actor:
        """The actor for a name and password.

        Five failures in a row lock the name for 15 minutes. A try is counted before the
        password is looked at, so that parallel guesses gain nothing.

        Raises:
            SignInFailed: wrong, disabled or locked; the same words for a wrong name.
        """
        context = self._context
        now = context.clock.wall()
        with context.write() as session:
            person = session.scalar(
                select(Person).where(Person.name == name.strip()).with_for_update()
            )
            if person is not None:
                if person.locked_until is not None and now < person.locked_until:
                    raise SignInFailed(
                        "too many failed attempts",
                        remedy="wait a quarter of an hour, or ask an administrator",
                    )
                if person.locked_until is not None:  # the lock ended: a fresh count
                    person.failures, person.locked_until = 0, None
                person.failures += 1
                if person.failures >= FAILURES_ALLOWED:
                    person.locked_until = now + LOCK
        stored = person.password_hash if person is not None else _NOBODY
        correct = _matches(stored, password)
        if person is None or not correct or person.disabled_at is not None:
            with context.write() as session:
                context.log(
                    session,
                    "person.sign_in_failed",
                    SYSTEM,
                    now,
                    person=person.id if person is not None else None,
                )
            raise SignInFailed("name or password is wrong")
        with context.write() as session:
            # A disabling that came in between must win.
            changed = session.execute(
                update(Person)
                .where(Person.id == person.id, Person.disabled_at.is_(None))
                .values(failures=0, locked_until=None)
            )
            if not _rows(changed):
                raise SignInFailed("name or password is wrong")
            context.log(session, "person.sign_in", person.id, now)
        return self._actor(person)

    def issue_session(self, actor: Actor, ttl: timedelta) -> str:
        """A token for a signed-in actor, valid for ``ttl`` (24 h at most); keep it secret.

        Raises:
            SignInFailed: the person is unknown or disabled.
            BadInput: a ``ttl`` of nothing or too long.
        """
        if not timedelta() < ttl <= MAX_SESSION:
            raise BadInput("a session lasts more than 0 and at most 24 hours", field="ttl")
        context = self._context
        token, now = secrets.token_urlsafe(32), context.clock.wall()
        with context.write() as session:
            person = session.get(Person, actor.id)
            ours = actor.tenant == context.tenant
            if person is None or person.disabled_at is not None or not ours:
                raise SignInFailed("this person cannot sign in")
            session.execute(
                insert(SignedIn).values(
                    token_hash=_digest(token),
                    person=actor.id,
                    issued_at=now,
                    expires_at=now + ttl,
                )
            )
            context.log(session, "session.issue", actor.id, now)
        return token

    def actor_of(self, token: str) -> Actor:
        """Whose session this is, with the roles they have now.

        Raises:
            SignInFailed: unknown, expired or revoked, or the person was disabled.
        """
        context = self._context
        now = context.clock.wall()
        with context.read() as session:
            found = session.execute(
                select(SignedIn, Person)
                .join(Person, Person.id == SignedIn.person)
                .where(SignedIn.token_hash == _digest(token))
            ).one_or_none()
        if found is not None:
            signed_in, person = found
            live = signed_in.revoked_at is None and now < signed_in.expires_at
            if live and person.disabled_at is None:
                return self._actor(person)
        raise SignInFailed("the session is over", remedy="run `candor login`")

    def revoke_session(self, token: str) -> None:
        """Sign out. Harmless when repeated or unknown."""
        context = self._context
        now = context.clock.wall()
        with context.write() as session:
            mine = SignedIn.token_hash == _digest(token)
            person = session.scalar(
                select(SignedIn.person).where(mine, SignedIn.revoked_at.is_(None))
            )
            if person is not None:
                session.execute(update(SignedIn).where(mine).values(revoked_at=now))
                context.log(session, "session.revoke", person, now)

    def _actor(self, person: Person) -> Actor:
        return Actor(person.id, person.name, parse_roles(person.roles), self._context.tenant)


def active_officers(session: Session) -> list[str]:
    """Ids of the compliance officers who may act now, longest registered first (G1)."""
    people = session.scalars(
        select(Person).where(Person.disabled_at.is_(None)).order_by(Person.created_at, Person.id)
    )
    return [person.id for person in people if Role.COMPLIANCE in parse_roles(person.roles)]


def check_person(name: str, password: str, roles: Collection[Role]) -> None:
    """Raises BadInput unless somebody may be registered so."""
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise BadInput("a name has 1 to 100 printable characters", field="name")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise BadInput(f"a password has at least {MIN_PASSWORD} characters", field="password")
    if not roles:
        raise BadInput("a person needs a role", field="roles")
    if Role.SYSTEM in roles:
        raise BadInput("nobody signs in as the system", field="roles")


def _check_first(session: Session, roles: frozenset[Role]) -> None:
    if session.scalar(select(func.count()).select_from(Person)):
        raise NotAllowed("only an administrator adds people")
    if Role.ADMIN not in roles:
        raise BadInput("the first person must be an administrator", field="roles")


def _revoke_all(session: Session, person: str, now: datetime) -> None:
    session.execute(
        update(SignedIn)
        .where(SignedIn.person == person, SignedIn.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def _matches(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password[: MAX_PASSWORD + 1])
    except (VerificationError, InvalidHashError):
        return False


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _rows(result: object) -> int:
    return int(getattr(result, "rowcount", 0))
