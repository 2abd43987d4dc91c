# SPDX-License-Identifier: GPL-3.0-or-later
"""Papers, suppliers, data partners, purposes, assessments and processing records.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import storage.base

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, storage.base.UtcDateTime(timezone=True), nullable=nullable)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "papers",
        _text("id", 32),
        _text("kind", 32),
        _text("owner_kind", 16),
        _text("owner", 100),
        _text("number", 100),
        _text("issuer", 200),
        _time("valid_from", nullable=True),
        _time("valid_until", nullable=True),
        _json("details"),
        _text("sha256", 64),
        _number("size"),
        _bytes("file_name_sealed"),
        _text("object", 32),
        _bytes("wrapped_key"),
        _text("added_by", 32),
        _time("added_at"),
        _text("withdrawn_by", 32, nullable=True),
        _time("withdrawn_at", nullable=True),
        sa.CheckConstraint(
            "owner_kind IN ('supplier','line','partner','campaign','purpose','script')",
            name=op.f("ck_papers_owner_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_papers")),
        sa.UniqueConstraint("object", name=op.f("uq_papers_object")),
    )
    op.create_index(op.f("ix_papers_owner"), "papers", ["owner_kind", "owner"], unique=False)
    op.create_table(
        "suppliers",
        _text("id", 64),
        _text("company", 200),
        _number("exemplary"),
        _json("notes"),
        _text("added_by", 32),
        _time("added_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppliers")),
    )
    op.create_table(
        "partners",
        _text("id", 64),
        _text("company", 200),
        _text("added_by", 32),
        _time("added_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partners")),
    )
    op.create_table(
        "purposes",
        _text("code", 100),
        _text("legal_basis", 32),
        sa.Column("description", sa.Text(), nullable=False),
        _text("declared_by", 32),
        _time("declared_at"),
        _text("ended_by", 32, nullable=True),
        _time("ended_at", nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_purposes")),
    )
    op.create_table(
        "campaign_batches",
        _text("campaign", 32),
        _text("batch", 32),
        _number("position"),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_campaign_batches_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["batch"], ["batches.id"], name=op.f("fk_campaign_batches_batch_batches")
        ),
        sa.PrimaryKeyConstraint("campaign", "batch", name=op.f("pk_campaign_batches")),
    )
    op.create_table(
        "assessments",
        _text("id", 32),
        _text("campaign", 32, nullable=True),
        _text("purpose", 100, nullable=True),
        _text("paper", 32),
        _text("covers", 64),
        _json("what"),
        _text("by", 32),
        _time("at"),
        _text("confirms", 32, nullable=True),
        sa.CheckConstraint(
            "(campaign IS NULL) <> (purpose IS NULL)", name=op.f("ck_assessments_one_subject")
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_assessments_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["purpose"], ["purposes.code"], name=op.f("fk_assessments_purpose_purposes")
        ),
        sa.ForeignKeyConstraint(["paper"], ["papers.id"], name=op.f("fk_assessments_paper_papers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessments")),
    )
    for column in ("campaign", "purpose"):
        op.create_index(op.f(f"ix_assessments_{column}"), "assessments", [column], unique=False)
    op.create_table(
        "processing_records",
        _text("id", 32),
        _text("campaign", 32),
        _time("at"),
        _text("by", 32),
        _json("what"),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_processing_records_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processing_records")),
    )
    op.create_index(
        op.f("ix_processing_records_campaign"), "processing_records", ["campaign"], unique=False
    )
    # Whom a line was bought from, who gave a batch; NULL: nobody is on record.
    op.add_column("lines", _text("supplier", 64, nullable=True))
    op.add_column("batches", _text("partner", 64, nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore a backup: records are never dropped by a downgrade")
