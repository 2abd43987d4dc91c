# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a bucket does; what it has in common with a folder is in ``test_objects``."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from pathlib import Path

import pytest

from compliance.errors import ConfigError, StorageAway, StorageError
from storage.objects_s3 import S3Objects
from tests.s3 import BUCKET, S3Server

NAME = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def objects(server: S3Server, tmp_path: Path) -> S3Objects:
    return server.objects(tmp_path / "parts")


def away(parts: Path) -> S3Objects:
    """A store whose server is gone: nothing listens on its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return S3Objects(f"s3://{BUCKET}/x", parts, endpoint=f"http://127.0.0.1:{port}")


def test_commit_goes_on_after_a_crash_between_its_two_steps(objects: S3Objects) -> None:
    part = objects.part_path(NAME)
    part.write_bytes(b"x" * 1000)
    objects.put(NAME, part)  # the bucket has answered; the process died before the rest
    objects.commit(NAME)
    assert list(objects.unfinished()) == []
    assert list(objects.names()) == [NAME]


def test_reading_asks_only_for_the_range(objects: S3Objects, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "source").write_bytes(data)
    objects.put(NAME, tmp_path / "source")
    asked: list[int] = []
    read = objects.read

    def counting(name: str, start: int, count: int, etag: str) -> bytes:
        asked.append(count)
        return read(name, start, count, etag)

    objects.read = counting  # type: ignore[method-assign]
    with objects.open(NAME) as file:
        file.seek(-1000, os.SEEK_END)
        assert file.read() == data[-1000:]
        file.seek(1_000_000)
        assert file.read(500_000) == data[1_000_000:1_500_000]
        assert sum(asked) < 1_000_000
        file.seek(0)
        asked.clear()
        assert file.read() == data
        assert len(asked) <= 2


def test_a_reader_never_mixes_two_objects(
    objects: S3Objects, server: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"a" * 1_000_000)
    objects.put(NAME, tmp_path / "source")
    key = server.client.list_objects_v2(Bucket=BUCKET, Prefix=objects.prefix)["Contents"][0]["Key"]
    with objects.open(NAME) as file:
        assert file.read(10) == b"a" * 10
        server.client.put_object(Bucket=BUCKET, Key=key, Body=b"b" * 1_000_000)
        with pytest.raises(StorageError, match="PreconditionFailed"):
            file.read()


def test_the_bucket_holds_the_checksum(
    objects: S3Objects, server: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"sealed")
    objects.put(NAME, tmp_path / "source")
    found = server.client.head_object(
        Bucket=BUCKET, Key=f"{objects.prefix}01/{NAME}", ChecksumMode="ENABLED"
    )
    digest = hashlib.sha256(b"sealed").digest()
    assert found["ChecksumSHA256"] == base64.b64encode(digest).decode()


def test_other_files_in_the_bucket_are_not_ours(
    objects: S3Objects, server: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"sealed")
    objects.put(NAME, tmp_path / "source")
    for key in ("readme.txt", "ff/" + NAME, "x/01/" + NAME):
        server.client.put_object(Bucket=BUCKET, Key=objects.prefix + key, Body=b"")
    assert list(objects.names()) == [NAME]


def test_a_store_that_is_away_says_so_and_keeps_the_part(server: S3Server, tmp_path: Path) -> None:
    objects = away(tmp_path / "parts")
    objects.part_path(NAME).write_bytes(b"x")
    for use in (objects.commit, objects.open, objects.exists, objects.delete):
        with pytest.raises(StorageAway, match="does not answer"):
            use(NAME)
    assert list(objects.unfinished()) == [NAME]


def test_a_bucket_that_is_not_there(server: S3Server, tmp_path: Path) -> None:
    objects = S3Objects("s3://no-such-bucket", tmp_path / "parts", endpoint=server.endpoint)
    objects.part_path(NAME).write_bytes(b"x")
    with pytest.raises(StorageError, match="NoSuchBucket"):
        objects.commit(NAME)
    assert list(objects.unfinished()) == [NAME]


def test_without_credentials(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    objects = server.objects(tmp_path / "parts")
    with pytest.raises(StorageError, match="no credentials"):
        objects.exists(NAME)


@pytest.mark.parametrize("endpoint", ["http://10.0.0.5:9000", "http://s3.example.com"])
def test_plain_http_off_loopback_is_refused(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="refused without TLS"):
        S3Objects("s3://bucket", tmp_path, endpoint=endpoint)


def test_the_environment_cannot_name_a_server_without_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.0.0.5:9000")
    with pytest.raises(ConfigError, match="refused without TLS"):
        S3Objects("s3://bucket", tmp_path, region="eu-west-3")


@pytest.mark.parametrize("url", ["s3://", "s3://B", "s3:bucket", "bucket", "s3://bucket/a b"])
def test_unusable_buckets(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not the address of a bucket"):
        S3Objects(url, tmp_path)


@pytest.mark.parametrize("endpoint", ["ftp://x", "https://me:secret@x", "x:9000", "https://"])
def test_unusable_endpoints(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not the address of a server") as caught:
        S3Objects("s3://bucket", tmp_path, endpoint=endpoint)
    assert "secret" not in str(caught.value)
