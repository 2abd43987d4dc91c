# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching a campaign, finding a call by a short id, and reading its entries."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, NotAllowed
from compliance.facts import Blame, Outcome, Role
from storage.anchors import FolderAnchor
from storage.sequencer import Sequencer
from storage.store import AccessReason
from tests.storage_home import START, TENANT, TestHome


def test_attempts_are_seen_open_and_ended(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    (one, first), (_, second) = home.attempt(campaign), home.attempt(campaign)
    home.store.mark_answered(second.id, START)
    record = home.record(one, outcome=Outcome.BUSY, blame=Blame.CALLEE, answered_at=None)
    home.store.finish(one, record.evolve(ringing_at=START, violations=("S1",)), None)
    live, ended = sorted(home.store.watching.attempts(campaign), key=lambda a: a.outcome or "")
    assert (ended.outcome, ended.blame, ended.sent) == (Outcome.BUSY, Blame.CALLEE, True)
    assert (ended.ringing_at, ended.violations, ended.disclosed_ms) == (START, ("S1",), 2700)
    assert (live.outcome, live.sent, live.answered_at) == (None, False, START)
    assert home.store.watching.attempts("nothing") == []
    assert home.store.call(first.id).ringing_at == START


def test_callbacks_are_counted_until_they_are_closed(home: TestHome) -> None:
    campaign = home.campaign()
    claim, _ = home.attempt(campaign)
    assert home.store.watching.callbacks_open(campaign) == 0
    home.store.finish(claim, home.record(claim, callback=True), None)
    assert home.store.watching.callbacks_open(campaign) == 1
    assert home.store.watching.callbacks_open("another") == 0
    with home.engine.begin() as connection:
        connection.execute(text("UPDATE callbacks SET closed_at = opened_at"))
    assert home.store.watching.callbacks_open(campaign) == 0


def test_a_call_is_found_by_the_beginning_of_its_id(home: TestHome) -> None:
    _, attempt = home.attempt()
    find = home.store.watching.find
    assert find(attempt.id) == find(attempt.id[:6]) == find(attempt.id[:9].upper()) == attempt.id
    for short in (attempt.id[:5], "", "xyz123", "%%%%%%", attempt.id + "0"):
        with pytest.raises(BadInput, match="6 or more"):
            find(short)
    other = "0" if attempt.id[0] != "0" else "1"
    with pytest.raises(BadInput, match="no call"):
        find(other * 8)


def test_a_beginning_that_two_calls_share_is_refused(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    (_, one), (_, two) = home.attempt(campaign), home.attempt(campaign)
    with home.engine.begin() as connection:
        for attempt, id in ((one.id, "abcdef0" + "0" * 25), (two.id, "abcdef1" + "0" * 25)):
            connection.execute(
                text("UPDATE attempts SET id = :new WHERE id = :old"), {"new": id, "old": attempt}
            )
    with pytest.raises(BadInput, match="several"):
        home.store.watching.find("abcdef")
    assert home.store.watching.find("abcdef1").startswith("abcdef1")


def test_a_refused_claim_is_found_and_read(home: TestHome) -> None:
    consents = {"consent_explicit": "no"}
    home.contacts(["13900000001"], **consents)
    claim = home.claim(home.campaign(batches=["batch1"]))
    home.store.refuse(claim, home.refusal(claim).decision, home.clock.wall())
    id = home.store.watching.find(claim.lease_id[:8])
    row = home.store.gate_refusal(id)
    assert row is not None
    assert (row.number, row.rules) == ("139****0001", ("no_explicit_consent",))
    (entry,) = home.store.journal.entries(id)
    assert (entry.kind, entry.body["rules"]) == ("gate.refuse", ["no_explicit_consent"])


def test_the_entries_of_one_call_and_of_no_other(home: TestHome) -> None:
    attempt = home.call()
    other, _ = home.attempt(home.campaign(["13900000002"], name="c2"))
    home.store.transcript(home.actors["auditor"], attempt, AccessReason.AUDIT)
    kinds = [entry.kind for entry in home.store.journal.entries(attempt)]
    assert kinds == ["attempt.authorise", "recording.begin", "call.finish", "pii.read"]
    assert [e.kind for e in home.store.journal.entries(other.lease_id)] == ["attempt.authorise"]
    assert all(entry.index is None for entry in home.store.journal.entries(attempt))
    anchors = [FolderAnchor(home.path / "anchors")]
    Sequencer(home.engine, home.keyring, anchors, f"candor/{TENANT}").run_once(START)
    indices = [entry.index for entry in home.store.journal.entries(attempt)]
    assert None not in indices
    assert indices == sorted(indices, key=lambda i: i or 0)
    assert home.store.journal.entries("0" * 32) == []


def test_a_dialed_call_is_no_refusal(home: TestHome) -> None:
    _, attempt = home.attempt()
    assert home.store.gate_refusal(attempt.id) is None


def test_the_newest_entry_has_the_clocks_time(home: TestHome) -> None:
    home.clock.advance(3600)
    home.store.people.sign_in("officer", "correct horse")
    assert home.store.journal.newest() == home.clock.wall()


def test_who_asks_for_a_checkpoint_is_written_down(home: TestHome) -> None:
    home.store.journal.ask_checkpoint(home.actors["auditor"])
    assert home.ledger_kinds()[-1] == "ledger.checkpoint"
    with pytest.raises(NotAllowed):
        home.store.journal.ask_checkpoint(home.actors["author"])
    assert home.ledger_kinds()[-1] == "access.refuse"


def test_people_are_listed_for_those_who_may_and_counted_for_all(home: TestHome) -> None:
    listed = home.store.people.people(home.actors["officer"])
    assert {person.name for person in listed} == set(home.actors)
    assert {person.name: person.roles for person in listed}["author"] == {Role.AUTHOR}
    with pytest.raises(NotAllowed):
        home.store.people.people(home.actors["operator"])
    operator = next(person.id for person in listed if person.name == "operator")
    assert home.store.people.roles_in_office()[Role.OPERATOR] == 1
    home.store.people.disable_person(home.actors["admin"], operator)
    assert home.store.people.roles_in_office()[Role.OPERATOR] == 0
    gone = next(p for p in home.store.people.people(home.actors["admin"]) if p.id == operator)
    assert gone.disabled_at == home.clock.wall()


def test_every_version_of_a_script_is_listed(home: TestHome) -> None:
    signed, waiting = home.script(), home.submit()
    assert [v.id for v in home.store.scripts.versions()] == [signed.id, waiting.id]
    assert [v.is_approved for v in home.store.scripts.versions()] == [True, False]
