# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes about calls: sealed under the call's key, and gone with it (T1, D14)."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, NotAllowed
from storage import shredding
from storage.context import Context
from storage.models import AttemptRow
from tests.storage_home import TestHome

WORDS = "Wang asks for the brochure"


def call(home: TestHome) -> str:
    claim = home.claim(home.campaign())
    home.store.authorise(home.permit(claim), claim, home.clock.wall())
    return claim.request.attempt_id


def test_a_note_is_sealed_and_reading_it_is_written_down(home: TestHome) -> None:
    attempt, notes = call(home), home.store.call_notes
    notes.add(home.actors["operator"], attempt, WORDS)
    with home.engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM call_notes")).all()
        bodies = connection.execute(
            text("SELECT kind, body FROM ledger_outbox WHERE kind IN ('call.note', 'pii.read')")
        ).all()
    assert b"Wang" not in bytes(row.text_sealed)
    (entry,) = [json.loads(body) for kind, body in bodies if kind == "call.note"]
    assert entry["body"]["attempt"] == attempt
    assert "Wang" not in json.dumps(entry)
    (note,) = notes.notes(home.actors["auditor"], attempt)
    assert (note.text, note.by) == (WORDS, home.actors["operator"].id)
    with home.engine.connect() as connection:
        query = text("SELECT count(*) FROM ledger_outbox WHERE kind = 'pii.read'")
        assert connection.scalar(query) == 1


def test_who_may_note_about_what(home: TestHome) -> None:
    attempt, notes = call(home), home.store.call_notes
    for name in ("author", "auditor", "admin"):
        with pytest.raises(NotAllowed):
            notes.add(home.actors[name], attempt, WORDS)
    for about, words in (("0" * 32, WORDS), (attempt, "  ")):
        with pytest.raises(BadInput):
            notes.add(home.actors["operator"], about, words)
    assert notes.count(attempt) == 0


def test_a_note_goes_with_its_call(home: TestHome) -> None:
    attempt, notes = call(home), home.store.call_notes
    notes.add(home.actors["operator"], attempt, WORDS)
    context = Context(home.engine, home.keyring, node="node1", clock=home.clock)
    with context.write() as session:
        row = session.get(AttemptRow, attempt)
        assert row is not None
        shredding.forget_words(session, row)
    (note,) = notes.notes(home.actors["auditor"], attempt)
    assert (note.text, notes.count(attempt)) == ("", 1)
    with pytest.raises(BadInput, match="nothing of this call is left"):
        notes.add(home.actors["operator"], attempt, WORDS)
