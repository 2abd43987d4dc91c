# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes when: recordings, contacts, refusals; never early, never without a record
(D13, D14, S6, S12)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, NotAllowed, StorageError, TooEarlyToDestroy
from compliance.facts import Number, Outcome
from storage.context import SYSTEM
from storage.objects import FolderObjects
from storage.retention import Done
from storage.store import AccessReason
from storage.subjects import SubjectReason
from storage.terms import Terms
from tests.storage_home import RULEBOOK, START, TestHome

PHONE, OTHER = "13900000001", "13900000002"
NUMBER = Number("+86" + PHONE)
TERMS = Terms()
DAY = timedelta(days=1)
OVER = START + timedelta(seconds=20)  # when home.call()'s call ends
UNTIL = TERMS.recording_until(OVER)


def objects_of(home: TestHome) -> FolderObjects:
    return FolderObjects(home.path / "objects")


def go_to(home: TestHome, at: datetime) -> None:
    home.clock.advance((at - home.clock.wall()).total_seconds())


def run(home: TestHome) -> Done:
    return home.store.retention.run(TERMS, objects_of(home), actor=home.actors["officer"])


def rows(home: TestHome, query: str) -> list[Any]:
    with home.engine.connect() as connection:
        return list(connection.execute(text(query)).all())


def count(home: TestHome, table: str) -> int:
    return int(rows(home, f"SELECT count(*) FROM {table}")[0][0])


def entries(home: TestHome, kind: str) -> list[dict[str, Any]]:
    found = rows(home, f"SELECT body FROM ledger_outbox WHERE kind = '{kind}' ORDER BY id")
    return [json.loads(row.body) for row in found]


def refuse(home: TestHome, phone: str = PHONE) -> None:
    now = home.clock.wall()
    home.store.refusals.refuse_number(
        home.actors["officer"],
        Number("+86" + phone),
        how="request",
        at=now,
        until=RULEBOOK.policy.refusal_until(now),
    )


# ---------------------------------------------------------------- recordings


def test_a_recording_stays_to_the_last_microsecond_and_goes_at_the_end(home: TestHome) -> None:
    attempt = home.call()
    names = list(objects_of(home).names())
    assert len(names) == 2
    go_to(home, UNTIL - timedelta(microseconds=1))
    assert run(home).recordings == 0
    assert list(objects_of(home).names()) == names
    auditor = home.actors["auditor"]
    assert home.store.transcript(auditor, attempt, AccessReason.DISPUTE)
    assert home.store.key_presses(auditor, attempt, AccessReason.DISPUTE)
    go_to(home, UNTIL)
    done = run(home)
    assert (done.recordings, done.waiting) == (1, 0)
    assert list(objects_of(home).names()) == []
    assert home.store.transcript(auditor, attempt, AccessReason.DISPUTE) == ()
    assert home.store.key_presses(auditor, attempt, AccessReason.DISPUTE) == ()
    assert count(home, "call_keys") == 0
    assert rows(home, "SELECT request_sealed FROM attempts") == [(None,)]
    (track, other) = rows(home, "SELECT object, wrapped_key, destroyed FROM recording_tracks")
    assert (track.object, bytes(track.wrapped_key), bool(track.destroyed)) == ("", b"", True)
    assert bool(other.destroyed)
    assert run(home).recordings == 0


def test_the_record_says_when_how_who_and_what(home: TestHome) -> None:
    attempt = home.call()
    names = sorted(objects_of(home).names())
    digests = {
        r.object: r.sealed_sha256
        for r in rows(home, "SELECT object, sealed_sha256 FROM recording_tracks")
    }
    go_to(home, UNTIL)
    run(home)
    (row,) = rows(home, f"SELECT * FROM destructions WHERE attempt = '{attempt}'")
    assert (row.by, row.method, row.reason) == (
        home.actors["officer"].id,
        "shred_keys_delete_objects",
        "term_over",
    )
    record = json.loads(row.objects) if isinstance(row.objects, str) else row.objects
    assert sorted(name for name, _ in record) == names
    assert all(digests[name] == digest for name, digest in record)
    what = json.loads(row.what) if isinstance(row.what, str) else row.what
    assert what == {"recording_tracks": 2, "requests": 1, "transcripts": 1}
    (begun,) = entries(home, "destruction.begin")
    written = [e for e in entries(home, "destruction.record") if e["body"]["record"] == row.id]
    (entry,) = written
    assert sorted(begun["body"]["destroyed"]) == sorted(entry["body"]["destroyed"]) == names
    assert entry["body"]["commitment"] == row.commitment
    # Whoever is told the number finds the record; the number is nowhere.
    held = home.store.subjects.show(home.actors["officer"], NUMBER, SubjectReason.AUDIT)
    assert row.id in [d.id for d in held.destructions]
    assert PHONE not in json.dumps([begun, entry])


