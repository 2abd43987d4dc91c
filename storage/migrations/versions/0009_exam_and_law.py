# SPDX-License-Identifier: GPL-3.0-or-later
"""Exams, trainings, adopted law and imported calendars.

Revision ID: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import storage.base

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, storage.base.UtcDateTime(timezone=True), nullable=nullable)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "exams",
        _text("id", 32),
        _text("person", 32),
        _text("roles", 200),
        _text("language", 8),
        _number("edition"),
        _text("bank", 64),
        _text("seed", 64),
        sa.Column("questions", sa.JSON(), nullable=False),
        _time("drawn_at"),
        _time("handed_in_at", nullable=True),
        sa.Column("answers", sa.JSON(), nullable=False),
        _number("correct"),
        _time("valid_until", nullable=True),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_exams_person_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exams")),
    )
    op.create_index(op.f("ix_exams_person"), "exams", ["person"], unique=False)
    op.create_table(
        "trainings",
        _text("id", 32),
        _text("topic", 200),
        _time("held_at"),
        _text("case", 32, nullable=True),
        _text("material", 64, nullable=True),
        _text("recorded_by", 32),
        _time("recorded_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trainings")),
    )
    for column in ("held_at", "case"):
        op.create_index(op.f(f"ix_trainings_{column}"), "trainings", [column], unique=False)
    op.create_table(
        "trained_people",
        _text("training", 32),
        _text("person", 32),
        _text("roles", 200),
        sa.ForeignKeyConstraint(
            ["training"], ["trainings.id"], name=op.f("fk_trained_people_training_trainings")
        ),
        sa.ForeignKeyConstraint(
            ["person"], ["people.id"], name=op.f("fk_trained_people_person_people")
        ),
        sa.PrimaryKeyConstraint("training", "person", name=op.f("pk_trained_people")),
    )
    op.create_index(op.f("ix_trained_people_person"), "trained_people", ["person"], unique=False)
    op.create_table(
        "adopted_law",
        _number("number"),
        _text("rulebook", 64),
        _text("wording", 64),
        _text("reason", 200),
        _text("by", 32),
        _time("at"),
        _time("exam_by", nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_adopted_law")),
    )
    op.create_table(
        "calendars",
        _text("id", 32),
        _text("region", 32),
        _number("year"),
        _number("edition"),
        sa.Column("text", sa.Text(), nullable=False),
        _text("reason", 200),
        _text("by", 32),
        _time("at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendars")),
        sa.UniqueConstraint("region", "year", "edition", name=op.f("uq_calendars_region")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup: records are never dropped by a downgrade")
