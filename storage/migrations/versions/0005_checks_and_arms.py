# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks after the call, and campaigns that compare scripts.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import storage.base

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_checks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=32), nullable=False),
        sa.Column("result", sa.String(length=8), nullable=False),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("replaced", sa.Boolean(), nullable=False),
        sa.Column("opened_case", sa.String(length=32), nullable=False),
        sa.CheckConstraint(
            "result IN ('passed', 'failed', 'unknown')", name=op.f("ck_call_checks_result")
        ),
        sa.ForeignKeyConstraint(
            ["attempt"], ["attempts.id"], name=op.f("fk_call_checks_attempt_attempts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_checks")),
    )
    op.create_index(op.f("ix_call_checks_attempt"), "call_checks", ["attempt"], unique=False)
    op.create_table(
        "campaign_arms",
        sa.Column("campaign", sa.String(length=32), nullable=False),
        sa.Column("arm", sa.String(length=8), nullable=False),
        sa.Column("script", sa.String(length=32), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.CheckConstraint("weight > 0", name=op.f("ck_campaign_arms_weight")),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_campaign_arms_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["script"], ["scripts.id"], name=op.f("fk_campaign_arms_script_scripts")
        ),
        sa.PrimaryKeyConstraint("campaign", "arm", name=op.f("pk_campaign_arms")),
    )
    # Which script an attempt spoke; empty: the campaign's own, as before there were arms.
    for column, length in (("arm", 8), ("script", 32)):
        op.add_column(
            "attempts",
            sa.Column(column, sa.String(length=length), nullable=False, server_default=""),
        )


def downgrade() -> None:
    raise NotImplementedError("restore a backup: records are never dropped by a downgrade")
