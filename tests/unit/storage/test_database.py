# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening, upgrading and refusing databases."""

from __future__ import annotations

import functools
import stat
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from compliance.clock import VirtualClock
from compliance.errors import BadInput, ConfigError, StorageAway, StorageError
from compliance.facts import HomeKind
from storage.base import Base
from storage.database import (
    READ_ONLY,
    _alembic,
    check_version,
    make_engine,
    network_file_system,
    schemas,
    storage_error,
    upgrade,
)
from storage.keys import FileKeyring
from storage.models import Home
from storage.store import Store, init_home, note_upgrade
from tests.databases import Databases
from tests.storage_home import START, TestHome


def test_a_fresh_file_is_private_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "candor.db"
    engine = make_engine(f"sqlite:///{path}")
    upgrade(engine)
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        files = sorted(p.name for p in tmp_path.iterdir())
        modes = {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    engine.dispose()
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30000,
    }
    assert files == ["candor.db", "candor.db-shm", "candor.db-wal"]
    assert modes == {0o600}


def test_an_open_file_mode_is_tightened(tmp_path: Path) -> None:
    path = tmp_path / "candor.db"
    path.touch(0o644)
    make_engine(f"sqlite:///{path}").dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_migrations_make_exactly_the_models(databases: Databases) -> None:
    engine = make_engine(databases.new())
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    check_version(engine)
    upgrade(engine)  # a current database is left alone
    engine.dispose()


def test_an_empty_and_a_newer_database_are_refused(databases: Databases) -> None:
    engine = make_engine(databases.new())
    with pytest.raises(StorageError, match="empty"):
        check_version(engine)
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    for refuse in (check_version, upgrade):
        with pytest.raises(StorageError, match="newer Candor"):
            refuse(engine)
    engine.dispose()


def at_first_schema(engine: Engine) -> None:
    """Make a database as the first Candor made it, with a home in it."""
    config = _alembic()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            insert(Home).values(
                id=1, tenant="old", company="c", kind="production", created_at=START
            )
        )


def test_an_older_database_is_upgraded_and_the_ledger_says_so(databases: Databases) -> None:
    engine = make_engine(databases.new())
    at_first_schema(engine)
    with pytest.raises(StorageError, match="candor db upgrade"):
        check_version(engine)
    note = functools.partial(note_upgrade, node="node1", clock=VirtualClock(START))
    was, now = upgrade(engine, note)
    assert (was, now) == ("0001", schemas(engine)[1])
    check_version(engine)
    assert upgrade(engine, note) == (now, now)
    with engine.connect() as connection:
        kinds = connection.execute(text("SELECT kind FROM ledger_outbox")).scalars().all()
        assert connection.execute(text("SELECT tenant FROM home")).scalar() == "old"
    assert kinds == ["db.upgrade"]
    engine.dispose()


def test_an_upgrade_that_cannot_be_written_down_does_not_happen(databases: Databases) -> None:
    engine = make_engine(databases.new())
    at_first_schema(engine)

    def note(*_: object) -> None:
        raise StorageError("no room")

    with pytest.raises(StorageError, match="no room"):
        upgrade(engine, note)
    assert schemas(engine)[0] == "0001"
    engine.dispose()


def test_a_writer_of_sqlite_holds_the_lock_from_its_first_statement_and_a_reader_does_not(
    tmp_path: Path,
) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'candor.db'}")
    upgrade(engine)
    with engine.connect().execution_options(**READ_ONLY) as reader:
        assert reader.execute(text("SELECT count(*) FROM people")).scalar() == 0
        with engine.begin() as writer:  # a reader in mid-transaction blocks no writer
            writer.execute(text("SELECT 1"))
            with engine.connect() as third:
                third.connection.driver_connection.execute("PRAGMA busy_timeout=1")  # type: ignore[union-attr]
                with pytest.raises(OperationalError) as busy:
                    third.execute(text("SELECT 1"))
    assert isinstance(storage_error(busy.value), StorageAway)
    engine.dispose()


