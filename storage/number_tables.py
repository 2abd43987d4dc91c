# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of our own numbers and of do-not-call registries, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, UtcDateTime
from storage.models import Id

OwnNumberId = String(64)
_OPEN = text("closed_at IS NULL")
_CURRENT = text("state = 'current'")


class OwnNumberRow(Base):
    """What was decided about one of our own numbers; one nobody decided about has no row (C4b)."""

    __tablename__ = "own_numbers"

    number: Mapped[str] = mapped_column(OwnNumberId, primary_key=True)  # one spelling
    day_cap: Mapped[int | None] = mapped_column(Integer)  # below the profile's
    rest_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    rest_reason: Mapped[str] = mapped_column(String(16), default="")
    watch_from: Mapped[datetime | None] = mapped_column(UtcDateTime)  # judged by calls since
    on_trial: Mapped[bool] = mapped_column(default=False)  # rested, and not proven well since
    rests: Mapped[int] = mapped_column(Integer, default=0)  # in a row


class NumberCase(Base):
    """A number that seems blocked, from suspicion to release. At most one is open a number."""

    __tablename__ = "number_cases"
    __table_args__ = (
        CheckConstraint(
            "state IN ('open','carrier_contacted','released','abandoned')", name="state"
        ),
        Index(
            "ix_number_cases_open",
            "number",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    number: Mapped[str] = mapped_column(OwnNumberId, index=True)
    state: Mapped[str] = mapped_column(String(32))
    figures: Mapped[dict[str, Any]] = mapped_column(JSON)  # what was seen when it was opened
    opened_by: Mapped[str] = mapped_column(Id)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due: Mapped[datetime] = mapped_column(UtcDateTime)  # of the next step
    closed_by: Mapped[str | None] = mapped_column(Id)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class NumberCaseNote(Base):
    """What somebody did about a case; the words may name people, so they are sealed."""

    __tablename__ = "number_case_notes"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    case: Mapped[str] = mapped_column(ForeignKey("number_cases.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Id)
    state: Mapped[str] = mapped_column(String(32))  # after it
    text_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    text_key: Mapped[str] = mapped_column(String(64))  # of the ledger's commitment to the text


class RegistryEdition(Base):
    """One edition of a do-not-call list. What is still loading counts for nobody."""

    __tablename__ = "registry_editions"
    __table_args__ = (
        CheckConstraint("state IN ('loading','current')", name="state"),
        Index(
            "ix_registry_editions_current",
            "name",
            unique=True,
            sqlite_where=_CURRENT,
            postgresql_where=_CURRENT,
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    as_of: Mapped[datetime] = mapped_column(UtcDateTime)  # midnight UTC of the edition's day
    state: Mapped[str] = mapped_column(String(16))
    entries: Mapped[int] = mapped_column(Integer, default=0)
    rejected: Mapped[int] = mapped_column(Integer, default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")  # of the file
    imported_by: Mapped[str] = mapped_column(Id)
    imported_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RegistryEntry(Base):
    """One listed number, as the refusal list's keyed hash."""

    __tablename__ = "registry_entries"
    __table_args__ = ({"sqlite_with_rowid": False},)

    edition: Mapped[int] = mapped_column(
        ForeignKey("registry_editions.id"), primary_key=True, autoincrement=False
    )
    refusal_index: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
