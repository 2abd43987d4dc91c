# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of keys, terms and destruction, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, UtcDateTime
from storage.models import Id


class CallKey(Base):
    """The key of one call's words and proofs, wrapped. Without the row nothing of them opens."""

    __tablename__ = "call_keys"

    attempt: Mapped[str] = mapped_column(Id, primary_key=True)  # made before the attempt's row
    wrapped_key: Mapped[bytes] = mapped_column(LargeBinary)


class Hold(Base):
    """A legal hold on one call, or on everything of one number. Blocks every destruction."""

    __tablename__ = "holds"
    __table_args__ = (
        CheckConstraint("(attempt IS NULL) <> (number_index IS NULL)", name="one_subject"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    attempt: Mapped[str | None] = mapped_column(Id, index=True)
    number_index: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    refusal_index: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    reason: Mapped[str] = mapped_column(String(32))
    by: Mapped[str] = mapped_column(Id)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    lifted_by: Mapped[str | None] = mapped_column(Id)
    lifted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Shredding(Base):
    """A destruction under way: the keys are gone, the objects may still lie there.

    The row goes in the transaction that writes the destruction record, so that no record
    speaks of an object that is still there, and no object is forgotten.
    """

    __tablename__ = "shreddings"

    attempt: Mapped[str] = mapped_column(ForeignKey("attempts.id"), primary_key=True)
    record: Mapped[str] = mapped_column(Id, unique=True)  # id of the destruction record to be
    begun_at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Id)
    reason: Mapped[str] = mapped_column(String(32))
    what: Mapped[dict[str, int]] = mapped_column(JSON)
    objects: Mapped[list[Any]] = mapped_column(JSON)  # [name, sealed SHA-256] each


class RefusedNumber(Base):
    """Contacts of this number imported until ``at`` are to go (D13); the row goes with them."""

    __tablename__ = "refused_numbers"

    number_index: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