def test_errors_hide_parameters(home: TestHome) -> None:
    secret = "planted-4711"
    with pytest.raises(IntegrityError) as error, home.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO home VALUES (2, :t, 'c', 'demo', '2026-01-01')"), {"t": secret}
        )
    assert secret not in str(error.value)


def test_network_file_systems_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    escaped = str(folder).replace(" ", "\\040")
    local = "/dev/vda1 / ext4 rw 0 0\n"
    mounted = f"{local}server:/x {escaped} nfs4 rw 0 0\n"
    assert network_file_system(folder / "a.db", mounted) == "nfs4"
    assert network_file_system(tmp_path / "a.db", mounted) == ""
    assert network_file_system(folder / "a.db", local) == ""
    over = f"{mounted}/dev/vdb1 {escaped} ext4 rw 0 0\n"
    assert network_file_system(folder / "a.db", over) == ""


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("sqlite://", "memory"),
        ("sqlite:///:memory:", "memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "memory"),
        ("mysql://localhost/x", "mysql"),
        ("no url", "not a database URL"),
        ("postgresql://db.internal/x", "TLS"),
        ("postgresql://db.internal/x?sslmode=prefer", "TLS"),
        ("postgresql://db.internal/x?sslmode=require", "TLS that verifies"),
        ("postgresql:///x?host=db.internal", "TLS"),
        ("postgresql://localhost/x?host=/run/postgresql,db.internal", "TLS"),
        ("postgresql://localhost/x?hostaddr=10.0.0.9", "TLS"),
        ("postgresql:///x?service=fleet", "service"),
    ],
)
def test_unusable_urls(url: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make_engine(url)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE home SET kind = 'production'",
        "UPDATE home SET tenant = 'other'",
        "DELETE FROM home",
        "TRUNCATE home",
        "INSERT INTO home SELECT 1, tenant, company, 'production', created_at FROM home"
        " WHERE true ON CONFLICT (id) DO UPDATE SET kind = 'production'",
        "INSERT INTO home VALUES (2, 't', 'c', 'production', '2026-01-01')",
    ],
)
def test_a_demo_home_is_a_demo_for_ever(
    databases: Databases, empty_url: str, tmp_path: Path, statement: str
) -> None:
    if databases.kind == "sqlite":  # which has words of its own for two of them
        statement = statement.replace("TRUNCATE", "DELETE FROM").replace(
            "INSERT INTO home SELECT", "INSERT OR REPLACE INTO home SELECT"
        )
        statement = statement.partition(" WHERE")[0]
    engine = make_engine(empty_url)
    keyring = FileKeyring.create(tmp_path / "keys.json")
    clock = VirtualClock(START)
    kind = HomeKind.DEMO
    init_home(engine, keyring, tenant="demo", company="c", kind=kind, clock=clock)
    with pytest.raises(BadInput, match="already"):
        init_home(engine, keyring, tenant="demo", company="c", kind=kind, clock=clock)
    with pytest.raises(DBAPIError, match=r"fixed for ever|single"), engine.begin() as connection:
        connection.execute(text(statement))
    assert Store(engine, keyring, node="n", clock=clock).home is HomeKind.DEMO
    engine.dispose()


def test_a_database_without_a_home_is_refused(empty_url: str, tmp_path: Path) -> None:
    engine = make_engine(empty_url)
    keyring = FileKeyring.create(tmp_path / "keys.json")
    with pytest.raises(StorageError, match="no home"):
        Store(engine, keyring, node="n", clock=VirtualClock(START))
    engine.dispose()


def test_threads_share_one_store(home: TestHome) -> None:
    failures: list[BaseException] = []

    def write(index: int) -> None:
        try:
            for n in range(5):
                session = home.store.people.issue_session(home.actors["operator"], _TTL)
                assert home.store.people.actor_of(session).name == "operator", (index, n)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert home.ledger_kinds().count("session.issue") == 40


_TTL = START.replace(hour=3) - START
