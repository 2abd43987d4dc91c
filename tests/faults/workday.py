# SPDX-License-Identifier: GPL-3.0-or-later
"""What a home does in its life, as a process of its own, for the log of its writes.

Run under ``writelog.c``: ``python -m tests.faults.workday FOLDER``. Whatever the home says is
saved is marked in the log at once; after a power cut at any later point it must be there.
A mark is one JSON object: ``did`` (what), the time on the home's clock, and what to look for.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import text

from compliance.clock import VirtualClock
from compliance.facts import Actor, HomeKind, Number, Outcome, RefusalScope, SourceKind
from console import backups, homes
from console.commands import keys
from console.demo_papers import add_supplier, declare_purpose
from console.homes import Opened
from dialer.schedule import recover_recordings
from storage import ledger, pii, restoring
from storage.call_entries import Answered, Refused, take, to_text
from storage.call_journal import CallJournal, Kind
from storage.call_replay import Replay
from storage.keys import FileKeyring
from storage.objects import FolderObjects
from storage.recordings import RecordingWriter
from storage.store import AccessReason, Store
from storage.terms import Terms
from tests.exams import adopt, pass_exam
from tests.storage_home import (
    COMPANY,
    PASSWORD,
    PURPOSE,
    ROLES,
    RULEBOOK,
    START,
    SUPPLIER,
    TENANT,
    TestHome,
    row,
    write_csv,
)

PHONES = [f"1390000000{n}" for n in range(1, 6)]
STRANGER = "13900000009"  # consented to nothing
DAY_S = 24 * 3600.0
LEFT, RIGHT = bytes([0xD5]) * 9000, bytes([0x55]) * 9000
NODE = "node1"


def mark(did: str, at: VirtualClock, **facts: Any) -> None:
    """Say in the log that ``did`` was acknowledged; fails outside the logger."""
    data = json.dumps({"did": did, "at": at.wall().isoformat(), **facts}).encode()
    ctypes.CDLL(None).writelog_mark(data, ctypes.c_size_t(len(data)))


class Killed(BaseException):
    """As if the process had ended here."""


@contextmanager
def killed_at(function: str) -> Iterator[None]:
    """What runs inside ends where it first calls ``function``; another process goes on after."""
    with mock.patch(function, side_effect=Killed):
        try:
            yield
        except Killed:
            return
    raise AssertionError(f"{function} was not called")


def opened_home(it: Opened, clock: VirtualClock) -> TestHome:
    """An open home of the console's as tests use it, on another clock."""
    assert isinstance(it.keyring, FileKeyring)
    store = Store(it.engine, it.keyring, node=NODE, clock=clock)
    with it.engine.connect() as connection:
        people = connection.execute(text("SELECT id, name FROM people")).all()
    actors = {p.name: Actor(p.id, p.name, frozenset({ROLES[p.name]}), TENANT) for p in people}
    return TestHome(it.home.root, it.engine, it.keyring, clock, store, actors)


