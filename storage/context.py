# SPDX-License-Identifier: GPL-3.0-or-later
"""What every noun of the store works with: transactions, sealing, ledger, permission."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from compliance.clock import Clock
from compliance.errors import NotAllowed, StorageAway, StorageError
from compliance.facts import Actor, HomeKind, Number, Role
from storage import ledger, pii
from storage.database import READ_ONLY, storage_error
from storage.exam_rows import WITHOUT_EXAM, holds_exam
from storage.keys import Keyring, length_prefixed
from storage.models import Home, Person

SYSTEM = "system"
"""The actor of what the platform does by itself: calls, settling."""

_HIDDEN = "commitment.key"
_OPEN_CHARS = 64  # of a key in hex, as older versions kept it; hidden ones have 44


def new_id() -> str:
    """32 random hex digits."""
    return secrets.token_hex(16)


class Context:
    """One home's database, keys, node and clock. Shared by the nouns; thread-safe."""

    def __init__(self, engine: Engine, keyring: Keyring, *, node: str, clock: Clock) -> None:
        self.engine = engine
        self.keyring = keyring
        self.node = node
        self.clock = clock
        self._readers = engine.execution_options(**READ_ONLY)
        with self.read() as session:
            home = session.get(Home, 1)
        if home is None:
            raise StorageError("the database has no home", remedy="run `candor init`")
        self.tenant = home.tenant
        self.company = home.company
        self.home = HomeKind(home.kind)

    # ------------------------------------------------------------ transactions

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction; an exception undoes all of it.

        Raises:
            StorageAway: busy or gone; nothing was written, as far as can be known.
        """
        with translated(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        with translated(), Session(self._readers, expire_on_commit=False) as session:
            yield session

    def clock_ahead_s(self, session: Session) -> float:
        """Seconds this machine's clock is ahead of the database's. SQLite has no clock of its own,
        and is used by one machine alone."""
        if self.engine.dialect.name == "sqlite":
            return 0.0
        return self.clock.ahead_of(
            lambda: session.execute(select(func.clock_timestamp())).scalar_one()
        )

    def log(
        self, session: Session, kind: str, actor: str, at: datetime, **body: ledger.Body | object
    ) -> str:
        """A ledger entry in the caller's transaction; returns its leaf hash."""
        return ledger.append(
            session,
            node=self.node,
            kind=kind,
            actor=actor,
            at=at,
            body=body,  # type: ignore[arg-type]  # append checks every value itself
        )

    # ------------------------------------------------------------ permission

    def require(self, actor: Actor, kind: str, *roles: Role) -> None:
        """Whether this person may do ``kind`` now, by what the database says of them.

        Asked of the database so that a person disabled a moment ago, or an actor nobody
        signed in as, gets nothing. All but :data:`~storage.exam_rows.WITHOUT_EXAM` needs a
        valid exam as well, in a lab home nothing does (G4). A refusal is written to the ledger.

        Raises:
            NotAllowed: none of ``roles`` is theirs, or they did not pass the exam.
        """
        examined = True
        with self.read() as session:
            held = current_roles(session, actor)
            if held and self.home is not HomeKind.LAB and kind not in WITHOUT_EXAM:
                examined = holds_exam(session, actor.id, self.clock.wall())
        allowed = actor.tenant == self.tenant and bool(held.intersection(roles))
        if allowed and examined:
            return
        known = bool(held)
        with self.write() as session:
            self.log(
                session,
                "access.refuse",
                actor.id if known else "unknown",
                self.clock.wall(),
                what=kind,
                lacks="exam" if allowed else "role",
            )
        if allowed:
            raise NotAllowed(
                f"{kind} is for people with a valid exam (G4)", remedy="candor exam take"
            )
        raise NotAllowed(
            f"{kind} is for: {', '.join(roles)}", remedy="ask somebody who has one of these roles"
        )

    # ------------------------------------------------------------ personal data

    def seal(self, plaintext: str, table: str, column: str, row: str) -> bytes:
        return pii.seal(
            self.keyring, plaintext, tenant=self.tenant, table=table, column=column, row=row
        )

    def unseal(self, sealed: bytes, table: str, column: str, row: str) -> str:
        return pii.unseal(
            self.keyring, sealed, tenant=self.tenant, table=table, column=column, row=row
        )

    def hide(self, key: str, table: str, column: str, row: str) -> str:
        """The key of a ledger's commitment as its row keeps it: with the database alone nobody
        can try numbers against the commitment. Emptying the column destroys the key."""
        pad = self.keyring.blind(_HIDDEN, length_prefixed(self.tenant, table, column, row))
        return base64.b64encode(_xor(bytes.fromhex(key), pad)).decode()

    def reveal(self, kept: str, table: str, column: str, row: str) -> str:
        """What :meth:`hide` hid; "" stays, and so does what an older version kept in the open."""
        if not kept or len(kept) == _OPEN_CHARS:
            return kept
        pad = self.keyring.blind(_HIDDEN, length_prefixed(self.tenant, table, column, row))
        return _xor(base64.b64decode(kept), pad).hex()

    def still_held(self, keys: Collection[str]) -> None:
        """For values sealed before their transaction began; asked when they are in it.

        Raises:
            StorageError: one of these master keys was retired meanwhile.
        """
        if keys and not set(keys) <= set(self.keyring.key_ids()):
            raise StorageError(
                "a master key was retired while this was prepared; nothing was stored",
                remedy="do it again",
            )

    def number_index(self, number: Number) -> bytes:
        return pii.number_index(self.keyring, number)

    def refusal_index(self, number: Number) -> bytes:
        return pii.refusal_index(self.keyring, number)

    def campaign_refusal_index(self, refusal_index: bytes, campaign: str) -> bytes:
        """Where a consent stands on the list of withdrawals that was withdrawn for one campaign
        only: as the number's own place, a keyed hash that outlives everything else (S12)."""
        return self.keyring.blind("refusal.campaign", length_prefixed(refusal_index, campaign))


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the driver and the pool leave as ours; parameters are hidden in them."""
    try:
        yield
    except DBAPIError as error:
        raise storage_error(error) from error
    except PoolTimeout as error:
        raise StorageAway("no database connection is free", remedy="try again") from error


def current_roles(session: Session, actor: Actor) -> frozenset[Role]:
    """The roles the person has in the database and signed in with; none once disabled."""
    row = session.execute(
        select(Person.roles, Person.disabled_at).where(Person.id == actor.id)
    ).one_or_none()
    if row is None or row.disabled_at is not None:
        return frozenset()
    return parse_roles(row.roles) & actor.roles


def parse_roles(text: str) -> frozenset[Role]:
    return frozenset(Role(name) for name in text.split(",") if name)
