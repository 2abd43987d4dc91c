# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints in a bucket that nobody can take back, and what they find (P5)."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from compliance.errors import ConfigError, LedgerError, StorageAway, StorageError
from storage import anchors_s3, ledger
from storage.anchors import Anchor, FolderAnchor
from storage.anchors_s3 import RETAIN_DAYS, S3Anchor
from storage.checkpoint import parse_note
from storage.database import make_engine
from storage.further_anchors import FurtherAnchors
from storage.keys import FileKeyring
from storage.sequencer import Sequencer, verify_start
from tests.databases import Databases
from tests.s3 import BUCKET, LOCKED, S3Server, s3_server

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ORIGIN = "candor.example/ledger"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def anchor(server: S3Server) -> S3Anchor:
    return server.anchor()


def append(engine: Engine, n: int = 1, node: str = "node-1") -> None:
    with Session(engine) as session, session.begin():
        for number in range(n):
            ledger.append(session, node=node, kind="test", actor="a", at=NOW, body={"n": number})


class Home:
    """A ledger with a folder as its first anchor, and further ones."""

    def __init__(self, engine: Engine, ring: FileKeyring, folder: Path, *further: Anchor) -> None:
        self.engine, self.ring = engine, ring
        self.anchors: list[Anchor] = [FolderAnchor(folder), *further]
        self.further = FurtherAnchors(engine, ring, further)
        self.sequencer = Sequencer(engine, ring, self.anchors[:1], ORIGIN, further=self.further)

    def grow(self, n: int = 1, node: str = "node-1") -> None:
        append(self.engine, n, node)
        self.sequencer.run_once(NOW)
        self.sequencer.checkpoint(NOW, force=True)

    def start(self) -> int:
        return verify_start(self.engine, self.anchors, self.ring)


def keys(server: S3Server, anchor: S3Anchor) -> list[str]:
    found = server.client.list_object_versions(Bucket=LOCKED, Prefix=anchor._prefix)
    return [version["Key"] for version in found.get("Versions", ())]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---------------------------------------------------------------- the bucket


def test_notes_are_kept_and_never_replaced(anchor: S3Anchor) -> None:
    assert anchor.latest() is None
    assert anchor.forks() == []
    anchor.write(5, "one\n")
    anchor.write(5, "one\n")
    with pytest.raises(LedgerError, match="forked"):
        anchor.write(5, "two\n")
    anchor.write(10, "three\n")
    assert anchor.latest() == "three\n"
    assert anchor.beside is None
    assert LOCKED in anchor.name


def test_each_note_is_locked_for_its_time(server: S3Server, anchor: S3Anchor) -> None:
    anchor.write(5, "one\n")
    (key,) = keys(server, anchor)
    head = server.client.head_object(Bucket=LOCKED, Key=key)
    assert head["ObjectLockMode"] == "COMPLIANCE"
    left = head["ObjectLockRetainUntilDate"] - datetime.now(UTC)
    assert abs(left - timedelta(days=RETAIN_DAYS)) < timedelta(minutes=1)
    with pytest.raises(ClientError, match="AccessDenied"):
        server.client.delete_object(Bucket=LOCKED, Key=key, VersionId=head["VersionId"])


def test_a_delete_or_a_later_version_hides_nothing(server: S3Server, anchor: S3Anchor) -> None:
    for size in (3, 7):
        anchor.write(size, f"note {size}\n")
    first, last = keys(server, anchor)
    server.client.delete_object(Bucket=LOCKED, Key=last)  # puts a delete marker on it
    listed = server.client.list_objects_v2(Bucket=LOCKED, Prefix=anchor._prefix)["Contents"]
    assert [item["Key"] for item in listed] == [first]
    assert server.anchor(anchor._prefix).latest() == "note 7\n"
    server.client.put_object(Bucket=LOCKED, Key=last, Body=b"forged\n")
    assert server.anchor(anchor._prefix).latest() == "note 7\n"
    server.client.put_object(Bucket=LOCKED, Key=f"{anchor._prefix}checkpoint-zzz", Body=b"x")
    assert server.anchor(anchor._prefix).latest() == "note 7\n"


