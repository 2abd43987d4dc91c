# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of calls, legal holds, destructions under way, and when a cycle ended.

Revision ID: 0004
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

import storage.base

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, storage.base.UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "call_keys",
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("attempt", name=op.f("pk_call_keys")),
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=True),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=True),
        sa.Column("refusal_index", sa.LargeBinary(length=32), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(length=32), nullable=False),
        _time("at"),
        sa.Column("lifted_by", sa.String(length=32), nullable=True),
        _time("lifted_at", nullable=True),
        sa.CheckConstraint(
            "(attempt IS NULL) <> (number_index IS NULL)", name=op.f("ck_holds_one_subject")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    for column in ("attempt", "number_index", "refusal_index"):
        op.create_index(op.f(f"ix_holds_{column}"), "holds", [column], unique=False)
    op.create_table(
        "shreddings",
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("record", sa.String(length=32), nullable=False),
        _time("begun_at"),
        sa.Column("by", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("what", sa.JSON(), nullable=False),
        sa.Column("objects", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt"], ["attempts.id"], name=op.f("fk_shreddings_attempt_attempts")
        ),
        sa.PrimaryKeyConstraint("attempt", name=op.f("pk_shreddings")),
        sa.UniqueConstraint("record", name=op.f("uq_shreddings_record")),
    )
    op.create_table(
        "refused_numbers",
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=False),
        _time("at"),
        sa.PrimaryKeyConstraint("number_index", name=op.f("pk_refused_numbers")),
    )
    op.create_index(op.f("ix_refused_numbers_at"), "refused_numbers", ["at"], unique=False)

    op.add_column("campaigns", _time("ended_at", nullable=True))
    # When they really ended nobody wrote down: their cycle ends with this upgrade.
    campaigns = sa.table(
        "campaigns", sa.column("state", sa.String()), _time("ended_at", nullable=True)
    )
    op.execute(
        campaigns.update()
        .where(campaigns.c.state.in_(["stopped", "done"]))
        .values(ended_at=datetime.now(UTC))
    )
    op.add_column("withdrawals", _time("logged_at", nullable=True))
    op.add_column("destructions", sa.Column("attempt", sa.String(length=32), nullable=True))
    op.create_index(op.f("ix_destructions_attempt"), "destructions", ["attempt"], unique=False)
    op.add_column(
        "destructions", sa.Column("objects", sa.JSON(), nullable=False, server_default="[]")
    )
    op.add_column(
        "destructions", sa.Column("contacts", sa.JSON(), nullable=False, server_default="[]")
    )
    op.add_column("destructions", _time("logged_at", nullable=True))
    # A contact that goes takes its rows along: without these each one would cost a full scan.
    op.create_index(op.f("ix_targets_contact"), "targets", ["contact"], unique=False)
    op.create_index(op.f("ix_consents_contact"), "consents", ["contact"], unique=False)
    op.create_index(op.f("ix_attempts_contact"), "attempts", ["contact"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore a backup: records are never dropped by a downgrade")
