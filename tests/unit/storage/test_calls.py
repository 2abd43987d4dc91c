# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call leaves: one transaction, sealed, masked in lists, raw only with a reason
(T2, D8, D10, S5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, StorageError
from compliance.facts import KeyPress, Outcome, RefusalScope, Speaker, TranscriptLine
from storage import ledger
from storage.anchors import FolderAnchor
from storage.objects import FolderObjects
from storage.recordings import Track, open_recording, recover
from storage.sequencer import Sequencer
from storage.store import AccessReason
from tests.databases import Databases
from tests.storage_home import START, TENANT, TestHome


def bodies(home: TestHome, kind: str) -> list[dict[str, Any]]:
    with home.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = :kind ORDER BY id"), {"kind": kind}
        )
        return [json.loads(row.body)["body"] for row in rows]


def test_a_finished_call_is_read_back_whole(home: TestHome) -> None:
    attempt = home.call()
    call = home.store.call(attempt)
    assert (call.contact, call.number) == ("测**", "139****0001")
    assert (call.outcome, call.sip_status, call.sip_call_id) == (Outcome.ACCEPTED, 200, "abc@sip")
    assert (call.disclosed_ms, call.notice_ms, call.duration_ms) == (2700, 6000, 20000)
    assert (call.answered_at, call.feedback, call.refused) == (START, "yes", False)
    auditor = home.actors["auditor"]
    said = home.store.transcript(auditor, attempt, AccessReason.QUALITY)
    assert [line.text for line in said] == ["您好，我是智能机器人", "好的，我叫测试甲"]
    assert (said[0].mark, said[1].confidence, said[1].start_ms) == ("disclosure", 0.9, 7000)
    pressed = home.store.key_presses(auditor, attempt, AccessReason.QUALITY)
    assert pressed == (KeyPress("1", 9000),)
    sealed = home.store.recording(auditor, attempt, AccessReason.DISPUTE)
    callee, bot = open_recording(FolderObjects(home.path / "objects"), home.keyring, sealed)
    assert callee is not None
    assert (len(callee), len(bot)) == (9000, 9000)
    assert home.ledger_kinds()[-3:] == ["pii.read", "pii.read", "recording.open"]
    assert bodies(home, "pii.read")[0] == {"attempt": attempt, "reason": "quality"}


def test_every_raw_read_is_one_entry_and_names_a_proper_reason(home: TestHome) -> None:
    attempt = home.call()
    officer = home.actors["officer"]
    for _ in range(3):
        home.store.transcript(officer, attempt, AccessReason.AUDIT)
    for read in (home.store.transcript, home.store.recording, home.store.key_presses):
        with pytest.raises(BadInput, match="S5"):
            read(officer, attempt, "curiosity")  # type: ignore[operator]
    assert len(bodies(home, "pii.read")) == 3


def test_the_ledger_holds_digests_that_verify(home: TestHome) -> None:
    attempt = home.call()
    (finish,) = bodies(home, "call.finish")
    sealed = home.store.recording(home.actors["auditor"], attempt, AccessReason.AUDIT)
    assert finish["objects"] == sealed.ledger_objects()
    assert [row[3] for row in finish["objects"]] == ["callee", "bot"]
    key = home.commitment_key("attempts", "transcript_key")
    said = home.store.transcript(home.actors["auditor"], attempt, AccessReason.AUDIT)
    plain = [
        [
            str(t.speaker),
            t.text,
            t.start_ms,
            t.end_ms,
            t.interrupted_at_ms,
            t.confidence,
            t.mark,
        ]
        for t in said
    ]
    encoded = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    assert ledger.verify_commitment(encoded, finish["transcript"], key)


def test_the_callees_wrapped_key_goes_with_its_track(home: TestHome) -> None:
    attempt = home.call(keep_callee=False)
    sealed = home.store.recording(home.actors["auditor"], attempt, AccessReason.AUDIT)
    callee = sealed.track(Track.CALLEE)
    assert (callee.destroyed, callee.wrapped_key, callee.object) == (True, b"", "")
    assert not sealed.track(Track.BOT).destroyed
    (finish,) = bodies(home, "call.finish")
    assert [row[3] for row in finish["objects"]] == ["bot"]


