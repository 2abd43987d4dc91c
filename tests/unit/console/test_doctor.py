# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor finds what was broken on purpose, says how to mend it, and survives all of it."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from compliance.clock import Clock, SystemClock, VirtualClock
from compliance.facts import HomeKind, LineFacts, Role
from console import diagnosis, doctor, homes, probes
from console.diagnosis import Diagnosis, Level, guarded, ok
from console.home_checks import HomeCheckup
from console.messages import LANGUAGES, ids
from dialer.settings import Home
from tests.console_home import ConsoleHome, candor
from tests.unit.compliance.test_wording import pack

FAR = datetime(2030, 1, 1, tzinfo=UTC)
ABOUT_HOMES = (
    "home", "private", "disk", "policy", "calendar", "sip", "keys", "filesystem", "database",
    "ledger", "clock", "stop", "people", "script", "lines",
)  # fmt: skip


def examined(root: Path, clock: Clock | None = None) -> dict[str, Diagnosis]:
    """The worst finding of each check of a home."""
    worst: dict[str, Diagnosis] = {}
    order = list(Level)
    for found in HomeCheckup(Home(root), clock or SystemClock()).run():
        before = worst.get(found.check)
        if before is None or order.index(found.level) > order.index(before.level):
            worst[found.check] = found
    return worst


def sql(root: Path, statement: str) -> None:
    with sqlite3.connect(root / "candor.db") as connection:
        connection.execute(statement)
    connection.close()


# ---------------------------------------------------------------- whole runs


def test_a_machine_without_a_home(tmp_path: Path) -> None:
    ran = candor("doctor", "--home", str(tmp_path / "none"), "--json")
    assert ran.code == 0, ran.out
    data = json.loads(ran.out)
    levels = {(check["check"], check["level"]) for check in data["checks"]}
    assert levels == {
        ("python", "ok"), ("platform", "ok"), ("endpoint", "ok"), ("voice", "ok"), ("vad", "ok"),
        ("model", "ok"), ("settings", "warn"),
    }  # fmt: skip
    assert data["ok"] is True
    capacity = next(c["message"] for c in data["checks"] if c["check"] == "endpoint")
    assert "calls a process" in capacity
    assert not (tmp_path / "none").exists()


def test_a_home_that_is_well(calls: ConsoleHome) -> None:
    before = calls.kinds()
    ran = calls.candor("doctor")
    assert (ran.code, ran.err) == (0, ""), ran.out
    for check in ABOUT_HOMES:
        assert f" {check} " in ran.out, check
    assert "失败" not in ran.out.splitlines()[0]
    assert all(line.count("\n") == 0 for line in ran.out.splitlines())
    assert "项正常" in ran.out
    assert calls.kinds() == before  # nothing was written


def test_broken_settings_are_told_and_the_machine_is_still_looked_at(calls: ConsoleHome) -> None:
    (calls.root / "candor.toml").write_text('schema = 1\nlangauge = "zh"\n', "utf-8")
    ran = calls.candor("doctor")
    assert ran.code == 1
    assert "langauge" in ran.out
    assert "pjsua2" in ran.out


# ---------------------------------------------------------------- one thing broken at a time


def loose_keys(root: Path) -> None:
    (root / "keys" / "master.json").chmod(0o644)
    root.chmod(0o755)


def no_database(root: Path) -> None:
    (root / "candor.db").unlink()


def torn_database(root: Path) -> None:
    sql(root, "PRAGMA wal_checkpoint(TRUNCATE)")
    with (root / "candor.db").open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for at in range(4096, size, 4096):
            file.seek(at)
            file.write(b"\xff" * 64)


def foreign_file(root: Path) -> None:
    (root / "candor.db").write_bytes(b"no database at all" * 100)


def newer_schema(root: Path) -> None:
    sql(root, "UPDATE alembic_version SET version_num = '9999'")


def rolled_back(root: Path) -> None:
    """The anchors hold a checkpoint; the database has lost entries since."""
    with homes.opened(root) as it:
        while it.sequencer().run_once(it.clock.wall()):
            pass
        it.sequencer().checkpoint(it.clock.wall(), force=True)
    sql(root, 'DELETE FROM ledger_leaf WHERE "index" > 3')


