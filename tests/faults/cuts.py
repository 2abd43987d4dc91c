# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts the power of a logged home at many moments and looks at what is left (experiment 4).

``python -m tests.faults.cuts`` (``make powercut``) tries every moment: after each record of the
log with what was not synced torn, and after each sync and mark with all of it dropped.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.faults.aftermath import check
from tests.faults.powercut import Cut, Disk, Event, compile_shim, events, logged

SEED = 4
_SHARES = 20  # what the processes take one by one
_TORN = (Cut.TORN_512, Cut.TORN_4096)


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """The power goes when the first ``after`` records were made."""

    after: int
    cut: Cut


@dataclass(frozen=True, slots=True)
class Failure:
    """A moment after which something promised was gone."""

    moment: Moment
    last: str  # the record before the cut
    marked: str  # what was promised last
    error: str

    def __str__(self) -> str:
        return (
            f"cut {self.moment.cut.name} after record {self.moment.after} ({self.last}), "
            f"last promise {self.marked!r}: {self.error}"
        )


def every(log: Sequence[Event], inode: int) -> list[Moment]:
    """Every moment that can tell something new."""
    found, disk = [], Disk(inode)
    for at, event in enumerate(log, 1):
        disk.apply(event)
        if event.op in "SA":  # dropping what waits gives the same folder everywhere between
            found.append(Moment(at, Cut.DROPPED))
        if disk.settled:
            continue
        if event.op in "CMLURD":  # names are few, and each is the only way to a file
            found += [Moment(at, cut) for cut in (Cut.NEWEST, *_TORN)]
        else:
            found.append(Moment(at, _TORN[at % 2]))
    return found


def sample(log: Sequence[Event]) -> list[Moment]:
    """Each kind of promise just made, names that come through without those before, torn writes."""
    coin = random.Random(SEED)
    promised = {e.mark["did"]: at for at, e in enumerate(log, 1) if e.op == "A"}  # the last of each
    names = [at for at, e in enumerate(log, 1) if e.op in "LUR" and "-wal" not in e.a]
    ended = [at for at in names if log[at - 1].a.endswith(".part")]
    syncs = [at for at, e in enumerate(log, 1) if e.op == "S" and at > promised["init"]]
    writes = [coin.randrange(before + 1, after) for before, after in _gaps(syncs, coin, 8)]
    return sorted(
        {
            *(Moment(at, Cut.DROPPED) for at in promised.values()),
            *(Moment(at, Cut.NEWEST) for at in coin.sample(names, 3) + coin.sample(ended, 3)),
            *(Moment(at, cut) for at, cut in zip(writes, _TORN * 4, strict=True)),
        }
    )


def _gaps(syncs: Sequence[int], coin: random.Random, many: int) -> list[tuple[int, int]]:
    """Stretches in which several writes wait."""
    wide = [(a, b) for a, b in pairwise(syncs) if b - a > 2]
    return coin.sample(wide, min(len(wide), many))


def attempt(
    log: Sequence[Event], inode: int, moments: Iterable[Moment], folder: Path
) -> list[Failure]:
    """Cut at each of ``moments`` and check; ``inode``: of the logged folder."""
    disk, at, failures = Disk(inode), 0, []
    marks = [(n, event.mark) for n, event in enumerate(log, 1) if event.op == "A"]
    for moment in sorted(moments):
        while at < moment.after:
            disk.apply(log[at])
            at += 1
        left = folder / "left"
        disk.lay_out(left, moment.cut, (SEED, moment.after))
        promised = [mark for n, mark in marks if n <= at]
        try:
            check(left, promised)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            line = next(
                (f for f in reversed(where) if f.filename.endswith("aftermath.py")), where[-1]
            )
            told = f"{type(error).__name__}: {error} [{line.name}: {line.line}]"
            last = log[at - 1]
            did = promised[-1]["did"] if promised else ""
            failures.append(Failure(moment, f"{last.op} {last.a}", did, told))
    return failures


def differs(log: Sequence[Event], inode: int, folder: Path, where: Path) -> list[str]:
    """Files of ``folder`` that the whole log does not give as they are: writes it missed."""
    disk = Disk(inode)
    for event in log:
        disk.apply(event)
    disk.lay_out_now(where)
    return sorted(
        path
        for path in {*_files(folder), *_files(where)}
        if _content(folder / path) != _content(where / path)
    )


def _files(folder: Path) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    ]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


# ---------------------------------------------------------------- every moment


def quick_disk() -> str | None:
    """Where to lay out a disk: in memory, where there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _share(log: Path, inode: int, moments: Sequence[Moment]) -> list[Failure]:
    with tempfile.TemporaryDirectory(dir=quick_disk()) as folder:
        return attempt(events(log), inode, moments, Path(folder))


def main() -> int:
    if shutil.which("cc") is None:
        print("the logger of writes needs a C compiler: apt install gcc libc6-dev", file=sys.stderr)
        return 2
    began, tried = time.monotonic(), 0
    failures: list[Failure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        disk, log = folder / "disk", folder / "log"
        disk.mkdir()
        inode = disk.stat().st_ino
        logged("tests.faults.workday", disk, log, compile_shim(folder))
        found = events(log)
        missed = differs(found, inode, disk, folder / "again")
        kinds = Counter(event.op for event in found)
        print(f"{len(found)} records: {kinds['W']} writes, {kinds['S']} syncs, {kinds['A']} marks")
        moments = every(found, inode)
        shares = [moments[part::_SHARES] for part in range(_SHARES)]
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            running = {pool.submit(_share, log, inode, share): len(share) for share in shares}
            for share in as_completed(running):
                tried += running[share]
                failures += share.result()
                print(f"{tried} of {len(moments)} cuts, {len(failures)} lost something", flush=True)
    for failure in sorted(failures, key=lambda failure: failure.moment):
        print(failure)
    for path in missed:
        print(f"the log missed a write of {path}")
    each = Counter(moment.cut for moment in moments)
    told = ", ".join(f"{many} {cut.name.lower()}" for cut, many in sorted(each.items()))
    print(f"{told}; {time.monotonic() - began:.0f} s")
    return 1 if failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())