def test_branches_of_a_restored_home(server: S3Server, anchor: S3Anchor) -> None:
    anchor.write(9, "lost\n")
    anchor.fork(4, "fork\n")
    assert anchor.latest() == "fork\n"
    anchor.write(6, "on\n")
    again = server.anchor(anchor._prefix)
    assert (again.latest(), again.forks()) == ("on\n", ["fork\n"])
    again.fork(5, "second\n")
    assert again.forks() == ["fork\n", "second\n"]
    assert server.anchor(anchor._prefix).latest() == "second\n"


@pytest.mark.parametrize("sizes", [[1], [1, 2, 3], [5, 6, 900, 70_000], list(range(1, 40, 3))])
def test_the_newest_is_found_among_many(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, sizes: list[int]
) -> None:
    monkeypatch.setattr(anchors_s3, "_PAGE", 2)
    anchor = server.anchor()
    for size in sizes:
        anchor.write(size, f"note {size}\n")
    for key in keys(server, anchor)[-3:]:
        server.client.delete_object(Bucket=LOCKED, Key=key)
    assert anchor.latest() == f"note {sizes[-1]}\n"


@pytest.mark.parametrize("bucket", [BUCKET, "nowhere-at-all"])
def test_a_bucket_without_object_lock_is_refused(server: S3Server, bucket: str) -> None:
    anchor = S3Anchor(f"s3://{bucket}/x", endpoint=server.endpoint)
    for use in (anchor.latest, lambda: anchor.write(1, "x\n"), lambda: anchor.fork(1, "x\n")):
        with pytest.raises(ConfigError, match=f"bucket {bucket} .* no Object Lock") as caught:
            use()
        assert caught.value.field == "anchors.bucket"
        assert "object-lock-enabled" in caught.value.remedy
    anchor._locked = True  # the bucket lied, or its lock was never what was asked for
    if bucket == BUCKET:
        with pytest.raises(StorageError):
            anchor.write(1, "x\n")


def test_settings_that_cannot_be_used(server: S3Server) -> None:
    with pytest.raises(ConfigError, match="address of a bucket"):
        S3Anchor("https://example.org/x")
    with pytest.raises(ConfigError, match="without TLS") as caught:
        S3Anchor("s3://anchors/x", endpoint="http://192.0.2.1:9000")
    assert caught.value.field == "anchors.endpoint"


# ---------------------------------------------------------------- what it finds


def test_a_rolled_back_database_and_folder_are_found_by_the_bucket(
    engine: Engine,
    ring: FileKeyring,
    anchor: S3Anchor,
    server: S3Server,
    databases: Databases,
    empty_url: str,
    tmp_path: Path,
) -> None:
    home = Home(engine, ring, tmp_path / "anchors", anchor)
    home.grow(20)
    engine.dispose()
    old = make_engine(databases.snapshot(empty_url))
    shutil.copytree(tmp_path / "anchors", tmp_path / "old")
    home.grow(5)
    assert home.start() == 25
    # Both go back: the folder alone is content, the bucket is not.
    back = Home(old, ring, tmp_path / "old", server.anchor(anchor._prefix))
    assert verify_start(old, back.anchors[:1], ring) == 20
    with pytest.raises(LedgerError, match="holds 20 entries, but bucket anchors anchors 25"):
        back.start()
    # Grown again, with checkpoints of its own, it is long enough but another tree.
    append(old, 9, node="node-9")
    alone = Sequencer(old, ring, back.anchors[:1], ORIGIN)
    alone.run_once(NOW)
    alone.checkpoint(NOW, force=True)
    with pytest.raises(LedgerError, match="first 25 entries are not those that bucket anchors"):
        back.start()
    with pytest.raises(LedgerError, match="first 25 entries"):
        back.further.catch_up()  # nor does anything go there
    note = server.anchor(anchor._prefix).latest()
    assert note is not None
    assert parse_note(note).checkpoint.size == 25
    old.dispose()


