# SPDX-License-Identifier: GPL-3.0-or-later
"""An authority's time stamps on checkpoints: asked for, kept, checked, also by openssl."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compliance.errors import ConfigError, Corrupt, StorageAway
from compliance.facts import Role
from storage.stamps import TimeStamps
from tests.console_home import ConsoleHome
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
