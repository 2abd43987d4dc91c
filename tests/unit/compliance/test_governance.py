# SPDX-License-Identifier: GPL-3.0-or-later
"""A script is signed by a compliance officer who did not write it, for exactly what was read."""

from __future__ import annotations

import pytest

from compliance.errors import NotAllowed, ScriptError
from compliance.facts import Actor, Role, ScriptFacts
from compliance.governance import approve, disclosure_in_time, sign_off_fault, submit

AUTHOR = Actor("p1", "author", frozenset({Role.AUTHOR}), "t")
OFFICER = Actor("p2", "officer", frozenset({Role.COMPLIANCE}), "t")
BOTH = Actor("p3", "both", frozenset({Role.AUTHOR, Role.COMPLIANCE}), "t")
DIGEST = "ab" * 32
DRAFT = ScriptFacts("s", DIGEST, "", disclosure_end_ms=2600.0)


def test_submitted_and_approved_is_signed() -> None:
    signed = approve(submit(DRAFT, AUTHOR), OFFICER, DIGEST)
    assert (signed.author, signed.approved_by, signed.approved_digest) == ("p1", "p2", DIGEST)
    assert sign_off_fault(signed) == ""


def test_one_changed_byte_voids_it() -> None:
    signed = approve(submit(DRAFT, AUTHOR), OFFICER, DIGEST)
    assert sign_off_fault(signed.evolve(digest="aa" * 32)) == "changed"


def test_submitting_again_takes_the_signature_off() -> None:
    signed = approve(submit(DRAFT, AUTHOR), OFFICER, DIGEST)
    assert sign_off_fault(submit(signed, AUTHOR)) == "not_approved"


@pytest.mark.parametrize("officer", [AUTHOR, Actor("p4", "op", frozenset({Role.ADMIN}), "t")])
def test_only_compliance_officers_approve(officer: Actor) -> None:
    with pytest.raises(NotAllowed):
        approve(submit(DRAFT, AUTHOR), officer, DIGEST)


def test_nobody_approves_their_own() -> None:
    with pytest.raises(NotAllowed):
        approve(submit(DRAFT, BOTH), BOTH, DIGEST)
    assert approve(submit(DRAFT, AUTHOR), BOTH, DIGEST).approved_by == "p3"


def test_only_authors_submit() -> None:
    with pytest.raises(NotAllowed):
        submit(DRAFT, OFFICER)


@pytest.mark.parametrize(
    ("script", "seen", "field"),
    [
        (DRAFT, DIGEST, "author"),
        (submit(DRAFT, AUTHOR), "aa" * 32, "digest"),
        (submit(DRAFT.evolve(digest=""), AUTHOR), "", "digest"),
        (submit(DRAFT.evolve(disclosure_end_ms=None), AUTHOR), DIGEST, "disclosure"),
        (submit(DRAFT.evolve(disclosure_end_ms=3000.5), AUTHOR), DIGEST, "disclosure"),
    ],
)
def test_what_cannot_be_approved_is_named(script: ScriptFacts, seen: str, field: str) -> None:
    with pytest.raises(ScriptError) as caught:
        approve(script, OFFICER, seen)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("end_ms", "in_time"),
    [(3000.0, True), (3000.01, False), (0.0, False), (-1.0, False), (None, False),
     (float("nan"), False), (0.1, True)],
)  # fmt: skip
def test_the_disclosure_ends_in_time(end_ms: float | None, in_time: bool) -> None:
    assert disclosure_in_time(end_ms, 3000) is in_time
