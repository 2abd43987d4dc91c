# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints in an S3 bucket with Object Lock: nobody can take them back, root included (P5).

One object a checkpoint, put in COMPLIANCE mode with a date until which no version of it can be
removed or replaced. What a delete hides is still there as a version, so versions are listed,
not objects; of several versions of one key the oldest counts, for only that one is ours. Why, and
what it costs: ``docs/decisions/0015-anchors.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from compliance.clock import Clock, SystemClock
from compliance.errors import ConfigError, LedgerError, StorageAway, StorageError
from storage import s3

RETAIN_DAYS = 400  # a yearly audit sees every checkpoint since the one before, and a month more
_NOTE = re.compile(r"checkpoint-([0-9]{20})\.note")
_BRANCH = re.compile(r"branch-([0-9]{4})/")
_WAIT_S = 5.0
_PAGE = 1000  # what S3 lists at a time
_LARGEST = 1 << 20  # bytes of a note; one is about 300
_UNLOCKED = frozenset({"ObjectLockConfigurationNotFoundError", "NoSuchBucket"})
_SLACK = timedelta(minutes=5)  # between our clock and what the server rounds a date to


class S3Anchor:
    """Notes as ``prefix/checkpoint-<size>.note``; a restored home's in ``prefix/branch-0001/…``.

    Args:
        url: ``s3://bucket/prefix``. One prefix a home.
        endpoint, region: as for sealed files; "" is what the SDK's own settings say.
        retain_days: how long each note cannot be removed.

    Raises:
        ConfigError: not such a URL, no TLS off loopback (D7), or boto3 is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        endpoint: str = "",
        region: str = "",
        retain_days: int = RETAIN_DAYS,
        clock: Clock | None = None,
    ) -> None:
        self._bucket, self._prefix = s3.address(url, "anchors.bucket")
        # A note is small: who does not answer soon is asked again at the next checkpoint.
        self._client = s3.connect(
            endpoint, region, "anchors.bucket", "anchors.endpoint", attempts=1, wait_s=_WAIT_S
        )
        self._retain = timedelta(days=retain_days)
        self._clock = clock or SystemClock()
        self._locked = False  # whether the bucket was seen to have Object Lock
        self._newest_branch: str | None = None

    @property
    def name(self) -> str:
        return f"bucket {self._bucket}"

    @property
    def beside(self) -> Path | None:
        return None

    # ------------------------------------------------------------ writing

    def write(self, size: int, note: str) -> None:
        self._check_lock()
        self._put(self._branch(), size, note)

    def fork(self, size: int, note: str) -> None:
        self._check_lock()
        branch = f"{self._prefix}branch-{len(self._branches()) + 1:04d}/"
        self._put(branch, size, note)
        self._newest_branch = branch

    def _put(self, folder: str, size: int, note: str) -> None:
        key, data = f"{folder}checkpoint-{size:020d}.note", note.encode()
        until = self._clock.wall().astimezone(UTC) + self._retain
        try:
            with s3.answers("a checkpoint", "stored"):
                put = self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    ChecksumAlgorithm="SHA256",  # with a lock S3 asks for a checksum
                    ContentType="text/plain; charset=utf-8",
                    ObjectLockMode="COMPLIANCE",
                    ObjectLockRetainUntilDate=until,
                    IfNoneMatch="*",
                )
        except FileExistsError:
            if self._read(key) != data:
                raise LedgerError(
                    f"{self.name} holds another checkpoint for {size} entries: the ledger forked",
                    remedy="stop dialing and compare both with the independent verifier",
                ) from None
            return
        with s3.answers("a checkpoint", "looked up"):  # not every server keeps what it promises
            head = self._client.head_object(
                Bucket=self._bucket, Key=key, VersionId=put.get("VersionId", "null")
            )
        kept = head.get("ObjectLockRetainUntilDate")
        if head.get("ObjectLockMode") != "COMPLIANCE" or kept is None or kept < until - _SLACK:
            raise StorageError(
                f"{self.name} did not lock a checkpoint that it took",
                remedy="name a bucket on a server that keeps Object Lock in COMPLIANCE mode",
            )

    def _check_lock(self) -> None:
        """Raises ConfigError unless the bucket can lock what it takes."""
        if self._locked:
            return
        with s3.answers(self.name, "looked up"):
            try:
                found = self._client.get_object_lock_configuration(Bucket=self._bucket)
                enabled = found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
            except self._client.exceptions.ClientError as error:
                if s3.code(error) not in _UNLOCKED:
                    raise
                enabled = ""
        if enabled != "Enabled":
            raise ConfigError(
                f"bucket {self._bucket} does not exist or has no Object Lock, so what lies in it "
                "could be removed",
                field="anchors.bucket",
                remedy="make a bucket with Object Lock (aws s3api create-bucket "
                "--object-lock-enabled-for-bucket) and name that",
            )
        self._locked = True

    # ------------------------------------------------------------ reading

    def latest(self) -> str | None:
        self._check_lock()
        folder = self._branch()
        size = self._newest(folder)
        return None if size is None else self._text(f"{folder}checkpoint-{size:020d}.note")

    def forks(self) -> list[str]:
        found = []
        for branch in self._branches():
            sizes, _ = self._page(branch, "")
            if not sizes:
                raise LedgerError(f"a branch in {self.name} is damaged")
            found.append(self._text(f"{branch}checkpoint-{sizes[0]:020d}.note"))
        return found

    def _text(self, key: str) -> str:
        try:
            return self._read(key).decode()
        except UnicodeDecodeError:
            raise LedgerError(f"the last checkpoint in {self.name} is damaged") from None

    def _read(self, key: str) -> bytes:
        """The oldest version of an object; a later one, or a delete, came from somebody else."""
        with s3.answers("a checkpoint", "read"):
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=key
            )
            found = [v for page in pages for v in page.get("Versions", ()) if v["Key"] == key]
            if not found:
                raise StorageAway(f"{self.name} does not show a checkpoint that it has")
            # Newest first, as S3 lists them; its times are whole seconds.
            oldest = min(reversed(found), key=lambda version: version["LastModified"])
            answer = self._client.get_object(
                Bucket=self._bucket, Key=key, VersionId=oldest["VersionId"]
            )
            with answer["Body"] as body:
                return bytes(body.read(_LARGEST))

    def _branch(self) -> str:
        """Key prefix of the newest branch: where this home writes."""
        if self._newest_branch is None:
            self._newest_branch = (self._branches() or [self._prefix])[-1]
        return self._newest_branch

    def _branches(self) -> list[str]:
        with s3.answers("the list of checkpoints", "read"):
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}branch-", Delimiter="/"
            )
            found = {p["Prefix"] for page in pages for p in page.get("CommonPrefixes", ())}
        cut = len(self._prefix)
        return sorted(prefix for prefix in found if _BRANCH.fullmatch(prefix[cut:]))

    def _newest(self, folder: str) -> int | None:
        """The largest size in ``folder``, in some 20 requests for a million checkpoints.

        S3 lists upwards only, so the end is looked for: twice as far on while something is
        there, then by halves. Only versions of notes count: strangers' keys and delete markers
        can make it slower, not wrong.
        """
        sizes, more = self._page(folder, "")
        low, high = (sizes[-1] if sizes else 0), 0
        while more and not high:
            further, rest = self._page(folder, self._key(folder, 2 * low + 1))
            if further:
                sizes, low, more = further, further[-1], rest
            else:
                high = 2 * low + 1
        while more and high - low > _PAGE:
            middle = (low + high) // 2
            further, rest = self._page(folder, self._key(folder, middle))
            if further:
                sizes, low, more = further, further[-1], rest
            else:
                high = middle
        while more:
            further, more = self._page(folder, self._key(folder, low))
            if not further:
                break
            sizes, low = further, further[-1]
        return sizes[-1] if sizes else None

    def _page(self, folder: str, after: str) -> tuple[list[int], bool]:
        """Sizes of the notes behind the key ``after``, ascending, and whether more may follow.

        Some of them, at least one if there is one.
        """
        marker, version = after, ""
        while True:
            with s3.answers("the list of checkpoints", "read"):
                page = self._client.list_object_versions(
                    Bucket=self._bucket,
                    Prefix=f"{folder}checkpoint-",
                    MaxKeys=_PAGE,
                    **({"KeyMarker": marker} if marker else {}),
                    **({"VersionIdMarker": version} if version else {}),
                )
            more = bool(page.get("IsTruncated"))
            sizes = sorted(set(self._sizes(folder, page)))
            if sizes or not more:
                return sizes, more
            marker, version = page["NextKeyMarker"], page.get("NextVersionIdMarker", "")

    @staticmethod
    def _sizes(folder: str, page: Any) -> Iterator[int]:
        for version in page.get("Versions", ()):
            if match := _NOTE.fullmatch(version["Key"].removeprefix(folder)):
                yield int(match[1])

    @staticmethod
    def _key(folder: str, size: int) -> str:
        return f"{folder}checkpoint-{size:020d}.note"
