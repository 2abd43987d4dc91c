# SPDX-License-Identifier: GPL-3.0-or-later
"""Complaints, cases, monthly audits, periodic duties, and notes about calls.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import storage.base

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, storage.base.UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "audit_notes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("text_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_notes")),
    )
    op.create_table(
        "audits",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("drawn_by", sa.String(length=32), nullable=False),
        _time("drawn_at"),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.String(length=64), nullable=False),
        sa.Column("checklist", sa.String(length=64), nullable=False),
        sa.Column("population", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("signed_by", sa.String(length=32), nullable=True),
        _time("signed_at", nullable=True),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_audits")),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("opened_by", sa.String(length=32), nullable=False),
        _time("opened_at"),
        _time("due"),
        sa.Column("closed_by", sa.String(length=32), nullable=True),
        _time("closed_at", nullable=True),
        sa.CheckConstraint(
            "kind IN ('complaint','post_call_check','blocked_number','audit_finding','other')",
            name=op.f("ck_cases_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
    )
    op.create_index(
        "ix_cases_open",
        "cases",
        ["kind", "subject"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index(op.f("ix_cases_subject"), "cases", ["subject"], unique=False)
    op.create_table(
        "duties_done",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("by", sa.String(length=32), nullable=False),
        _time("at"),
        sa.Column("note_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("note_key", sa.String(length=64), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_duties_done")),
    )
    op.create_index("ix_duties_done_kind_period", "duties_done", ["kind", "period"], unique=True)
    op.create_table(
        "audit_answers",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("question", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("answer", sa.String(length=3), nullable=False),
        sa.Column("note_key", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=32), nullable=False),
        _time("at"),
        sa.ForeignKeyConstraint(
            ["month"], ["audits.month"], name=op.f("fk_audit_answers_month_audits")
        ),
        sa.PrimaryKeyConstraint("month", "position", "question", name=op.f("pk_audit_answers")),
        sa.UniqueConstraint("id", name=op.f("uq_audit_answers_id")),
    )
    op.create_table(
        "audit_items",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("stratum", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["month"], ["audits.month"], name=op.f("fk_audit_items_month_audits")
        ),
        sa.PrimaryKeyConstraint("month", "position", name=op.f("pk_audit_items")),
    )
    op.create_table(
        "case_notes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("case", sa.String(length=32), nullable=False),
        _time("at"),
        sa.Column("by", sa.String(length=32), nullable=False),
        sa.Column("text_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("text_key", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["cases.id"], name=op.f("fk_case_notes_case_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_notes")),
    )
    op.create_index(op.f("ix_case_notes_case"), "case_notes", ["case"], unique=False)
    op.create_table(
        "complaints",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=True),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=True),
        sa.Column("number_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("text_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("text_key", sa.String(length=64), nullable=False),
        _time("received_at"),
        _time("entered_at"),
        sa.Column("entered_by", sa.String(length=32), nullable=False),
        sa.Column("team", sa.String(length=16), nullable=False),
        sa.Column("assigned_to", sa.String(length=32), nullable=True),
        sa.Column("case", sa.String(length=32), nullable=False),
        sa.Column("hold", sa.String(length=32), nullable=True),
        sa.Column("do_not_call", sa.Boolean(), nullable=False),
        _time("escalated_at", nullable=True),
        _time("alarmed_at", nullable=True),
        _time("breached_at", nullable=True),
        _time("answered_at", nullable=True),
        sa.Column("answered_by", sa.String(length=32), nullable=True),
        sa.Column("answer_channel", sa.String(length=16), nullable=False),
        sa.Column("answer_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("answer_key", sa.String(length=64), nullable=False),
        sa.Column("remedy_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("remedy_key", sa.String(length=64), nullable=False),
        _time("remedy_due", nullable=True),
        _time("remedied_at", nullable=True),
        sa.Column("remedied_by", sa.String(length=32), nullable=True),
        _time("remedy_breached_at", nullable=True),
        sa.Column("training_case", sa.String(length=64), nullable=False),
        sa.Column("waiver_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("waiver_key", sa.String(length=64), nullable=False),
        sa.Column("waived_by", sa.String(length=32), nullable=True),
        _time("closed_at", nullable=True),
        sa.Column("closed_by", sa.String(length=32), nullable=True),
        _time("wiped_at", nullable=True),
        sa.CheckConstraint(
            "kind IN ('privacy','false_advertising','harassment','wording','other')",
            name=op.f("ck_complaints_kind"),
        ),
        sa.ForeignKeyConstraint(["case"], ["cases.id"], name=op.f("fk_complaints_case_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_complaints")),
    )
    op.create_index(op.f("ix_complaints_attempt"), "complaints", ["attempt"], unique=False)
    op.create_index(op.f("ix_complaints_closed_at"), "complaints", ["closed_at"], unique=False)
    op.create_index(
        op.f("ix_complaints_number_index"), "complaints", ["number_index"], unique=False
    )
    op.create_index(op.f("ix_complaints_received_at"), "complaints", ["received_at"], unique=False)
    op.create_table(
        "call_notes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        _time("at"),
        sa.Column("by", sa.String(length=32), nullable=False),
        sa.Column("text_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("text_key", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt"], ["attempts.id"], name=op.f("fk_call_notes_attempt_attempts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_notes")),
    )
    op.create_index(op.f("ix_call_notes_attempt"), "call_notes", ["attempt"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore a backup: records are never dropped by a downgrade")
