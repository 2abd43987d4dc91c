# SPDX-License-Identifier: GPL-3.0-or-later
"""One sealed track: the chunked container of ``docs/formats/recording.md``.

HKDF-SHA-256 and AES-256-GCM over chunks of 8192 A-law samples; nonce = counter
and last flag; the last chunk is always shorter, so that every cut shows. A
killed writer's prefix opens; a torn file is never continued.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compliance.errors import BadInput, Corrupt, StorageError
from compliance.facts import Evolve
from storage.g711 import SAMPLE_RATE_HZ
from storage.keys import KEY_BYTES, hkdf_sha256, length_prefixed
from storage.objects import fsync_folder

MAGIC = b"CANDOREC"
VERSION = 1
CHUNK_BYTES = 8192  # 1.024 s of A-law: what a killed process can lose at most
TAG_BYTES = 16
SALT_BYTES = 24
_PARAMETERS = (
    MAGIC
    + bytes([VERSION, 1, 1, 1])  # version, AES-256-GCM with HKDF-SHA-256, A-law, one channel
    + SAMPLE_RATE_HZ.to_bytes(4, "big")
    + CHUNK_BYTES.to_bytes(4, "big")
)
HEADER_BYTES = len(_PARAMETERS) + SALT_BYTES + 32 + 32
_SEALED_CHUNK = CHUNK_BYTES + TAG_BYTES
_INFO = b"candor/recording/1"


class Track(enum.StrEnum):
    CALLEE = "callee"  # left
    BOT = "bot"  # right


@dataclass(frozen=True, slots=True)
class TrackSeal(Evolve):
    """What a closed container holds. Digests are SHA-256 in hex."""

    samples: int
    chunks: int  # the last, shorter one included; a torn file has no last one
    sealed_sha256: str  # of the whole file as it lies
    plain_sha256: str  # of the A-law bytes; empty once shredded
    bytes: int  # of the whole file
    complete: bool = True  # False: the writer was killed, this is its prefix


def track_context(
    tenant: str, call_id: str, recording_id: str, track: Track, segment: int
) -> bytes:
    """What a track's key and container are bound to, length-prefixed."""
    return length_prefixed(
        bytes([VERSION]), tenant, call_id, recording_id, str(track), segment.to_bytes(4, "big")
    )


def _header(salt: bytes, context: bytes, commitment: bytes) -> bytes:
    return _PARAMETERS + salt + hashlib.sha256(context).digest() + commitment


def _derive(key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, bytes]:
    """The container's cipher and its key commitment (AES-GCM alone commits to no key)."""
    if len(key) != KEY_BYTES:
        raise ValueError("a track key has 32 bytes")
    out = hkdf_sha256(key, _INFO + _PARAMETERS + context, salt=salt, length=64)
    return AESGCM(out[:32]), out[32:]


def _nonce(index: int, last: bool) -> bytes:
    return index.to_bytes(11, "big") + bytes([last])


