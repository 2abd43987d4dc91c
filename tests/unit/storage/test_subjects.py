# SPDX-License-Identifier: GPL-3.0-or-later
"""What is held of a person, and its erasure: the person goes, what the law keeps stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from compliance.calendar import add_calendar_months
from compliance.errors import BadInput, NotAllowed, StorageError
from compliance.facts import Number, Outcome
from storage.campaigns import CampaignState
from storage.objects import FolderObjects
from storage.recordings import open_recording
from storage.store import AccessReason
from storage.subjects import ERASED, Erasure, Held, SubjectReason
from tests.exams import pass_exam
from tests.storage_home import COMPANY, PURPOSE, RULEBOOK, START, TestHome

PHONE = "13900000001"
NUMBER = Number("+86" + PHONE)
LONG_S = 300 * 24 * 3600.0  # every term is over, the exam still counts


def keep_until(over: datetime) -> datetime:
    return add_calendar_months(over, RULEBOOK.policy.keep_min_months)


def show(home: TestHome, number: Number = NUMBER) -> Held:
    return home.store.subjects.show(home.actors["officer"], number, SubjectReason.REQUEST)


def erase(
    home: TestHome,
    number: Number = NUMBER,
    keep: Callable[[datetime], datetime] = keep_until,
) -> Erasure:
    return home.store.subjects.erase(home.actors["officer"], number, keep_until=keep)


def entries(home: TestHome, kind: str) -> list[dict[str, Any]]:
    with home.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = :kind ORDER BY id"), {"kind": kind}
        )
        return [json.loads(row.body) for row in rows]


def cells(home: TestHome, query: str) -> list[Any]:
    with home.engine.connect() as connection:
        return list(connection.execute(text(query)).scalars())


def refuse(home: TestHome, number: Number = NUMBER) -> None:
    now = home.clock.wall()
    until = RULEBOOK.policy.refusal_until(now)
    home.store.refusals.refuse_number(
        home.actors["officer"], number, how="request", at=now, until=until
    )


# ---------------------------------------------------------------- show


def test_nothing_is_held_of_a_stranger(home: TestHome) -> None:
    held = show(home)
    assert held == Held((), (), (), None, (), 0, None, ())


def test_all_that_is_held_over_spellings_and_batches(home: TestHome) -> None:
    home.contacts(["+86 139-0000-0001"], "spring", name="测试乙", notes="喜欢茶", interest="会员")
    home.contacts(["13900000009"], "other")
    attempt = home.call()  # of a batch of its own, as 13900000001
    home.clock.advance(60)
    refuse(home)
    held = show(home)
    assert [(c.batch, c.name, c.notes, c.interest) for c in held.contacts] == [
        ("c1-batch", "测试甲", "", ""),
        ("spring", "测试乙", "喜欢茶", "会员"),
    ]
    assert [c.campaigns for c in held.contacts] == [("c1",), ()]
    assert {(c.purpose, c.company, c.channel) for c in held.consents} == {
        (PURPOSE, COMPANY, "web_form")
    }
    assert len(held.consents) == 2
    assert held.withdrawn_at == START + timedelta(seconds=60)
    assert [r.how for r in held.refusals] == ["request"]
    (call,) = held.calls
    assert (call.id, call.campaign, call.at, call.outcome) == (
        attempt,
        "c1",
        START,
        Outcome.ACCEPTED,
    )
    assert (call.recording, call.transcript) == (True, True)
    assert call.over_at == START + timedelta(seconds=20)
    assert held.destructions == ()


def test_a_look_is_a_raw_read_with_its_reason(home: TestHome) -> None:
    home.contacts([PHONE])
    held = home.store.subjects.show(home.actors["auditor"], NUMBER, SubjectReason.DISPUTE)
    (entry,) = entries(home, "pii.read")
    assert entry["actor"] == home.actors["auditor"].id
    assert entry["body"] == {
        "what": "subject",
        "contacts": [held.contacts[0].id],
        "reason": "dispute",
    }
    for who in ("operator", "admin", "author"):
        with pytest.raises(NotAllowed):
            home.store.subjects.show(home.actors[who], NUMBER, SubjectReason.REQUEST)
    assert len(entries(home, "pii.read")) == 1


# ---------------------------------------------------------------- withdraw


def test_withdrawn_consent_is_the_end_of_dialing_everywhere(home: TestHome) -> None:
    one = home.campaign([PHONE], name="one")
    two = home.campaign(["+86 139 0000 0001"], name="two")
    refuse(home)
    for campaign in (one, two):
        claim = home.claim(campaign)
        rules = {f.rule for f in home.refusal(claim).decision.refusing}
        assert rules == {"withdrawn_consent", "number_on_refusal_list"}
        home.store.release(claim)


# ---------------------------------------------------------------- erase


def test_erasing_takes_the_person_and_leaves_the_rest(home: TestHome) -> None:
    home.contacts(["0086-13900000001"], "old", notes="memo", name="测试丙")
    campaign = home.campaign([PHONE, "13900000002"])
    refuse(home)
    done = erase(home)
    assert done.what == {"contacts": 2, "consents": 2, "targets": 1}
    assert (done.kept, done.objects) == ((), ())
    held = show(home)
    assert (held.contacts, held.consents) == ((), ())
    assert held.withdrawn_at == START
    assert len(held.refusals) == 1
    (record,) = held.destructions
    assert (record.id, record.at, record.what) == (done.record, START, done.what)
    assert (record.by, record.operator) == (home.actors["officer"].id, "officer")
    assert (record.method, record.reason) == (ERASED, "request")
    # The other person stays, and stays due.
    other = show(home, Number("+8613900000002"))
    assert len(other.contacts) == len(other.consents) == 1
    assert other.destructions == ()
    assert home.claim(campaign).request.contact.number.e164.endswith("2")
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None


def test_the_entry_and_the_record_name_each_other_and_nobody(home: TestHome) -> None:
    home.contacts([PHONE])
    done = erase(home)
    (entry,) = entries(home, "subject.erase")
    assert entry["actor"] == home.actors["officer"].id
    assert entry["body"]["record"] == done.record
    assert entry["body"]["what"] == [["consents", 1], ["contacts", 1]]
    with home.engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM destructions")).one()
        leaf = connection.execute(
            text("SELECT leaf_hash FROM ledger_outbox WHERE kind = 'subject.erase'")
        ).scalar_one()
    assert row.leaf == leaf
    assert row.commitment == entry["body"]["commitment"]
    assert row.commitment_key == ""  # nothing in the database alone leads to the number
    assert PHONE not in json.dumps(entry)


def test_erasing_again_finds_nothing(home: TestHome) -> None:
    home.call()
    first = erase(home)
    assert first.record
    home.clock.advance(60)
    second = erase(home)
    assert (second.record, second.what, second.objects) == ("", {}, ())
    assert second.kept == first.kept  # said again: what is still held, and until when
    held = show(home)
    assert [d.id for d in held.destructions] == [first.record]
    assert held.withdrawn_at == START  # not moved by the second
    assert erase(home, Number("+8613900000077")).record == ""


def test_the_old_file_again_does_not_restore_dialing(home: TestHome) -> None:
    home.contacts([PHONE], "old")
    erase(home)
    claim = home.claim(home.campaign([PHONE], name="again"))
    assert "withdrawn_consent" in {f.rule for f in home.refusal(claim).decision.refusing}
    home.store.release(claim)
    # Years later still; and only a consent given since helps.
    home.clock.advance(3 * LONG_S)
    pass_exam(home.store, home.actors["operator"])
    claim = home.claim(home.campaign([PHONE], name="years-later"))
    assert "withdrawn_consent" in {f.rule for f in home.refusal(claim).decision.refusing}
    home.store.release(claim)
    home.contacts([PHONE], "new", consent_at=(home.clock.wall() - timedelta(days=1)).isoformat())
    claim = home.claim(home.campaign(batches=["new"], name="new"))
    assert "withdrawn_consent" not in {f.rule for f in home.refusal(claim).decision.refusing}


def test_not_while_a_call_is_live(home: TestHome) -> None:
    claim, attempt = home.attempt(home.campaign([PHONE]))
    home.store.mark_answered(attempt.id, home.clock.wall())
    with pytest.raises(StorageError, match="live"):
        erase(home)
    assert len(show(home).contacts) == 1
    assert "subject.erase" not in home.ledger_kinds()
    home.store.finish(claim, home.record(claim), None)
    assert erase(home).what["contacts"] == 1
    (row,) = home.store.calls(claim.request.campaign.id)
    assert (row.contact, row.number, row.outcome) == ("", "", Outcome.ACCEPTED)


def test_a_contact_somebody_just_claimed_is_not_pulled_away(home: TestHome) -> None:
    claim = home.claim(home.campaign([PHONE]))
    with pytest.raises(StorageError, match="live"):
        erase(home)
    home.store.authorise(home.permit(claim), claim, home.clock.wall())


def test_what_a_dead_process_left_is_settled_first(home: TestHome) -> None:
    claim, _ = home.attempt(home.campaign([PHONE]))
    home.clock.advance(61)
    assert erase(home).what["contacts"] == 1
    (row,) = home.store.calls(claim.request.campaign.id)
    assert row.outcome is Outcome.UNKNOWN


def test_the_last_contact_of_a_campaign_erased_ends_it(home: TestHome) -> None:
    campaign = home.campaign([PHONE])
    erase(home)
    assert home.store.campaign_state(campaign) is CampaignState.DONE


def test_attempts_still_count_for_the_caps_without_the_person(home: TestHome) -> None:
    claim, _ = home.attempt(home.campaign([PHONE]))
    home.store.finish(claim, home.record(claim), None)
    assert all(cells(home, "SELECT number_key FROM attempts"))
    assert erase(home).what["attempts_unlinked"] == 1
    assert cells(home, "SELECT number_key FROM attempts") == [""]
    fresh = (START + timedelta(seconds=60)).isoformat()
    home.clock.advance(120)
    home.contacts([PHONE], "fresh", consent_at=fresh)
    claim = home.claim(home.campaign(batches=["fresh"], name="fresh"))
    assert {f.rule for f in home.refusal(claim).decision.refusing} == {"over_call_cap"}


def test_a_recording_stays_sealed_for_its_six_months_and_then_goes(home: TestHome) -> None:
    attempt = home.call()
    objects = FolderObjects(home.path / "objects")
    until = add_calendar_months(START + timedelta(seconds=20), 6)
    done = erase(home)
    assert done.kept == ((attempt, until),)
    assert done.objects == ()
    assert entries(home, "subject.erase")[0]["body"]["kept"] == [[attempt, until.isoformat()]]
    # For a dispute it opens, and so does what was said in it.
    sealed = home.store.recording(home.actors["auditor"], attempt, AccessReason.DISPUTE)
    callee, bot = open_recording(objects, home.keyring, sealed)
    assert callee is not None
    assert len(bot) == 9000
    assert home.store.transcript(home.actors["auditor"], attempt, AccessReason.DISPUTE)
    # One microsecond before the end it stays; at the end it goes.
    home.clock.advance((until - home.clock.wall()).total_seconds() - 1e-6)
    assert erase(home).record == ""
    home.clock.advance(1e-6)
    late = erase(home)
    assert late.what == {"recording_tracks": 2, "transcripts": 1}
    assert late.kept == ()
    assert sorted(late.objects) == sorted(t.object for t in sealed.tracks)
    assert entries(home, "subject.erase")[-1]["body"]["destroyed"] == list(late.objects)
    assert cells(home, "SELECT wrapped_key FROM recording_tracks") == [b"", b""]
    assert home.store.transcript(home.actors["auditor"], attempt, AccessReason.DISPUTE) == ()
    held = show(home)
    assert [(c.recording, c.transcript) for c in held.calls] == [(False, False)]
    assert len(held.destructions) == 2


def test_words_without_sound_go_at_once(home: TestHome) -> None:
    claim, attempt = home.attempt(home.campaign([PHONE]))
    home.store.finish(claim, home.record(claim), None)
    assert erase(home).what["transcripts"] == 1
    assert home.store.transcript(home.actors["auditor"], attempt.id, AccessReason.AUDIT) == ()


def test_no_name_or_number_is_left_in_the_clear_or_behind_a_random_key(home: TestHome) -> None:
    """What the database alone gives away after an erasure: no commitment can be tried out."""
    home.call()
    erase(home)
    assert cells(home, "SELECT number_key FROM attempts") == [""]
    assert cells(home, "SELECT commitment_key FROM destructions") == [""]
    assert cells(home, "SELECT count(*) FROM contacts") == [0]


def test_who_may_erase(home: TestHome) -> None:
    home.contacts([PHONE])
    for who in ("operator", "auditor", "admin", "author"):
        with pytest.raises(NotAllowed):
            home.store.subjects.erase(home.actors[who], NUMBER, keep_until=keep_until)
    assert len(show(home).contacts) == 1


def test_a_reason_that_is_none_is_refused(home: TestHome) -> None:
    with pytest.raises(BadInput):
        home.store.subjects.show(home.actors["officer"], NUMBER, "curiosity")  # type: ignore[arg-type]
    assert "pii.read" not in home.ledger_kinds()
