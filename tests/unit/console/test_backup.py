# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor backup` and `restore`: whole or not at all, and no way round a destruction."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import LedgerError
from compliance.facts import Role
from console import homes
from storage.anchors import FolderAnchor
from storage.checkpoint import Checkpoint, parse_note, sign_note
from storage.keys import FileKeyring
from storage.objects import FolderObjects
from tests.console_home import ConsoleHome, Ran, candor

PASSPHRASE = "a long enough passphrase"


@pytest.fixture
def admin(calls: ConsoleHome) -> ConsoleHome:
    calls.language("en")
    calls.sign_in(Role.ADMIN)
    return calls


@pytest.fixture
def file(admin: ConsoleHome, tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    assert admin.candor("backup", str(path), "--with-keys").code == 0
    return path


def restored(calls: ConsoleHome, file: Path, root: Path, *more: str) -> tuple[ConsoleHome, Any]:
    data = candor("restore", str(file), "--home", str(root), "--json", *more).data
    return ConsoleHome(
        root, calls.people, calls.accepted, calls.refused, calls.stopped, calls.live
    ), data


def count(calls: ConsoleHome, table: str) -> int:
    with homes.opened(calls.root) as it, it.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def free_the_line(calls: ConsoleHome) -> None:
    with homes.opened(calls.root) as it, it.engine.begin() as connection:
        connection.execute(text("UPDATE attempts SET outcome = 'aborted' WHERE outcome IS NULL"))
        connection.execute(text("UPDATE attempts SET finished_at = at WHERE finished_at IS NULL"))
        connection.execute(text("DELETE FROM leases"))


def test_a_home_comes_back_whole_and_stopped(
    admin: ConsoleHome, file: Path, tmp_path: Path
) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert admin.candor("backup", str(file)).code == 1  # never over a file
    again, told = restored(admin, file, tmp_path / "again")
    assert (told["objects"], told["lost"], told["newer_anchors"]) == (7, None, False)
    assert again.kinds()[: len(admin.kinds()) - 1] == admin.kinds()[:-1]
    assert {"home.backup", "home.restore", "platform.stop"} <= set(again.kinds())
    again.sign_in(Role.AUDITOR)
    assert again.candor("ledger", "verify").code == 0
    wav = str(tmp_path / "x.wav")
    assert again.candor("replay", again.accepted, "--reason", "audit", "--wav", wav).code == 0
    paper = again.candor("papers", "list", "--json").data[0]["paper"]
    opened = ("papers", "open", paper, "--reason", "audit", "-o", str(tmp_path / "paper"))
    assert again.candor(*opened).code == 0
    assert candor("restore", str(file), "--home", str(again.root)).code == 2  # not empty
    with homes.opened(again.root) as it:
        assert it.store.stops.in_force() is not None


def test_only_administrators_and_cron(admin: ConsoleHome, tmp_path: Path) -> None:
    admin.sign_in(Role.OPERATOR)
    assert admin.candor("backup", str(tmp_path / "a")).code == 3
    assert not (tmp_path / "a").exists()
    assert admin.candor("backup", str(tmp_path / "a"), "--scheduled").code == 0


def test_every_class_of_byte(admin: ConsoleHome, file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    places = {
        "header": whole.index(b"candor.toml"),
        "mode in a header": whole.index(b"candor.toml") + 102,
        "settings": whole.index(b"schema = 1"),
        "database": whole.index(b"SQLite format 3") + 5000,
        "sealed object": whole.index(b"objects/") + 1000,
        "padding": whole.index(b"manifest.json") - 1,
        "manifest": whole.index(b'"made_at"') + 15,
        "signature": whole.index(b"manifest.sig") + 520,
        "end of the archive": len(whole) - 200,
        "digest": len(whole) - 10,
    }
    spoilt = tmp_path / "spoilt"
    for name, place in places.items():
        data = bytearray(whole)
        data[place] ^= 1
        spoilt.write_bytes(data)
        ran = candor("restore", str(spoilt), "--home", str(tmp_path / "h"))
        assert (name, ran.code in (1, 2)) == (name, True)
        assert "backup" in ran.err
    for length in (0, 50, len(whole) // 2, len(whole) - 1):
        spoilt.write_bytes(whole[:length])
        assert candor("restore", str(spoilt), "--home", str(tmp_path / "h")).code == 2
    assert {p.name for p in tmp_path.iterdir() if "h" in p.name} <= {"home", "home.csv"}
    assert not list(tmp_path.glob(".*unfinished"))


def test_keys_a_passphrase_keeps(
    admin: ConsoleHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = admin.candor("backup", str(tmp_path / "plain"))
    assert "NOT in this file" in plain.err
    warned = admin.candor("backup", str(tmp_path / "open"), "--with-keys")
    assert "WARNING" in warned.err
    keys = admin.root / "keys" / "master.json"
    refused = candor("restore", str(tmp_path / "plain"), "--home", str(tmp_path / "h"))
    assert (refused.code, "--keys" in refused.err) == (2, True)
    other = tmp_path / "other.json"
    FileKeyring.create(other)
    words = ("restore", str(tmp_path / "plain"), "--home", str(tmp_path / "h"), "--keys")
    assert "not signed by these keys" in candor(*words, str(other)).err
    assert candor(*words, str(keys)).code == 0
    FileKeyring.open(keys).change_passphrase(PASSPHRASE)
    monkeypatch.setenv("CANDOR_PASSPHRASE", PASSPHRASE)
    sealed = admin.candor("backup", str(tmp_path / "sealed"), "--json")
    assert (sealed.data["keys"], sealed.err) == (True, "")
    words = ("restore", str(tmp_path / "sealed"), "--home", str(tmp_path / "h2"))
    monkeypatch.setenv("CANDOR_PASSPHRASE", "another")
    assert candor(*words).code == 2
    assert not (tmp_path / "h2").exists()
    monkeypatch.setenv("CANDOR_PASSPHRASE", PASSPHRASE)
    assert candor(*words).code == 0


def test_what_was_destroyed_since_goes_again(admin: ConsoleHome, tmp_path: Path) -> None:
    free_the_line(admin)
    file = tmp_path / "backup"
    assert admin.candor("backup", str(file), "--with-keys").code == 0
    before = count(admin, "contacts")
    admin.sign_in(Role.COMPLIANCE)
    assert admin.candor("subject", "13900000101", "erase", "--yes").code == 0
    assert count(admin, "contacts") == before - 1
    with homes.opened(admin.root) as it:
        retention = it.store.retention
        assert retention.destroy_again(admin.refused, "by_hand")
        with it.engine.connect() as connection:
            contact = connection.execute(text("SELECT min(id) FROM contacts")).scalar_one()
        assert retention.purge_again([contact], "cycle_over") == 1
        assert retention.complete(FolderObjects(it.home.objects)) == 0
        gone = set(FolderObjects(it.home.objects).names())
        while it.sequencer().run_once(it.clock.wall()):
            pass
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        size = parse_note(FolderAnchor(it.home.anchors).latest() or "").checkpoint.size
    log = (admin.root / "anchors" / "destructions.jsonl").read_text()
    assert "13900000101" not in log

    again, told = restored(
        admin, file, tmp_path / "again", "--anchors", str(admin.root / "anchors")
    )
    assert told["lost"]["size"] == size > told["kept"]
    assert {name: told["again"][name] for name in ("persons", "calls", "contacts")} == {
        "persons": 1,
        "calls": 1,
        "contacts": 1,
    }
    assert count(again, "contacts") == before - 2
    assert set(FolderObjects(again.root / "objects").names()) == gone
    again.sign_in(Role.COMPLIANCE)
    assert again.candor("subject", "13900000101", "show", "--json").data["contacts"] == []
    assert again.candor("ledger", "verify").code == 0
    # An auditor sees the fork: the old checkpoints lie beside the branch that names them.
    assert (again.root / "anchors" / f"checkpoint-{size:020d}.note").is_file()
    (branch,) = (again.root / "anchors").glob("branch-*")
    first = sorted(branch.glob("*.note"))[0].read_text()
    assert f"\nlost {size} " in first
    with homes.opened(again.root) as it:
        entries = it.engine.connect().exec_driver_sql(
            "SELECT body FROM ledger_outbox WHERE kind = 'home.restore'"
        )
        assert f'"lost_size":{size}' in entries.scalar_one().decode()

    # And once more from the same file, after the restored home has gone on.
    third, told = restored(admin, file, tmp_path / "3", "--anchors", str(again.root / "anchors"))
    assert told["lost"]["size"] > told["kept"]
    assert len(list((third.root / "anchors").glob("branch-*"))) == 2
    assert count(third, "contacts") == before - 2


def test_a_destruction_is_anchored_at_once(admin: ConsoleHome, tmp_path: Path) -> None:
    free_the_line(admin)
    file, anchors = tmp_path / "backup", admin.root / "anchors"
    assert admin.candor("backup", str(file), "--with-keys").code == 0
    admin.sign_in(Role.COMPLIANCE)
    assert admin.candor("subject", "13900000101", "erase", "--yes").code == 0
    again, told = restored(admin, file, tmp_path / "again", "--anchors", str(anchors))
    assert told["lost"]["size"] > told["kept"]
    (log,) = (again.root / "anchors").glob("branch-0001/destructions.jsonl")
    assert "subject.erase" in log.read_text()  # the branch's own log knows it too


def test_an_altered_log_of_destructions_is_refused(
    admin: ConsoleHome, file: Path, tmp_path: Path
) -> None:
    free_the_line(admin)
    admin.sign_in(Role.COMPLIANCE)
    assert admin.candor("subject", "13900000101", "erase", "--yes").code == 0
    log = admin.root / "anchors" / "destructions.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    assert len(lines) > 1
    words = ("restore", str(file), "--home", str(tmp_path / "h"), "--anchors")
    for bad in (
        [*lines[1:]],
        [lines[0].replace(b'"v":1', b'"v":2').replace(b'"v\\":1', b'"v\\":2'), *lines[1:]],
    ):
        log.write_bytes(b"".join(bad))
        ran = candor(*words, str(log.parent))
        assert (ran.code, "was altered" in ran.err) == (1, True)
        assert not (tmp_path / "h").exists()


def test_a_log_whose_end_was_cut_is_refused(admin: ConsoleHome, file: Path, tmp_path: Path) -> None:
    free_the_line(admin)
    admin.sign_in(Role.COMPLIANCE)
    assert admin.candor("subject", "13900000101", "erase", "--yes").code == 0
    log = admin.root / "anchors" / "destructions.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    words = ("restore", str(file), "--home", str(tmp_path / "h"), "--anchors", str(log.parent))
    for left in (len(lines) - 1, 0):
        log.write_bytes(b"".join(lines[:left]))
        ran = candor(*words)
        assert (ran.code, f"has {left} lines" in ran.err) == (1, True)
    log.unlink()
    assert candor(*words).code == 1
    assert not (tmp_path / "h").exists()
    log.write_bytes(b"".join(lines))
    assert candor(*words).code == 0


def test_a_machine_that_went_down_between_a_line_and_its_note(
    admin: ConsoleHome, file: Path, tmp_path: Path
) -> None:
    free_the_line(admin)
    admin.sign_in(Role.COMPLIANCE)
    anchors = admin.root / "anchors"
    before = set(anchors.glob("*.note"))
    assert admin.candor("subject", "13900000101", "erase", "--yes").code == 0
    for note in set(anchors.glob("*.note")) - before:
        note.unlink()
    again, told = restored(admin, file, tmp_path / "again", "--anchors", str(anchors))
    assert told["again"]["persons"] == 1
    (branch,) = (again.root / "anchors").glob("branch-*")  # the lines stay beside their ledger
    again.sign_in(Role.AUDITOR)
    assert again.candor("ledger", "verify").code == 0
    assert "subject.erase" in (branch / "destructions.jsonl").read_text()


def test_a_rolled_back_database_is_refused_and_no_branch_can_be_forged(
    admin: ConsoleHome, file: Path, tmp_path: Path
) -> None:
    old, _ = restored(admin, file, tmp_path / "old")
    admin.sign_in(Role.AUDITOR)
    assert admin.candor("ledger", "checkpoint").code == 0
    mine = admin.root / "anchors"
    for note in (old.root / "anchors").iterdir():
        note.unlink()
    for note in mine.iterdir():
        (old.root / "anchors" / note.name).write_bytes(note.read_bytes())
    with homes.opened(admin.root) as it:  # the real one is well
        origin = it.origin
    stranger = FileKeyring.create(tmp_path / "k.json")
    with pytest.raises(LedgerError, match=r"rolled back|not those"), homes.opened(old.root):
        pass
    real = sorted((old.root / "anchors").glob("*.note"))[0]
    forged = old.root / "anchors" / "branch-0001"
    forged.mkdir()
    (forged / real.name).write_bytes(real.read_bytes())  # signed, but no fork
    with pytest.raises(LedgerError, match="not begun by a restore"), homes.opened(old.root):
        pass
    shutil.rmtree(forged)
    anchor = FolderAnchor(old.root / "anchors")
    anchor.fork(1, sign_note(Checkpoint(origin, 1, bytes(32)), origin, stranger, more=["lost 9 x"]))
    with pytest.raises(LedgerError, match="signed by another key"), homes.opened(old.root):
        pass


_KILLED = """
import importlib, os, signal, sys
from console import cli
module, name, left = sys.argv[1].split(":")
module, left = importlib.import_module(module), int(left)
real = getattr(module, name)
def counted(*arguments, **named):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **named)
setattr(module, name, counted)
sys.exit(cli.run(sys.argv[2:]))
"""


def killed(at: str, *words: str) -> int:
    """One command, killed with -9 at a call of ``module:function`` after so many."""
    command = [sys.executable, "-c", _KILLED, at, *words]
    return subprocess.run(command, check=False, capture_output=True, env=os.environ).returncode


def test_killed_in_the_middle(admin: ConsoleHome, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "second"
    words = ("backup", str(target), "--with-keys", "--home", str(admin.root))
    assert killed("storage.bundles:_entry:5", *words) == -signal.SIGKILL
    assert not target.exists()
    assert (tmp_path / ".second.unfinished" / "whole").is_file()
    assert candor(*words).code == 0
    words = ("restore", str(target), "--home", str(tmp_path / "r"))
    for at in ("os:fsync:6", "storage.restoring:tell:0"):
        assert killed(at, *words) == -signal.SIGKILL
        assert not (tmp_path / "r").exists()
    ran: Ran = candor(*words)
    assert ran.code == 0
    assert not list(tmp_path.glob(".*unfinished"))