def test_a_strangers_note_in_the_bucket_hides_nothing_and_is_named(
    engine: Engine, ring: FileKeyring, anchor: S3Anchor, server: S3Server, tmp_path: Path
) -> None:
    home = Home(engine, ring, tmp_path / "anchors", anchor)
    home.grow(2)
    note = anchor.latest()
    assert note is not None
    for number, body in enumerate(
        (b"", b"\xff", b"x" * 2_000_000, note.encode()[:-9] + b"AAAAAAA=\n")
    ):
        key = f"{anchor._prefix}checkpoint-{5 + number:020d}.note"
        server.client.put_object(Bucket=LOCKED, Key=key, Body=body)
        with pytest.raises(LedgerError, match="last checkpoint in bucket anchors is damaged"):
            home.start()


def test_a_bucket_that_is_away_holds_nothing_up_and_gets_the_newest_later(
    engine: Engine, ring: FileKeyring, server: S3Server, tmp_path: Path
) -> None:
    anchor = server.anchor()
    client = anchor._client
    gone = S3Anchor(f"s3://{LOCKED}/x", endpoint=f"http://127.0.0.1:{free_port()}")
    anchor._client = gone._client
    home = Home(engine, ring, tmp_path / "anchors", anchor)
    home.grow(3)
    assert home.sequencer.behind == ("bucket anchors",)
    assert home.start() == 3  # the folder answers
    home.grow(4)
    with pytest.raises(StorageAway, match="does not answer"):
        verify_start(engine, [FolderAnchor(tmp_path / "wiped"), anchor], ring)
    anchor._client = client
    home.sequencer.checkpoint(NOW)  # nothing is due, and still it catches up
    assert home.sequencer.behind == ()
    note = anchor.latest()
    assert note is not None
    assert parse_note(note).checkpoint.size == 7
    assert home.start() == 7


def test_no_transaction_waits_for_a_further_anchor(
    engine: Engine, ring: FileKeyring, tmp_path: Path
) -> None:
    class Slow(FolderAnchor):
        def write(self, size: int, note: str) -> None:
            append(engine)  # would wait for ever if the sequencer still held its lock
            super().write(size, note)

    (tmp_path / "slow").mkdir()
    home = Home(engine, ring, tmp_path / "anchors", Slow(tmp_path / "slow", must_exist=True))
    home.grow(2)
    assert home.sequencer.behind == ()


# ---------------------------------------------------------------- further folders


def test_a_further_folder_must_be_there(engine: Engine, ring: FileKeyring, tmp_path: Path) -> None:
    place = tmp_path / "disk" / "anchors"
    other = FolderAnchor(place, must_exist=True)
    home = Home(engine, ring, tmp_path / "anchors", other)
    home.grow(2)
    assert home.sequencer.behind == ("folder disk/anchors",)
    assert not place.parent.exists()  # nothing is written under an empty mount point
    for use in (other.latest, other.forks, lambda: other.fork(1, "x\n"), lambda: other.beside):
        with pytest.raises(StorageAway, match="is not there"):
            use()
    place.mkdir(parents=True)
    home.further.catch_up()
    assert home.sequencer.behind == ()
    assert sorted(path.name for path in place.iterdir()) == [
        f"checkpoint-{2:020d}.note",
        "destructions.jsonl",
    ]
    assert home.start() == 2
    # Unmounted in mid-run.
    place.rename(tmp_path / "gone")
    home.grow(1)
    assert home.sequencer.behind == ("folder disk/anchors",)
    assert not place.exists()


def test_any_anchor_may_find_the_fault(engine: Engine, ring: FileKeyring, tmp_path: Path) -> None:
    for name in ("b", "c"):
        (tmp_path / name).mkdir()
    home = Home(
        engine, ring, tmp_path / "a",
        FolderAnchor(tmp_path / "b", must_exist=True), FolderAnchor(tmp_path / "c"),
    )  # fmt: skip
    home.grow(4)
    for name in "abc":
        (path,) = (tmp_path / name).glob("*.note")
        before = path.read_text()
        note = json.loads(json.dumps(before))  # the same text, one entry further
        path.write_text(note.replace("\n4\n", "\n5\n"))
        with pytest.raises(LedgerError):
            home.start()
        path.write_text(before)
    assert home.start() == 4
