# SPDX-License-Identifier: GPL-3.0-or-later
"""Legal holds: who may place them, on what, and that they stop every destruction."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, NotAllowed, TooEarlyToDestroy
from compliance.facts import Number
from storage.holds import HoldReason
from storage.objects import FolderObjects
from storage.terms import Terms
from tests.storage_home import TestHome

PHONE = "13900000001"
NUMBER = Number("+86" + PHONE)
TERMS = Terms()
DAY_S = 24 * 3600.0
LONG_S = 300 * DAY_S  # every term is over, the exam still counts


def run(home: TestHome) -> Any:
    objects = FolderObjects(home.path / "objects")
    return home.store.retention.run(TERMS, objects, actor=home.actors["officer"])


def entries(home: TestHome, kind: str) -> list[dict[str, Any]]:
    with home.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = :kind ORDER BY id"), {"kind": kind}
        )
        return [json.loads(row.body) for row in rows]


def test_a_held_call_outlives_its_term_with_its_contact(home: TestHome) -> None:
    attempt = home.call()
    holds, officer = home.store.holds, home.actors["officer"]
    hold = holds.hold_call(officer, attempt, HoldReason.DISPUTE)
    home.clock.advance(LONG_S)
    done = run(home)
    assert (done.recordings, done.contacts) == (0, 0)
    assert done.held == 2  # the call, and its contact, whose campaign ended a year ago
    (row,) = holds.holds()
    assert (row.id, row.attempt, row.reason) == (hold, attempt, HoldReason.DISPUTE)
    holds.lift(officer, hold)
    assert holds.holds() == []
    assert [r.lifted_at for r in holds.holds(lifted=True)] == [home.clock.wall()]
    done = run(home)
    assert (done.recordings, done.contacts, done.held) == (1, 1, 0)


def test_a_hold_on_a_number_covers_every_call_spelling_and_refusal(home: TestHome) -> None:
    home.contacts(["+86 139-0000-0001"], "spring")
    home.call()
    now = home.clock.wall()
    home.store.refusals.refuse_number(
        home.actors["officer"], NUMBER, how="request", at=now, until=now.replace(year=2027)
    )
    home.store.holds.hold_number(home.actors["officer"], NUMBER, HoldReason.LAWSUIT)
    home.clock.advance(2 * LONG_S)
    done = run(home)
    assert (done.recordings, done.contacts, done.refusals) == (0, 0, 0)
    assert done.held == 4  # one call, two contacts, one refusal
    with home.engine.connect() as connection:
        for table, rows in (("contacts", 2), ("refusals", 1), ("call_keys", 1)):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == rows


def test_a_hold_holds_nobody_else(home: TestHome) -> None:
    campaign = home.campaign([PHONE, "13900000002"])
    (claim, attempt), _ = home.attempt(campaign), home.attempt(campaign)
    home.store.finish(claim, home.record(claim), None)
    home.store.holds.hold_call(home.actors["officer"], attempt.id, HoldReason.DISPUTE)
    home.clock.advance(LONG_S)
    home.store.settle_expired(home.clock.wall())  # the other call; with it the campaign ends
    home.clock.advance(29 * DAY_S)
    done = run(home)
    assert (done.contacts, done.held) == (1, 2)
    with home.engine.connect() as connection:
        left = connection.execute(text("SELECT id FROM contacts")).scalars().all()
    assert left == [claim.request.contact.id]


def test_of_two_holds_each_must_be_lifted(home: TestHome) -> None:
    attempt, officer = home.call(), home.actors["officer"]
    first = home.store.holds.hold_call(officer, attempt, HoldReason.DISPUTE)
    second = home.store.holds.hold_number(officer, NUMBER, HoldReason.AUTHORITY)
    home.clock.advance(LONG_S)
    home.store.holds.lift(officer, first)
    assert run(home).recordings == 0
    home.store.holds.lift(officer, second)
    assert run(home).recordings == 1


def test_a_held_person_is_not_erased(home: TestHome) -> None:
    attempt, officer = home.call(), home.actors["officer"]
    home.store.holds.hold_call(officer, attempt, HoldReason.DISPUTE)
    with pytest.raises(TooEarlyToDestroy, match="legal hold"):
        home.store.subjects.erase(officer, NUMBER, keep_until=TERMS.recording_until)
    assert "subject.erase" not in home.ledger_kinds()
    with home.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM contacts")).scalar() == 1
        assert connection.execute(text("SELECT count(*) FROM leases")).scalar() == 0


def test_a_held_call_is_not_destroyed_by_hand(home: TestHome) -> None:
    attempt, officer = home.call(), home.actors["officer"]
    objects = FolderObjects(home.path / "objects")
    hold = home.store.holds.hold_call(officer, attempt, HoldReason.AUDIT)
    home.clock.advance(LONG_S)
    with pytest.raises(TooEarlyToDestroy, match="legal hold"):
        home.store.retention.destroy_call(officer, attempt, TERMS, objects)
    home.store.holds.lift(officer, hold)
    home.store.retention.destroy_call(officer, attempt, TERMS, objects)
    assert list(objects.names()) == []


def test_what_is_gone_or_going_cannot_be_held(home: TestHome) -> None:
    attempt, officer = home.call(), home.actors["officer"]
    home.clock.advance(LONG_S)

    def killed(step: str) -> None:
        if step == "keys committed":
            raise KeyboardInterrupt

    objects = FolderObjects(home.path / "objects")
    with pytest.raises(KeyboardInterrupt):
        home.store.retention.run(TERMS, objects, actor=officer, step=killed)
    with pytest.raises(BadInput, match="nothing of this call is left"):
        home.store.holds.hold_call(officer, attempt, HoldReason.DISPUTE)
    run(home)
    with pytest.raises(BadInput, match="nothing of this call is left"):
        home.store.holds.hold_call(officer, attempt, HoldReason.DISPUTE)
    with pytest.raises(BadInput, match="no such call"):
        home.store.holds.hold_call(officer, "0" * 32, HoldReason.DISPUTE)


def test_the_ledger_tells_of_a_hold_and_of_nobody(home: TestHome) -> None:
    officer = home.actors["officer"]
    hold = home.store.holds.hold_number(officer, NUMBER, HoldReason.COMPLAINT)
    home.store.holds.lift(officer, hold)
    (added,), (lifted,) = entries(home, "hold.add"), entries(home, "hold.lift")
    assert added["actor"] == lifted["actor"] == officer.id
    assert added["body"] == {
        "hold": hold,
        "attempt": "",
        "whole_number": True,
        "reason": "complaint",
    }
    assert lifted["body"] == {"hold": hold}
    assert PHONE not in json.dumps(added)
    with pytest.raises(BadInput, match="lifted already"):
        home.store.holds.lift(officer, hold)
    with pytest.raises(BadInput, match="no such hold"):
        home.store.holds.lift(officer, "f" * 32)
    assert home.store.holds.hold_of_prefix(hold[:6]) == hold
    for start, what in ((hold[:5], "first 6"), ("z" * 8, "no such hold")):
        with pytest.raises(BadInput, match=what):
            home.store.holds.hold_of_prefix(start)


def test_who_may_hold_and_lift(home: TestHome) -> None:
    hold = home.store.holds.hold_number(home.actors["officer"], NUMBER, HoldReason.OTHER)
    for who in ("operator", "auditor", "admin", "author"):
        with pytest.raises(NotAllowed):
            home.store.holds.hold_number(home.actors[who], NUMBER, HoldReason.OTHER)
        with pytest.raises(NotAllowed):
            home.store.holds.lift(home.actors[who], hold)
    assert len(home.store.holds.holds()) == 1
