# SPDX-License-Identifier: GPL-3.0-or-later
"""Experiment 4: a power cut. What was acknowledged is there, whatever was not synced is lost.

A home lives its life with every write logged; the power goes at moments of a fixed sample, and
each disk that may be left is opened and looked at. ``make powercut`` tries every moment.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.cuts import Moment, attempt, differs, quick_disk, sample
from tests.faults.powercut import Cut, Disk, Event, compile_shim, events, logged


@dataclass(frozen=True, slots=True)
class Logged:
    log: list[Event]
    folder: Path

    @property
    def inode(self) -> int:
        return self.folder.stat().st_ino


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("the logger of writes needs a C compiler: apt install gcc libc6-dev")
    return compile_shim(tmp_path_factory.mktemp("writelog"))


@pytest.fixture(scope="module")
def life(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """A home's life, lived once for all tests here."""
    folder = tmp_path_factory.mktemp("disk").resolve()
    log = folder.with_name(f"{folder.name}.log")
    logged("tests.faults.workday", folder, log, shim)
    return Logged(events(log), folder)


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=quick_disk()) as name:
        yield Path(name)


def test_the_log_tells_the_whole_disk(life: Logged, place: Path) -> None:
    assert differs(life.log, life.inode, life.folder, place / "again") == []
    assert sum(event.op == "S" for event in life.log) > 100


def test_what_was_acknowledged_survives_a_power_cut(life: Logged, place: Path) -> None:
    moments = sample(life.log)
    assert {moment.cut for moment in moments} == set(Cut)
    failures = attempt(life.log, life.inode, moments, place)
    assert failures == [], "\n".join(map(str, failures))


@pytest.mark.parametrize("forgotten", [r"home/objects/.*\.part", r"home/objects/..", r".*-wal"])
def test_a_missing_sync_would_be_noticed(life: Logged, place: Path, forgotten: str) -> None:
    """The same life with a program that forgets to sync: recordings, their folders, the WAL."""
    finished = [
        n
        for n, event in enumerate(life.log, 1)
        if event.op == "A" and "finish" in event.mark["did"]
    ]
    log = [e for e in life.log[: finished[-1]] if e.op != "S" or not re.fullmatch(forgotten, e.a)]
    (failure,) = attempt(log, life.inode, [Moment(len(log), Cut.DROPPED)], place)
    assert failure.marked == "finish"


# ---------------------------------------------------------------- the model of the disk


def disk(*records: tuple[str, int, int, str, bytes]) -> Disk:
    made = Disk(1)
    for record in records:
        made.apply(Event(*record))
    return made


def left(made: Disk, where: Path, cut: Cut, seed: int = 0) -> dict[str, bytes]:
    made.lay_out(where, cut, seed)
    return {
        str(path.relative_to(where)): path.read_bytes()
        for path in where.rglob("*")
        if path.is_file()
    }


CREATE = ("C", 2, 0, "a", b"")
WRITE = ("W", 2, 0, "a", b"x" * 1024)
SYNC = ("S", 2, 0, "a", b"")
SYNC_FOLDER = ("S", 1, 0, "", b"")
AGAIN = ("W", 2, 512, "a", b"y" * 1024)


@pytest.mark.parametrize(
    ("records", "dropped"),
    [
        ([CREATE, WRITE, SYNC], {}),  # no name
        ([CREATE, WRITE, SYNC_FOLDER], {"a": b""}),  # no bytes
        ([CREATE, WRITE, SYNC, SYNC_FOLDER], {"a": b"x" * 1024}),
        ([CREATE, WRITE, SYNC, SYNC_FOLDER, AGAIN], {"a": b"x" * 1024}),
        ([CREATE, WRITE, SYNC, SYNC_FOLDER, ("U", 0, 0, "a", b"")], {"a": b"x" * 1024}),
        ([CREATE, WRITE, SYNC, SYNC_FOLDER, ("R", 0, 0, "a", b"b")], {"a": b"x" * 1024}),
        (
            [CREATE, WRITE, SYNC, SYNC_FOLDER, ("R", 0, 0, "a", b"b"), SYNC_FOLDER],
            {"b": b"x" * 1024},
        ),
        ([CREATE, WRITE, SYNC, SYNC_FOLDER, ("T", 2, 3, "a", b""), SYNC], {"a": b"xxx"}),
    ],
)
def test_only_what_was_synced_is_safe(
    tmp_path: Path, records: list[tuple[str, int, int, str, bytes]], dropped: dict[str, bytes]
) -> None:
    assert left(disk(*records), tmp_path / "left", Cut.DROPPED) == dropped


def test_sectors_come_through_one_by_one(tmp_path: Path) -> None:
    made = disk(CREATE, WRITE, SYNC, SYNC_FOLDER, AGAIN)
    x, y, none = b"x" * 512, b"y" * 512, bytes(512)
    seen = {left(made, tmp_path / "left", Cut.TORN_512, n)["a"] for n in range(60)}
    assert seen == {x + x, x + y, x + x + y, x + y + y}
    assert none not in seen