class Workday:
    """Goes through a home's life; each method is one part of it."""

    def __init__(self, it: Opened, clock: VirtualClock) -> None:
        self.it = it
        self.home = opened_home(it, clock)
        self.store, self.clock = self.home.store, clock
        self.sequencer = it.sequencer()

    def mark(self, did: str, **facts: Any) -> None:
        """With the newest ledger entry: everything committed so far lies before it."""
        with self.home.engine.connect() as connection:
            newest = connection.execute(text("SELECT count(*), max(id) FROM ledger_outbox")).one()
            leaf = connection.execute(
                text("SELECT leaf_hash FROM ledger_outbox WHERE id = :id"), {"id": newest[1]}
            ).scalar_one()
        mark(did, self.clock, entries=newest[0], leaf=leaf.hex(), **facts)

    def hire(self) -> None:
        people = self.store.people
        people.add_person(None, "admin", PASSWORD, [ROLES["admin"]])
        admin = people.sign_in("admin", PASSWORD)
        for name in ("author", "officer", "operator", "auditor"):
            people.add_person(admin, name, PASSWORD, [ROLES[name]])
            self.mark("person", name=name)
        self.home = opened_home(self.it, self.clock)
        self.store = self.home.store
        working = [who for name, who in self.home.actors.items() if name != "admin"]
        pass_exam(self.store, *working)
        officer, objects = self.home.actors["officer"], self.it.home.open_objects()
        adopt(self.store, officer, RULEBOOK)
        company, now = "Candor Lines", self.clock.wall()
        add_supplier(self.store, objects, officer, SUPPLIER, company=company, now=now)
        declare_purpose(self.store, objects, officer, PURPOSE)

    def prepare(self, near: Path) -> str:
        """Contacts, some of which cannot be taken, and a campaign over them."""
        file = near / "people.csv"
        rows = [row(phone) for phone in PHONES]
        rows.insert(4, row(STRANGER, consent_company="", consent_purpose="", consent_channel=""))
        rows.append(row("12"))
        write_csv(file, rows)
        result = self.store.contacts.import_file(
            file, actor=self.home.actors["operator"], source=SourceKind.OWN_CRM, batch="people"
        )
        assert (result.accepted, result.rejected_rows) == (6, 1)
        self.mark("import", batch="people", accepted=6, rejects="people.rejects.csv")
        campaign = self.home.campaign(batches=["people"])
        self.mark("campaign", campaign=campaign)
        return campaign

    def ledger(self, *, killed: bool = False) -> None:
        """Sequence and anchor; ``killed``: at first by a process that ends in the middle."""
        now = self.clock.wall()
        while self.sequencer.run_once(now):
            pass
        self.mark("sequence", size=self._size())
        if killed:
            with killed_at("storage.objects.fsync_folder"):
                self.sequencer.checkpoint(now, force=True)
        checkpoint = self.sequencer.checkpoint(now, force=True)
        assert checkpoint is not None
        self.mark("checkpoint", size=checkpoint.size, root=checkpoint.root.hex())

    def _size(self) -> int:
        with self.home.engine.connect() as connection:
            return int(connection.execute(text("SELECT size FROM ledger_head")).scalar_one())

    # ------------------------------------------------------------ calls

    def speak(self, writer: RecordingWriter, attempt: str, times: int) -> None:
        for time in range(1, times + 1):
            writer.write(LEFT, RIGHT)
            saved = time * len(LEFT) // 8192 * 8192  # whole chunks
            self.mark("spoke", attempt=attempt, recording=writer.opening.id, samples=saved)

    def call(self, campaign: str, *, refuses: bool = False, dies: bool = False) -> str:
        """One call; ``dies``: nobody ever writes its end."""
        claim = self.home.claim(campaign)
        now = self.clock.wall()
        attempt = self.store.authorise(self.home.permit(claim), claim, now)
        self.mark("authorise", attempt=attempt.id, attempt_leaf=attempt.ledger_leaf)
        self.store.mark_answered(attempt.id, now)
        self.mark("answer", attempt=attempt.id)
        writer = self.home.recorder(attempt.id)
        self.speak(writer, attempt.id, 2)
        if dies:
            writer.abandon()
            return attempt.id
        if refuses:
            until = RULEBOOK.policy.refusal_until(now)
            self.store.record_refusal(
                attempt.id, how="speech", at=now, until=until, scope=RefusalScope.COMPANY
            )
            self.mark("refuse", attempt=attempt.id)
        sealed = writer.close(keep_callee=not refuses)
        fields: dict[str, Any] = {"outcome": Outcome.REFUSED, "refused": True} if refuses else {}
        record = self.home.record(claim, recording=sealed.id, **fields)
        self.store.finish(claim, record, sealed)
        self.mark("finish", attempt=attempt.id, outcome=str(record.outcome), callee=not refuses)
        return attempt.id

    def call_journalled(self, campaign: str) -> None:
        """A call while the database is away, by a process that dies: the journal has it."""
        claim = self.home.claim(campaign)
        now = self.clock.wall()
        attempt = self.store.authorise(self.home.permit(claim), claim, now)
        number = claim.request.contact.number
        answered = Answered(attempt.id, now, "abc@sip")
        refused = Refused(
            attempt.id,
            "speech",
            now,
            RULEBOOK.policy.refusal_until(now),
            pii.number_index(self.home.keyring, number),
            pii.refusal_index(self.home.keyring, number),
        )
        folder = self.home.path / "journal"
        journal = CallJournal.create(folder, "worker1", self.home.keyring, TENANT)
        journal.append(Kind.ANSWERED, attempt.id, to_text(answered))
        self.mark("journal", attempt=attempt.id, column="answered_at")
        take(self.store, answered)
        journal.empty()
        journal.append(Kind.REFUSED, attempt.id, to_text(refused))
        self.mark("journal", attempt=attempt.id, column="refused")
        journal.close()
        assert Replay(folder, self.store).run().records == 1
        self.mark("journal", attempt=attempt.id, column="refused")

    def gate_refusal(self, campaign: str) -> None:
        claim = self.home.claim(campaign)
        refusal = self.home.refusal(claim)
        self.store.refuse(claim, refusal.decision, self.clock.wall())
        self.mark("gate_refusal", campaign=campaign, attempt=claim.request.attempt_id)

    def settle(self) -> None:
        """What the dialer's scheduler does for calls whose process is gone."""
        settled = self.store.settle_expired(self.clock.wall())
        recover_recordings(self.store, self.it.home.open_objects())
        self.mark("settle", attempts=settled)

    # ------------------------------------------------------------ the rest

    def refuse_by_letter(self) -> None:
        now = self.clock.wall()
        until = RULEBOOK.policy.refusal_until(now)
        number = Number("+8613900000077")
        officer = self.home.actors["officer"]
        self.store.refusals.refuse_number(officer, number, how="letter", at=now, until=until)
        self.mark("letter", number=number.e164)

    def rotate(self) -> None:
        admin = self.home.actors["admin"]
        key = self.store.rotation.begin(admin)
        self.mark("rotate", key=key)
        done = self.store.rotation.reseal(admin, sleep=lambda _: None)
        assert done.remaining == 0
        self.mark("reseal", key=key)

    def export(self, path: Path) -> None:
        entries = ledger.export(self.home.engine, path)
        self.mark("export", name=path.name, exported=entries)

    def destroy(self) -> None:
        objects = FolderObjects(self.it.home.objects)
        self.mark("destroying")  # from here on calls and contacts may be gone
        with killed_at("storage.objects.fsync_folder"):
            self.store.retention.run(Terms(), objects, actor=self.home.actors["officer"])
        done = self.store.retention.run(Terms(), objects, actor=self.home.actors["officer"])
        assert (done.recordings, done.waiting) == (0, 0)  # begun before; here they are completed
        auditor = self.home.actors["auditor"]
        gone = [d.attempt for d in self.store.retention.records(auditor) if d.why == "term_over"]
        assert len(gone) == 5
        self.mark("destroy", attempts=gone)


