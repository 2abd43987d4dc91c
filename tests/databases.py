# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases for one test, of one kind: files of SQLite, or databases of the run's PostgreSQL."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

import psycopg
from sqlalchemy import make_url

from storage.database import make_engine, upgrade
from tests.postgres import PostgresServer

KINDS = ("sqlite", "postgresql")


class Databases(Protocol):
    """Makes databases, and removes them with :meth:`close`."""

    kind: str

    def new(self) -> str:
        """The URL of an empty database."""
        ...

    def copy(self, url: str, near: Path | None = None) -> str:
        """The URL of a copy; a file goes into the folder ``near``.

        PostgreSQL copies only what nobody is connected to.
        """
        ...

    def snapshot(self, url: str, near: Path | None = None) -> str:
        """As :meth:`copy`, of a database that is no template: it may change afterwards."""
        ...

    def files(self, url: str) -> list[Path]:
        """The files a database is in just now."""
        ...

    def close(self) -> None: ...


class SqliteDatabases:
    """Files in a folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self, near: Path | None = None) -> str:
        return f"sqlite:///{(near or self._folder) / f'{secrets.token_hex(4)}.db'}"

    def copy(self, url: str, near: Path | None = None) -> str:
        made = self.new(near)
        source, target = sqlite3.connect(_path(url)), sqlite3.connect(_path(made))
        source.backup(target)
        source.close()
        target.close()
        return made

    def snapshot(self, url: str, near: Path | None = None) -> str:
        return self.copy(url, near)

    def files(self, url: str) -> list[Path]:
        path = Path(_path(url))
        return sorted(path.parent.glob(f"{path.name}*"))

    def close(self) -> None:
        """pytest removes the folder."""


class PostgresDatabases:
    """Databases on a server that runs.

    A copy that a test is done with is emptied and filled again for the next: PostgreSQL
    needs a quarter of a second to make a database and a hundredth to fill one.
    """

    kind = "postgresql"
    _rows: ClassVar[dict[str, dict[str, bytes]]] = {}  # of templates, by table
    _spare: ClassVar[dict[str, list[str]]] = {}  # of templates: copies that nobody uses

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._made: list[str] = []
        self._copies: list[tuple[str, str]] = []

    def new(self) -> str:
        self._made.append(f"t{secrets.token_hex(4)}")
        return self.server.create(self._made[-1])

    def copy(self, url: str, near: Path | None = None) -> str:
        spare = self._spare.setdefault(url, [])
        if spare:
            made = spare.pop()
            _fill(made, self._rows[url])
        else:
            if url not in self._rows:
                self._rows[url] = _contents(url)
            made = self.server.create(f"t{secrets.token_hex(4)}", _path(url))
        self._copies.append((url, made))
        return made

    def snapshot(self, url: str, near: Path | None = None) -> str:
        self._made.append(f"t{secrets.token_hex(4)}")
        return self.server.create(self._made[-1], _path(url))

    def files(self, url: str) -> list[Path]:
        return self.server.files(_path(url))

    def close(self) -> None:
        for name in self._made:
            self.server.drop(name)
        for template, made in self._copies:
            self._spare[template].append(made)
        self._made.clear()
        self._copies.clear()


def _contents(url: str) -> dict[str, bytes]:
    """Every table's rows as COPY writes them."""
    with psycopg.connect(_conninfo(url)) as connection:
        rows = {}
        for (table,) in connection.execute(
            "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall():
            with connection.cursor().copy(f"COPY {table} TO STDOUT") as out:
                rows[table] = b"".join(bytes(block) for block in out)
        return rows


def _fill(url: str, rows: Mapping[str, bytes]) -> None:
    """Make the tables hold just these rows, whatever a test or a killed process left."""
    with psycopg.connect(_conninfo(url)) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("SET session_replication_role = replica")  # no trigger, no order
        connection.execute(";".join(f"DELETE FROM {table}" for table in rows).encode())
        for table, data in rows.items():
            if data:
                with connection.cursor().copy(f"COPY {table} FROM STDIN") as into:
                    into.write(data)
        connection.execute(
            """
            DO $$ DECLARE counted record; BEGIN
              FOR counted IN
                SELECT s.oid::regclass AS counter, t.oid::regclass AS owner, a.attname AS key
                FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
                JOIN pg_class t ON t.oid = d.refobjid
                JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
                WHERE d.deptype = 'a'
              LOOP
                EXECUTE format('SELECT setval(%L, coalesce(max(%I), 0) + 1, false) FROM %s',
                               counted.counter, counted.key, counted.owner);
              END LOOP;
            END $$
            """
        )


def _conninfo(url: str) -> str:
    parsed = make_url(url)
    host = parsed.query["host"]
    assert isinstance(host, str)
    return psycopg.conninfo.make_conninfo(host=host, user=parsed.username, dbname=parsed.database)


def migrated(databases: Databases) -> str:
    """The URL of a database with every table and no row."""
    url = databases.new()
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


def _path(url: str) -> str:
    return make_url(url).database or ""
