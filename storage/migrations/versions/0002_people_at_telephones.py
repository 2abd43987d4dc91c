# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents, lab testers, emergency stops, destruction records; what a call adds of them.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import storage.base

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, storage.base.UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("uri", sa.String(length=255), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        _time("added_at"),
        sa.Column("busy_with", sa.String(length=32), nullable=True),
        _time("free_from", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    op.create_table(
        "agent_legs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        _time("at"),
        _time("ended_at", nullable=True),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("sip_call_id", sa.String(length=255), nullable=False),
        sa.Column("sip_status", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt"], ["attempts.id"], name=op.f("fk_agent_legs_attempt_attempts")
        ),
        sa.ForeignKeyConstraint(["agent"], ["agents.id"], name=op.f("fk_agent_legs_agent_agents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_legs")),
    )
    op.create_index(op.f("ix_agent_legs_attempt"), "agent_legs", ["attempt"], unique=False)
    op.create_table(
        "lab_testers",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("uri_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("uri_key", sa.String(length=64), nullable=False),
        sa.Column("confirmed_by", sa.String(length=32), nullable=False),
        _time("confirmed_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lab_testers")),
        sa.UniqueConstraint("number_index", name=op.f("uq_lab_testers_number_index")),
    )
    op.create_table(
        "emergency_stops",
        sa.Column("id", sa.String(length=32), nullable=False),
        _time("at"),
        sa.Column("by", sa.String(length=32), nullable=False),
        _time("lifted_at", nullable=True),
        sa.Column("lifted_by", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_emergency_stops")),
    )
    op.create_index(op.f("ix_emergency_stops_at"), "emergency_stops", ["at"], unique=False)
    op.create_table(
        "destructions",
        sa.Column("id", sa.String(length=32), nullable=False),
        _time("at"),
        sa.Column("by", sa.String(length=32), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("what", sa.JSON(), nullable=False),
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("commitment_key", sa.String(length=64), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destructions")),
    )
    op.add_column("attempts", sa.Column("transferred_ms", sa.Integer(), nullable=True))
    op.add_column(
        "attempts", sa.Column("agent", sa.String(length=64), nullable=False, server_default="")
    )
    op.add_column(
        "attempts",
        sa.Column("announcement", sa.String(length=16), nullable=False, server_default=""),
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup: records are never dropped by a downgrade")
