# SPDX-License-Identifier: GPL-3.0-or-later
"""The call journal: what calls leave, on this machine's disk before it is in the database.

Each dialer process has a file of its own in the home's ``journal`` folder and holds a lock on
it that the kernel drops with the process. A record is on disk (fsync) before it counts as
written; when the database has all of a file's records, the file is emptied.

A file is a row of frames: ``magic (4) | length (4) | CRC-32 (4)`` and a body of ``sequence
number (8) | kind (1) | attempt (16) | nonce (12) | AES-256-GCM``, integers big-endian. The
additional data names version, tenant, file, sequence number, kind and attempt: no record opens
in another place. In the clear are random ids only. The key is derived from the home's index
root, so that rotation of the master key leaves what waits readable.

A tail cut by a crash was never said to be written: it is ignored. Damage in front of whole
frames costs the frames it touches, is told, and the file is kept.
"""

from __future__ import annotations

import enum
import fcntl
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compliance.errors import Corrupt, StorageError
from compliance.facts import Evolve
from storage.keys import NONCE_BYTES, Keyring, length_prefixed
from storage.objects import fsync_folder

VERSION = 1
SUFFIX = ".journal"
ASIDE = ".aside"  # records the database did not take, or a damaged file; a person must look

_MAGIC = b"CJ1\n"
_HEAD = struct.Struct(">4sII")
_BODY = struct.Struct(">QB16s")
_LEAST, _MOST = _BODY.size + NONCE_BYTES + 16, 16 * 1024 * 1024  # bytes of a body


class Kind(enum.IntEnum):
    """What a record tells of its attempt."""

    ANSWERED = 1
    OPENED = 2  # a recording: the keys without which its prefix could not be opened
    REFUSED = 3
    ENDED = 4


@dataclass(frozen=True, slots=True)
class Frame(Evolve):
    """One whole record as it lies in a file, still sealed."""

    seq: int
    kind: Kind
    attempt: str
    raw: bytes

    @property
    def sealed(self) -> bytes:
        return self.raw[_HEAD.size + _BODY.size :]


@dataclass(frozen=True, slots=True)
class Reading(Evolve):
    """The whole frames of a file in their order; ``damaged``: bytes between them are none."""

    frames: tuple[Frame, ...]
    damaged: bool


@dataclass(frozen=True, slots=True)
class Waiting(Evolve):
    """What has not reached the database yet, over all files of a home."""

    records: int = 0
    refusals: int = 0
    aside: int = 0  # files that a person must look at


def read(data: bytes) -> Reading:
    """Every whole frame of a file, however it was cut or damaged; needs no key."""
    found: list[Frame] = []
    at, torn, damaged = 0, False, False
    while at < len(data):
        frame = _frame(data, at)
        if frame is None:
            torn = True
            at = data.find(_MAGIC, at + 1)
            if at < 0:
                break
            continue
        damaged = damaged or torn
        found.append(frame)
        at += len(frame.raw)
    return Reading(tuple(found), damaged)


def _frame(data: bytes, at: int) -> Frame | None:
    head = data[at : at + _HEAD.size]
    if len(head) < _HEAD.size:
        return None
    magic, length, checksum = _HEAD.unpack(head)
    if magic != _MAGIC or not _LEAST <= length <= _MOST:
        return None
    body = data[at + _HEAD.size : at + _HEAD.size + length]
    if len(body) < length or zlib.crc32(body) != checksum:
        return None
    seq, kind, attempt = _BODY.unpack_from(body)
    try:
        return Frame(seq, Kind(kind), attempt.hex(), head + body)
    except ValueError:
        return None


class Seal:
    """Seals and opens the records of one file, by its name."""

    def __init__(self, keyring: Keyring, tenant: str, name: str) -> None:
        self._bound = length_prefixed("candor/journal", bytes([VERSION]), tenant, name)
        self._cipher = AESGCM(keyring.blind("journal", self._bound))

    def close(self, seq: int, kind: Kind, attempt: str, text: str) -> Frame:
        """A frame that opens to ``text`` in this file and at this place only."""
        front = _BODY.pack(seq, kind, bytes.fromhex(attempt))
        nonce = os.urandom(NONCE_BYTES)
        body = front + nonce + self._cipher.encrypt(nonce, text.encode(), self._bound + front)
        return Frame(seq, kind, attempt, _HEAD.pack(_MAGIC, len(body), zlib.crc32(body)) + body)

    def open(self, frame: Frame) -> str:
        """The text of a frame.

        Raises:
            Corrupt: altered, or moved from another file, tenant or place.
        """
        front = _BODY.pack(frame.seq, frame.kind, bytes.fromhex(frame.attempt))
        nonce, sealed = frame.sealed[:NONCE_BYTES], frame.sealed[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, sealed, self._bound + front).decode()
        except InvalidTag:
            raise Corrupt("a record of the call journal does not open") from None