def no_keys(root: Path) -> None:
    (root / "keys" / "master.json").unlink()


def nobody_in_office(root: Path) -> None:
    sql(root, "UPDATE people SET disabled_at = created_at WHERE roles = 'compliance_officer'")


def no_auditor(root: Path) -> None:
    sql(root, "UPDATE people SET disabled_at = created_at WHERE roles = 'auditor'")


def unsigned(root: Path) -> None:
    sql(root, "UPDATE scripts SET approved_digest = ''")


def stopped(root: Path) -> None:
    with homes.opened(root) as it:
        it.store.stops.stop(it.store.people.sign_in(Role.OPERATOR, "correct horse battery"))


def papers_over(root: Path) -> None:
    sql(root, "UPDATE lines SET plaintext_exception_until = '2020-01-01 00:00:00.000000'")


def no_policy(root: Path) -> None:
    settings = root / "candor.toml"
    settings.write_text(settings.read_text("utf-8").replace('"demo"', '"nowhere"'), "utf-8")


def own_pack(root: Path, text: str) -> None:
    settings = root / "candor.toml"
    with_packs = settings.read_text("utf-8").replace("[policy]\n", '[policy]\nwording = "packs"\n')
    assert "packs" in with_packs
    settings.write_text(with_packs, "utf-8")
    (root / "packs").mkdir()
    (root / "packs" / "own.yaml").write_text(text, "utf-8")


def words_forbidden_now(root: Path) -> None:
    script = Path(__file__).parents[3] / "examples" / "demo" / "script.zh.yaml"
    text = script.read_text("utf-8").replace("'", "''")
    sql(root, f"UPDATE scripts SET text = '{text}'")
    own_pack(root, yaml.safe_dump(pack("免费咨询"), allow_unicode=True))


def broken_pack(root: Path) -> None:
    own_pack(root, "language: zh\nformat: none\n")


def too_deep(root: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("breaking", "check", "level", "words"),
    [
        (loose_keys, "private", Level.FAIL, "chmod 600"),
        (loose_keys, "keys", Level.FAIL, "open to other users"),
        (no_keys, "keys", Level.FAIL, "no key file"),
        (no_database, "database", Level.FAIL, "candor.db"),
        (torn_database, "database", Level.FAIL, "restore a backup"),
        (foreign_file, "database", Level.FAIL, "database refused"),
        (newer_schema, "database", Level.FAIL, "newer Candor"),
        (rolled_back, "ledger", Level.FAIL, "rolled back"),
        (nobody_in_office, "people", Level.FAIL, "compliance_officer"),
        (no_auditor, "people", Level.WARN, "auditor"),
        (unsigned, "script", Level.FAIL, "candor script approve"),
        (words_forbidden_now, "wording", Level.FAIL, "candor script lint"),
        (broken_pack, "wording", Level.FAIL, "format"),
        (stopped, "stop", Level.FAIL, "emergency stop"),
        (papers_over, "lines", Level.FAIL, "none of the 1 lines"),
        (no_policy, "policy", Level.FAIL, "known"),
    ],
)
def test_what_is_broken_is_found(
    calls: ConsoleHome, breaking: Callable[[Path], None], check: str, level: Level, words: str
) -> None:
    breaking(calls.root)
    found = examined(calls.root)
    assert found[check].level is level
    told = f"{found[check].message('en')} -> {found[check].remedy('en')}"
    assert words in told
    assert not told.endswith("-> ")
    assert "doctor." not in told


def test_a_home_in_a_deep_folder(calls_template: ConsoleHome, tmp_path: Path) -> None:
    deep = calls_template.copy(tmp_path / ("x" * 60) / ("y" * 60))
    assert "too long" in examined(deep.root)["home"].message("en")


def test_a_clock_that_was_set_back(calls: ConsoleHome) -> None:
    late = VirtualClock(datetime.now(UTC) - timedelta(hours=1))
    found = examined(calls.root, late)["clock"]
    assert found.level is Level.FAIL
    assert "behind" in found.message("en")


def test_a_port_that_is_taken(calls: ConsoleHome) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        settings = calls.root / "candor.toml"
        text = settings.read_text("utf-8").replace("[sip]", f"[sip]\nsip_port = {port}")
        settings.write_text(text, "utf-8")
        taken = examined(calls.root)["sip"]
    assert taken.level is Level.FAIL
    assert str(port) in taken.message("en")
    assert examined(calls.root)["sip"].level is Level.OK  # free again


