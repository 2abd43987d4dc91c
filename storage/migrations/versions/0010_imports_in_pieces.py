# SPDX-License-Identifier: GPL-3.0-or-later
"""An import comes in pieces; consents are found through their contacts.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import storage.base

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "batches",
        sa.Column("staged_at", storage.base.UtcDateTime(timezone=True), nullable=True),
    )
    # One index of random order less for an import to keep up; contacts have the same one.
    op.drop_index(op.f("ix_consents_number_index"), table_name="consents")


def downgrade() -> None:
    raise NotImplementedError("restore a backup: records are never dropped by a downgrade")
