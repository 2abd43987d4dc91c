# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of complaints and of notes about calls, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, UtcDateTime
from storage.models import Id


class ComplaintRow(Base):
    """One complaint, from its receipt to its closing (P1-P3, P6, P7).

    What names a person (number, words, answer, remedy) is sealed and goes with an erasure or
    after the term; ``wiped_at`` says when. The dates stay.
    """

    __tablename__ = "complaints"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('privacy','false_advertising','harassment','wording','other')", name="kind"
        ),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    channel: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[str | None] = mapped_column(Id, index=True)
    number_index: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    number_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    text_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    text_key: Mapped[str] = mapped_column(String(64))  # of the ledger's commitment to the text
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    entered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    entered_by: Mapped[str] = mapped_column(Id)
    team: Mapped[str] = mapped_column(String(16))
    assigned_to: Mapped[str | None] = mapped_column(Id)
    case: Mapped[str] = mapped_column(ForeignKey("cases.id"))
    hold: Mapped[str | None] = mapped_column(Id)
    do_not_call: Mapped[bool]

    # What the clock did, each once.
    escalated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    alarmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    breached_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answered_by: Mapped[str | None] = mapped_column(Id)
    answer_channel: Mapped[str] = mapped_column(String(16), default="")
    answer_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    answer_key: Mapped[str] = mapped_column(String(64), default="")
    remedy_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    remedy_key: Mapped[str] = mapped_column(String(64), default="")
    remedy_due: Mapped[datetime | None] = mapped_column(UtcDateTime)
    remedied_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    remedied_by: Mapped[str | None] = mapped_column(Id)
    remedy_breached_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    training_case: Mapped[str] = mapped_column(String(64), default="")
    waiver_sealed: Mapped[bytes] = mapped_column(LargeBinary)  # why it teaches nothing (P7)
    waiver_key: Mapped[str] = mapped_column(String(64), default="")
    waived_by: Mapped[str | None] = mapped_column(Id)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    closed_by: Mapped[str | None] = mapped_column(Id)
    wiped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CallNote(Base):
    """What an agent or operator noted about a call (T1), under the call's own key."""

    __tablename__ = "call_notes"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    attempt: Mapped[str] = mapped_column(ForeignKey("attempts.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Id)
    text_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)  # None: gone with the call
    text_key: Mapped[str] = mapped_column(String(64), default="")