def test_destroying_before_the_minimum_is_refused(home: TestHome) -> None:
    attempt = home.call()
    officer, objects = home.actors["officer"], objects_of(home)
    go_to(home, UNTIL - timedelta(seconds=1))
    with pytest.raises(TooEarlyToDestroy, match="must be kept until"):
        home.store.retention.destroy_call(officer, attempt, TERMS, objects)
    assert len(list(objects.names())) == 2
    go_to(home, UNTIL)
    home.store.retention.destroy_call(officer, attempt, TERMS, objects)
    assert list(objects.names()) == []
    assert rows(home, "SELECT reason FROM destructions") == [("by_hand",)]
    with pytest.raises(BadInput, match="nothing of this call is left"):
        home.store.retention.destroy_call(officer, attempt, TERMS, objects)
    with pytest.raises(BadInput, match="no such call"):
        home.store.retention.destroy_call(officer, "0" * 32, TERMS, objects)
    for who in ("operator", "auditor", "admin", "author"):
        with pytest.raises(NotAllowed):
            home.store.retention.destroy_call(home.actors[who], attempt, TERMS, objects)


def test_an_open_call_is_not_destroyed(home: TestHome) -> None:
    claim, attempt = home.attempt()
    go_to(home, UNTIL)
    with pytest.raises(TooEarlyToDestroy, match="still open"):
        home.store.retention.destroy_call(
            home.actors["officer"], attempt.id, TERMS, objects_of(home)
        )
    # The nightly run settles what a dead process left, and keeps it its six months from there.
    run(home)
    assert home.store.call(attempt.id).outcome is Outcome.UNKNOWN
    assert rows(home, "SELECT request_sealed IS NULL FROM attempts")[0][0] in (0, False)
    assert claim.request.contact.number == NUMBER


def test_a_recording_nobody_closed_is_first_recovered(home: TestHome) -> None:
    claim, attempt = home.attempt()
    home.recorder(attempt.id).abandon()
    home.store.finish(claim, home.record(claim), None)
    go_to(home, UNTIL + 40 * DAY)
    assert run(home).recordings == 0
    assert len(home.store.unsealed_recordings()) == 1


def test_a_clock_set_back_during_a_call_does_not_end_its_term_early(home: TestHome) -> None:
    home.campaign()  # entries of a right clock
    right = home.clock.wall()
    home.clock.jump_wall(-400 * 24 * 3600.0)
    context_clock = home.clock.wall()
    with home.engine.begin() as connection:  # what such a call leaves
        connection.execute(text("UPDATE targets SET not_before = '2020-01-01 00:00:00'"))
    claim = home.store.claim(
        home.store.campaigns.campaigns()[0][0], worker="w", now=context_clock, lease_s=60
    )
    assert claim is not None
    attempt = claim.request.attempt_id
    home.clock.jump_wall(400 * 24 * 3600.0)
    permit = home.permit(claim)
    home.clock.jump_wall(-400 * 24 * 3600.0)
    home.store.authorise(permit, claim, home.clock.wall())
    writer = home.recorder(attempt)
    writer.write(bytes([0xD5]) * 9000, bytes([0x55]) * 9000)
    sealed = writer.close(True)
    home.store.finish(claim, home.record(claim, recording=sealed.id), sealed)
    home.clock.jump_wall(400 * 24 * 3600.0 + 60)
    assert run(home).recordings == 0  # by its own times it would have been over for months
    go_to(home, TERMS.recording_until(right) - timedelta(seconds=1))
    assert run(home).recordings == 0
    go_to(home, TERMS.recording_until(right + timedelta(minutes=5)))
    assert run(home).recordings == 1


def test_a_clock_that_stands_before_the_ledger_destroys_nothing(home: TestHome) -> None:
    home.call()
    go_to(home, UNTIL + DAY)
    home.store.people.issue_session(home.actors["officer"], DAY)  # an entry
    home.clock.jump_wall(-3600)
    with pytest.raises(StorageError, match="clock stands before"):
        run(home)
    assert len(list(objects_of(home).names())) == 2
    home.clock.jump_wall(3600)
    assert run(home).recordings == 1


