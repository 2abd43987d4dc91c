# SPDX-License-Identifier: GPL-3.0-or-later
"""The one file a backup is: a tar archive, a signed manifest in it, one digest over all.

Members in this order: the home's files, ``manifest.json`` with the SHA-256 of each, and
``manifest.sig``, Ed25519 over the manifest by the home's signing key. After the archive one
line holds the SHA-256 of everything before it. Every byte is under that line or in it.
Nothing personal is in the clear: what was sealed in the home is sealed here.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from compliance.errors import BadInput, Corrupt, StorageError
from compliance.facts import Evolve
from storage.keys import Keyring
from storage.objects import fsync_folder

SETTINGS, DATABASE, KEYS = "candor.toml", "candor.db", "keys/master.json"
DUMP = "candor.dump"  # the database, where it is a PostgreSQL
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
Progress = Callable[[int, int], None]
"""Told how many bytes are done, of how many."""

_ALLOWED = re.compile(
    r"candor\.toml|candor\.(?:db|dump)|keys/master\.json|keys/sim\.pub"
    r"|objects/([0-9a-f]{2})/\1[0-9a-f]{30}"
    r"|anchors/(branch-[0-9]{4}/)?(checkpoint-[0-9]{20}\.(note|tsr)|destructions\.jsonl)"
)
_TRAILER = re.compile(rb"candor backup sha256 ([0-9a-f]{64})\n")
_TRAILER_BYTES = 86
_SIGNED = b"candor backup manifest 1\n"  # no checkpoint begins so: its name has no spaces
_BLOCK = 1 << 20
_SMALL = 1 << 26


@dataclass(frozen=True, slots=True)
class Manifest(Evolve):
    """What a backup says of itself. ``members`` maps names to SHA-256, in hex."""

    raw: bytes
    signature: bytes
    about: Mapping[str, Any]
    members: Mapping[str, str]

    def check_signature(self, public_key: bytes) -> None:
        """Raises Corrupt unless this home's key signed the manifest."""
        verifier = Ed25519PublicKey.from_public_bytes(public_key)
        try:
            verifier.verify(self.signature, _SIGNED + self.raw)
        except InvalidSignature:
            raise Corrupt(
                "the backup is not signed by these keys: forged, or of another home",
                remedy="give the keys of the home it was made from",
            ) from None


@contextmanager
def draft(target: Path) -> Iterator[Path]:
    """A private folder beside ``target``, for what is to become it; gone afterwards.

    What a killed process left of it goes first.

    Raises:
        StorageError: another process makes the same target, or the folder cannot be made.
    """
    folder = target.with_name(f".{target.name}.unfinished")
    descriptor = -1
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _empty(folder)
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        busy = isinstance(error, BlockingIOError)
        cause = "another process is making it" if busy else error.strerror
        raise StorageError(f"{target.name} cannot be made: {cause}") from error
    try:
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder)
        os.close(descriptor)


def _empty(folder: Path) -> None:
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


# ---------------------------------------------------------------- writing


def write(
    path: Path,
    members: Sequence[tuple[str, Path]],
    about: Mapping[str, Any],
    keyring: Keyring,
    progress: Progress,
) -> str:
    """Write the bundle, durable; returns its SHA-256 in hex. Members are (name, file)."""
    total, done = sum(file.stat().st_size for _, file in members), 0
    digests: dict[str, str] = {}
    out = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")  # noqa: SIM115
    with out:
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for name, file in members:
                with file.open("rb") as source:
                    reader = _Reader(source, os.fstat(source.fileno()).st_size)
                    archive.addfile(_entry(name, reader.left), reader)
                digests[name] = reader.digest.hexdigest()
                done += file.stat().st_size
                progress(done, total)
            raw = json.dumps(
                {"format": 1, **about, "members": digests}, sort_keys=True, indent=1
            ).encode()
            signature = base64.b64encode(keyring.sign(_SIGNED + raw)) + b"\n"
            for name, data in ((MANIFEST, raw), (SIGNATURE, signature)):
                archive.addfile(_entry(name, len(data)), io.BytesIO(data))
        out.seek(0)
        whole = hashlib.file_digest(out, "sha256").hexdigest()
        out.seek(0, os.SEEK_END)
        out.write(b"candor backup sha256 " + whole.encode() + b"\n")
        out.flush()
        os.fsync(out.fileno())
    return whole


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