class CallJournal:
    """The file of one process. Not thread-safe: one writer thread."""

    def __init__(self, path: Path, seal: Seal, descriptor: int) -> None:
        self.path = path
        self._seal = seal
        self._file = descriptor
        self._size = 0
        self._seq = 0
        self._broken = False

    @classmethod
    def create(cls, folder: Path, worker: str, keyring: Keyring, tenant: str) -> Self:
        """A new empty file for a process of this name.

        Raises:
            StorageError: the folder or the file cannot be made.
        """
        path = folder / f"{worker.replace('/', '.')}{SUFFIX}"
        seal = Seal(keyring, tenant, path.stem)
        try:
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
                fsync_folder(folder.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            fresh = path.with_suffix(".new")
            descriptor = os.open(fresh, flags, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            fresh.rename(path)  # nobody finds it before it is locked, and thinks it dead
            fsync_folder(folder)
        except OSError as error:
            raise StorageError(f"the call journal cannot be made: {error.strerror}") from error
        return cls(path, seal, descriptor)

    def append(self, kind: Kind, attempt: str, text: str) -> Frame:
        """Write one record; it is on disk when this returns.

        Raises:
            StorageError: it is not. After a full disk another try may succeed; after a failing
                fsync none does, since nothing the disk says is to be believed then.
        """
        if self._broken:
            raise StorageError("the call journal failed before")
        self._seq += 1
        frame = self._seal.close(self._seq, kind, attempt, text)
        try:
            left = memoryview(frame.raw)
            while left:
                left = left[os.pwrite(self._file, left, self._size + len(frame.raw) - len(left)) :]
        except OSError as error:
            self._cut_back()
            raise StorageError(f"the call journal cannot grow: {error.strerror}") from error
        try:
            os.fsync(self._file)
        except OSError as error:
            self._broken = True
            raise StorageError(f"the call journal is not safe: {error.strerror}") from error
        self._size += len(frame.raw)
        return frame

    def empty(self) -> None:
        """Everything in it is in the database. Not synced: to find it again is harmless."""
        if self._size:
            self._size = 0
            self._cut_back()

    def set_aside(self, frame: Frame) -> None:
        """Keep a record that the database does not take where somebody finds it."""
        set_aside(self.path, frame.raw)

    def close(self) -> None:
        """Take the file away if nothing waits in it; else the next start moves it."""
        if not self._size:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._broken = True  # what lies behind a torn record must not count as written


def set_aside(path: Path, data: bytes) -> None:
    """Append ``data`` durably to what is kept aside of the file ``path``."""
    aside = path.with_suffix(ASIDE)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with os.fdopen(os.open(aside, flags, 0o600), "ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fsync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"a record cannot be kept aside: {error.strerror}") from error


def waiting(folder: Path) -> Waiting:
    """What waits in a home's journals; needs no key."""
    records = refusals = 0
    for path in folder.glob(f"*{SUFFIX}"):
        frames = _peek(path)
        records += len(frames)
        refusals += sum(frame.kind is Kind.REFUSED for frame in frames)
    return Waiting(records, refusals, sum(1 for _ in folder.glob(f"*{ASIDE}")))


def lies_aside(folder: Path) -> bool:
    """Whether a person must look at something the database did not take."""
    return any(folder.glob(f"*{ASIDE}"))


def refusal_waits(folder: Path, own: Path) -> bool:
    """Whether another process's file holds a refusal that the database may not know yet.

    What was kept aside may be one, and nobody knows of whom: then no number is safe to call.
    """
    if lies_aside(folder):
        return True
    others = (path for path in folder.glob(f"*{SUFFIX}") if path != own)
    return any(frame.kind is Kind.REFUSED for path in others for frame in _peek(path))


def _peek(path: Path) -> tuple[Frame, ...]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()  # its process ended this moment, with nothing left in it
    return read(data).frames