def test_by_itself_nothing_goes_after_a_leap_of_the_clock(home: TestHome) -> None:
    home.call()
    go_to(home, UNTIL)
    objects = objects_of(home)
    with pytest.raises(StorageError, match="clock is wrong"):
        home.store.retention.run(TERMS, objects)
    assert len(list(objects.names())) == 2
    home.store.people.issue_session(home.actors["officer"], DAY)  # somebody is here
    done = home.store.retention.run(TERMS, objects)
    assert done.recordings == 1
    assert rows(home, 'SELECT DISTINCT "by" FROM destructions') == [(SYSTEM,)]


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)  # PostgreSQL's are its own
def test_what_was_shredded_is_overwritten_in_the_file(home: TestHome) -> None:
    home.call()
    (key,) = rows(home, "SELECT wrapped_key FROM call_keys")
    tracks = rows(home, "SELECT wrapped_key FROM recording_tracks")
    (words,) = rows(home, "SELECT transcript_sealed FROM attempts")
    database = home.engine.url.database
    assert database is not None
    files = [Path(database), Path(f"{database}-wal")]

    def on_disk(secret: bytes) -> list[bytes]:
        """Which 16-byte pieces of it lie there: a long value is spread over pages."""
        disk = b"".join(f.read_bytes() for f in files if f.exists())
        return [p for at in range(len(secret) - 16) if (p := secret[at : at + 16]) in disk]

    secrets = [bytes(r[0]) for r in (key, words, *tracks)]
    assert all(on_disk(secret) for secret in secrets)
    go_to(home, UNTIL)
    run(home)
    assert not any(on_disk(secret) for secret in secrets)


# ---------------------------------------------------------------- S4


def test_the_callees_track_without_notice_goes_with_a_record(home: TestHome) -> None:
    attempt = home.call(keep_callee=False)
    (row,) = rows(home, "SELECT * FROM destructions")
    assert (row.attempt, row.by, row.reason, row.method) == (
        attempt,
        SYSTEM,
        "no_notice",
        "forget_key_delete_object",
    )
    listed = json.loads(row.objects) if isinstance(row.objects, str) else row.objects
    ((name, digest),) = listed
    assert not objects_of(home).exists(name)
    assert len(digest) == 64
    (entry,) = entries(home, "destruction.record")
    assert entry["body"]["destroyed"] == [name]
    assert entry["body"]["what"] == [["recording_tracks", 1]]
    # The bot's track stays its six months.
    assert len(list(objects_of(home).names())) == 1
    go_to(home, UNTIL)
    assert run(home).recordings == 1
    assert list(objects_of(home).names()) == []


def test_what_a_killed_process_left_of_the_callee_goes_with_a_record(home: TestHome) -> None:
    from dialer.schedule import recover_recordings

    claim, attempt = home.attempt()
    writer = home.recorder(attempt.id)
    writer.write(bytes([0xD5]) * 9000, bytes([0x55]) * 9000)
    writer.abandon()
    home.store.mark_answered(attempt.id, home.clock.wall())
    home.clock.advance(61)
    home.store.settle_expired(home.clock.wall())
    recover_recordings(home.store, objects_of(home))
    assert rows(home, "SELECT attempt, reason FROM destructions") == [(attempt.id, "no_notice")]
    assert len(list(objects_of(home).names())) == 1
    assert claim.lease_id == attempt.id


# ---------------------------------------------------------------- contacts


def test_contacts_go_within_thirty_days_of_the_end_of_their_campaign(home: TestHome) -> None:
    campaign = home.campaign([PHONE, OTHER])
    home.store.campaigns.stop(home.actors["operator"], campaign)
    go_to(home, START + 27 * DAY)
    assert run(home).contacts == 0
    go_to(home, START + 30 * DAY - timedelta(seconds=1))
    done = run(home)
    assert done.contacts == 2
    assert done.what == {"contacts": 2, "consents": 2, "targets": 2}
    for table in ("contacts", "consents", "targets"):
        assert count(home, table) == 0
    records = rows(home, "SELECT reason, method FROM destructions")
    assert records == [("cycle_over", "delete_rows")] * 2
    held = home.store.subjects.show(home.actors["officer"], NUMBER, SubjectReason.REQUEST)
    assert len(held.destructions) == 1
    assert held.withdrawn_at is None  # nobody said no: a new consent is not needed


