# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of cases, audits and periodic duties, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, UtcDateTime
from storage.models import Id

_OPEN = text("closed_at IS NULL")


class CaseRow(Base):
    """Something that somebody must look into and close. At most one is open a subject."""

    __tablename__ = "cases"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('complaint','post_call_check','blocked_number','audit_finding','other')",
            name="kind",
        ),
        Index(
            "ix_cases_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(100), index=True)  # an id, never a person
    findings: Mapped[list[str]] = mapped_column(JSON)  # codes of what was found
    opened_by: Mapped[str] = mapped_column(Id)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_by: Mapped[str | None] = mapped_column(Id)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CaseNote(Base):
    """What somebody wrote about a case; it may name people, so it is sealed."""

    __tablename__ = "case_notes"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    case: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Id)
    text_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    text_key: Mapped[str] = mapped_column(String(64))  # of the ledger's commitment to the text


class AuditRow(Base):
    """One month's compliance audit (G2): what it was drawn from, and who signed it."""

    __tablename__ = "audits"

    month: Mapped[str] = mapped_column(String(7), primary_key=True)  # 2026-11
    drawn_by: Mapped[str] = mapped_column(Id)
    drawn_at: Mapped[datetime] = mapped_column(UtcDateTime)
    size: Mapped[int] = mapped_column(Integer)  # of the checkpoint the seed is made of
    root: Mapped[str] = mapped_column(String(64))
    seed: Mapped[str] = mapped_column(String(64))
    checklist: Mapped[str] = mapped_column(String(64))  # SHA-256 of the questions asked
    population: Mapped[dict[str, int]] = mapped_column(JSON)  # by stratum
    digest: Mapped[str] = mapped_column(String(64), default="")  # of sample and answers, signed
    result: Mapped[str] = mapped_column(String(16), default="")
    signed_by: Mapped[str | None] = mapped_column(Id)
    signed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditItem(Base):
    """One thing drawn; position 0 is the month as a whole."""

    __tablename__ = "audit_items"

    month: Mapped[str] = mapped_column(ForeignKey("audits.month"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    stratum: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(Id)


class AuditAnswer(Base):
    """The answer to one question about one item; the newest counts until the audit is signed."""

    __tablename__ = "audit_answers"

    month: Mapped[str] = mapped_column(ForeignKey("audits.month"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    question: Mapped[str] = mapped_column(String(32), primary_key=True)
    id: Mapped[str] = mapped_column(Id, unique=True)  # what the note is sealed for
    answer: Mapped[str] = mapped_column(String(3))
    note_key: Mapped[str] = mapped_column(String(64))  # of the ledger's commitment to the note
    by: Mapped[str] = mapped_column(Id)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditNote(Base):
    """The words to an answer, by the answer's id."""

    __tablename__ = "audit_notes"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    text_sealed: Mapped[bytes] = mapped_column(LargeBinary)


class DutyDone(Base):
    """A periodic duty that somebody did for one period, with note and file by digest."""

    __tablename__ = "duties_done"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    period: Mapped[str] = mapped_column(String(10))  # 2026-11, 2026-H2
    by: Mapped[str] = mapped_column(Id)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    note_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    note_key: Mapped[str] = mapped_column(String(64))
    file_sha256: Mapped[str] = mapped_column(String(64), default="")

    __table_args__ = (Index("ix_duties_done_kind_period", "kind", "period", unique=True),)
