# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor backup` and `restore` of a home whose database is a real PostgreSQL."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from compliance.facts import Role
from console import homes
from storage import backup_postgres
from storage.database import make_engine
from storage.objects import FolderObjects
from tests import postgres as programs
from tests.console_home import ConsoleHome, build, candor
from tests.postgres import PostgresServer


@pytest.fixture(scope="module")
def fresh(postgres: PostgresServer) -> Iterator[list[str]]:
    """URLs of three empty databases; the server's own programs come first on the path."""
    names = [f"b{secrets.token_hex(4)}" for _ in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs.programs()}:{os.environ['PATH']}")
        yield [postgres.create(name) for name in names]
    for name in names:
        postgres.drop(name)


@pytest.fixture(scope="module")
def calls(fresh: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleHome]:
    """A home in the first of them, made once: it takes seconds."""
    folder = tmp_path_factory.mktemp("postgres")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        made = build(folder / "home", fresh[0])
        made.language("en")
        yield made


def rows(url: str, query: str) -> list[object]:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            return list(connection.execute(text(query)).scalars())
    finally:
        engine.dispose()


def test_a_postgresql_comes_back_whole_and_what_was_destroyed_since_goes_again(
    calls: ConsoleHome, fresh: list[str], tmp_path: Path
) -> None:
    with homes.opened(calls.root) as it, it.engine.begin() as connection:  # nobody is on the line
        connection.execute(text("UPDATE attempts SET outcome = 'aborted' WHERE outcome IS NULL"))
        connection.execute(text("UPDATE attempts SET finished_at = at WHERE finished_at IS NULL"))
        connection.execute(text("DELETE FROM leases"))
    file = tmp_path / "backup"
    calls.sign_in(Role.ADMIN)
    made = calls.candor("backup", str(file), "--with-keys", "--json").data
    assert (made["objects"], made["missing"]) == (7, [])
    calls.sign_in(Role.COMPLIANCE)
    assert calls.candor("subject", "13900000101", "erase", "--yes").code == 0

    words = ["restore", str(file), "--home", str(tmp_path / "again")]
    words += ["--anchors", str(calls.root / "anchors"), "--json"]
    missing = candor(*words)
    assert (missing.code, "give the URL of a new, empty one" in missing.err) == (2, True)
    taken = candor(*words, "--database", fresh[0])
    assert (taken.code, "not empty" in taken.err) == (2, True)
    assert rows(fresh[0], "SELECT count(*) FROM attempts") == [3]  # nothing of it was touched
    told = candor(*words, "--database", fresh[1]).data
    assert told["lost"]["size"] > told["kept"]
    assert told["again"]["persons"] == 1
    assert rows(fresh[1], "SELECT count(*) FROM contacts") == [3]
    again = ConsoleHome(
        tmp_path / "again", calls.people, calls.accepted, calls.refused, calls.stopped, calls.live
    )
    assert not list(again.root.glob("*.dump"))
    assert set(FolderObjects(again.root / "objects").names()) == set(
        FolderObjects(calls.root / "objects").names()
    )
    again.sign_in(Role.AUDITOR)
    assert again.candor("ledger", "verify").code == 0
    wav = str(tmp_path / "x.wav")
    assert again.candor("replay", again.accepted, "--reason", "audit", "--wav", wav).code == 0
    with homes.opened(again.root) as it:
        assert it.store.stops.in_force() is not None


def test_one_state_while_others_write_and_a_restore_that_fails_leaves_nothing(
    calls: ConsoleHome, fresh: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup"
    calls.sign_in(Role.ADMIN)
    real = backup_postgres.dump

    def dump(engine: Engine, connection: Connection, target: Path) -> None:
        with engine.begin() as other:  # written while the backup is made: after its one state
            other.execute(text("UPDATE agents_seen SET n = n + 1"))
        real(engine, connection, target)

    with homes.opened(calls.root) as it, it.engine.begin() as connection:
        connection.execute(text("CREATE TABLE agents_seen AS SELECT 1 AS n"))
    with monkeypatch.context() as busy:
        busy.setattr(backup_postgres, "dump", dump)
        assert calls.candor("backup", str(file), "--with-keys").code == 0
    words = ("restore", str(file), "--home", str(tmp_path / "again"), "--database", fresh[2])

    def fails(*_: object, **__: object) -> None:
        raise OSError("the power goes")

    with monkeypatch.context() as broken:
        broken.setattr("storage.restoring.tell", fails)
        assert candor(*words).code == 1
    assert not (tmp_path / "again").exists()
    assert rows(fresh[2], "SELECT relname FROM pg_class WHERE relname = 'attempts'") == []
    assert candor(*words).code == 0
    assert rows(fresh[0], "SELECT n FROM agents_seen") == [2]
    assert rows(fresh[2], "SELECT n FROM agents_seen") == [1]
    with monkeypatch.context() as bare:
        bare.setenv("PATH", str(tmp_path))
        ran = calls.candor("backup", str(tmp_path / "second"))
    assert (ran.code, "pg_dump is not installed" in ran.err) == (2, True)
    assert not (tmp_path / "second").exists()
