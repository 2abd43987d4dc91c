# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed files in an S3 bucket (D7, S6): the same interface as a folder.

An object is written locally first, as a part beside this machine's other files, and goes
to the bucket whole at :meth:`S3Objects.commit`, with its SHA-256, which the server checks.
The part is removed only when the bucket has answered, so a process killed in between leaves
a part that can be committed again. A put never replaces an object: the bucket is asked first,
since there are servers that take no notice of a condition (rclone's), and the request says so
(``If-None-Match: *``), so that the others decide between two that race.

Credentials come from where the AWS SDK finds them (environment, shared file, instance
role), never from ``candor.toml``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from compliance.errors import BadInput, Corrupt, StorageAway, StorageError
from storage import s3
from storage.objects import FolderObjects

_NAME = re.compile(r"[0-9a-f]{32}")
_BLOCK = 1 << 18  # bytes asked for at a time: 16 sealed chunks, 33 s of one track


class S3Objects:
    """Objects as ``prefix/ab/ab…`` in a bucket; parts in the folder ``parts``.

    Args:
        url: ``s3://bucket/prefix``; the prefix may be missing.
        parts: local folder, made if missing.
        endpoint: of a server that is not AWS, as ``https://host:port``; "" is AWS.
        region: "" is what the SDK's own settings say.

    Raises:
        ConfigError: not such a URL, no TLS off loopback (D7), or boto3 is not installed.
    """

    def __init__(self, url: str, parts: Path, *, endpoint: str = "", region: str = "") -> None:
        self._bucket, self.prefix = s3.address(url, "storage.objects")
        self._parts = FolderObjects(parts)
        self._client = s3.connect(endpoint, region, "storage.objects", "storage.endpoint")

    def open(self, name: str) -> BinaryIO:
        key = self._key(name)
        with s3.answers(f"object {name}", "read"):
            try:
                head = self._client.head_object(Bucket=self._bucket, Key=key)
            except self._refused as error:
                if s3.code(error) in s3.MISSING:
                    raise Corrupt(f"object {name} is missing") from None
                raise
        raw = _Ranges(self, name, int(head["ContentLength"]), str(head["ETag"]))
        return io.BufferedReader(raw, _BLOCK)

    def delete(self, name: str) -> bool:
        # The bucket first: when it is away, the part still says that something is owed.
        found = self.exists(name)
        if found:
            with s3.answers(f"object {name}", "removed"):
                self._client.delete_object(Bucket=self._bucket, Key=self._key(name))
        return self._parts.delete(name) or found

    def exists(self, name: str) -> bool:
        with s3.answers(f"object {name}", "looked up"):
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._key(name))
            except self._refused as error:
                if s3.code(error) in s3.MISSING:
                    return False
                raise
        return True

    def names(self) -> Iterator[str]:
        with s3.answers("the list of objects", "read"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self.prefix
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        # Other files may lie below the same prefix: only what we would write is ours.
        ends = ((key, key[-32:]) for key in keys)
        return iter(sorted(n for key, n in ends if _NAME.fullmatch(n) and self._key(n) == key))

    def part_path(self, name: str) -> Path:
        return self._parts.part_path(name)

    def commit(self, name: str) -> None:
        part = self.part_path(name)
        if not part.exists():
            raise Corrupt(f"object {name} was never written")
        try:
            self.put(name, part)
        except BadInput:
            # A process killed after the bucket's answer finds its own object there.
            if not self._same(name, part):
                raise
        self._parts.delete(name)

    def unfinished(self) -> Iterator[str]:
        return self._parts.unfinished()

    def read(self, name: str, start: int, count: int, etag: str) -> bytes:
        """``count`` bytes from ``start`` of the object as it was when it was opened."""
        with s3.answers(f"object {name}", "read"):
            answer = self._client.get_object(
                Bucket=self._bucket,
                Key=self._key(name),
                Range=f"bytes={start}-{start + count - 1}",
                IfMatch=etag,
            )
            with answer["Body"] as body:
                return bytes(body.read())

    @property
    def _refused(self) -> type[Exception]:
        return self._client.exceptions.ClientError  # type: ignore[no-any-return]

    def put(self, name: str, source: Path) -> None:
        key = self._key(name)
        try:
            if self.exists(name):
                raise FileExistsError
            with source.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
                file.seek(0)
                with s3.answers(f"object {name}", "stored"):
                    self._client.put_object(
                        Bucket=self._bucket,
                        Key=key,
                        Body=file,
                        ChecksumAlgorithm="SHA256",
                        ChecksumSHA256=base64.b64encode(digest).decode(),
                        Metadata={"sha256": digest.hex()},
                        ContentType="application/octet-stream",
                        IfNoneMatch="*",
                    )
        except FileExistsError:
            raise BadInput("an object of this name exists", field="object") from None
        except OSError as error:
            raise StorageError(f"an object cannot be stored: {error.strerror}") from error

    def _same(self, name: str, part: Path) -> bool:
        with self.open(name) as there, part.open("rb") as here:
            digest = hashlib.file_digest(here, "sha256").digest()
            return hashlib.sha256(there.read()).digest() == digest

    def _key(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise BadInput("not an object name", field="object", remedy="use storage.objects")
        return f"{self.prefix}{name[:2]}/{name}"


class _Ranges(io.RawIOBase):
    """An object read by range requests: only what is asked for crosses the network."""

    def __init__(self, objects: S3Objects, name: str, size: int, etag: str) -> None:
        self._objects, self._name, self._size, self._etag = objects, name, size, etag
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(22, "negative seek position")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._take(self._size)  # one request; the default asks for 8 KiB at a time

    def _take(self, count: int) -> bytes:
        count = min(count, self._size - self._at)
        if count <= 0:
            return b""
        data = self._objects.read(self._name, self._at, count, self._etag)
        if len(data) != count:
            raise StorageAway(f"object {self._name} was read short")
        self._at += count
        return data
