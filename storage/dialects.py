# SPDX-License-Identifier: GPL-3.0-or-later
"""The one statement whose spelling differs between SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.base import Base


def insert_or_ignore(executor: Connection | Session, table: type[Base], **values: Any) -> None:
    """Insert a row unless its key exists; races end with one row and no error."""
    bind = executor if isinstance(executor, Connection) else executor.connection()
    if bind.dialect.name == "postgresql":
        bind.execute(postgresql.insert(table).values(**values).on_conflict_do_nothing())
    else:
        bind.execute(sqlite.insert(table).values(**values).on_conflict_do_nothing())
