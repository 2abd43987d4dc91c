# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch that comes in piece by piece, and is there all at once or not at all.

Each piece is a transaction of its own, so that on SQLite, which has one writer at a time,
calls wait for no more than one piece of an import. Until :meth:`Staging.publish` the batch is
marked by ``staged_at``: no campaign finds it, no consent of it counts. What a killed process
left so is cleared away by the next import and the nightly job (``storage.retention``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, Table, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput, StorageError
from storage.contact_pieces import CONSENT_COLUMNS, CONTACT_COLUMNS, Piece, Values
from storage.context import SYSTEM, Context
from storage.dialects import insert_many
from storage.models import Batch, ConsentRow, ContactRow

ABANDONED_AFTER = timedelta(minutes=10)
"""A batch to which nothing was added for so long is nobody's; a piece takes a second."""

_CONTACTS = cast(Table, ContactRow.__table__)
_CONSENTS = cast(Table, ConsentRow.__table__)
_GIVEN_UP = datetime(1970, 1, 1, tzinfo=UTC)  # its rows are being removed: nobody may add to it
_AT_ONCE = 2_000  # contacts removed a transaction


class Staging:
    """One batch on its way in. ``contacts`` and ``consents`` count what was added."""

    def __init__(
        self, context: Context, batch: str, *, source: str, by: str, partner: str = ""
    ) -> None:
        self._context = context
        self._batch = batch
        self._source = source
        self._partner = partner
        self._by = by
        self._mark: datetime | None = None  # as this process wrote it last
        self._waiting: tuple[Values, Values] = [], []
        self._keys: set[str] = set()  # master keys of what waits
        self.contacts = self.consents = 0

    def add(self, piece: Piece) -> None:
        """Take rows; they are stored when the next ones come: a batch of one piece is stored
        by :meth:`publish` alone.

        Raises:
            StorageError: the batch was given up, or its master key retired, meanwhile.
        """
        if self._waiting[0] and piece.contacts:
            with self._context.write() as session:
                first = self._mark is None
                now = self._store(session)
                if first:
                    told = {"batch": self._batch, "source": self._source}
                    self._context.log(session, "contacts.stage", self._by, now, **told)
        contacts, consents = self._waiting
        contacts += piece.contacts
        consents += piece.consents
        self.contacts += len(piece.contacts)
        self.consents += len(piece.consents)
        if piece.key:
            self._keys.add(piece.key)

    def publish(self, name: str, counts: Mapping[str, int], file: str, file_key: str) -> None:
        """Store the rest and make the batch one that can be used, in one transaction.

        ``file`` is the commitment to the file, ``file_key`` its hidden key.

        Raises:
            BadInput: a batch of this name came meanwhile. StorageError: as :meth:`add`.
        """
        context = self._context
        with context.write() as session:
            refuse_taken(session, name)
            now = self._store(session)
            session.execute(
                update(Batch)
                .where(Batch.id == self._batch)
                .values(name=name, staged_at=None, file_key=file_key, **counts)
            )
            context.log(
                session,
                "contacts.import",
                self._by,
                now,
                batch=self._batch,
                source=self._source,
                partner=self._partner,
                file=file,
                **counts,
            )
            if self.consents:
                context.log(
                    session,
                    "consent.record",
                    self._by,
                    now,
                    batch=self._batch,
                    consents=self.consents,
                )

    def give_up(self) -> None:
        """Remove what was stored of it."""
        if self._mark is not None:
            _remove(self._context, self._batch, self._by, Batch.staged_at.is_not(None))

    def _store(self, session: Session) -> datetime:
        """What waits, in the caller's transaction; returns the time."""
        now = self._context.clock.wall()
        self._hold(session, now)
        contacts, consents = self._waiting
        insert_many(session, _CONTACTS, CONTACT_COLUMNS, contacts)
        insert_many(session, _CONSENTS, CONSENT_COLUMNS, consents)
        self._context.still_held(self._keys)
        self._waiting, self._keys = ([], []), set()
        return now

    def _hold(self, session: Session, now: datetime) -> None:
        """The batch is ours still, and from now on for another while."""
        if self._mark is None:
            session.execute(
                insert(Batch).values(
                    id=self._batch,
                    name=self._batch,
                    source=self._source,
                    partner=self._partner or None,
                    imported_by=self._by,
                    imported_at=now,
                    accepted=0,
                    rejected=0,
                    duplicates=0,
                    file_key="",
                    staged_at=now,
                )
            )
        elif not _changed(session, self._batch, self._mark, now):
            raise StorageError(
                "the import stood still for so long that it was given up; nothing was stored",
                remedy="import the file again",
            )
        self._mark = now


def refuse_taken(session: Session, name: str) -> None:
    """Raises BadInput if there is a batch of this name."""
    if session.scalar(select(Batch.id).where(Batch.name == name)) is not None:
        raise BadInput("a batch of this name exists", field="batch")


def abandoned(context: Context) -> int:
    """How many imports were cut off and wait to be cleared away."""
    with context.read() as session:
        left = select(func.count()).select_from(Batch).where(_abandoned(context.clock.wall()))
        return session.scalar(left) or 0


def clear_abandoned(context: Context) -> int:
    """Remove what is left of imports that were cut off; returns the contacts removed."""
    condition = _abandoned(context.clock.wall())
    with context.read() as session:
        left = session.scalars(select(Batch.id).where(condition)).all()
    return sum(_remove(context, batch, SYSTEM, condition) for batch in left)


def _abandoned(now: datetime) -> ColumnElement[bool]:
    """Not touched for long; or, by a clock that was set back since, long from now."""
    return or_(Batch.staged_at < now - ABANDONED_AFTER, Batch.staged_at > now + ABANDONED_AFTER)


def _remove(context: Context, batch: str, by: str, condition: ColumnElement[bool]) -> int:
    """In bounded transactions; who still adds to it is told so the next time."""
    removed = 0
    while True:
        with context.write() as session:
            mark = update(Batch).where(Batch.id == batch, condition).values(staged_at=_GIVEN_UP)
            if not getattr(session.execute(mark), "rowcount", 0):
                return removed  # published, gone on with, or removed by another
            some = select(ContactRow.id).where(ContactRow.batch == batch).limit(_AT_ONCE)
            ids = session.scalars(some).all()
            session.execute(delete(ConsentRow).where(ConsentRow.contact.in_(ids)))
            session.execute(delete(ContactRow).where(ContactRow.id.in_(ids)))
            removed += len(ids)
            if len(ids) < _AT_ONCE:
                session.execute(delete(Batch).where(Batch.id == batch))
                now = context.clock.wall()
                context.log(session, "contacts.discard", by, now, batch=batch, contacts=removed)
                return removed


def _changed(session: Session, batch: str, was: datetime, now: datetime) -> bool:
    mark = update(Batch).where(Batch.id == batch, Batch.staged_at == was).values(staged_at=now)
    return bool(getattr(session.execute(mark), "rowcount", 0))