def test_a_contact_of_two_campaigns_stays_until_the_last_ends(home: TestHome) -> None:
    home.contacts([PHONE], "shared")
    one = home.campaign(batches=["shared"], name="one")
    two = home.campaign(batches=["shared"], name="two")
    stop = home.store.campaigns.stop
    stop(home.actors["operator"], one)
    go_to(home, START + 60 * DAY)
    assert run(home).contacts == 0
    stop(home.actors["operator"], two)
    go_to(home, START + 87 * DAY)
    assert run(home).contacts == 0
    go_to(home, START + 88 * DAY)
    assert run(home).contacts == 1


def test_contacts_of_no_campaign_have_no_term(home: TestHome) -> None:
    home.contacts([PHONE], "unused")
    go_to(home, START + 300 * DAY)
    assert run(home).contacts == 0
    assert home.store.retention.report(TERMS).contacts_unused == 1


def test_who_refused_is_gone_in_thirty_days_though_the_campaign_goes_on(home: TestHome) -> None:
    home.campaign([PHONE, OTHER])
    home.contacts(["+86 139-0000-0001"], "another")  # the same person, spelled otherwise
    refuse(home)
    go_to(home, START + 28 * DAY - timedelta(seconds=1))
    assert run(home).contacts == 0
    go_to(home, START + 28 * DAY)
    done = run(home)
    assert done.contacts == 2
    assert rows(home, "SELECT DISTINCT reason FROM destructions") == [("refused",)]
    assert count(home, "contacts") == 1
    held = home.store.subjects.show(home.actors["officer"], NUMBER, SubjectReason.REQUEST)
    assert held.contacts == held.consents == ()
    assert len(held.refusals) == 1
    assert held.withdrawn_at == START
    assert count(home, "refused_numbers") == 0


def test_a_new_consent_after_the_refusal_is_a_new_cycle(home: TestHome) -> None:
    home.contacts([PHONE], "old")
    refuse(home)
    home.clock.advance(3600)
    home.contacts([PHONE], "new", consent_at=home.clock.wall().isoformat())
    go_to(home, START + 40 * DAY)
    assert run(home).contacts == 1
    assert [
        row.name
        for row in rows(
            home,
            "SELECT name FROM batches b WHERE EXISTS "
            "(SELECT 1 FROM contacts c WHERE c.batch = b.id)",
        )
    ] == ["new"]
    # Who says no again starts anew.
    refuse(home)
    go_to(home, START + 40 * DAY + 27 * DAY)
    assert run(home).contacts == 0
    go_to(home, START + 40 * DAY + 28 * DAY)
    assert run(home).contacts == 1


def test_saying_no_twice_does_not_put_the_day_off(home: TestHome) -> None:
    home.contacts([PHONE], "old")
    refuse(home)
    go_to(home, START + 20 * DAY)
    refuse(home)
    go_to(home, START + 28 * DAY)
    assert run(home).contacts == 1


def test_a_refusal_in_a_call_counts_too_and_its_proof_stays_with_the_recording(
    home: TestHome,
) -> None:
    claim, attempt = home.attempt(home.campaign([PHONE, OTHER]))
    home.store.mark_answered(attempt.id, home.clock.wall())
    writer = home.recorder(attempt.id)
    writer.write(bytes([0xD5]) * 9000, bytes([0x55]) * 9000)
    sealed = writer.close(True)
    record = home.record(claim, recording=sealed.id, refused=True, outcome=Outcome.REFUSED)
    home.store.finish(claim, record, sealed)
    refuse(home)
    go_to(home, START + 28 * DAY)
    done = run(home)
    assert done.contacts == 1
    (row,) = rows(home, "SELECT number_key, request_sealed, transcript_sealed FROM attempts")
    assert row.number_key == ""
    assert row.request_sealed is not None
    assert row.transcript_sealed is not None
    assert count(home, "call_keys") == 1
    assert len(list(objects_of(home).names())) == 2


def test_of_a_call_nobody_answered_nothing_stays(home: TestHome) -> None:
    campaign = home.campaign([PHONE])
    claim, _ = home.attempt(campaign)
    record = home.record(
        claim, outcome=Outcome.BUSY, answered_at=None, transcript=(), keys=(), sip_status=486
    )
    home.store.finish(claim, record, None)
    assert count(home, "call_keys") == 1
    go_to(home, START + 29 * DAY)
    done = run(home)
    assert done.what == {"contacts": 1, "consents": 1, "targets": 1, "requests": 1}
    assert count(home, "call_keys") == 0
    (row,) = rows(home, "SELECT number_key, request_sealed, transcript_sealed FROM attempts")
    assert tuple(row) == ("", None, None)
    assert count(home, "attempts") == 1  # the attempt itself is no personal data