def live(folder: Path) -> None:
    """A home from ``candor init`` to the end of its recordings' term, and its backup."""
    root = folder / "home"
    clock = VirtualClock(START - timedelta(days=30))
    homes.create(root, kind=HomeKind.PRODUCTION, company=COMPANY, tenant=TENANT, clock=clock)
    mark("init", clock)
    with homes.opened(root) as it:
        Workday(it, clock).hire()
    clock.advance(30 * DAY_S)
    with homes.opened(root) as it:
        day = Workday(it, clock)
        campaign = day.prepare(folder)
        day.ledger()
        finished = day.call(campaign)
        day.call(campaign, refuses=True)
        day.ledger()
        day.rotate()
        day.call(campaign, dies=True)
        day.refuse_by_letter()
        day.call(campaign)
        day.gate_refusal(campaign)
        day.call_journalled(campaign)
        day.ledger()
        day.export(folder / "ledger.jsonl")
        clock.advance(3600)
        day.settle()
        auditor = day.home.actors["auditor"]
        assert len(day.store.transcript(auditor, finished, AccessReason.AUDIT)) == 2
    with homes.opened(root) as it:
        day = Workday(it, clock)
        day.ledger()
        made, _ = backups.make(it, folder / "home.backup", None, lambda *_: None, with_keys=True)
        day.mark("backup", name="home.backup", sha256=made.sha256)
        day.store.people.sign_in("auditor", PASSWORD)  # what the backup does not know
        day.ledger()
    newer = root / "anchors"
    backups.restore(folder / "home.backup", folder / "copy", None, lambda *_: None, anchors=newer)
    mark("restore", clock)
    restoring.join_anchors(newer, folder / "elsewhere" / "anchors")
    mark("join", clock, notes=sorted(p.name for p in newer.glob("*.note")))
    keys._write(folder / "keyring", "a secret of another home")
    mark("key_file", clock)
    clock.advance(220 * DAY_S)
    with homes.opened(root) as it:
        day = Workday(it, clock)
        day.destroy()
        day.ledger(killed=True)


if __name__ == "__main__":
    live(Path(sys.argv[1]))
