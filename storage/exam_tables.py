# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of exams, trainings, adopted law and calendars, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, UtcDateTime
from storage.models import Id


class ExamRow(Base):
    """One sitting of one person: what was drawn, and once handed in how it went (G4)."""

    __tablename__ = "exams"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    roles: Mapped[str] = mapped_column(String(200))  # as in ``people``, at the draw
    language: Mapped[str] = mapped_column(String(8))
    edition: Mapped[int] = mapped_column(Integer)
    bank: Mapped[str] = mapped_column(String(64))  # SHA-256 of the question bank
    seed: Mapped[str] = mapped_column(String(64))  # the draw follows from seed, bank and roles
    questions: Mapped[list[str]] = mapped_column(JSON)
    drawn_at: Mapped[datetime] = mapped_column(UtcDateTime)
    handed_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answers: Mapped[Any] = mapped_column(JSON)  # question -> index as drawn; {} until handed in
    correct: Mapped[int] = mapped_column(Integer)
    valid_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # NULL: not passed


class TrainingRow(Base):
    """A training that was held (G3)."""

    __tablename__ = "trainings"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    topic: Mapped[str] = mapped_column(String(200))
    held_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    case: Mapped[str | None] = mapped_column(Id, index=True)  # a real case it was about (P7)
    material: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of what was shown
    recorded_by: Mapped[str] = mapped_column(Id)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TrainedPerson(Base):
    """Who took part in a training, with the roles they had then."""

    __tablename__ = "trained_people"

    training: Mapped[str] = mapped_column(ForeignKey("trainings.id"), primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True, index=True)
    roles: Mapped[str] = mapped_column(String(200))


class AdoptedLaw(Base):
    """A rulebook a compliance officer adopted; the newest is in force. Rows stay."""

    __tablename__ = "adopted_law"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # from 1
    rulebook: Mapped[str] = mapped_column(String(64))  # its digest; the text is kept beside
    wording: Mapped[str] = mapped_column(String(64))  # digest of the lexicons it was read with
    reason: Mapped[str] = mapped_column(String(200))
    by: Mapped[str] = mapped_column(Id)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    exam_by: Mapped[datetime | None] = mapped_column(UtcDateTime)  # earlier passes end then


class CalendarRow(Base):
    """An imported calendar; the newest edition of a region and year counts. Rows stay."""

    __tablename__ = "calendars"
    __table_args__ = (UniqueConstraint("region", "year", "edition"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    region: Mapped[str] = mapped_column(String(32))
    year: Mapped[int] = mapped_column(Integer)
    edition: Mapped[int] = mapped_column(Integer)  # from 1
    text: Mapped[str] = mapped_column(Text)  # canonical JSON
    reason: Mapped[str] = mapped_column(String(200))  # of a replacement
    by: Mapped[str] = mapped_column(Id)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