def test_who_waits_to_be_called_back_stays(home: TestHome) -> None:
    claim, _ = home.attempt(home.campaign([PHONE]))
    home.store.finish(claim, home.record(claim, callback=True), None)
    go_to(home, START + 60 * DAY)
    assert run(home).contacts == 0
    (ticket,) = home.store.tickets.tickets()
    home.store.tickets.close(home.actors["operator"], ticket.id)
    assert run(home).contacts == 1


def test_nobody_is_taken_from_a_call(home: TestHome) -> None:
    campaign = home.campaign([PHONE])
    refuse(home)
    go_to(home, START + 28 * DAY)
    claim = home.claim(campaign)
    assert run(home).contacts == 0
    home.store.release(claim)
    assert run(home).contacts == 1


def test_more_contacts_than_one_transaction_takes(home: TestHome) -> None:
    phones = [f"139{n:08d}" for n in range(450)]
    campaign = home.campaign(phones)
    home.store.campaigns.stop(home.actors["operator"], campaign)
    go_to(home, START + 29 * DAY)
    assert run(home).contacts == 450
    assert count(home, "destructions") == 450
    assert len(entries(home, "destruction.record")) == 450


# ---------------------------------------------------------------- refusal list


def test_a_refusal_goes_after_six_months_and_the_withdrawal_stays(home: TestHome) -> None:
    home.contacts([PHONE], "old")
    refuse(home)
    until = RULEBOOK.policy.refusal_until(START)
    go_to(home, until - timedelta(seconds=1))
    assert run(home).refusals == 0
    go_to(home, until)
    assert run(home).refusals == 1
    assert count(home, "refusals") == 0
    assert count(home, "withdrawals") == 1
    # The old file again still does not restore dialing.
    claim = home.claim(home.campaign([PHONE], name="again"))
    assert "withdrawn_consent" in {f.rule for f in home.refusal(claim).decision.refusing}


# ---------------------------------------------------------------- forecast and roles


def test_the_forecast_names_the_days_and_changes_nothing(home: TestHome) -> None:
    home.call()
    home.contacts([OTHER], "unused")
    refuse(home, OTHER)
    before = rows(home, "SELECT count(*) FROM ledger_outbox")
    forecast = home.store.retention.report(TERMS)
    assert forecast.recordings == {UNTIL.date(): 1}
    assert forecast.contacts == {(START + 28 * DAY).date(): 2}  # both ways lead to one day
    assert forecast.refusals == {RULEBOOK.policy.refusal_until(START).date(): 1}
    assert (forecast.recordings_kept, forecast.overdue, forecast.waiting) == (1, 0, 0)
    assert rows(home, "SELECT count(*) FROM ledger_outbox") == before
    go_to(home, UNTIL + 40 * DAY)
    late = home.store.retention.report(TERMS)
    assert late.overdue == 3  # a recording and two contacts
    assert late.recordings == {home.clock.wall().date(): 1}
    run(home)
    gone = home.store.retention.report(TERMS)
    assert (gone.recordings, gone.contacts, gone.refusals) == ({}, {}, {})


def test_who_may_run_it_and_what_the_ledger_says(home: TestHome) -> None:
    for who in ("operator", "auditor", "author"):
        with pytest.raises(NotAllowed):
            home.store.retention.run(TERMS, objects_of(home), actor=home.actors[who])
    home.store.retention.run(TERMS, objects_of(home), actor=home.actors["admin"])
    (entry,) = entries(home, "retention.run")
    assert entry["actor"] == home.actors["admin"].id
    assert entry["body"] == {
        "recordings": 0, "contacts": 0, "refusals": 0, "complaints": 0, "held": 0, "waiting": 0
    }  # fmt: skip


def test_a_store_that_is_away_holds_the_record_up(home: TestHome) -> None:
    home.call()
    go_to(home, UNTIL)

    class Away(FolderObjects):
        def delete(self, name: str) -> bool:
            raise StorageError("the object store does not answer")

    away = Away(home.path / "objects")
    done = home.store.retention.run(TERMS, away, actor=home.actors["officer"])
    assert (done.recordings, done.waiting) == (1, 1)
    assert count(home, "destructions") == 1  # of the contact alone
    assert home.store.retention.report(TERMS).waiting == 1
    assert home.store.retention.complete(objects_of(home)) == 0
    assert count(home, "destructions") == 2
    assert list(objects_of(home).names()) == []
