# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor keys`, as an administrator types it."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from compliance.clock import SystemClock
from compliance.facts import HomeKind, Role
from console import homes
from console.home_checks import HomeCheckup
from dialer.settings import Home, KeySettings
from storage.key_sources import KEYRING, PASSPHRASE, KeyKind
from storage.keys_environment import new_document
from tests.console_home import ConsoleHome, candor


def keys(calls: ConsoleHome) -> dict[str, dict[str, object]]:
    """What `candor keys list` shows, by key id."""
    return {key["key"]: key for key in calls.candor("keys", "list", "--json").data["keys"]}


def test_rotated_and_retired_while_everything_still_opens(
    calls: ConsoleHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls.language("en")
    calls.sign_in(Role.ADMIN)
    (old,) = keys(calls)
    done = calls.candor("keys", "rotate", "--json").data
    assert (done["remaining"], done["damaged"]) == (0, [])
    assert done["rows"] > 0
    now = keys(calls)
    assert (now[done["key"]]["state"], now[old]["state"]) == ("current", "old")
    assert now[old]["uses"] == {}
    doctor = calls.candor("doctor").out
    assert f"master key {old} was rotated away and nothing is sealed under it" in doctor
    assert f"candor keys retire {old}" in doctor
    assert calls.candor("keys", "retire", old[:6]).code == 2  # nobody said yes
    early = calls.candor("keys", "retire", old[:6], "--yes")
    assert early.code == 1
    assert "replaced a moment ago" in early.err
    monkeypatch.setattr("storage.rotation.GRACE", timedelta())
    assert calls.candor("keys", "retire", old[:6], "--yes").code == 0
    assert list(keys(calls)) == [done["key"]]
    assert "rotated away" not in calls.candor("doctor").out
    shown = calls.candor("calls", "list", "--json").data
    assert {call["contact"] for call in shown} == {"王**", "张*"}
    calls.sign_in(Role.AUDITOR)
    wav = calls.root.parent / "call.wav"
    written = calls.candor("replay", calls.accepted, "--wav", str(wav), "--reason", "audit")
    assert written.code == 0, written.err
    assert wav.stat().st_size > 30_000


def test_the_doctor_names_what_lies_under_a_key_that_was_rotated_away(calls: ConsoleHome) -> None:
    calls.language("en")
    calls.sign_in(Role.ADMIN)
    (old,) = keys(calls)
    with homes.opened(calls.root) as it:
        it.store.rotation.begin(calls.people[Role.ADMIN])
    found = {
        d.case: d for d in HomeCheckup(Home(calls.root), SystemClock()).run() if d.check == "keys"
    }
    assert set(found) == {"ok", "unfinished", "left_used"}
    message = found["left_used"].message("en")
    assert old in message
    assert "call_keys 3, consents 4, contacts 16, lines 1, papers 8, recording_tracks 3" in message
    assert f"candor keys retire {old}" in found["left_used"].remedy("en")


def test_who_may_and_what_is_no_key(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    for words in (("list",), ("rotate",), ("passphrase", "--remove")):
        assert calls.candor("keys", *words).code == 3, words
    calls.sign_in(Role.ADMIN)
    assert "names no master key" in calls.candor("keys", "retire", "zz", "--yes").err
    (current,) = keys(calls)
    assert calls.candor("keys", "retire", current, "--yes").code == 2
    assert "keep themselves" in calls.candor("keys", "rotate", "--write", "x").err


def test_the_passphrase_is_set_and_taken_away(
    calls: ConsoleHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls.sign_in(Role.ADMIN)
    monkeypatch.setattr("sys.stdin", _Typed("蓝色 山谷 1\n"))
    assert calls.candor("keys", "passphrase").code == 0
    locked = calls.candor("keys", "list")
    assert locked.code == 2
    assert PASSPHRASE in locked.err
    monkeypatch.setenv(PASSPHRASE, "蓝色 山谷 1")
    assert calls.candor("keys", "passphrase", "--remove").code == 0
    monkeypatch.delenv(PASSPHRASE)
    assert len(keys(calls)) == 1
    assert calls.kinds().count("keys.passphrase") == 2


class _Typed:
    """Standard input that is no terminal."""

    def __init__(self, line: str) -> None:
        self._line = line

    def isatty(self) -> bool:
        return False

    def readline(self) -> str:
        return self._line


def test_a_new_keyring_is_private_and_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "keyring.txt"
    assert candor("keys", "new", "-o", str(path)).code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert candor("keys", "new", "-o", str(path)).code == 2
    assert candor("keys", "new").out.strip() != path.read_text().strip()


def test_keys_from_the_environment_are_prepared_deployed_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(KEYRING, new_document())
    root = tmp_path / "home"
    source = KeySettings(source=KeyKind.ENVIRONMENT)
    homes.create(root, kind=HomeKind.PRODUCTION, company="c", tenant="t", keys=source)
    with homes.opened(root) as it:
        it.store.people.add_person(None, "admin", "correct horse", [Role.ADMIN])
        admin = it.store.people.sign_in("admin", "correct horse")
        homes.remember(root, it.store.people.issue_session(admin, timedelta(hours=1)))

    def run(*words: str) -> tuple[int, str]:
        ran = candor("keys", *words, "--home", str(root))
        return ran.code, ran.err + ran.out

    code, said = run("rotate")
    assert (code, "--write" in said) == (2, True)
    code, said = run("rotate", "--write", str(tmp_path / "early"))
    assert (code, "--prepare" in said) == (2, True)
    assert not (tmp_path / "early").exists()
    first, second = tmp_path / "prepared", tmp_path / "rotated"
    assert run("rotate", "--prepare", "--write", str(first))[0] == 0
    monkeypatch.setenv(KEYRING, first.read_text().strip())
    assert run("rotate", "--write", str(second))[0] == 0
    monkeypatch.setenv(KEYRING, second.read_text().strip())
    code, said = run("list", "--json")
    assert code == 0
    assert '"state": "current"' in said
    assert '"prepared"' not in said


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("--keys", "pkcs11"), "library and its token"),
        (("--module", "x.so"), "are for --keys pkcs11"),
        (("--lab", "--keys", "environment"), "in a file"),
    ],
)
def test_a_home_says_where_its_keys_are_wholly_or_not_at_all(
    tmp_path: Path, words: tuple[str, ...], missing: str
) -> None:
    ran = candor("init", "--home", str(tmp_path / "h"), "--company", "c", *words)
    assert ran.code == 2
    assert missing in ran.err
    assert not (tmp_path / "h").exists()
