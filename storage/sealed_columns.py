# SPDX-License-Identifier: GPL-3.0-or-later
"""Which columns lie under which master key, read from the tables themselves.

``*_sealed`` holds what ``storage.pii`` sealed for its table, column and row;
``wrapped_key`` a data key under the master key. Both begin with version and key id. A
value of another version lies under a wrapped key and moves with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    LargeBinary,
    RowMapping,
    Select,
    Table,
    and_,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from storage import call_keys, papers, pii
from storage.base import Base
from storage.key_document import KEY_ID_BYTES
from storage.keys import Keyring
from storage.ledger_tables import LedgerChain
from storage.recordings import Track
from storage.tracks import track_context

_SUFFIX, _WRAPPED = "_sealed", "wrapped_key"
_VERSION = bytes([pii.VERSION])
_LOCK_NOT_AVAILABLE = "55P03"

# What a wrapped key is bound to, by its table.
_BOUND: Mapping[str, Callable[[str, RowMapping], bytes]] = {
    "recording_tracks": lambda tenant, row: track_context(
        tenant, row["attempt"], row["recording"], Track(row["track"]), row["segment"]
    ),
    "papers": lambda tenant, row: papers.key_context(tenant, row["id"]),
    "call_keys": lambda tenant, row: call_keys.key_context(tenant, row["attempt"]),
}


def tables() -> list[Table]:
    """Every table with something under a master key."""
    return [table for table in Base.metadata.sorted_tables if columns(table)]


def columns(table: Table) -> list[Column[Any]]:
    return [c for c in table.columns if _is_sealed(c.name)]


def keys(table: Table) -> list[Column[Any]]:
    """The columns that name a row."""
    return list(table.primary_key.columns)


def uses(session: Session) -> dict[str, dict[str, int]]:
    """How many values lie under each master key, by table."""
    found: dict[str, dict[str, int]] = {}
    for table in tables():
        for column in columns(table):
            named = _named(column).label("key")
            query = select(named, func.count()).where(_names_one(column)).group_by("key")
            for key, count in session.execute(query):
                of_key = found.setdefault(bytes(key).hex(), {})
                of_key[table.name] = of_key.get(table.name, 0) + count
    return found


def count_under_others(session: Session, key: str) -> int:
    """Rows with a value under another master key."""
    counts = (select(func.count()).select_from(t).where(_under_another(t, key)) for t in tables())
    return sum(session.scalar(query) or 0 for query in counts)


def rows_under_others(table: Table, key: str) -> Select[Any]:
    """Such rows of one table, whole as far as sealing again needs them, by their names."""
    needed = {*keys(table), *columns(table), *(c for c in table.columns if c.name == "attempt")}
    return select(*needed).where(_under_another(table, key)).order_by(*keys(table))


def seal_again(
    keyring: Keyring, tenant: str, table: Table, row: RowMapping, key: str
) -> dict[str, bytes]:
    """New values, under the current master key, of the row's columns that lie under others.

    Raises:
        Corrupt: a value opens under no key of the ring.
    """
    new: dict[str, bytes] = {}
    for column in columns(table):
        old = row[column.name]
        if not old or old[:1] != _VERSION or pii.sealed_under(old) == key:
            continue
        if column.name == _WRAPPED:
            bound = _BOUND[table.name](tenant, row)
            new[column.name] = keyring.wrap(keyring.unwrap(old, bound), bound)
        else:
            (name,) = keys(table)
            where = {
                "tenant": tenant,
                "table": table.name,
                "column": column.name.removesuffix(_SUFFIX),
                "row": row[name.name],
            }
            new[column.name] = pii.seal(keyring, pii.unseal(keyring, old, **where), **where)
    return new


def replace(session: Session, table: Table, row: RowMapping, new: Mapping[str, bytes]) -> bool:
    """Put new values in, if the old ones are still as they were read."""
    same = [table.c[name] == row[name] for name in new]
    mine = [column == row[column.name] for column in keys(table)]
    changed = session.execute(update(table).where(and_(*mine, *same)).values(new))
    return bool(getattr(changed, "rowcount", 0))


def hold_still(session: Session, node: str) -> bool:
    """Nobody writes a sealed value until this transaction ends; False: somebody is at it.

    Holds the chain of ``node`` too, so that its entry can be written: a writer of the same
    node may have it and wait for these tables.

    On SQLite every writing transaction holds the only write lock already. On PostgreSQL it
    never waits while it holds some of the locks: with writers that would be a deadlock.
    """
    if session.get_bind().dialect.name != "postgresql":
        return True
    names = ", ".join(f'"{table.name}"' for table in tables())
    try:
        with session.begin_nested():
            session.execute(text(f"LOCK TABLE {names} IN SHARE MODE NOWAIT"))
            chain = select(LedgerChain.node).where(LedgerChain.node == node)
            session.execute(chain.with_for_update(nowait=True))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def _is_sealed(name: str) -> bool:
    return name.endswith(_SUFFIX) or name == _WRAPPED


def _named(column: Column[Any]) -> ColumnElement[bytes]:
    return func.substr(column, 2, KEY_ID_BYTES, type_=LargeBinary())


def _names_one(column: Column[Any]) -> ColumnElement[bool]:
    first = func.substr(column, 1, 1, type_=LargeBinary())
    return and_(column.is_not(None), first == _VERSION)


def _under_another(table: Table, key: str) -> ColumnElement[bool]:
    other = bytes.fromhex(key)
    return or_(*(and_(_names_one(c), _named(c) != other) for c in columns(table)))