def test_finishing_twice_changes_nothing(home: TestHome) -> None:
    claim, _ = home.attempt()
    record = home.record(claim, callback=True)
    leaf = home.store.finish(claim, record, None)
    entries = len(home.ledger_kinds())
    again = home.store.finish(claim, record.evolve(outcome=Outcome.REFUSED), None)
    assert again == leaf
    assert len(home.ledger_kinds()) == entries
    assert home.store.call(claim.request.attempt_id).outcome is Outcome.ACCEPTED
    assert home.ledger_kinds().count("callback.open") == 1


def test_a_late_record_replaces_the_guess_and_says_so(home: TestHome) -> None:
    claim, attempt = home.attempt()
    home.clock.advance(61)
    assert home.store.settle_expired(home.clock.wall()) == [attempt.id]
    leaf = home.store.finish(claim, home.record(claim, outcome=Outcome.BUSY), None)
    call = home.store.call(attempt.id)
    assert (call.outcome, call.ledger_leaf) == (Outcome.BUSY, leaf)
    assert bodies(home, "call.finish")[0]["settled"] is True


def test_what_was_durable_in_mid_call_is_never_taken_back(home: TestHome) -> None:
    claim, attempt = home.attempt()
    home.store.mark_answered(attempt.id, START)
    home.store.record_refusal(
        attempt.id,
        how="voice",
        at=START,
        until=START.replace(year=2027),
        scope=RefusalScope.COMPANY,
    )
    home.store.finish(claim, home.record(claim, answered_at=None, refused=False), None)
    call = home.store.call(attempt.id)
    assert (call.answered_at, call.refused) == (START, True)


def test_a_refusal_only_the_record_knows_of_withdraws_consent(home: TestHome) -> None:
    claim, _ = home.attempt()
    record = home.record(claim, refused=True, outcome=Outcome.REFUSED)
    home.store.finish(claim, record, None)
    again = home.claim(home.campaign(["13900000001"], name="again"))
    assert again.request.withdrawn_at == record.ended_at
    assert "consent.withdraw" in home.ledger_kinds()