class _Reader(io.RawIOBase):
    """At most ``left`` bytes of a file, hashed on their way."""

    def __init__(self, source: BinaryIO, left: int) -> None:
        self._source, self.left, self.digest = source, left, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(self.left if size < 0 else min(size, self.left))
        self.left -= len(data)
        self.digest.update(data)
        return data


# ---------------------------------------------------------------- reading


def read(
    path: Path,
    take: Callable[[str], Path | None],
    progress: Progress,
) -> tuple[Manifest, str]:
    """Go through a bundle, check every byte, and put members where ``take`` says (None: nowhere).

    Returns the manifest, its signature not yet checked, and the bundle's SHA-256. What was
    put somewhere is good only when this returns.

    Raises:
        BadInput: no backup. Corrupt: damaged; names the member.
    """
    found: dict[str, str] = {}
    small: dict[str, bytes] = {}
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read: {error.strerror}", field="backup") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _TRAILER_BYTES))
        trailer = _TRAILER.fullmatch(file.read())
        if trailer is None:
            raise BadInput(
                f"{path.name} is no backup, or its end is missing or damaged",
                field="backup",
                remedy="take another copy",
            )
        file.seek(0)
        whole = _Reader(file, size - _TRAILER_BYTES)
        try:
            with tarfile.open(fileobj=whole, mode="r|") as archive:
                for entry in archive:
                    _one(archive, entry, take, found, small)
                    progress(size - whole.left, size)
        except (tarfile.TarError, EOFError, ValueError, UnicodeError):
            last = next(reversed(found), "its beginning")
            raise _damaged(f"after {last}") from None
        while whole.read(_BLOCK):
            pass
    manifest = _manifest(small)
    for name, digest in manifest.members.items():
        if found.get(name) != digest:
            raise _damaged(name)
    if found.keys() - manifest.members.keys():
        raise _damaged("members that its manifest does not name")
    if whole.digest.hexdigest() != trailer[1].decode():
        raise _damaged("its archive")
    return manifest, whole.digest.hexdigest()


def _one(
    archive: tarfile.TarFile,
    entry: tarfile.TarInfo,
    take: Callable[[str], Path | None],
    found: dict[str, str],
    small: dict[str, bytes],
) -> None:
    own = entry.name in (MANIFEST, SIGNATURE)
    if not entry.isreg() or not (own or _ALLOWED.fullmatch(entry.name)):
        raise _damaged("a member no backup has")
    if entry.name in found or entry.name in small:
        raise _damaged(f"{entry.name}, which is there twice")
    source = archive.extractfile(entry)
    assert source is not None
    if own:
        if entry.size > _SMALL * 16:
            raise _damaged(entry.name)
        small[entry.name] = source.read()
        return
    reader = _Reader(source, entry.size)  # type: ignore[arg-type]
    place = take(entry.name)
    if place is None:
        while reader.read(_BLOCK):
            pass
    else:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(place, flags, 0o600), "wb") as target:
            shutil.copyfileobj(reader, target, _BLOCK)
            target.flush()
            os.fsync(target.fileno())
        fsync_folder(place.parent)
    found[entry.name] = reader.digest.hexdigest()


def _manifest(small: Mapping[str, bytes]) -> Manifest:
    try:
        raw = small[MANIFEST]
        told = json.loads(raw)
        if told.pop("format") != 1:
            raise BadInput("a newer Candor made this backup", field="backup", remedy="upgrade")
        members = {str(name): str(digest) for name, digest in told.pop("members").items()}
        signature = base64.b64decode(small[SIGNATURE], validate=False)
        return Manifest(raw, signature, told, members)
    except (KeyError, ValueError, AttributeError, TypeError):
        raise _damaged("its manifest") from None


def _damaged(what: str) -> Corrupt:
    return Corrupt(
        f"the backup is damaged: {what}; nothing was restored", remedy="take another copy"
    )
