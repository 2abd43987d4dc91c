# SPDX-License-Identifier: GPL-3.0-or-later
"""An older database put back: whatever was destroyed since goes again, one test a kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from compliance.facts import HomeKind, Number, Outcome
from storage import destruction_log, restoring
from storage.holds import HoldReason
from storage.ledger import FolderAnchor, Sequencer, verify_start
from storage.objects import FolderObjects
from storage.restoring import Replayed
from storage.subjects import SubjectReason
from storage.terms import Terms
from tests.databases import Databases
from tests.storage_home import RULEBOOK, TestHome, open_home

PHONE = "13900000001"
NUMBER = Number("+86" + PHONE)
URI = "sip:me@127.0.0.1:5060"
TERMS = Terms()
MONTH = timedelta(days=31)
# The queries are the same on both databases: two tests run on both, the others on one.
one_database = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)


class Time:
    """Backs up and restores homes; the anchors outlive both."""

    def __init__(self, databases: Databases, folder: Path) -> None:
        self._databases, self._folder = databases, folder
        self.anchor = FolderAnchor(folder / "anchors")
        self._opened: list[TestHome] = []

    def sign(self, home: TestHome) -> None:
        sequencer = Sequencer(home.engine, home.keyring, [self.anchor], "candor/test")
        while sequencer.run_once(home.clock.wall()):
            pass
        sequencer.checkpoint(home.clock.wall(), force=True)

    def back_up(self, home: TestHome) -> Path:
        self.sign(home)
        backup = self._folder / f"backup{len(self._opened)}"
        backup.mkdir()
        shutil.copy(home.path / "keys.json", backup)
        FolderObjects(home.path / "objects")
        shutil.copytree(home.path / "objects", backup / "objects")
        home.engine.dispose()  # PostgreSQL copies only what nobody is connected to
        (backup / "url").write_text(
            self._databases.snapshot((home.path / "url").read_text(), backup)
        )
        return backup

    def restore(self, lost: TestHome, backup: Path) -> tuple[TestHome, Replayed]:
        """The home as a restore leaves it, at the time when ``lost`` was lost."""
        self.sign(lost)
        made = open_home(backup)
        self._opened.append(made)
        made.clock.advance((lost.clock.wall() - made.clock.wall()).total_seconds())
        log = destruction_log.read(made.keyring, self.anchor.beside)
        for name in restoring.gone(log):
            (backup / "objects" / name[:2] / name).unlink(missing_ok=True)
        fork = restoring.fork(made.engine, made.keyring, self.anchor, "made")
        assert fork is not None
        restoring.tell(
            made.engine,
            made.keyring,
            node="node1",
            clock=made.clock,
            backup="made",
            sha256="",
            lost=fork,
        )
        objects = FolderObjects(backup / "objects")
        again = restoring.replay(made.store, objects, log, TERMS)
        repeated = restoring.replay(made.store, objects, log, TERMS)
        assert repeated == Replayed(held=again.held)
        self.sign(made)
        verify_start(made.engine, [self.anchor], made.keyring)
        return made, again

    def close(self) -> None:
        for home in self._opened:
            home.close()


@pytest.fixture
def time(databases: Databases, tmp_path: Path) -> Iterator[Time]:
    made = Time(databases, tmp_path)
    yield made
    made.close()


def erase(home: TestHome, number: Number = NUMBER) -> None:
    home.store.subjects.erase(home.actors["officer"], number, keep_until=TERMS.recording_until)


def refuse(home: TestHome) -> None:
    now = home.clock.wall()
    home.store.refusals.refuse_number(
        home.actors["officer"],
        NUMBER,
        how="request",
        at=now,
        until=RULEBOOK.policy.refusal_until(now),
    )


def retain(home: TestHome) -> None:
    home.store.retention.run(
        TERMS, FolderObjects(home.path / "objects"), actor=home.actors["officer"]
    )


def rows(home: TestHome, query: str) -> list[Any]:
    with home.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def count(home: TestHome, table: str) -> int:
    return int(rows(home, f"SELECT count(*) FROM {table}")[0][0])


def withdrawn(home: TestHome, number: Number = NUMBER) -> object:
    held = home.store.subjects.show(home.actors["officer"], number, SubjectReason.AUDIT)
    return held.withdrawn_at


# ---------------------------------------------------------------- persons erased


def test_a_contact_with_a_kept_recording(home: TestHome, time: Time) -> None:
    attempt = home.call()
    backup = time.back_up(home)
    home.clock.advance(3600)
    erase(home)
    at = withdrawn(home)
    home.clock.advance(3600)
    again, done = time.restore(home, backup)
    assert done == Replayed(persons=1)
    assert [count(again, t) for t in ("contacts", "consents", "targets")] == [0, 0, 0]
    assert rows(again, "SELECT id, number_key FROM attempts") == [(attempt, "")]
    assert len(list(FolderObjects(backup / "objects").names())) == 2  # the law keeps it
    assert withdrawn(again) == at


@one_database
def test_an_attempt_whose_contact_was_gone_before_the_backup(home: TestHome, time: Time) -> None:
    claim, attempt = home.attempt()
    home.store.finish(
        claim, home.record(claim, outcome=Outcome.VOICEMAIL, recording="", feedback=""), None
    )
    refuse(home)
    home.clock.advance(MONTH.total_seconds())
    retain(home)
    assert count(home, "contacts") == 0
    backup = time.back_up(home)
    assert rows(home, "SELECT transcript_sealed IS NULL FROM attempts") in ([(0,)], [(False,)])
    erase(home)
    assert rows(home, "SELECT transcript_sealed FROM attempts") == [(None,)]
    again, done = time.restore(home, backup)
    assert done == Replayed(persons=1)
    assert rows(
        again, "SELECT id, transcript_sealed, request_sealed, keys_sealed FROM attempts"
    ) == [(attempt.id, None, None, None)]
    assert count(again, "call_keys") == 0


@one_database
def test_somebody_who_came_after_the_backup_stays_withdrawn(home: TestHome, time: Time) -> None:
    backup = time.back_up(home)
    home.contacts([PHONE])
    erase(home)
    at = withdrawn(home)
    home.clock.advance(60)
    again, done = time.restore(home, backup)
    assert (done, count(again, "contacts")) == (Replayed(), 0)
    assert withdrawn(again) == at
    assert "withdrawal.again" in again.ledger_kinds()
    (log,) = (time.anchor.beside.parent).glob("destructions.jsonl")
    index = again.store.subjects._context.refusal_index(NUMBER)
    assert index.hex() not in log.read_text()  # not even the keyed hash is in the clear


@one_database
def test_who_was_erased_before_the_backup_and_came_again_stays(home: TestHome, time: Time) -> None:
    home.contacts([PHONE], "first")
    erase(home)
    home.clock.advance(60)
    home.contacts([PHONE], "second")
    backup = time.back_up(home)
    home.contacts(["13900000002"])
    again, done = time.restore(home, backup)
    assert (done, count(again, "contacts")) == (Replayed(), 1)


@one_database
def test_a_tester_who_asked(home_of: Callable[[HomeKind], TestHome], time: Time) -> None:
    lab = home_of(HomeKind.LAB)
    lab.store.testers.confirm(lab.actors["operator"], URI)
    backup = time.back_up(lab)
    erase(lab, Number(URI))
    again, done = time.restore(lab, backup)
    assert (done, again.store.testers.testers()) == (Replayed(persons=1), [])
    assert not again.store.testers.allowed(URI)
    assert withdrawn(again, Number(URI)) == withdrawn(lab, Number(URI))


@one_database
def test_a_tester_taken_off_the_list(home_of: Callable[[HomeKind], TestHome], time: Time) -> None:
    lab = home_of(HomeKind.LAB)
    for uri in (URI, "sip:other@127.0.0.1:5070"):
        lab.store.testers.confirm(lab.actors["operator"], uri)
    backup = time.back_up(lab)
    lab.store.testers.remove(lab.actors["operator"], URI)
    again, done = time.restore(lab, backup)
    assert done == Replayed(testers=1)
    assert [str(t.number.e164) for t in again.store.testers.testers()] == [
        "sip:other@127.0.0.1:5070"
    ]
    (record,) = again.store.retention.records(again.actors["officer"])
    assert (record.what, record.why) == ({"lab_testers": 1}, "request")


# ---------------------------------------------------------------- terms that are over


@one_database
def test_a_recording_and_its_words(home: TestHome, time: Time) -> None:
    home.call()
    backup = time.back_up(home)
    home.clock.advance(7 * MONTH.total_seconds())
    retain(home)
    again, done = time.restore(home, backup)
    assert (done.calls, done.waiting) == (1, 0)
    assert count(again, "call_keys") == 0
    assert list(FolderObjects(backup / "objects").names()) == []
    assert set(rows(again, "SELECT object, wrapped_key FROM recording_tracks")) == {("", b"")}


@pytest.mark.parametrize("why", ["refused", "cycle over"])
@one_database
def test_a_contact_and_the_proof_of_a_call_nobody_answered(
    home: TestHome, time: Time, why: str
) -> None:
    claim, attempt = home.attempt()
    unanswered = home.record(
        claim, outcome=Outcome.NO_ANSWER, answered_at=None, transcript=(), keys=(), feedback=""
    )
    home.store.finish(claim, unanswered, None)
    if why == "refused":  # else the campaign is over with its one contact
        refuse(home)
    backup = time.back_up(home)
    home.clock.advance(MONTH.total_seconds())
    retain(home)
    again, done = time.restore(home, backup)
    assert done == Replayed(contacts=1)
    assert [count(again, t) for t in ("contacts", "consents", "targets")] == [0, 0, 0]
    assert count(again, "refused_numbers") == 0
    assert rows(again, "SELECT id, number_key, request_sealed FROM attempts") == [
        (attempt.id, "", None)
    ]


def test_entries_of_the_refusal_list(home: TestHome, time: Time) -> None:
    refuse(home)
    backup = time.back_up(home)
    home.clock.advance(7 * MONTH.total_seconds())
    refuse(home)  # lost with the home, and no replay makes or takes it
    retain(home)
    again, done = time.restore(home, backup)
    assert (done, count(again, "refusals")) == (Replayed(refusals=1), 0)
    assert withdrawn(again) is not None


@one_database
def test_what_the_backup_holds_stays_and_is_counted(home: TestHome, time: Time) -> None:
    home.contacts([PHONE])
    hold = home.store.holds.hold_number(home.actors["officer"], NUMBER, HoldReason.DISPUTE)
    backup = time.back_up(home)
    home.store.holds.lift(home.actors["officer"], hold)
    erase(home)
    again, done = time.restore(home, backup)
    assert (done, count(again, "contacts")) == (Replayed(held=1), 1)
    assert withdrawn(again) is not None  # but nobody calls
