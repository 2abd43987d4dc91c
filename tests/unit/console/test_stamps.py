# SPDX-License-Identifier: GPL-3.0-or-later
"""An authority's time stamps on checkpoints: asked for, kept, checked, also by openssl."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compliance.clock import VirtualClock
from compliance.errors import ConfigError, Corrupt, StorageAway
from compliance.facts import Role
from console import homes
from console.diagnosis import Diagnosis, Level
from console.home_checks import HomeCheckup
from dialer.settings import Home
from dialer.supervisor import Supervisor
from storage.stamps import TimeStamps
from tests.console_home import ConsoleHome, candor
from tests.tsa import authority, make_authority


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and root certificate of a running authority."""
    folder = tmp_path_factory.mktemp("tsa") / "authority"
    make_authority(folder)
    with authority(folder) as url:
        yield url, folder / "root.pem"


@pytest.fixture
def stamped(calls: ConsoleHome, tsa: tuple[str, Path]) -> ConsoleHome:
    """The home with calls in it, its authority configured."""
    url, root = tsa
    settings = calls.root / "candor.toml"
    section = f'\n[timestamps]\nurl = "{url}"\ncertificate = "{root}"\n'
    settings.write_text(settings.read_text() + section)
    calls.language("en")
    calls.sign_in(Role.AUDITOR)
    return calls


