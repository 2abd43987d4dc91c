# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dead process noted is brought into the database: once, whole, and never overruled."""

from __future__ import annotations

import itertools
import json
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compliance.errors import StorageAway
from compliance.facts import Blame, Claim, Outcome, RefusalScope
from storage import pii
from storage.call_entries import (
    Answered,
    Ended,
    Entry,
    Opened,
    Refused,
    from_text,
    kind_of,
    take,
    to_text,
)
from storage.call_journal import CallJournal, Kind, waiting
from storage.call_replay import Replay, Replayed
from storage.models import AttemptRow, RefusalRow
from storage.objects import FolderObjects
from storage.recordings import RecordingWriter, open_recording
from storage.store import AccessReason
from tests.storage_home import TENANT, TestHome

Killed = type("Killed", (BaseException,), {})


def leave(home: TestHome, entries: Sequence[Entry]) -> Path:
    """The journal of a process that was killed after it noted ``entries``."""
    file = CallJournal.create(
        home.path / "journal", f"node1/r/worker1.{secrets.token_hex(4)}", home.keyring, TENANT
    )
    for entry in entries:
        file.append(kind_of(entry), entry.attempt, to_text(entry))
    os.close(file._file)
    return file.path


def refused(home: TestHome, claim: Claim, attempt: str = "") -> Refused:
    at, number = home.clock.wall(), claim.request.contact.number
    return Refused(
        attempt or claim.request.attempt_id,
        "voice",
        at,
        at + timedelta(days=180),
        pii.number_index(home.keyring, number),
        pii.refusal_index(home.keyring, number),
    )


def test_how_far_a_refusal_reaches_survives_the_file_and_older_files_name_none(
    home: TestHome,
) -> None:
    claim, _ = home.attempt()
    wide = refused(home, claim).evolve(scope="everything")
    assert from_text(Kind.REFUSED, to_text(wide)) == wide
    old = json.loads(to_text(wide))
    del old["scope"]
    read = from_text(Kind.REFUSED, json.dumps(old))
    assert isinstance(read, Refused)
    assert read.scope == "company"
    take(home.store, wide)
    home.clock.advance(3600)
    home.store.settle_expired(home.clock.wall())
    later = home.claim(home.campaign(["13900000001"], name="later"))
    assert [r.scope for r in later.request.refusals] == [RefusalScope.EVERYTHING]


def whole_call(home: TestHome, claim: Claim) -> list[Entry]:
    """Everything a refused, recorded call notes."""
    attempt = claim.request.attempt_id
    writer = RecordingWriter.create(
        FolderObjects(home.path / "objects"),
        home.keyring,
        tenant=TENANT,
        call_id=attempt,
        recording_id=secrets.token_hex(16),
    )
    writer.write(bytes([0xD5]) * 9000, bytes([0x55]) * 9000)
    sealed = writer.close(keep_callee=True)
    record = home.record(
        claim, outcome=Outcome.REFUSED, blame=Blame.CALLEE, refused=True, recording=sealed.id
    )
    return [
        Answered(attempt, home.clock.wall(), "abc@sip"),
        Opened(attempt, writer.opening),
        refused(home, claim),
        Ended(attempt, claim.fencing, record, sealed),
    ]


def replay(home: TestHome) -> Replayed:
    return Replay(home.path / "journal", home.store).run()


def refusals(home: TestHome) -> int:
    with Session(home.engine) as session:
        return session.scalar(select(func.count()).select_from(RefusalRow)) or 0


def row(home: TestHome, attempt: str) -> AttemptRow:
    with Session(home.engine) as session:
        found = session.get(AttemptRow, attempt)
        assert found is not None
        return found


def all_there(home: TestHome, claim: Claim) -> None:
    attempt = claim.request.attempt_id
    kinds = Counter(home.ledger_kinds())
    for kind in ("attempt.answer", "recording.begin", "refusal.record", "call.finish"):
        assert kinds[kind] == 1, kind
    assert kinds["attempt.settle"] == kinds["attempt.correct"] == 0
    assert refusals(home) == 1
    call = home.store.call(attempt)
    assert (call.outcome, call.refused, call.feedback) == (Outcome.REFUSED, True, "yes")
    auditor = home.actors["auditor"]
    assert len(home.store.transcript(auditor, attempt, AccessReason.AUDIT)) == 2
    sealed = home.store.recording(auditor, attempt, AccessReason.AUDIT)
    callee, bot = open_recording(FolderObjects(home.path / "objects"), home.keyring, sealed)
    assert callee is not None
    assert len(callee) == len(bot) == 9000
    assert waiting(home.path / "journal").records == 0
    assert not any((home.path / "journal").iterdir())


def test_a_call_whose_process_died_is_there_as_if_it_had_not(home: TestHome) -> None:
    claim, _ = home.attempt()
    leave(home, whole_call(home, claim))
    assert replay(home) == Replayed(4)
    assert home.store.settle_expired(home.clock.wall() + timedelta(hours=1)) == []
    all_there(home, claim)
    assert replay(home) == Replayed()


