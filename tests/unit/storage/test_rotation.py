# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotation of the master key: everything moves, nothing is lost, nothing goes too early."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from compliance.complaints import Channel, ComplaintKind
from compliance.duties import DutyKind
from compliance.errors import BadInput, NotAllowed, StorageError
from compliance.facts import Number, SourceKind
from storage import call_keys, pii, rotation, sealed_columns
from storage.case_tables import AuditNote
from storage.key_document import new_key_id
from storage.keys import FileKeyring
from storage.models import AttemptRow, LabTester
from storage.numbers import normalise
from storage.objects import FolderObjects
from storage.recordings import open_recording
from storage.rotation import GRACE
from storage.staging import Staging
from storage.store import AccessReason
from storage.subjects import SubjectReason
from tests.storage_home import LINE, START, TestHome, open_home, row, write_csv

PHONES = ("13900000001", "13900000002", "13900000003")


def still(_seconds: float) -> None:
    """No waiting."""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row a transaction, so that a pass has many steps."""
    monkeypatch.setattr(rotation, "AT_ONCE", 1)


def furnish(home: TestHome) -> str:
    """Something in every sealed column; returns a finished, recorded call."""
    home.contacts(PHONES, "people", interest="理财", notes="周末不在")
    home.campaign(name="c1", batches=["people"])
    claim, attempt = home.attempt(campaign_of(home))
    writer = home.recorder(attempt.id)
    writer.write(bytes([0xD5]) * 9000, bytes([0x55]) * 9000)
    sealed = writer.close(True)
    home.store.finish(claim, home.record(claim, recording=sealed.id), sealed)
    tester = new_key_id() * 4
    with home.engine.begin() as connection:
        connection.execute(
            insert(LabTester).values(
                id=tester,
                number_index=bytes(32),
                uri_sealed=seal(home, "sip:me@127.0.0.1", "lab_testers", "uri", tester),
                uri_key="",
                confirmed_by="x",
                confirmed_at=START,
            )
        )
    _as_before_calls_had_keys(home, attempt.id)
    return attempt.id


def furnish_oversight(home: TestHome) -> tuple[str, str]:
    """Words of complaints, cases, audits and duties; returns a complaint and its case."""
    complaints, officer = home.store.complaints, home.actors["officer"]
    complaint = complaints.add(
        home.actors["operator"],
        kind=ComplaintKind.OTHER,
        channel=Channel.WEB,
        text="太吵",
        received_at=home.clock.wall(),
        number=number(PHONES[0]),
    )
    case = complaints.complaint(complaint).case
    home.store.cases.note(officer, case, "回电")
    month = f"{home.clock.wall():%Y-%m}"
    home.store.duties.close(officer, DutyKind.SCRIPT_REVIEW, month, "好", "UTC")
    note = new_key_id() * 4
    with home.engine.begin() as connection:
        sealed = seal(home, "是", "audit_notes", "text", note)
        connection.execute(insert(AuditNote).values(id=note, text_sealed=sealed))
    return complaint, case


def _as_before_calls_had_keys(home: TestHome, call: str) -> None:
    """The transcript as older homes still hold it: under the master key."""
    context = home.store.rotation._context
    with context.write() as session:
        attempt = session.get(AttemptRow, call)
        assert attempt is not None
        assert attempt.transcript_sealed is not None
        said = call_keys.unseal(context, session, call, "transcript", attempt.transcript_sealed)
        attempt.transcript_sealed = seal(home, said, "attempts", "transcript", call)


def seal(home: TestHome, value: str, table: str, column: str, row_id: str) -> bytes:
    where = {"tenant": home.store.tenant, "table": table, "column": column, "row": row_id}
    return pii.seal(home.keyring, value, **where)


def campaign_of(home: TestHome) -> str:
    return home.store.campaigns.campaign_named("c1")


def everything(home: TestHome, call: str) -> dict[str, Any]:
    """Every sealed value there is, opened the way its owners open it."""
    store, auditor = home.store, home.actors["auditor"]
    sealed = store.recording(auditor, call, AccessReason.AUDIT)
    callee, bot = open_recording(FolderObjects(home.path / "objects"), home.keyring, sealed)
    assert callee is not None
    subject = store.subjects.show(auditor, number(PHONES[0]), SubjectReason.AUDIT)
    return {
        "contacts": [(c.name, c.interest, c.notes) for c in subject.contacts],
        "consents": [c.evidence for c in subject.consents],
        "transcript": store.transcript(auditor, call, AccessReason.AUDIT),
        "keys": store.key_presses(auditor, call, AccessReason.AUDIT),
        "recording": (callee.tobytes(), bot.tobytes()),
        "line": store.line_transport(LINE.id),
        "testers": [t.number for t in store.testers.testers()],
        "list": [(c.contact, c.number) for c in store.calls(campaign_of(home))],
    }


def number(phone: str) -> Number:
    return normalise(phone)


def uses(home: TestHome) -> dict[str, dict[str, int]]:
    with home.store.rotation._context.read() as session:
        return sealed_columns.uses(session)


def rotate(home: TestHome) -> str:
    """A whole rotation, up to and with retiring the old key; returns the new one."""
    admin, old = home.actors["admin"], home.keyring.key_id()
    new = home.store.rotation.begin(admin)
    done = home.store.rotation.reseal(admin, sleep=still)
    assert (done.key, done.remaining, done.damaged) == (new, 0, ())
    home.clock.advance(GRACE.total_seconds())
    home.store.rotation.retire(admin, old)
    return new


# ---------------------------------------------------------------- the whole way


def test_everything_moves_to_the_new_key_and_opens_as_before(home: TestHome) -> None:
    call = furnish(home)
    complaint, case = furnish_oversight(home)
    before, counted = everything(home, call), uses(home)
    old = home.keyring.key_id()
    assert set(counted) == {old}
    # Notes of a call lie under the call's key; those of an own number's case as other cases' do.
    elsewhere = {"call_notes", "number_case_notes"}
    assert set(counted[old]) == {table.name for table in sealed_columns.tables()} - elsewhere
    new = rotate(home)
    assert uses(home) == {new: counted[old]}
    assert home.keyring.key_ids() == (new,)
    assert everything(home, call) == before
    assert home.store.complaints.words(home.actors["officer"], complaint).text == "太吵"
    assert home.store.cases.notes(home.actors["officer"], case)[0].text == "回电"
    again = open_home(home.path)
    assert everything(again, call) == before
    again.close()


def test_every_wrapped_key_and_every_sealed_column_is_known_to_the_pass() -> None:
    for table in sealed_columns.tables():
        for column in sealed_columns.columns(table):
            if column.name == "wrapped_key":
                assert table.name in sealed_columns._BOUND
            else:
                assert len(sealed_columns.keys(table)) == 1, f"{table.name} needs one id column"


def test_what_the_ledger_says_of_a_rotation(home: TestHome) -> None:
    furnish(home)
    old = home.keyring.key_id()
    new = rotate(home)
    with home.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT kind, body FROM ledger_outbox WHERE kind LIKE 'keys.%' ORDER BY id")
        ).all()
    entries = [(kind, json.loads(bytes(body))) for kind, body in rows]
    assert {entry["actor"] for _, entry in entries} == {home.actors["admin"].id}
    bodies = [(kind, entry["body"]) for kind, entry in entries]
    assert bodies[0] == ("keys.rotate", {"from": old, "to": new})
    assert bodies[-1] == ("keys.retire", {"key": old})
    assert bodies[-2][0] == "keys.resealed"
    moved = {body["table"]: body["rows"] for kind, body in bodies if kind == "keys.reseal"}
    assert moved["contacts"] == len(PHONES)
    assert bodies[-2][1] == {"key": new, "rows": sum(moved.values()), "remaining": 0}


def test_a_rotation_finds_again_who_refused_and_whom_it_may_not_call(home: TestHome) -> None:
    furnish(home)
    home.store.refusals.refuse_number(
        home.actors["officer"], number(PHONES[1]), how="request", at=START, until=START + 99 * GRACE
    )
    rotate(home)
    campaign = campaign_of(home)
    for _ in range(2):
        claim = home.claim(campaign)
        refused = claim.request.contact.number == number(PHONES[1])
        assert bool(claim.request.refusals) == refused
        assert claim.request.consents


# ---------------------------------------------------------------- what is refused


def test_only_administrators_rotate(home: TestHome) -> None:
    for name in ("author", "officer", "operator", "auditor"):
        actor = home.actors[name]
        for ask in (
            lambda a=actor: home.store.rotation.begin(a),
            lambda a=actor: home.store.rotation.prepare(a),
            lambda a=actor: home.store.rotation.reseal(a, sleep=still),
            lambda a=actor: home.store.rotation.retire(a, home.keyring.key_id()),
        ):
            with pytest.raises(NotAllowed):
                ask()
    assert len(home.keyring.key_ids()) == 1
    for name in ("author", "operator"):
        with pytest.raises(NotAllowed):
            home.store.rotation.keys(home.actors[name])
    assert home.ledger_kinds().count("access.refuse") == 18


def test_a_key_in_use_is_not_retired_and_the_refusal_counts(home: TestHome) -> None:
    furnish(home)
    admin, old = home.actors["admin"], home.keyring.key_id()
    home.store.rotation.begin(admin)
    home.clock.advance(GRACE.total_seconds())
    with pytest.raises(StorageError, match=r"consents 3, contacts 12, .*recording_tracks 2"):
        home.store.rotation.retire(admin, old)
    assert old in home.keyring.key_ids()
    assert "keys.retire" not in home.ledger_kinds()


def test_a_key_just_replaced_is_not_retired(home: TestHome) -> None:
    admin, old = home.actors["admin"], home.keyring.key_id()
    home.store.rotation.begin(admin)
    home.store.rotation.reseal(admin, sleep=still)
    home.clock.advance(GRACE.total_seconds() - 10)
    with pytest.raises(StorageError, match="a moment ago") as caught:
        home.store.rotation.retire(admin, old)
    assert "in 11 s" in caught.value.remedy
    home.clock.advance(10)
    home.store.rotation.retire(admin, old)


def test_the_current_and_an_unknown_key_are_not_retired(home: TestHome) -> None:
    admin = home.actors["admin"]
    with pytest.raises(BadInput, match="current"):
        home.store.rotation.retire(admin, home.keyring.key_id())
    with pytest.raises(BadInput, match="no master key"):
        home.store.rotation.retire(admin, "00000000")


def test_a_key_that_cannot_be_kept_leaves_no_entry(home: TestHome) -> None:
    def full() -> None:
        raise StorageError("no space")

    before = home.ledger_kinds()
    with pytest.raises(StorageError, match="no space"):
        home.store.rotation.begin(home.actors["admin"], full)
    assert home.ledger_kinds() == before


# ---------------------------------------------------------------- in pieces


@pytest.mark.usefixtures("few")
def test_a_pass_goes_on_where_it_was_broken_off(home: TestHome) -> None:
    call = furnish(home)
    before, admin, old = everything(home, call), home.actors["admin"], home.keyring.key_id()
    new = home.store.rotation.begin(admin)
    assert home.store.rotation.unfinished()
    steps = 0

    def break_off(_seconds: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        home.store.rotation.reseal(admin, sleep=break_off)
    assert set(uses(home)) == {old, new}
    assert everything(home, call) == before  # in the middle, too
    assert home.store.rotation.unfinished()
    shown: list[tuple[int, int]] = []
    done = home.store.rotation.reseal(admin, lambda *at: shown.append(at), still)
    assert set(uses(home)) == {new}
    assert not home.store.rotation.unfinished()
    assert shown[0] == (0, done.rows)
    assert shown[-1] == (done.rows, done.rows)
    assert [at for at, _ in shown] == sorted(at for at, _ in shown)
    assert everything(home, call) == before
    assert home.store.rotation.reseal(admin, sleep=still).rows == 0  # once more changes nothing


@pytest.mark.usefixtures("few")
def test_what_changes_or_goes_under_the_pass_is_left_alone(
    home: TestHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading a row and replacing it, another transaction writes or deletes it."""
    call = furnish(home)
    admin = home.actors["admin"]
    home.store.rotation.begin(admin)
    real, meddled = sealed_columns.replace, []

    def meddle(session: Any, table: Any, row_: Any, new: Any) -> bool:
        if table.name in ("contacts", "attempts") and table.name not in meddled:
            meddled.append(table.name)
            if table.name == "attempts":
                session.execute(update(AttemptRow).values(transcript_sealed=None))
            else:
                for name in ("targets", "consents", "contacts"):
                    session.execute(text(f"DELETE FROM {name}"))
            return real(session, table, row_, new)
        return real(session, table, row_, new)

    monkeypatch.setattr(sealed_columns, "replace", meddle)
    done = home.store.rotation.reseal(admin, sleep=still)
    assert done.remaining == 0
    assert "contacts" in meddled
    with home.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM contacts")).scalar() == 0
    assert home.store.recording(home.actors["auditor"], call, AccessReason.AUDIT)


