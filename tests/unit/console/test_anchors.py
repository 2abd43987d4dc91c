# SPDX-License-Identifier: GPL-3.0-or-later
"""A home with anchors beyond its folder: a second disk and a bucket with Object Lock (P5)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from compliance.clock import VirtualClock
from compliance.errors import LedgerError
from compliance.facts import Role
from console import homes
from console.home_checks import HomeCheckup
from dialer.settings import Home
from dialer.supervisor import Supervisor
from storage.anchors_s3 import S3Anchor
from storage.checkpoint import parse_note
from tests.console_home import ConsoleHome, candor
from tests.s3 import BUCKET, LOCKED, S3Server, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


def prefix(home: ConsoleHome) -> str:
    """Of its own for each test: what lies in the bucket stays there."""
    return hashlib.sha256(str(home.root).encode()).hexdigest()[:12]


@pytest.fixture
def anchored(calls: ConsoleHome, server: S3Server) -> ConsoleHome:
    """The home with calls in it; its anchors: its folder, another one, a bucket."""
    disk = calls.root.parent / "disk" / "anchors"
    disk.mkdir(parents=True)
    settings = calls.root / "candor.toml"
    settings.write_text(
        settings.read_text()
        + f'\n[anchors]\nfolders = ["{disk}"]\nbucket = "s3://{LOCKED}/{prefix(calls)}"\n'
        f'endpoint = "{server.endpoint}"\n'
    )
    calls.language("en")
    calls.sign_in(Role.AUDITOR)
    return calls


def replaced(home: ConsoleHome, old: str, new: str) -> None:
    settings = home.root / "candor.toml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))


def doctor(home: ConsoleHome) -> str:
    """What the doctor says of ledger and anchors a while after the newest checkpoint."""
    later = VirtualClock(datetime.now(UTC) + timedelta(minutes=5))
    return "\n".join(
        f"{one.message('en')} -> {one.remedy('en')}"
        for one in HomeCheckup(Home(home.root), later).run()
        if one.check in ("ledger", "anchors")
    )


def bucket_size(home: ConsoleHome, server: S3Server) -> int:
    note = server.anchor(prefix(home)).latest()
    return parse_note(note).checkpoint.size if note else 0


def test_checkpoints_go_to_all_and_a_roll_back_of_the_home_is_found(
    anchored: ConsoleHome, server: S3Server
) -> None:
    made = anchored.candor("ledger", "checkpoint", "--json").data
    assert made["anchors_behind"] == []
    disk = anchored.root.parent / "disk" / "anchors"
    (note,) = disk.glob("*.note")
    assert note.name == f"checkpoint-{made['size']:020d}.note"
    assert bucket_size(anchored, server) == made["size"]
    checked = anchored.candor("ledger", "verify")
    assert (checked.code, checked.err) == (0, "")
    found = doctor(anchored)
    assert f"folder disk/anchors holds the checkpoint of {made['size']} entries" in found
    assert f"bucket {LOCKED} holds the checkpoint of {made['size']} entries" in found

    before = anchored.root.parent / "before"
    shutil.copytree(anchored.root, before)
    assert anchored.candor("replay", anchored.accepted, "--reason", "audit").code == 0
    assert anchored.candor("ledger", "checkpoint").code == 0
    shutil.rmtree(anchored.root)
    shutil.move(before, anchored.root)  # the whole home goes back, its own anchors too
    shutil.rmtree(disk)
    ran = anchored.candor("ledger", "checkpoint")
    assert ran.code == 1
    assert f"bucket {LOCKED} anchors" in ran.err
    assert "rolled back" in ran.err
    assert "rolled back" in doctor(anchored)


def test_anchors_that_are_away_are_told_and_stop_nothing(
    anchored: ConsoleHome, server: S3Server
) -> None:
    first = anchored.candor("ledger", "checkpoint", "--json").data["size"]
    shutil.rmtree(anchored.root.parent / "disk")
    replaced(anchored, server.endpoint, "http://127.0.0.1:9")
    assert anchored.candor("replay", anchored.accepted, "--reason", "audit").code == 0
    made = anchored.candor("ledger", "checkpoint", "--json").data
    assert made["anchors_behind"] == ["folder disk/anchors", f"bucket {LOCKED}"]
    found = doctor(anchored)
    assert "folder disk/anchors is not there; calls go on" in found
    assert "mount its disk" in found
    assert "S3 does not answer" in found
    checked = anchored.candor("ledger", "verify", "--json")
    assert checked.code == 0
    assert f"Nothing was compared with bucket {LOCKED}" in checked.err
    replaced(anchored, "http://127.0.0.1:9", server.endpoint)
    assert f"lacks the newest {made['size'] - first} entries" in doctor(anchored)
    assert anchored.candor("ledger", "checkpoint").code == 0
    assert bucket_size(anchored, server) >= made["size"]


def test_an_anchor_that_comes_back_and_disagrees_ends_the_run(
    anchored: ConsoleHome, server: S3Server
) -> None:
    before = anchored.root.parent / "before"
    disk = anchored.root.parent / "disk"
    assert anchored.candor("ledger", "checkpoint").code == 0
    shutil.copytree(anchored.root, before)
    assert anchored.candor("replay", anchored.accepted, "--reason", "audit").code == 0
    assert anchored.candor("ledger", "checkpoint").code == 0
    for gone in (anchored.root, disk):
        shutil.rmtree(gone)
    before.rename(anchored.root)
    replaced(anchored, server.endpoint, "http://127.0.0.1:9")  # kept away until the home is open
    told: list[str] = []

    async def carry(supervisor: Supervisor, bucket: S3Anchor) -> None:
        supervisor._loop = asyncio.get_running_loop()
        await asyncio.to_thread(supervisor._carry)
        assert told == []
        bucket._client = server.anchor()._client
        with pytest.raises(LedgerError, match="rolled back"):
            await asyncio.to_thread(supervisor._carry)
        await asyncio.sleep(0)

    with homes.opened(anchored.root) as it:
        bucket = it.anchors[-1]
        assert isinstance(bucket, S3Anchor)
        supervisor = Supervisor(
            it.home, it.store, it.sequencer(), it.clock, lambda event, _: told.append(event)
        )
        asyncio.run(carry(supervisor, bucket))
    assert told == ["draining"]
    replaced(anchored, "http://127.0.0.1:9", server.endpoint)
    assert "rolled back" in anchored.candor("ledger", "key").err


def test_settings_that_cannot_be_used_are_named(anchored: ConsoleHome, server: S3Server) -> None:
    replaced(anchored, f"s3://{LOCKED}/", f"s3://{BUCKET}/")
    ran = anchored.candor("ledger", "key")
    assert ran.code == 2
    assert "anchors.bucket" in ran.err
    assert "no Object Lock" in ran.err
    replaced(anchored, server.endpoint, "http://192.0.2.1:9000")
    assert "without TLS" in anchored.candor("ledger", "key").err
    replaced(anchored, 'folders = ["/', 'folders = ["')
    ran = anchored.candor("ledger", "key")
    assert ran.code == 2
    assert "absolute paths" in ran.err


def test_a_restored_home_goes_on_in_a_branch_of_every_anchor(
    anchored: ConsoleHome, server: S3Server, tmp_path: Path
) -> None:
    anchored.sign_in(Role.ADMIN)
    file = tmp_path / "backup"
    assert anchored.candor("backup", str(file), "--with-keys").code == 0
    anchored.sign_in(Role.AUDITOR)
    assert anchored.candor("replay", anchored.accepted, "--reason", "audit").code == 0
    lost = anchored.candor("ledger", "checkpoint", "--json").data["size"]
    ran = candor("restore", str(file), "--home", str(tmp_path / "again"), "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert (told["lost"]["size"], told["anchors_away"]) == (lost, [])
    branch = anchored.root.parent / "disk" / "anchors" / "branch-0001"
    assert list(branch.glob("*.note"))
    assert [parse_note(note).text.splitlines()[3] for note in
            server.anchor(prefix(anchored)).forks()] == ["branch 1"]  # fmt: skip
    ran = candor("restore", str(file), "--home", str(tmp_path / "third"), "--json")
    assert json.loads(ran.out)["lost"] is not None  # the second restore lost the first one's
    assert len(server.anchor(prefix(anchored)).forks()) == 2


# ---------------------------------------------------------------- the log of destructions


def test_a_bucket_shows_that_a_folder_and_its_log_were_rolled_back_together(
    anchored: ConsoleHome, tmp_path: Path
) -> None:
    with homes.opened(anchored.root) as it, it.engine.begin() as connection:  # nobody on the line
        connection.execute(text("UPDATE attempts SET outcome = 'aborted' WHERE outcome IS NULL"))
        connection.execute(text("UPDATE attempts SET finished_at = at WHERE finished_at IS NULL"))
        connection.execute(text("DELETE FROM leases"))
    file, mine = tmp_path / "backup", anchored.root / "anchors"
    disk = anchored.root.parent / "disk" / "anchors"
    anchored.sign_in(Role.ADMIN)
    assert anchored.candor("backup", str(file), "--with-keys").code == 0
    old, newest = tmp_path / "old", tmp_path / "newest"
    shutil.copytree(mine, old)
    anchored.sign_in(Role.COMPLIANCE)
    assert anchored.candor("subject", "13900000101", "erase", "--yes").code == 0
    shutil.copytree(disk, newest)
    shutil.rmtree(disk)
    shutil.copytree(old, disk)  # both folders as they were: notes and log fit together
    words = ("restore", str(file), "--home", str(tmp_path / "again"), "--anchors", str(old))
    ran = candor(*words)
    assert (ran.code, "entries of destruction up to its checkpoint" in ran.err) == (1, True)
    assert not (tmp_path / "again").exists()
    shutil.rmtree(disk)
    shutil.copytree(newest, disk)  # a second disk that kept its log is enough
    assert candor(*words, "--json").data["again"]["persons"] == 1