def test_records_of_another_attempt_are_refused(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    (one, first), (two, _) = home.attempt(campaign), home.attempt(campaign)
    with pytest.raises(BadInput):
        home.store.finish(one, home.record(two), None)
    writer = home.recorder(first.id)
    sealed = writer.close(True)
    with pytest.raises(BadInput):
        home.store.finish(two, home.record(two), sealed)
    with pytest.raises(BadInput, match="another call"):
        home.store.open_recording_row(two.lease_id, writer.opening)
    unopened = sealed.evolve(id="0" * 32)
    before = home.ledger_kinds()
    with pytest.raises(BadInput, match="never opened"):
        home.store.finish(one, home.record(one), unopened)
    assert home.ledger_kinds() == before  # the whole transaction is undone
    assert home.store.call(first.id).outcome is None


def test_a_torn_recording_is_found_and_recovered(home: TestHome) -> None:
    _, attempt = home.attempt()
    writer = home.recorder(attempt.id)
    writer.write(bytes(8192), bytes(8192))
    writer.abandon()  # as a killed process leaves it
    assert home.store.unsealed_recordings() == []  # the call may still be live
    home.clock.advance(61)
    home.store.settle_expired(home.clock.wall())
    (opening,) = home.store.unsealed_recordings()
    assert opening == writer.opening
    with pytest.raises(BadInput, match="no closed recording"):
        home.store.recording(home.actors["auditor"], attempt.id, AccessReason.AUDIT)
    objects = FolderObjects(home.path / "objects")
    home.store.seal_recovered(recover(objects, home.keyring, opening, keep_callee=False))
    assert home.store.unsealed_recordings() == []
    sealed = home.store.recording(home.actors["auditor"], attempt.id, AccessReason.AUDIT)
    callee, bot = open_recording(objects, home.keyring, sealed)
    assert (callee, len(bot), sealed.track(Track.BOT).seal.complete) == (None, 8192, False)
    assert bodies(home, "recording.recover")[0]["chunks"] == 2


def test_the_ledger_index_follows_the_sequencer(home: TestHome) -> None:
    campaign = home.campaign()
    claim, attempt = home.attempt(campaign)
    leaf = home.store.finish(claim, home.record(claim), None)
    assert home.store.call(attempt.id).ledger_index is None
    anchors = [FolderAnchor(home.path / "anchors")]
    Sequencer(home.engine, home.keyring, anchors, f"candor/{TENANT}").run_once(START)
    (call,) = home.store.calls(campaign)
    assert call.ledger_leaf == leaf
    # Counted from 0, the last but one: the campaign's end came after it.
    assert call.ledger_index == len(home.ledger_kinds()) - 2


def test_invites_are_records_with_a_call_id_and_nothing_said(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    sent, _ = home.attempt(campaign)
    unsent, _ = home.attempt(campaign)
    record = home.record(sent)
    home.store.finish(sent, record, None)
    home.store.finish(unsent, home.record(unsent, sip_call_id=""), None)
    (invite,) = home.store.invites()
    assert invite == record.evolve(transcript=(), keys=())
    assert home.store.invites(campaign) == [invite]
    assert home.store.invites("nothing") == []


def test_flags_are_kept_with_the_words_and_without_them_in_the_ledger(home: TestHome) -> None:
    claim, attempt = home.attempt()
    lines = (
        TranscriptLine(Speaker.BOT, "抱歉，这部分内容我不便介绍。", 9000, 11000, mark="safe",
                       flags=("S8", "S9")),
        TranscriptLine(Speaker.CALLEE, "是不是诈骗", 12000, 13000, confidence=0.9, flags=("S9",)),
        TranscriptLine(Speaker.CALLEE, "好的", 14000, 14500, confidence=0.9),
    )  # fmt: skip
    home.store.finish(claim, home.record(claim, transcript=lines), None)
    auditor = home.actors["auditor"]
    assert home.store.transcript(auditor, attempt.id, AccessReason.DISPUTE) == lines
    (finish,) = bodies(home, "call.finish")
    assert finish["wording"] == ["bot:S8", "bot:S9", "callee:S9"]
    assert "诈骗" not in str(finish)


def test_what_a_robot_says_of_a_contact_is_a_raw_read(home: TestHome) -> None:
    home.contacts(["139 0000 0001"], name="测试甲", interest="保本理财")
    claim, attempt = home.attempt(home.campaign(batches=["batch1"]))
    values = home.store.spoken.values(claim, {"interest", "name"})
    assert values == {"name": "测试甲", "interest": "保本理财"}
    (entry,) = bodies(home, "pii.read")
    assert (entry["attempt"], entry["columns"]) == (attempt.id, ["interest", "name"])
    assert "保本" not in str(entry)
    with pytest.raises(BadInput, match="notes"):
        home.store.spoken.values(claim, {"notes"})


def test_a_reason_phrase_that_quotes_a_number_is_dropped(home: TestHome) -> None:
    claim, _ = home.attempt()
    home.store.finish(claim, home.record(claim, sip_reason="No route to 13900000001"), None)
    assert home.store.invites()[0].sip_reason == ""


def test_nothing_personal_is_on_disk_or_in_a_list(home: TestHome, databases: Databases) -> None:
    notes = "PLANTED-NOTE"
    home.contacts(["139 0000 0001"], notes=notes, interest="PLANTED-INTEREST")
    (home.path / "batch1.csv").unlink()
    campaign = home.campaign(batches=["batch1"])
    claim, attempt = home.attempt(campaign)
    refusal_end = START.replace(year=2027)
    home.store.record_refusal(
        attempt.id, how="voice", at=START, until=refusal_end, scope=RefusalScope.COMPANY
    )
    writer = home.recorder(attempt.id)
    home.store.finish(claim, home.record(claim, callback=True), writer.close(True))
    planted = ["13900000001", "139 0000 0001", "测试甲", "我叫", "PLANTED", "form 7"]
    url = (home.path / "url").read_text()
    files = [p for p in home.path.rglob("*") if p.is_file()] + databases.files(url)
    if databases.kind == "sqlite":
        assert any(p.name.endswith("-wal") and p.stat().st_size for p in files)
    for path in files:
        data = path.read_bytes()
        for text_ in planted:
            for encoding in ("utf-8", "utf-16-le", "gbk"):
                assert text_.encode(encoding) not in data, (path.name, text_)
    shown = repr((home.store.calls(campaign), home.store.invites(), claim.request.contact, attempt))
    assert not any(text_ in shown for text_ in planted)


def test_an_unreadable_sealed_value_is_an_error_not_a_blank(home: TestHome) -> None:
    attempt = home.call()
    with home.engine.begin() as connection:
        connection.execute(text("UPDATE contacts SET name_sealed = number_sealed"))
    with pytest.raises(StorageError, match=r"contacts\.name"):
        home.store.call(attempt)