def test_a_damaged_row_is_named_and_the_others_move(home: TestHome) -> None:
    furnish(home)
    admin, old = home.actors["admin"], home.keyring.key_id()
    with home.engine.begin() as connection:
        damaged, sealed = connection.execute(
            text("SELECT id, name_sealed FROM contacts ORDER BY id LIMIT 1")
        ).one()
        altered = bytes(sealed)[:-1] + bytes([bytes(sealed)[-1] ^ 1])
        connection.execute(
            text("UPDATE contacts SET name_sealed = :s WHERE id = :i"), {"s": altered, "i": damaged}
        )
    new = home.store.rotation.begin(admin)
    done = home.store.rotation.reseal(admin, sleep=still)
    assert done.damaged == (f"contacts {damaged}",)
    assert done.remaining == 1
    assert uses(home)[old] == {"contacts": 4}  # that row's columns stay together
    home.clock.advance(GRACE.total_seconds())
    with pytest.raises(StorageError, match="contacts 4"):
        home.store.rotation.retire(admin, old)
    assert uses(home)[new]["contacts"] == 8


def test_a_call_in_progress_keeps_its_recording_through_a_rotation(home: TestHome) -> None:
    """Its keys were wrapped when it began and are told again when it ends."""
    home.campaign()
    claim, attempt = home.attempt(campaign_of(home))
    writer = home.recorder(attempt.id)
    writer.write(bytes([0xD5]) * 9000, bytes([0x55]) * 9000)
    new = rotate(home)
    writer.write(bytes([0xD5]) * 9000, bytes([0x55]) * 9000)
    sealed = writer.close(True)
    home.store.finish(claim, home.record(claim, recording=sealed.id), sealed)
    assert set(uses(home)) == {new}
    kept = home.store.recording(home.actors["auditor"], attempt.id, AccessReason.AUDIT)
    callee, bot = open_recording(FolderObjects(home.path / "objects"), home.keyring, kept)
    assert callee is not None
    assert len(callee) == len(bot) == 18000