def test_killed_at_any_moment_nothing_is_twice_and_nothing_lost(home: TestHome) -> None:
    claim, _ = home.attempt()
    path = leave(home, whole_call(home, claim))
    noted = path.read_bytes()
    for dies_at in itertools.count(1):
        steps = itertools.count(1)

        def step(_name: str, dies_at: int = dies_at, steps: itertools.count[int] = steps) -> None:
            if next(steps) == dies_at:
                raise Killed

        try:
            Replay(home.path / "journal", home.store, step).run()
        except Killed:
            assert path.read_bytes() == noted  # it leaves after all of it is in the database
        else:
            break
    assert dies_at == 6
    all_there(home, claim)
    path.write_bytes(noted)  # as after a power cut that undid the unlinking
    assert replay(home).records == 4
    all_there(home, claim)


def test_a_torn_last_record_was_never_written(home: TestHome) -> None:
    claim, _ = home.attempt()
    entries = whole_call(home, claim)
    path = leave(home, entries)
    path.write_bytes(path.read_bytes()[:-1])
    assert replay(home) == Replayed(3)
    home.clock.advance(120)
    assert home.store.settle_expired(home.clock.wall()) == [claim.request.attempt_id]
    assert home.store.call(claim.request.attempt_id).outcome == Outcome.REFUSED  # no guess


def test_a_refusal_alone_stands_before_anybody_settles_or_dials(home: TestHome) -> None:
    campaign = home.campaign()
    home.contacts(["13900000001"], "again")
    other = home.campaign(name="c2", batches=["again"])
    claim, _ = home.attempt(campaign)
    leave(home, [refused(home, claim)])
    replay(home)
    home.clock.advance(2 * 3600)
    assert home.store.settle_expired(home.clock.wall()) == [claim.request.attempt_id]
    assert home.store.call(claim.request.attempt_id).outcome == Outcome.REFUSED
    rules = {f.rule for f in home.refusal(home.claim(other)).decision.refusing}
    assert "number_on_refusal_list" in rules


@pytest.mark.parametrize("ended", [True, False])
def test_what_another_node_settled_as_unknown_is_corrected_and_the_ledger_says_so(
    home: TestHome, ended: bool
) -> None:
    claim, _ = home.attempt()
    attempt = claim.request.attempt_id
    entries = whole_call(home, claim)
    home.clock.advance(120)
    assert home.store.settle_expired(home.clock.wall()) == [attempt]
    assert home.store.call(attempt).outcome == Outcome.UNKNOWN
    leave(home, entries if ended else entries[:3])
    assert replay(home).aside == 0
    kinds = home.ledger_kinds()
    assert kinds.count("refusal.record") == 1
    assert kinds.count("attempt.correct") == 2  # unknown, aborted, refused
    assert kinds.count("call.finish") == ended
    call = home.store.call(attempt)
    assert (call.outcome, call.blame, call.refused) == (Outcome.REFUSED, Blame.CALLEE, True)
    last = row(home, attempt).last_leaf
    assert last is not None
    corrections = [e for e in home.store.journal.entries(attempt) if e.kind == "attempt.correct"]
    assert [(e.body["was"], e.body["outcome"]) for e in corrections] == [
        ("unknown", "aborted"),
        ("aborted", "refused"),
    ]


def test_a_refusal_is_listed_though_its_call_and_contact_are_gone(home: TestHome) -> None:
    claim, _ = home.attempt()
    gone = secrets.token_hex(16)
    answered = Answered(gone, home.clock.wall(), "x")
    leave(home, [answered, refused(home, claim, gone)])
    assert replay(home) == Replayed(1, 1)
    assert refusals(home) == 1
    left = waiting(home.path / "journal")
    assert (left.records, left.aside) == (0, 1)  # what no attempt takes is kept for a person
    (kept,) = (home.path / "journal").glob("*.aside")
    assert kept.stat().st_mode & 0o777 == 0o600


def test_records_stay_while_the_database_is_away(
    home: TestHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, _ = home.attempt()
    path = leave(home, whole_call(home, claim))
    noted = path.read_bytes()

    def away(*_args: object, **_more: object) -> None:
        raise StorageAway("the database does not answer")

    monkeypatch.setattr(home.store, "record_refusal", away)
    with pytest.raises(StorageAway):
        replay(home)
    assert path.read_bytes() == noted
    monkeypatch.undo()
    replay(home)
    all_there(home, claim)


def test_the_file_of_a_living_process_is_its_own(home: TestHome) -> None:
    claim, _ = home.attempt()
    file = CallJournal.create(home.path / "journal", "node1/r/worker1.aa", home.keyring, TENANT)
    entry = refused(home, claim)
    file.append(kind_of(entry), entry.attempt, to_text(entry))
    assert replay(home) == Replayed()
    assert refusals(home) == 0
    os.close(file._file)  # the kernel lets go of the lock with the process
    assert replay(home) == Replayed(1)


def test_a_damaged_file_gives_what_is_whole_and_is_kept(home: TestHome) -> None:
    claim, _ = home.attempt()
    path = leave(home, whole_call(home, claim))
    data = bytearray(path.read_bytes())
    data[40] ^= 1  # in the first record
    path.write_bytes(data)
    assert replay(home) == Replayed(3, 1)
    assert refusals(home) == 1
    assert path.with_suffix(".aside").read_bytes() == data
