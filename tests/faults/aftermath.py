# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold in a home after a power cut, given the marks that ``workday`` made before it."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from compliance.clock import VirtualClock
from compliance.errors import CandorError
from compliance.facts import Number
from console import homes
from console.homes import Opened
from dialer.schedule import recover_recordings
from storage import bundles, ledger, pii, verify
from storage.anchors import FolderAnchor
from storage.call_replay import Replay
from storage.objects import FolderObjects
from storage.recordings import Track, TrackReader, open_recording, track_context
from storage.sequencer import verify_start
from storage.store import AccessReason
from storage.tracks import HEADER_BYTES
from tests.faults.workday import opened_home
from tests.storage_home import TestHome

Mark = dict[str, Any]
AUDIT = AccessReason.AUDIT


def check(disk: Path, marks: Sequence[Mark]) -> None:
    """Raises (AssertionError, or the home's own error) if anything that was promised is gone."""
    done = {mark["did"] for mark in marks}
    for name in ("home", "copy"):
        if (disk / name / "candor.db").is_file():
            _whole(disk / name / "candor.db")
    if "init" not in done:
        _says_what_is_wrong(disk / "home")
        return
    clock = VirtualClock(datetime.fromisoformat(marks[-1]["at"]))
    clock.advance(600)  # every lease is over
    with homes.opened(disk / "home") as it:  # the ledger is held against its anchors
        home = opened_home(it, clock)
        Replay(home.path / "journal", home.store).run()  # before anything is settled
        with closing(sqlite3.connect(disk / "home" / "candor.db")) as database:
            found = _Found(it, home, disk, done, database)
            for mark in marks:
                found.look(mark)
        _goes_on(it, home, found.callees)
        _verifies(it, home, disk / "after.jsonl")


