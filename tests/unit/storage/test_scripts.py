# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign-off: bound to every byte, by another person, and only in time."""

from __future__ import annotations

import math

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, NotAllowed, ScriptError
from compliance.facts import Role
from compliance.governance import sign_off_fault
from storage.scripts import version_digest
from tests.exams import pass_exam
from tests.storage_home import DIGEST, PASSWORD, TestHome


def test_a_version_is_submitted_unsigned_and_approved(home: TestHome) -> None:
    scripts = home.store.scripts
    submitted = home.submit()
    assert sign_off_fault(submitted.facts) == "not_approved"
    assert scripts.current_approved("greeting") is None
    approved = scripts.approve(home.actors["officer"], submitted)
    assert sign_off_fault(approved.facts) == ""
    assert approved.text == "您好，我是智能机器人"
    assert approved.facts.author == home.actors["author"].id
    assert approved.facts.disclosure_end_ms == 2700.0
    assert scripts.current_approved("greeting") == approved
    assert scripts.facts(approved.id) == approved.facts
    assert home.ledger_kinds()[-2:] == ["script.submit", "script.approve"]


def test_a_newer_version_must_be_approved_itself(home: TestHome) -> None:
    first, second = home.script(), home.submit()
    assert (first.number, second.number) == (1, 2)
    assert home.store.scripts.current_approved("greeting") == first


def test_the_digest_covers_text_flow_and_audio() -> None:
    other = "0" * 64
    digests = {
        version_digest("a", DIGEST, DIGEST),
        version_digest("b", DIGEST, DIGEST),
        version_digest("a", other, DIGEST),
        version_digest("a", DIGEST, other),
    }
    assert len(digests) == 4


def test_the_author_does_not_approve_even_as_officer(home: TestHome) -> None:
    people = home.store.people
    people.add_person(home.actors["admin"], "both", PASSWORD, [Role.AUTHOR, Role.COMPLIANCE])
    both = people.sign_in("both", PASSWORD)
    pass_exam(home.store, both)
    version = home.store.scripts.submit(
        both, "greeting", "x", flow_digest=DIGEST, audio_digest=DIGEST, disclosure_end_ms=2000
    )
    with pytest.raises(NotAllowed, match="own script"):
        home.store.scripts.approve(both, version)
    assert home.store.scripts.approve(home.actors["officer"], version).approved_by


def test_what_was_read_must_be_what_is_stored(home: TestHome) -> None:
    version = home.submit()
    with pytest.raises(ScriptError, match="changed"):
        home.store.scripts.approve(home.actors["officer"], version.evolve(digest="0" * 64))


@pytest.mark.parametrize("column", ["text", "flow_digest", "audio_digest"])
def test_a_byte_changed_in_the_database_voids_it(home: TestHome, column: str) -> None:
    version = home.submit()
    with home.engine.begin() as connection:
        connection.execute(text(f"UPDATE scripts SET {column} = 'x' || substr({column}, 2)"))
    with pytest.raises(ScriptError, match="changed"):
        home.store.scripts.approve(home.actors["officer"], version)


@pytest.mark.parametrize(
    ("end_ms", "allowed"),
    [(3000.0, True), (3000.1, False), (0.0, False), (-1.0, False), (None, False)],
)
def test_the_disclosure_must_be_measured_and_end_in_time(
    home: TestHome, end_ms: float | None, allowed: bool
) -> None:
    version = home.submit(end_ms=end_ms)
    if allowed:
        assert home.store.scripts.approve(home.actors["officer"], version).approved_by
    else:
        with pytest.raises(ScriptError, match="disclosure"):
            home.store.scripts.approve(home.actors["officer"], version)


def test_a_measurement_that_is_no_number_is_refused(home: TestHome) -> None:
    with pytest.raises(BadInput, match="number"):
        home.submit(end_ms=math.nan)


def test_open_findings_of_the_wording_check_refuse(home: TestHome) -> None:
    version = home.submit(lint=["S2: 客服代表"])
    assert version.lint == ("S2: 客服代表",)
    with pytest.raises(ScriptError, match="1 findings"):
        home.store.scripts.approve(home.actors["officer"], version)


@pytest.mark.parametrize(
    ("script", "body", "digest", "field"),
    [
        ("Bad Name", "x", DIGEST, "script"),
        ("greeting", "  ", DIGEST, "script"),
        ("greeting", "x", "abc", "flow_digest"),
    ],
)
def test_unusable_submissions(
    home: TestHome, script: str, body: str, digest: str, field: str
) -> None:
    with pytest.raises(BadInput) as refused:
        home.store.scripts.submit(
            home.actors["author"],
            script,
            body,
            flow_digest=digest,
            audio_digest=DIGEST,
            disclosure_end_ms=2000,
        )
    assert refused.value.field == field


def test_unknown_versions(home: TestHome) -> None:
    with pytest.raises(BadInput, match="no such script version"):
        home.store.scripts.script_version("nothing")