class TrackWriter:
    """Writes one container: A-law in, a sealed chunk every 8192 samples, each fsynced.

    Not thread-safe: one writer thread. After the first failed write or fsync
    it stays failed: bytes whose fsync failed are never called saved.

    Raises:
        StorageError: disk full, I/O error; the chunks before it still open.
    """

    def __init__(
        self, path: Path, key: bytes, context: bytes, *, salt: bytes | None = None
    ) -> None:
        salt = os.urandom(SALT_BYTES) if salt is None else salt
        self._cipher, commitment = _derive(key, salt, context)
        self._pending = bytearray()
        self._chunks = 0
        self._samples = 0
        self._bytes = 0
        self._sealed = hashlib.sha256()
        self._plain = hashlib.sha256()
        self._failed = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags, 0o600)
        except OSError as error:
            raise StorageError(f"a recording cannot be begun: {error.strerror}") from error
        self._open = True
        self._append(_header(salt, context, commitment))
        try:
            fsync_folder(path.parent)  # a chunk is safe only if its file has a name
        except OSError as error:
            self.abandon()
            raise StorageError(f"a recording cannot be begun: {error.strerror}") from error

    def write(self, alaw: bytes) -> None:
        """Take A-law samples; whole chunks go to disk before this returns."""
        self._check()
        self._plain.update(alaw)
        self._samples += len(alaw)
        at = 0
        while len(self._pending) + len(alaw) - at >= CHUNK_BYTES:
            taken = at + CHUNK_BYTES - len(self._pending)
            chunk = bytes(self._pending) + alaw[at:taken]
            self._pending.clear()
            at = taken
            self._seal_chunk(chunk, last=False)
        self._pending += alaw[at:]

    def close(self) -> TrackSeal:
        """Seal the last, shorter chunk (empty if need be) and close the file."""
        self._check()
        self._seal_chunk(bytes(self._pending), last=True)
        self._pending.clear()
        self.abandon()
        return TrackSeal(
            samples=self._samples,
            chunks=self._chunks,
            sealed_sha256=self._sealed.hexdigest(),
            plain_sha256=self._plain.hexdigest(),
            bytes=self._bytes,
        )

    def abandon(self) -> None:
        """Close the file as it is; it stays a prefix. Harmless when repeated."""
        if self._open:
            self._open = False
            os.close(self._file)

    def _check(self) -> None:
        if self._failed:
            raise StorageError("this recording failed before; its prefix is all there is")
        if not self._open:
            raise StorageError("this recording is closed")

    def _seal_chunk(self, chunk: bytes, *, last: bool) -> None:
        self._append(self._cipher.encrypt(_nonce(self._chunks, last), chunk, None))
        self._chunks += 1

    def _append(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            self._failed = True
            self.abandon()
            raise StorageError(f"a recording cannot be written: {error.strerror}") from error
        self._sealed.update(data)
        self._bytes += len(data)


class TrackReader:
    """Reads one container from any seekable binary file; positions are samples.

    Raises:
        Corrupt: not a container, a wrong key or context; chunk errors name the chunk.
    """

    def __init__(self, file: BinaryIO, key: bytes, context: bytes) -> None:
        self._file = file
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            raise Corrupt("the recording is truncated inside its header")
        if header[: len(_PARAMETERS)] != _PARAMETERS:
            raise Corrupt("the recording's header is altered, or of an unknown version")
        salt_end = len(_PARAMETERS) + SALT_BYTES
        salt, digest = header[len(_PARAMETERS) : salt_end], header[salt_end : salt_end + 32]
        if not hmac.compare_digest(digest, hashlib.sha256(context).digest()):
            raise Corrupt("the container belongs to another recording, track or segment")
        self._cipher, commitment = _derive(key, salt, context)
        if not hmac.compare_digest(header[salt_end + 32 :], commitment):
            raise Corrupt("the recording's header is altered, or its key is another one")
        self._full, self._rest = divmod(size - HEADER_BYTES, _SEALED_CHUNK)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._file.close()

    def chunk(self, index: int) -> bytes:
        """Chunk ``index`` opened; the last one (``index == full chunks``) is shorter."""
        last = index == self._full
        if last and self._rest < TAG_BYTES:
            raise Corrupt(f"the recording is truncated: chunk {index}, its last, is missing")
        self._file.seek(HEADER_BYTES + index * _SEALED_CHUNK)
        sealed = self._file.read(self._rest if last else _SEALED_CHUNK)
        try:
            return self._cipher.decrypt(_nonce(index, last), sealed, None)
        except InvalidTag:
            raise Corrupt(self._diagnose(index, last, sealed)) from None

    def _diagnose(self, index: int, last: bool, sealed: bytes) -> str:
        for other in range(max(0, index - 64), index + 64):
            for flag in (False, True):
                try:
                    self._cipher.decrypt(_nonce(other, flag), sealed, None)
                except InvalidTag:
                    continue
                return f"chunks removed or reordered: chunk {index} holds chunk {other}"
        if last:
            return f"the recording is truncated inside chunk {index}, or that chunk is altered"
        return f"chunk {index} of the recording is altered"

    def whole(self) -> bytes:
        """Every sample, authenticated to the end."""
        return b"".join(self.chunk(i) for i in range(self._full + 1))

    def prefix(self) -> tuple[bytes, bool, int]:
        """A-law, whether the end is there, and how many chunks opened.

        Only the tail may be torn: an altered chunk before another is Corrupt.
        """
        opened: list[bytes] = []
        for index in range(self._full + 1):
            try:
                opened.append(self.chunk(index))
            except Corrupt:
                behind = (self._full - index) + (self._rest > 0)
                if index < self._full and behind > 1:
                    raise
                return b"".join(opened), False, index
        return b"".join(opened), True, len(opened)

    def read(self, start: int, n: int) -> bytes:
        """``n`` samples from ``start``; fewer at the authenticated end only."""
        if start < 0 or n < 0:
            raise BadInput("a range starts at 0 or later and is not negative", field="range")
        pieces = list(self._pieces(start, n))
        return b"".join(pieces)

    def _pieces(self, start: int, n: int) -> Iterator[bytes]:
        stop = start + n
        # A range past the end proves the end by opening the last chunk.
        first, final = (min(p // CHUNK_BYTES, self._full) for p in (start, max(start, stop - 1)))
        for index in range(first, final + 1):
            base = index * CHUNK_BYTES
            yield self.chunk(index)[max(0, start - base) : max(0, stop - base)]


def _reader(path: Path, key: bytes, context: bytes) -> TrackReader:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise Corrupt("the recording's file is missing") from None
    try:
        return TrackReader(file, key, context)
    except BaseException:
        file.close()
        raise


def open_track(path: Path, key: bytes, context: bytes, expect: TrackSeal | None = None) -> bytes:
    """A whole track as A-law. With ``expect``, a cut, an addition and a flip are told apart.

    Raises:
        Corrupt: truncated, altered, extended, reordered; names the chunk.
    """
    if expect is not None and path.is_file() and (size := path.stat().st_size) != expect.bytes:
        what = "truncated" if size < expect.bytes else "extended"
        at = max(0, min(size, expect.bytes) - HEADER_BYTES) // _SEALED_CHUNK
        raise Corrupt(f"the recording is {what} at chunk {at}: {size} bytes, not {expect.bytes}")
    with _reader(path, key, context) as reader:
        return reader.whole()


def open_prefix(path: Path, key: bytes, context: bytes) -> tuple[bytes, bool, int]:
    """What a killed writer left: A-law, complete or not, chunks opened."""
    with _reader(path, key, context) as reader:
        return reader.prefix()


def read_range(path: Path, key: bytes, context: bytes, start_sample: int, n: int) -> bytes:
    """``n`` samples from ``start_sample`` without reading the rest."""
    with _reader(path, key, context) as reader:
        return reader.read(start_sample, n)
