# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor db`, and homes whose database is elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from compliance.facts import HomeKind, Role
from console import homes
from storage.database import make_engine
from tests.console_home import ConsoleHome, candor
from tests.databases import Databases


def test_a_fitting_database_is_left_alone(calls: ConsoleHome) -> None:
    status = calls.candor("db", "status", "--json").data
    assert status["fits"]
    before = calls.kinds()
    done = calls.candor("db", "upgrade", "--json").data
    assert done["from"] == done["to"] == status["schema"]
    assert calls.kinds() == before


def test_a_newer_database_is_not_touched(calls: ConsoleHome) -> None:
    engine = make_engine(f"sqlite:///{calls.root / 'candor.db'}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    engine.dispose()
    calls.language("en")
    for words in (("status",), ("upgrade",)):
        ran = calls.candor("db", *words)
        assert ran.code == 1
        assert "newer Candor" in ran.err


def test_a_home_on_any_database(
    tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root, url = tmp_path / "home", databases.new()
    homes.create(root, kind=HomeKind.PRODUCTION, company="c", tenant="t", database=url)
    with homes.opened(root) as it:
        it.store.people.add_person(None, "admin", "correct horse", [Role.ADMIN])
        kind = it.engine.url.get_backend_name()
    assert kind == databases.kind
    ran = candor("db", "status", "--home", str(root), "--json")
    assert ran.data["fits"]
    again = candor("db", "status", "--home", str(root))
    assert "0" in again.out


def test_a_password_in_the_url_is_not_shown(calls: ConsoleHome) -> None:
    settings = calls.root / "candor.toml"
    url = "postgresql://candor:secret-word@127.0.0.1:1/candor"
    settings.write_text(settings.read_text() + f"\n[storage]\nurl = '{url}'\n")
    ran = calls.candor("db", "status")
    assert ran.code == 1
    assert "secret-word" not in ran.err + ran.out


def test_a_database_elsewhere_without_tls_makes_no_home(tmp_path: Path) -> None:
    words = ("--company", "c", "--database", "postgresql://candor@db.example/candor")
    ran = candor("init", "--home", str(tmp_path / "h"), *words)
    assert ran.code == 2
    assert "sslmode=verify-full" in ran.err
    assert not (tmp_path / "h").exists()
