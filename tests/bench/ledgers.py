# SPDX-License-Identifier: GPL-3.0-or-later
"""Appending to the ledger one by one and in batches; sequencing; verifying all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.orm import Session

import storage
from storage import ledger
from storage.anchors import FolderAnchor
from storage.sequencer import Sequencer, verify_start
from tests.bench.figures import Figure, Sizes, timed
from tests.databases import SqliteDatabases
from tests.storage_home import TestHome, build, open_home

_BATCHES = (1, 16, 256)
_PROOFS = 500
_SYNCS = 500


def measure(folder: Path, sizes: Sizes) -> list[Figure]:
    build(folder / "home", SqliteDatabases(folder))
    home = open_home(folder / "home")
    figures = [_syncs(folder)]
    for batch in _BATCHES:
        count = min(sizes.entries, 2_000 * batch)
        with timed() as lap:
            for _ in range(count // batch):
                _append(home, batch)
        figures.append(
            Figure(
                f"ledger: appended {batch} a transaction", count / lap.seconds, "entries/s", count
            )
        )
    figures += _sequence_and_verify(home, folder)
    home.close()
    return figures


def _syncs(folder: Path) -> Figure:
    """What this disk allows: a transaction is over when its page is on it."""
    with (folder / "synced").open("wb", buffering=0) as file, timed() as lap:
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
    return Figure("the disk: 4 KiB written and synced", _SYNCS / lap.seconds, "/s", _SYNCS)


def _append(home: TestHome, batch: int) -> None:
    with Session(home.engine) as session, session.begin():
        ledger.append_all(session, node="node1", entries=_entries(home, batch))


def _entries(home: TestHome, batch: int) -> Iterator[ledger.Entry]:
    body: ledger.Body = {"attempt": "0" * 32, "outcome": "accepted", "record": "0" * 64}
    for _ in range(batch):
        yield ledger.Entry("call.finish", "system", home.clock.wall(), body)


def _sequence_and_verify(home: TestHome, folder: Path) -> Iterator[Figure]:
    anchors = FolderAnchor(folder / "anchors")
    sequencer = Sequencer(home.engine, home.keyring, [anchors], "candor/test")
    with timed() as lap:
        while sequencer.run_once(home.clock.wall()):
            pass
        sequencer.checkpoint(home.clock.wall(), force=True)
    entries = ledger.export(home.engine, folder / "ledger.jsonl")
    yield Figure("ledger: given their places", entries / lap.seconds, "entries/s", entries)
    with timed() as lap:
        verify_start(home.engine, [anchors], home.keyring)
    yield Figure("ledger: tree checked at a start", entries / lap.seconds, "entries/s", entries)
    with timed() as lap, Session(home.engine) as session:
        for at in range(_PROOFS):
            ledger.inclusion(session, at * entries // _PROOFS, entries)
    yield Figure("ledger: an inclusion proof", lap.seconds / _PROOFS * 1000, "ms", _PROOFS)
    verifier = Path(storage.__path__[0]) / "verify.py"
    key = home.keyring.fingerprint()
    command = [sys.executable, "-I", str(verifier), str(folder / "ledger.jsonl"), "--key", key]
    with timed() as lap:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield Figure("ledger: verified by verify.py", entries / lap.seconds, "entries/s", entries)