# ---------------------------------------------------------------- a production home


@pytest.fixture
def production(tmp_path: Path) -> Path:
    root = tmp_path / "home"
    homes.create(root, kind=HomeKind.PRODUCTION, company="x", tenant="t")
    return root


def test_a_fresh_production_home_lacks_what_it_lacks(production: Path) -> None:
    found = examined(production)
    failing = {check for check, what in found.items() if what.level is Level.FAIL}
    assert failing == {"people", "law", "exam", "contact", "script", "lines"}
    warned = {check for check, what in found.items() if what.level is Level.WARN}
    assert {"policy", "ledger"} <= warned  # no lawyer; anchors beside the database


@pytest.mark.parametrize(
    ("year", "level", "words"),
    [
        (2025, Level.OK, "2025 and 2026"),
        (2026, Level.WARN, "cn_2027.yaml"),
        (2027, Level.FAIL, "every call is refused"),
    ],
)
def test_the_calendar_must_cover_this_year_and_should_cover_the_next(
    production: Path, year: int, level: Level, words: str
) -> None:
    found = examined(production, VirtualClock(datetime(year, 6, 1, tzinfo=UTC)))["calendar"]
    assert found.level is level
    assert words in f"{found.message('en')} {found.remedy('en')}"


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [(31, Level.OK, "31 days"), (29, Level.WARN, "ends in 29 days"), (-1, Level.FAIL, "none of")],
)
def test_papers_are_watched_before_they_end(
    production: Path, days: int, level: Level, words: str
) -> None:
    with homes.opened(production) as it:
        people = it.store.people
        people.add_person(None, "root", "correct horse", [Role.ADMIN])
        admin = people.sign_in("root", "correct horse")
        soon = it.clock.wall() + timedelta(days=days, hours=1)
        it.store.lines.add_line(
            admin,
            LineFacts(
                "telecom1", "telecom", "ai_line", "10.0.0.5:5060", "4008887686",
                whitelisted_until=soon, registered_until=FAR, filed_until=FAR, encrypted=True,
            ),
        )  # fmt: skip
        it.store.lines.add_line(
            admin, LineFacts("off", "x", "ai_line", "10.0.0.6:5060", "1", enabled=False)
        )
    found = examined(production)["lines"]
    assert found.level is level
    assert words in found.message("en")


# ---------------------------------------------------------------- no check dies


def test_whatever_a_check_raises_is_its_finding() -> None:
    def dies() -> list[Diagnosis]:
        raise RuntimeError("about 13900000001")

    (found,) = guarded("disk", dies)
    assert (found.level, found.params["cause"]) == (Level.FAIL, "RuntimeError")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "no probe nothing"),
        (("model", "/nonexistent", "zh"), "not a Vosk model"),
        (("model",), "TypeError"),
    ],
)
def test_a_probe_that_fails_says_why(arguments: tuple[str, ...], words: str) -> None:
    found, fault = probes.run(*arguments)
    assert found == {}
    assert words in fault


def test_a_model_that_does_not_load_is_named(calls: ConsoleHome) -> None:
    settings = calls.root / "candor.toml"
    settings.write_text(
        settings.read_text("utf-8") + '[speech.models]\nzh = "gone"\n', encoding="utf-8"
    )
    found = [d for d in doctor.examine(calls.root, SystemClock(), None) if d.check == "model"]
    (model,) = found
    assert model.level is Level.FAIL
    assert "gone" in model.message("en")
    assert "candor models install" in model.remedy("en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_of_the_doctor_is_in_the_catalogues(language: str) -> None:
    source = "".join(
        Path(module.__file__ or "").read_text("utf-8")
        for module in (doctor, diagnosis, __import__("console.home_checks", fromlist=["x"]))
    )
    known = set(ids(language))
    for check in ABOUT_HOMES:
        assert f"doctor.{check}.ok" in known
        assert f'"{check}"' in source
    for message in known:
        parts = message.split(".")
        if parts[0] == "doctor" and len(parts) == 4:
            assert ".".join(parts[:3]) in known, message
    assert ok("python", version="3").message(language) == "Python 3"
