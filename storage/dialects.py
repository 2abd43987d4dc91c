# SPDX-License-Identifier: GPL-3.0-or-later
"""What SQLite and PostgreSQL spell differently: one statement, and locks that are no row.

SQLite lets one writer in at a time, so there these locks are held from the
beginning; on PostgreSQL they end with the transaction. Why each is needed:
``docs/decisions/0011-postgresql.md``.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import (
    ClauseElement,
    Connection,
    CursorResult,
    Executable,
    LargeBinary,
    Table,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler

from storage.base import Base

Rows: TypeAlias = "CursorResult[*tuple[Any, ...]]"


def insert_or_ignore(executor: Connection | Session, table: type[Base], **values: Any) -> None:
    """Insert a row unless its key exists; races end with one row and no error."""
    if _is_postgresql(executor):
        executor.execute(postgresql.insert(table).values(**values).on_conflict_do_nothing())
    else:
        executor.execute(sqlite.insert(table).values(**values).on_conflict_do_nothing())


class Guarded(enum.IntEnum):
    """What a lock is about. The numbers are shared by every program at one database."""

    NUMBER = 0x43414E01  # who hands out or erases a number, by its blind index
    REFUSAL = 0x43414E02  # what the refusal list says of a number, by its refusal index
    DIALING = 0x43414E03  # whether the platform dials at all
    UPGRADE = 0x43414E04  # who changes the schema
    KEEPING = 0x43414E05  # who places a hold or destroys something
    OWN_NUMBER = 0x43414E06  # calls from one of our own numbers, and its rest


def lock(executor: Connection | Session, what: Guarded, of: bytes = b"") -> None:
    """Wait until nobody else holds it; held until the transaction ends."""
    if _is_postgresql(executor):
        executor.execute(select(func.pg_advisory_xact_lock(int(what), _short(of))))


def lock_shared(session: Session, what: Guarded, of: bytes = b"") -> None:
    """As :func:`lock`, beside others who share it."""
    if _is_postgresql(session):
        session.execute(select(func.pg_advisory_xact_lock_shared(int(what), _short(of))))


def try_lock(session: Session, what: Guarded, of: bytes = b"") -> bool:
    """As :func:`lock`, but False at once instead of waiting."""
    if not _is_postgresql(session):
        return True
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(int(what), _short(of)))))


def _is_postgresql(executor: Connection | Session) -> bool:
    bind = executor if isinstance(executor, Connection) else executor.get_bind()
    return bind.dialect.name == "postgresql"


def _short(of: bytes) -> int:
    """The 32 bits PostgreSQL has room for; two numbers that share them only wait once more."""
    return int.from_bytes(of[:4].ljust(4, b"\0"), "big", signed=True)


def insert_many(
    executor: Connection | Session,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Insert rows, whose values stand in the order of ``columns``, as fast as the driver can.

    SQLAlchemy's own way looks at every value of every row three times; an import of a million
    contacts spends most of its time there. Statement and conversions are still the table's.
    """
    if not rows:
        return
    connection = executor if isinstance(executor, Connection) else executor.connection()
    plan = _plan(table, tuple(columns), connection.dialect)
    given: Sequence[Any] = rows
    if plan.changes:
        by_column: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for position, change in plan.changes:
            changed = {value: change(value) for value in set(by_column[position])}
            by_column[position] = [changed[value] for value in by_column[position]]
        given = list(zip(*by_column, strict=True))
    if not plan.positional:
        given = [dict(zip(columns, row, strict=True)) for row in given]
    connection.exec_driver_sql(plan.statement, list(given))


def run(connection: Connection, statement: Executable, **values: object) -> Rows:
    """Execute one statement of the hot path: its text is made once, ``values`` go to the driver
    as they are, so they are text, integers and bytes."""
    text, names = _text(statement, connection.dialect)
    given = values if names is None else tuple(values[name] for name in names)
    return connection.exec_driver_sql(text, given)


@functools.lru_cache(maxsize=64)
def _text(statement: Executable, dialect: Dialect) -> tuple[str, tuple[str, ...] | None]:
    """The statement as this driver reads it, and its parameters' names where it counts them."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), tuple(compiled.positiontup or ()) if compiled.positional else None


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the driver takes rows: the statement, and what it wants converted, by position."""

    statement: str
    positional: bool
    changes: tuple[tuple[int, Callable[[Any], Any]], ...]


@functools.lru_cache(maxsize=64)
def _plan(table: Table, columns: tuple[str, ...], dialect: Dialect) -> _Plan:
    compiled = table.insert().compile(dialect=dialect, column_keys=list(columns))
    if compiled.insert_prefetch or (compiled.positional and compiled.positiontup != list(columns)):
        raise ValueError(f"{table.name}: every column is given, in this order")
    changes = []
    for position, name in enumerate(columns):
        kind = table.c[name].type
        # Both drivers take bytes as they are.
        change = kind.dialect_impl(dialect).bind_processor(dialect)
        if change is not None and not isinstance(kind, LargeBinary):
            changes.append((position, change))
    return _Plan(str(compiled), bool(compiled.positional), tuple(changes))
