# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own numbers, their cases, and do-not-call registries.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import storage.base
from storage.numbers import own_number

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, storage.base.UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "own_numbers",
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("day_cap", sa.Integer(), nullable=True),
        _time("rest_until", nullable=True),
        sa.Column("rest_reason", sa.String(length=16), nullable=False),
        _time("watch_from", nullable=True),
        sa.Column("on_trial", sa.Boolean(), nullable=False),
        sa.Column("rests", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_own_numbers")),
    )
    op.create_table(
        "number_cases",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("opened_by", sa.String(length=32), nullable=False),
        _time("opened_at"),
        _time("due"),
        sa.Column("closed_by", sa.String(length=32), nullable=True),
        _time("closed_at", nullable=True),
        sa.CheckConstraint(
            "state IN ('open','carrier_contacted','released','abandoned')",
            name=op.f("ck_number_cases_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_cases")),
    )
    op.create_index(op.f("ix_number_cases_number"), "number_cases", ["number"], unique=False)
    op.create_index(
        "ix_number_cases_open",
        "number_cases",
        ["number"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "number_case_notes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("case", sa.String(length=32), nullable=False),
        _time("at"),
        sa.Column("by", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("text_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("text_key", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["case"], ["number_cases.id"], name=op.f("fk_number_case_notes_case_number_cases")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_case_notes")),
    )
    op.create_index(op.f("ix_number_case_notes_case"), "number_case_notes", ["case"], unique=False)
    op.create_table(
        "registry_editions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        _time("as_of"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("imported_by", sa.String(length=32), nullable=False),
        _time("imported_at"),
        sa.CheckConstraint(
            "state IN ('loading','current')", name=op.f("ck_registry_editions_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_editions")),
    )
    op.create_index(
        "ix_registry_editions_current",
        "registry_editions",
        ["name"],
        unique=True,
        sqlite_where=sa.text("state = 'current'"),
        postgresql_where=sa.text("state = 'current'"),
    )
    op.create_table(
        "registry_entries",
        sa.Column("edition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("refusal_index", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["edition"],
            ["registry_editions.id"],
            name=op.f("fk_registry_entries_edition_registry_editions"),
        ),
        sa.PrimaryKeyConstraint("edition", "refusal_index", name=op.f("pk_registry_entries")),
        sqlite_with_rowid=False,
    )
    # Our own number a call showed, in one spelling: the daily cap counts by it.
    op.add_column(
        "attempts",
        sa.Column("own_number", sa.String(length=64), nullable=False, server_default=""),
    )
    op.create_index("ix_attempts_own_number", "attempts", ["own_number", "at"], unique=False)
    lines = sa.table("lines", sa.column("id", sa.String()), sa.column("caller_id", sa.String()))
    attempts = sa.table(
        "attempts", sa.column("line", sa.String()), sa.column("own_number", sa.String())
    )
    for line, caller_id in op.get_bind().execute(sa.select(lines.c.id, lines.c.caller_id)).all():
        op.execute(
            attempts.update()
            .where(attempts.c.line == line)
            .values(own_number=own_number(caller_id))
        )


def downgrade() -> None:
    raise NotImplementedError("restore a backup: records are never dropped by a downgrade")