def _whole(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def _says_what_is_wrong(root: Path) -> None:
    """A home that was never said to be made opens, or one of our errors names the cause."""
    try:
        with homes.opened(root):
            pass
    except CandorError:
        pass


class _Found:
    """Looks for what a mark promised."""

    def __init__(
        self,
        it: Opened,
        home: TestHome,
        disk: Path,
        done: AbstractSet[str],
        database: sqlite3.Connection,
    ) -> None:
        self.it, self.home, self.store, self.disk = it, home, home.store, disk
        self.kept = "destroying" not in done  # nothing of it was destroyed yet
        self.callees: dict[str, bool] = {}  # of finished calls: whether the callee's track stays
        self.database = database
        database.row_factory = sqlite3.Row
        self.entries = [row[0] for row in self.rows("SELECT leaf_hash FROM ledger_outbox")]

    def look(self, mark: Mark) -> None:
        if "leaf" in mark:  # whatever changes something has an entry in its own transaction
            assert len(self.entries) >= mark["entries"], mark
            assert bytes.fromhex(mark["leaf"]) in self.entries, mark
        getattr(self, f"_{mark['did']}")(mark)

    def rows(self, query: str, *values: object) -> list[Any]:
        return self.database.execute(query, values).fetchall()

    def one(self, query: str, value: object = None) -> Any:
        found = self.rows(query, *(() if value is None else (value,)))
        return found[0][0] if found else None

    def attempt(self, mark: Mark, column: str) -> Any:
        return self.one(f"SELECT {column} FROM attempts WHERE id = ?", mark["attempt"])

    def _init(self, mark: Mark) -> None:
        assert self.store.tenant == "test"

    def _person(self, mark: Mark) -> None:
        assert mark["name"] in self.home.actors

    def _import(self, mark: Mark) -> None:
        assert self.one("SELECT accepted FROM batches WHERE name = ?", mark["batch"]) == 6
        if self.kept:
            rows = self.rows("SELECT number_sealed, id FROM contacts")
            assert len({self.unseal(sealed, "number", contact) for sealed, contact in rows}) == 6
        rejects = (self.disk / mark["rejects"]).read_text("utf-8")
        assert len(rejects.splitlines()) == 2

    def unseal(self, sealed: bytes, column: str, contact: str) -> str:
        return pii.unseal(
            self.home.keyring,
            sealed,
            tenant=self.store.tenant,
            table="contacts",
            column=column,
            row=contact,
        )

    def _campaign(self, mark: Mark) -> None:
        assert self.store.campaign_state(mark["campaign"]) in ("running", "done")

    def _sequence(self, mark: Mark) -> None:
        assert self.one("SELECT size FROM ledger_head") >= mark["size"]

    def _checkpoint(self, mark: Mark) -> None:
        root = self.one("SELECT root FROM ledger_checkpoint WHERE size = ?", mark["size"])
        assert root == bytes.fromhex(mark["root"])
        note = self.it.home.anchors / f"checkpoint-{mark['size']:020d}.note"
        assert note.read_text("utf-8").splitlines()[1] == str(mark["size"])

    def _authorise(self, mark: Mark) -> None:
        assert self.attempt(mark, "leaf") == bytes.fromhex(mark["attempt_leaf"])

    def _answer(self, mark: Mark) -> None:
        assert self.attempt(mark, "answered_at") is not None

    def _spoke(self, mark: Mark) -> None:
        """While the call is open; both tracks hold what was saved, and say if they are cut."""
        if not self.kept or self.attempt(mark, "finished_at") is not None:
            return
        tracks = self.rows(
            "SELECT * FROM recording_tracks WHERE recording = ? AND NOT destroyed",
            mark["recording"],
        )
        assert tracks
        objects = FolderObjects(self.it.home.objects)
        for row in tracks:
            track, name = Track(row["track"]), row["object"]
            if row["sealed_at"] is None and track is Track.CALLEE and self.given_up(mark):
                continue
            context = track_context("test", row["attempt"], row["recording"], track, 0)
            key = self.home.keyring.unwrap(row["wrapped_key"], context)
            part = objects.part_path(name)
            with part.open("rb") if part.exists() else objects.open(name) as file:
                alaw, complete, _ = TrackReader(file, key, context).prefix()
            assert len(alaw) >= mark["samples"], (mark, track, len(alaw))
            assert complete or len(alaw) % 8192 == 0

    def given_up(self, mark: Mark) -> bool:
        """Its track goes before the transaction that says so: a refusal, or nobody's call."""
        return bool(self.attempt(mark, "refused") or self.attempt(mark, "settled_at"))

    def _refuse(self, mark: Mark) -> None:
        assert self.attempt(mark, "refused")
        if self.kept:
            query = "SELECT count(*) FROM refusals WHERE attempt = ?"
            assert self.one(query, mark["attempt"]) == 1

    def _letter(self, mark: Mark) -> None:
        index = pii.refusal_index(self.home.keyring, Number(mark["number"]))
        query = "SELECT count(*) FROM withdrawals WHERE refusal_index = ?"
        assert self.one(query, index) == 1

    def _finish(self, mark: Mark) -> None:
        assert self.attempt(mark, "outcome") == mark["outcome"]
        if not self.kept:
            return
        auditor = self.home.actors["auditor"]
        assert len(self.store.transcript(auditor, mark["attempt"], AUDIT)) == 2
        self.callees[mark["attempt"]] = mark["callee"]

    def _journal(self, mark: Mark) -> None:
        assert self.attempt(mark, mark["column"])

    def _gate_refusal(self, mark: Mark) -> None:
        found = self.store.gate_refusals(mark["campaign"])
        assert mark["attempt"] in {row.id for row in found}

    def _rotate(self, mark: Mark) -> None:
        assert self.home.keyring.key_id() == mark["key"]

    def _reseal(self, mark: Mark) -> None:
        assert not self.store.rotation.unfinished()

    def _export(self, mark: Mark) -> None:
        path, signer = self.disk / mark["name"], self.home.keyring.fingerprint()
        assert _faults(path.read_bytes(), path, signer) == (0, mark["exported"])

    def _settle(self, mark: Mark) -> None:
        assert self.store.unsealed_recordings() == []
        assert all(self.attempt({"attempt": a}, "outcome") for a in mark["attempts"])

    def _backup(self, mark: Mark) -> None:
        path = self.disk / mark["name"]
        assert _backed_up(path.read_bytes(), path) == mark["sha256"]

    def _restore(self, mark: Mark) -> None:
        """The copy of the home opens, and so do its recordings."""
        with homes.opened(self.disk / "copy") as it:
            copy = opened_home(it, self.home.clock)
            assert _opening(it, copy, self.callees) == 4

    def _join(self, mark: Mark) -> None:
        for name in mark["notes"]:
            note = (self.disk / "elsewhere" / "anchors" / name).read_bytes()
            assert note == (self.it.home.anchors / name).read_bytes()

    def _key_file(self, mark: Mark) -> None:
        assert (self.disk / "keyring").read_text("ascii") == "a secret of another home\n"

    def _destroying(self, mark: Mark) -> None:
        pass

    def _destroy(self, mark: Mark) -> None:
        auditor = self.home.actors["auditor"]
        records = self.store.retention.records(auditor)
        assert set(mark["attempts"]) <= {r.attempt for r in records}
        with self.home.engine.connect() as connection:
            papers = set(connection.execute(text("SELECT object FROM papers")).scalars())
        assert set(FolderObjects(self.it.home.objects).names()) == papers


@functools.lru_cache(4)
def _faults(_content: bytes, path: Path, signer: str) -> tuple[int, int]:
    """Faults and entries of an export; the same bytes are looked at once."""
    report = verify.verify(path, signer)
    return len(report.faults), report.entries


@functools.lru_cache(4)
def _backed_up(_content: bytes, path: Path) -> str:
    return bundles.read(path, lambda _: None, lambda *_: None)[1]


def _opening(it: Opened, home: TestHome, callees: Mapping[str, bool]) -> int:
    """Opens every recording that is kept; how many there are. ``callees``: of finished calls."""
    objects, opened = it.home.open_objects(), 0
    with home.engine.connect() as connection:
        attempts = connection.scalars(
            text(
                "SELECT DISTINCT attempt FROM recording_tracks WHERE sealed_at IS NOT NULL"
                " AND length(wrapped_key) > 0"
            )
        ).all()
    for attempt in attempts:
        sealed = home.store.recording(home.actors["auditor"], attempt, AUDIT)
        callee, bot = open_recording(objects, home.keyring, sealed)
        if attempt in callees:
            assert (len(bot), callee is not None) == (18000, callees[attempt])
        opened += 1
    return opened


def _goes_on(it: Opened, home: TestHome, callees: Mapping[str, bool]) -> None:
    """Work goes on: the dead process's calls are settled, each recording opens or is named."""
    home.store.settle_expired(home.clock.wall())
    recover_recordings(home.store, it.home.open_objects())
    home.store.retention.complete(it.home.open_objects())
    assert home.store.unsealed_recordings() == []
    if "auditor" in home.actors:
        _opening(it, home, callees)
    objects = FolderObjects(it.home.objects)
    with home.engine.connect() as connection:
        known = set(connection.execute(text("SELECT object FROM recording_tracks")).scalars())
        known |= set(connection.execute(text("SELECT object FROM papers")).scalars())
        hired = connection.execute(text("SELECT count(*) FROM batches")).scalar_one() > 0
    # A paper being filed leaves its sealed file, which nothing opens: its key was in the row.
    filing = 0 if hired else 1
    assert len(set(objects.names()) - known) <= filing
    for name in objects.unfinished():  # begun, but its call never heard of it: no sound is in it
        assert filing or objects.part_path(name).stat().st_size <= HEADER_BYTES


def _verifies(it: Opened, home: TestHome, path: Path) -> None:
    """The ledger grows from what was anchored, and the independent verifier agrees."""
    sequencer, now = it.sequencer(), home.clock.wall()
    while sequencer.run_once(now):
        pass
    sequencer.checkpoint(now, force=True)
    verify_start(it.engine, [FolderAnchor(it.home.anchors)], it.keyring)
    ledger.export(it.engine, path)
    report = verify.verify(path, it.keyring.fingerprint(), [str(it.home.anchors)], it.home.objects)
    assert report.status == 0, report.faults
