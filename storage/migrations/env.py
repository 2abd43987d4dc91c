# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the migrations on the connection ``storage.database.upgrade`` hands over."""

from __future__ import annotations

from alembic import context

import storage.case_tables
import storage.check_tables
import storage.complaint_tables
import storage.exam_tables
import storage.ledger_tables
import storage.models
import storage.number_tables
import storage.paper_tables
import storage.retention_tables  # noqa: F401  # every table must be known to the metadata
from storage.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