def test_a_checkpoint_is_stamped_and_openssl_agrees(
    stamped: ConsoleHome, tsa: tuple[str, Path]
) -> None:
    made = stamped.candor("ledger", "stamp", "--json").data
    assert abs(datetime.now(UTC) - datetime.fromisoformat(made["at"])) < timedelta(minutes=1)
    path = Path(made["file"])
    assert path.name == f"checkpoint-{made['size']:020d}.tsr"
    note = path.with_suffix(".note")
    checked = subprocess.run(
        ["openssl", "ts", "-verify", "-in", path, "-data", note, "-CAfile", tsa[1]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Verification: OK" in checked.stdout + checked.stderr
    found = stamped.candor("ledger", "stamp", "--check", "--json").data
    assert [stamp["size"] for stamp in found["valid"]] == [made["size"]]
    assert stamped.candor("ledger", "verify").code == 0  # the stamp is in nobody's way


def test_an_altered_stamp_or_note_is_told(stamped: ConsoleHome) -> None:
    path = Path(stamped.candor("ledger", "stamp", "--json").data["file"])
    for victim, told in ((path, "INVALID"), (path.with_suffix(".note"), "another key")):
        before = victim.read_bytes()
        victim.write_bytes(before[:-20] + bytes([before[-20] ^ 1]) + before[-19:])
        ran = stamped.candor("ledger", "stamp", "--check")
        assert ran.code == 1, victim.name
        assert told in ran.out + ran.err  # a note is looked at whenever the home is opened
        victim.write_bytes(before)
    assert stamped.candor("ledger", "stamp", "--check").code == 0


def test_another_authoritys_stamp_is_none(
    stamped: ConsoleHome, tsa: tuple[str, Path], tmp_path: Path
) -> None:
    path = Path(stamped.candor("ledger", "stamp", "--json").data["file"])
    make_authority(tmp_path / "other", "Somebody else")
    stamps = TimeStamps(stamped.root / "anchors", tsa[0], tmp_path / "other" / "root.pem")
    with pytest.raises(Corrupt, match="no time stamp of its checkpoint"):
        stamps.check(path)


def test_it_is_due_once_in_a_while(stamped: ConsoleHome, tsa: tuple[str, Path]) -> None:
    stamps = TimeStamps(stamped.root / "anchors", *tsa)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    assert stamps.due(now, hour)
    assert stamped.candor("ledger", "stamp").code == 0
    assert not stamps.due(now, hour)
    assert stamps.due(now + hour * 2, hour)
    assert stamps.stamp_newest() is None  # it has its stamp


def test_an_authority_that_is_away_or_none(stamped: ConsoleHome, tsa: tuple[str, Path]) -> None:
    assert stamped.candor("ledger", "checkpoint").code == 0
    away = TimeStamps(stamped.root / "anchors", "http://127.0.0.1:9", tsa[1])
    with pytest.raises(StorageAway, match="does not answer"):
        away.stamp_newest()
    assert away.stamps() == []
    for url, certificate in (("ftp://x", tsa[1]), (tsa[0], stamped.root / "candor.toml")):
        with pytest.raises(ConfigError):
            TimeStamps(stamped.root / "anchors", url, certificate)


def test_without_an_authority_the_command_says_what_to_do(calls: ConsoleHome) -> None:
    calls.sign_in(Role.AUDITOR)
    ran = calls.candor("ledger", "stamp")
    assert ran.code == 2
    assert "[timestamps]" in ran.err


def doctor(home: ConsoleHome, after: timedelta = timedelta()) -> Diagnosis:
    """What the doctor says of the time stamps."""
    clock = VirtualClock(datetime.now(UTC) + after)
    (found,) = (d for d in HomeCheckup(Home(home.root), clock).run() if d.check == "stamps")
    return found


def told(found: Diagnosis) -> str:
    return f"{found.message('en')} -> {found.remedy('en')}"


def test_the_doctor_says_why_no_stamp_came(stamped: ConsoleHome, tsa: tuple[str, Path]) -> None:
    assert doctor(stamped).level is Level.OK  # nothing to stamp yet
    settings = stamped.root / "candor.toml"
    right = settings.read_text()
    settings.write_text(right.replace(tsa[0], "http://127.0.0.1:9"))
    assert stamped.candor("ledger", "stamp").code == 1
    found = doctor(stamped)
    assert found.level is Level.WARN
    assert "failed: the time-stamping authority does not answer" in told(found)
    assert "-> look at the network" in told(found)
    settings.write_text(right)
    assert stamped.candor("ledger", "stamp").code == 0
    found = doctor(stamped)
    assert found.level is Level.OK
    assert told(found).startswith("1 checkpoints have a time stamp")
    assert stamped.candor("replay", stamped.accepted, "--reason", "audit").code == 0
    assert stamped.candor("ledger", "checkpoint").code == 0
    assert doctor(stamped, timedelta(hours=1)).level is Level.OK
    found = doctor(stamped, timedelta(hours=3))
    assert found.level is Level.WARN
    assert "-> candor ledger stamp" in told(found)
    assert "have no time stamp" in told(found)


def test_the_doctor_finds_a_false_stamp_and_settings_that_cannot_be_used(
    stamped: ConsoleHome, tsa: tuple[str, Path]
) -> None:
    path = Path(stamped.candor("ledger", "stamp", "--json").data["file"])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert doctor(stamped).level is Level.FAIL
    assert "no time stamp of its checkpoint" in told(doctor(stamped))
    path.write_bytes(whole)
    settings = stamped.root / "candor.toml"
    settings.write_text(settings.read_text().replace(str(tsa[1]), "/nowhere.pem"))
    assert doctor(stamped).level is Level.FAIL
    assert "no certificate" in told(doctor(stamped))


def test_the_running_dialer_remembers_a_failure(
    stamped: ConsoleHome, tsa: tuple[str, Path]
) -> None:
    assert stamped.candor("ledger", "checkpoint").code == 0
    settings = stamped.root / "candor.toml"
    right = settings.read_text()
    settings.write_text(right.replace(tsa[0], "http://127.0.0.1:9"))
    with homes.opened(stamped.root) as it:
        supervisor = Supervisor(it.home, it.store, it.sequencer(), it.clock, lambda *_: None)
        with pytest.raises(StorageAway):
            supervisor._stamp()
    assert doctor(stamped).level is Level.WARN


def test_a_backup_holds_the_stamps(stamped: ConsoleHome, tmp_path: Path) -> None:
    name = Path(stamped.candor("ledger", "stamp", "--json").data["file"]).name
    stamped.sign_in(Role.ADMIN)
    assert stamped.candor("backup", str(tmp_path / "b"), "--with-keys").code == 0
    ran = candor("restore", str(tmp_path / "b"), "--home", str(tmp_path / "again"))
    assert ran.code == 0, ran.err
    before = (stamped.root / "anchors" / name).read_bytes()
    assert (tmp_path / "again" / "anchors" / name).read_bytes() == before
    # A folder that survived: its stamps come too, and replace none.
    (stamped.root / "anchors" / name).write_bytes(before + b"more")
    ran = candor("restore", str(tmp_path / "b"), "--home", str(tmp_path / "third"),
                 "--anchors", str(stamped.root / "anchors"))  # fmt: skip
    assert ran.code == 0, ran.err
    assert (tmp_path / "third" / "anchors" / name).read_bytes() == before
