# SPDX-License-Identifier: GPL-3.0-or-later
"""Where sealed files live: a folder; ``storage.objects_s3`` has the same for a bucket.

Names are opaque (32 random hex digits): they say nothing of a person or a call.
An object being written lies locally under its name with ``.part`` until
:meth:`Objects.commit`; after a crash :meth:`Objects.unfinished` lists it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from compliance.errors import BadInput, Corrupt, StorageError

_NAME = re.compile(r"[0-9a-f]{32}")
_PART = ".part"


class Objects(Protocol):
    """A store of immutable sealed objects. Safe to share between threads."""

    def put(self, name: str, source: Path) -> None:
        """Copy ``source`` in, durable when this returns; an existing object is refused."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A seekable reader.

        Raises:
            Corrupt: there is no such object.
        """
        ...

    def delete(self, name: str) -> bool:
        """Remove an object and any unfinished part, durably; False when neither was there."""
        ...

    def exists(self, name: str) -> bool: ...

    def names(self) -> Iterator[str]:
        """Names of all finished objects, sorted."""
        ...

    def part_path(self, name: str) -> Path:
        """Where to write an object in place before :meth:`commit`; its folder exists."""
        ...

    def commit(self, name: str) -> None:
        """Finish a part: from now on it is an object."""
        ...

    def unfinished(self) -> Iterator[str]:
        """Names of parts never committed, sorted."""
        ...


def new_name() -> str:
    """A fresh object name."""
    return secrets.token_hex(16)


def fsync_folder(path: Path) -> None:
    """Make names created, renamed or removed in ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def synced_draft(target: Path, data: bytes) -> Iterator[Path]:
    """A private file beside ``target`` with ``data`` on disk, to be renamed or linked to it.

    Afterwards the draft is gone and the folder is synced, also where the target was there
    before: who wrote it may have been killed before its name was safe.
    """
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
        fsync_folder(target.parent)


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder and the parents it lacks, their names durable; one that exists is fine."""
    lacking = [place for place in (path, *path.parents) if not place.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for place in lacking:
        fsync_folder(place.parent)


def fsync_tree(path: Path) -> None:
    """Make everything in a folder durable, its names and those of what it holds."""
    for place in path.iterdir():
        if place.is_dir() and not place.is_symlink():
            fsync_tree(place)
        elif place.is_file():
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    fsync_folder(path)


class FolderObjects:
    """Objects as files of mode 0600 under ``root/ab/ab…``; ``root`` is made if missing."""

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root)
        try:
            make_folder(self._root)
        except OSError as error:
            raise StorageError(f"the object folder cannot be made: {error.strerror}") from error

    @property
    def root(self) -> Path:
        return self._root

    def path(self, name: str) -> Path:
        """Where a finished object lies."""
        return self._path(name)

    def put(self, name: str, source: Path) -> None:
        if self.exists(name):
            raise BadInput("an object of this name exists", field="object")
        part = self.part_path(name)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with source.open("rb") as reader, open(os.open(part, flags, 0o600), "wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
                writer.flush()
                os.fsync(writer.fileno())
        except OSError as error:
            raise StorageError(f"an object cannot be stored: {error.strerror}") from error
        self.commit(name)

    def open(self, name: str) -> BinaryIO:
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            return open(os.open(self._path(name), flags), "rb")
        except FileNotFoundError:
            raise Corrupt(f"object {name} is missing") from None
        except OSError as error:
            raise StorageError(f"object {name} cannot be read: {error.strerror}") from error

    def delete(self, name: str) -> bool:
        path = self._path(name)
        found = False
        try:
            for victim in (path, self._part(name)):
                if victim.exists():
                    victim.unlink()
                    found = True
            if path.parent.is_dir():  # also for one who was killed after the unlink
                fsync_folder(path.parent)
        except OSError as error:
            raise StorageError(f"object {name} cannot be removed: {error.strerror}") from error
        return found

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def names(self) -> Iterator[str]:
        return iter(sorted(p.name for p in self._files() if _NAME.fullmatch(p.name)))

    def part_path(self, name: str) -> Path:
        part = self._part(name)
        try:
            if not part.parent.is_dir():
                part.parent.mkdir(mode=0o700, exist_ok=True)
                fsync_folder(self._root)
        except OSError as error:
            raise StorageError(f"the object folder fails: {error.strerror}") from error
        return part

    def commit(self, name: str) -> None:
        path, part = self._path(name), self._part(name)
        try:
            # Unlike rename, link refuses to replace an object. A process killed between
            # the two steps leaves both names on one file: then only the second is owed.
            if not (path.exists() and part.exists() and path.samefile(part)):
                os.link(part, path)
            fsync_folder(path.parent)  # a disk may take the second step before the first
            part.unlink()
            fsync_folder(path.parent)
        except FileExistsError:
            raise BadInput("an object of this name exists", field="object") from None
        except FileNotFoundError:
            raise Corrupt(f"object {name} was never written") from None
        except OSError as error:
            raise StorageError(f"object {name} cannot be finished: {error.strerror}") from error

    def unfinished(self) -> Iterator[str]:
        names = (p.name.removesuffix(_PART) for p in self._files() if p.name.endswith(_PART))
        return iter(sorted(n for n in names if _NAME.fullmatch(n)))

    def _files(self) -> Iterator[Path]:
        for folder in self._root.iterdir():
            if folder.is_dir():
                yield from folder.iterdir()

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise BadInput("not an object name", field="object", remedy="use storage.objects")
        return self._root / name[:2] / name

    def _part(self, name: str) -> Path:
        path = self._path(name)
        return path.with_name(path.name + _PART)