def test_an_import_that_a_whole_rotation_overtakes_stores_nothing(
    home: TestHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows were sealed under a key that is gone by the time they would be stored."""
    write_csv(home.path / "late.csv", [row(PHONES[0])])
    other = open_home(home.path)
    other.clock.advance(1)
    real = Staging.publish

    def overtaken(self: Staging, *rest: Any) -> None:
        rotate(other)
        real(self, *rest)

    monkeypatch.setattr(Staging, "publish", overtaken)
    with pytest.raises(StorageError, match="retired while this was prepared"):
        home.store.contacts.import_file(
            home.path / "late.csv",
            actor=home.actors["operator"],
            source=SourceKind.OWN_CRM,
            batch="late",
        )
    with home.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM contacts")).scalar() == 0
    other.close()


# ---------------------------------------------------------------- prepared, lost and listed


def test_a_prepared_key_is_used_by_the_next_rotation(home: TestHome) -> None:
    furnish(home)
    admin, old = home.actors["admin"], home.keyring.key_id()
    prepared = home.store.rotation.prepare(admin)
    assert home.keyring.key_id() == old
    assert [(k.id, k.state) for k in home.store.rotation.keys(admin)] == [
        (old, "current"),
        (prepared, "prepared"),
    ]
    with pytest.raises(BadInput, match="prepared already"):
        home.store.rotation.prepare(admin)
    assert home.store.rotation.begin(admin) == prepared
    listed = home.store.rotation.keys(home.actors["auditor"])
    assert [(k.id, k.state) for k in listed] == [(prepared, "current"), (old, "old")]
    assert listed[0].since == home.clock.wall()
    assert (listed[0].uses, listed[1].since) == ({}, None)
    assert listed[1].uses["contacts"] == 4 * len(PHONES)


def test_a_key_whose_entry_was_never_committed_is_written_down_later(home: TestHome) -> None:
    """Killed between the key file and the commit: the file has it, the ledger does not."""
    found = new_key_id()
    FileKeyring.open(home.path / "keys.json").add_master(found)
    ring: Callable[[], tuple[str, ...]] = home.keyring.key_ids
    assert found in ring()
    new = home.store.rotation.begin(home.actors["admin"])
    with home.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = 'keys.rotate' ORDER BY id")
        ).all()
    bodies = [json.loads(bytes(body))["body"] for (body,) in rows]
    assert bodies == [
        {"from": "", "to": found, "found": True},
        {"from": found, "to": new},
    ]


def test_values_under_a_key_nobody_has_are_listed(home: TestHome, tmp_path: Path) -> None:
    furnish(home)
    stranger = FileKeyring.create(tmp_path / "other.json")
    with home.engine.begin() as connection:
        connection.execute(
            text("UPDATE lines SET transport_sealed = :s"),
            {"s": b"\x01" + bytes.fromhex(stranger.key_id()) + bytes(40)},
        )
    listed = home.store.rotation.keys(home.actors["admin"])
    assert [(k.state, k.uses) for k in listed[1:]] == [("missing", {"lines": 1})]
