# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest

from compliance.errors import BadInput, Corrupt, StorageError
from storage.objects import FolderObjects, Objects, new_name

NAME = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
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


def test_commit_goes_on_after_a_crash_between_its_two_steps(objects: Objects) -> None:
    part = objects.part_path(NAME)
    part.write_bytes(b"x")
    os.link(part, part.with_name(NAME))
    objects.commit(NAME)
    assert list(objects.unfinished()) == []
    assert objects.exists(NAME)


def test_commit_of_nothing(objects: Objects) -> None:
    with pytest.raises(Corrupt, match="never written"):
        objects.commit(NAME)


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


def test_symbolic_links_are_not_followed(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    part = objects.part_path(NAME)
    part.with_name(NAME).symlink_to(tmp_path / "secret")
    with pytest.raises(StorageError):
        objects.open(NAME)


def test_names_are_random() -> None:
    assert len({new_name() for _ in range(100)}) == 100


def test_files_are_private(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    objects.put(NAME, tmp_path / "a")
    folder = tmp_path / "objects"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / NAME[:2] / NAME).stat().st_mode & 0o077 == 0


def test_unusable_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be made"):
        FolderObjects(tmp_path / "file" / "objects")
