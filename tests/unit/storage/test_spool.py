# SPDX-License-Identifier: GPL-3.0-or-later
"""The spool: calls do not wait for the store, and nothing is lost or comes back (experiment 8)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from compliance.errors import Corrupt, StorageAway
from dialer.disk import Disk
from storage.objects import FolderObjects, new_name
from storage.objects_s3 import S3Objects
from storage.spool import SpooledObjects
from tests.s3 import BUCKET, S3Server


@pytest.fixture
def bucket(server: S3Server, tmp_path: Path) -> S3Objects:
    return server.objects(tmp_path / "spool")


@pytest.fixture
def spool(bucket: S3Objects, tmp_path: Path) -> SpooledObjects:
    return SpooledObjects(FolderObjects(tmp_path / "spool"), bucket)


def finished(spool: SpooledObjects, data: bytes = b"sealed") -> str:
    name = new_name()
    spool.part_path(name).write_bytes(data)
    spool.commit(name)
    return name


def read(objects: SpooledObjects | S3Objects, name: str) -> bytes:
    with objects.open(name) as file:
        return file.read()


def test_an_object_is_read_before_and_after_it_went(
    spool: SpooledObjects, bucket: S3Objects
) -> None:
    names = [finished(spool, bytes([n]) * 1000) for n in range(3)]
    assert [read(spool, name) for name in names] == [bytes([n]) * 1000 for n in range(3)]
    assert not any(bucket.exists(name) for name in names)
    waiting = spool.waiting()
    assert (waiting.objects, waiting.bytes) == (3, 3000)
    assert spool.forward() == 3
    assert spool.waiting().objects == 0
    assert [read(spool, name) for name in names] == [bytes([n]) * 1000 for n in range(3)]
    assert list(spool.names()) == sorted(names)
    assert spool.forward() == 0


def test_killed_after_the_stores_answer_it_goes_on(
    spool: SpooledObjects, bucket: S3Objects, tmp_path: Path
) -> None:
    name = finished(spool)
    bucket.put(name, FolderObjects(tmp_path / "spool").path(name))  # and then it was killed
    assert spool.forward() == 1
    assert read(bucket, name) == b"sealed"
    assert spool.waiting().objects == 0


def test_what_is_destroyed_is_gone_in_both_places_and_does_not_come_back(
    spool: SpooledObjects, bucket: S3Objects
) -> None:
    here, there = finished(spool), finished(spool)
    spool.forward()
    here = finished(spool)
    for name in (here, there):
        assert spool.delete(name)
        assert not spool.exists(name)
        with pytest.raises(Corrupt):
            spool.open(name)
    assert spool.forward() == 0
    assert not bucket.exists(here)


def test_carrying_and_destroying_exclude_each_other(
    spool: SpooledObjects, bucket: S3Objects
) -> None:
    for _ in range(20):
        name = finished(spool)
        threads = [threading.Thread(target=spool.forward) for _ in range(2)]
        threads.append(threading.Thread(target=spool.delete, args=(name,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not spool.exists(name)


def test_two_who_carry_lose_nothing(spool: SpooledObjects, bucket: S3Objects) -> None:
    names = [finished(spool, bytes([n]) * 100) for n in range(20)]
    threads = [threading.Thread(target=spool.forward) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [read(bucket, name) for name in names] == [bytes([n]) * 100 for n in range(20)]


def test_while_the_store_is_away_everything_waits_and_nothing_is_forgotten(
    server: S3Server, tmp_path: Path
) -> None:
    gone = S3Objects(f"s3://{BUCKET}/gone", tmp_path / "spool", endpoint="http://127.0.0.1:9")
    spool = SpooledObjects(FolderObjects(tmp_path / "spool"), gone)
    name = finished(spool, b"x" * 3000)
    for away in (spool.forward, spool.reachable, lambda: spool.delete(name)):
        with pytest.raises(StorageAway):
            away()
    assert read(spool, name) == b"x" * 3000
    disk = Disk(tmp_path / "spool", spool_bytes=2999)
    assert disk.spool_full()
    assert not Disk(tmp_path / "spool", spool_bytes=3000).spool_full()
    assert not Disk(tmp_path / "spool").spool_full()  # no store elsewhere: nothing waits
