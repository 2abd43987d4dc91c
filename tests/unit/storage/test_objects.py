# SPDX-License-Identifier: GPL-3.0-or-later
"""What a folder and a bucket promise alike, and a folder alone; see ``test_objects_s3``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compliance.errors import BadInput, Corrupt, StorageError
from storage.objects import FolderObjects, Objects, new_name

NAME = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> FolderObjects:
    return FolderObjects(tmp_path / "objects")


def test_put_open_delete(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"sealed")
    objects.put(NAME, tmp_path / "source")
    with objects.open(NAME) as file:
        assert file.read() == b"sealed"
    assert objects.exists(NAME)
    assert list(objects.names()) == [NAME]
    assert objects.delete(NAME)
    assert not objects.exists(NAME)
    assert not objects.delete(NAME)
    with pytest.raises(Corrupt, match="missing"):
        objects.open(NAME)


def test_an_object_is_never_replaced(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(b"second")
    objects.put(NAME, tmp_path / "a")
    with pytest.raises(BadInput, match="exists"):
        objects.put(NAME, tmp_path / "b")
    objects.part_path(NAME).write_bytes(b"third")
    with pytest.raises(BadInput, match="exists"):
        objects.commit(NAME)
    assert list(objects.unfinished()) == [NAME]  # the other audio is not thrown away
    with objects.open(NAME) as file:
        assert file.read() == b"first"


def test_part_becomes_object(objects: Objects) -> None:
    objects.part_path(NAME).write_bytes(b"x")
    assert list(objects.unfinished()) == [NAME]
    assert not objects.exists(NAME)
    assert list(objects.names()) == []
    objects.commit(NAME)
    assert list(objects.unfinished()) == []
    assert list(objects.names()) == [NAME]
    with pytest.raises(Corrupt, match="never written"):
        objects.commit(NAME)


def test_a_reader_seeks(objects: Objects, tmp_path: Path) -> None:
    data = os.urandom(50_000)
    (tmp_path / "source").write_bytes(data)
    objects.put(NAME, tmp_path / "source")
    with objects.open(NAME) as file:
        file.seek(-1000, os.SEEK_END)
        assert file.read() == data[-1000:]
        assert file.seek(20_000) == 20_000
        assert file.read(5) == data[20_000:20_005]
        assert file.read(0) == b""


def test_delete_removes_the_unfinished_part(objects: Objects) -> None:
    objects.part_path(NAME).write_bytes(b"x")
    assert objects.delete(NAME)
    assert list(objects.unfinished()) == []


@pytest.mark.parametrize(
    "name", ["", "..", "../" + NAME, NAME + "/x", NAME.upper(), NAME[:-1], NAME + "\n", "alice.wav"]
)
def test_only_opaque_names(objects: Objects, name: str) -> None:
    for use in (objects.open, objects.delete, objects.exists, objects.part_path, objects.commit):
        with pytest.raises(BadInput, match="not an object name"):
            use(name)


def test_names_are_random() -> None:
    assert len({new_name() for _ in range(100)}) == 100


# ---------------------------------------------------------------- a folder alone


def test_commit_goes_on_after_a_crash_between_its_two_steps(folder: FolderObjects) -> None:
    part = folder.part_path(NAME)
    part.write_bytes(b"x")
    os.link(part, part.with_name(NAME))
    folder.commit(NAME)
    assert list(folder.unfinished()) == []
    assert folder.exists(NAME)


def test_symbolic_links_are_not_followed(folder: FolderObjects, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    part = folder.part_path(NAME)
    part.with_name(NAME).symlink_to(tmp_path / "secret")
    with pytest.raises(StorageError):
        folder.open(NAME)


def test_files_are_private(folder: FolderObjects, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    folder.put(NAME, tmp_path / "a")
    assert folder.root.stat().st_mode & 0o077 == 0
    assert folder.path(NAME).stat().st_mode & 0o077 == 0


def test_unusable_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be made"):
        FolderObjects(tmp_path / "file" / "objects")
