# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns that compare scripts: who hears which, that it stays so, and that each is signed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from compliance.arms import Rate
from compliance.errors import BadInput, PermitError, ScriptError
from compliance.facts import Claim, Outcome
from compliance.gate import authorize
from compliance.permits import Refusal
from storage.arms import Arm, arm_of
from storage.context import Context
from storage.models import AttemptRow, ScriptRow
from tests.storage_home import LINE, PURPOSE, RULEBOOK, TestHome, open_home

PHONES = [f"139000001{n:02}" for n in range(24)]  # all in one arm: once in eight million


def compared(home: TestHome, phones: Sequence[str] = PHONES) -> tuple[str, tuple[Arm, Arm]]:
    """A running campaign over two approved versions."""
    plain = home.campaign(phones, name="plain", start=False)  # makes contacts, line, papers
    assert home.store.arms.arms(plain) == ()
    first = home.store.scripts.current_approved("greeting")
    assert first is not None
    arms = (Arm("A", first.id), Arm("B", home.script().id))
    campaign = create(home, arms)
    home.store.campaigns.start(home.actors["operator"], campaign)
    return campaign, arms


def create(home: TestHome, arms: Sequence[Arm], *, script: str = "", name: str = "ab") -> str:
    return home.store.campaigns.create_campaign(
        home.actors["operator"],
        name=name,
        purpose=PURPOSE,
        script=script or arms[0].script,
        batches=["plain-batch"],
        lines=[LINE.id],
        arms=arms,
    )


def claims(home: TestHome, campaign: str) -> dict[str, Claim]:
    """Every due contact's claim, by number."""
    found = {}
    while claim := home.store.claim(campaign, worker="w1", now=home.clock.wall()):
        found[claim.request.contact.number.e164] = claim
    return found


def test_each_number_hears_one_script_and_always_the_same(home: TestHome) -> None:
    campaign, arms = compared(home)
    assert home.store.arms.arms(campaign) == arms
    assert [v.id for v in home.store.arms.scripts(campaign)] == [arm.script for arm in arms]
    first = claims(home, campaign)
    heard = {number: claim.request.script.id for number, claim in first.items()}
    assert len(heard) == len(PHONES)
    assert set(heard.values()) == {arm.script for arm in arms}
    for claim in first.values():
        home.store.release(claim)
    other = open_home(home.path, node="node2")  # another process, after a restart
    try:
        again = {n: c.request.script.id for n, c in claims(other, campaign).items()}
    finally:
        other.close()
    assert again == heard


def test_another_campaign_and_other_keys_deal_anew(home: TestHome) -> None:
    campaign, arms = compared(home, PHONES[:1])
    context = Context(home.engine, home.keyring, node="node1", clock=home.clock)
    indexes = [bytes([n]) * 32 for n in range(200)]
    dealt = [arm_of(context, campaign, index, arms).arm for index in indexes]
    elsewhere = [arm_of(context, "0" * 32, index, arms).arm for index in indexes]
    agree = sum(one == other for one, other in zip(dealt, elsewhere, strict=True))
    assert 60 < agree < 140
    assert 60 < dealt.count("A") < 140


def test_the_attempt_keeps_its_arm_and_the_ledger_says_so(home: TestHome) -> None:
    campaign, arms = compared(home, PHONES[:1])
    claim, attempt = home.attempt(campaign)
    (arm,) = [arm for arm in arms if arm.script == claim.request.script.id]
    with Session(home.engine) as session:
        row = session.execute(select(AttemptRow.arm, AttemptRow.script)).one()
    assert tuple(row) == (arm.arm, arm.script)
    (entry,) = [e for e in home.store.journal.entries(attempt.id) if e.kind == "attempt.authorise"]
    assert entry.body["arm"] == arm.arm
    assert home.store.checks.due() == []


def test_a_campaign_with_one_script_keeps_its_version_and_no_arm(home: TestHome) -> None:
    claim, attempt = home.attempt()
    with Session(home.engine) as session:
        row = session.execute(select(AttemptRow.arm, AttemptRow.script)).one()
    assert tuple(row) == ("", claim.request.script.id)
    entry = home.store.journal.entries(attempt.id)[0]
    assert "arm" not in entry.body


def test_a_permit_for_the_other_arm_s_script_is_refused(home: TestHome) -> None:
    campaign, arms = compared(home, PHONES[:1])
    claim = home.claim(campaign)
    (other,) = [arm for arm in arms if arm.script != claim.request.script.id]
    facts = home.store.scripts.facts(other.script)
    swapped = claim.evolve(request=claim.request.evolve(script=facts))
    with pytest.raises(PermitError, match="another arm"):
        home.store.authorise(home.permit(swapped), swapped, home.clock.wall())
    with Session(home.engine) as session:
        assert session.scalar(select(AttemptRow.id)) is None


def test_only_signed_scripts_are_compared(home: TestHome) -> None:
    home.campaign(PHONES[:1], name="plain", start=False)
    first = home.store.scripts.current_approved("greeting")
    assert first is not None
    one, other, unsigned = first.id, home.script().id, home.submit().id
    with pytest.raises(ScriptError, match="arm B is not approved"):
        create(home, [Arm("A", one), Arm("B", unsigned)])
    for arms in (
        [Arm("A", one)],
        [Arm("A", one), Arm("B", one)],
        [Arm("A", one), Arm("A", other)],
        [Arm("A", one), Arm("B", other, 0)],
        [Arm("A", one), Arm("B", other, 1001)],
        [Arm("A", one), Arm("甲", other)],
        [Arm("A", one), Arm("much too long", other)],
    ):
        with pytest.raises(BadInput):
            create(home, arms)
    with pytest.raises(BadInput, match="first arm"):
        create(home, [Arm("A", one), Arm("B", other)], script=other)
    assert [name for _, name, _ in home.store.campaigns.campaigns()] == ["plain"]


def void(home: TestHome, version: str) -> None:
    """One changed byte: what was signed is not what is stored."""
    with home.engine.begin() as connection:
        connection.execute(
            update(ScriptRow).where(ScriptRow.id == version).values(approved_digest="0" * 64)
        )


def test_an_arm_whose_signature_is_void_does_not_start(home: TestHome) -> None:
    home.campaign(PHONES[:1], name="plain", start=False)
    first = home.store.scripts.current_approved("greeting")
    assert first is not None
    campaign = create(home, [Arm("A", first.id), Arm("B", home.script().id)])
    void(home, home.store.arms.arms(campaign)[1].script)
    with pytest.raises(ScriptError, match="changed after it was approved"):
        home.store.campaigns.start(home.actors["operator"], campaign)


def test_the_gate_judges_the_script_of_the_number_s_own_arm(home: TestHome) -> None:
    campaign, (_, second) = compared(home)
    void(home, second.script)
    for claim in claims(home, campaign).values():
        verdict = authorize(claim.request, RULEBOOK, home.clock)
        rules = (
            {f.rule for f in verdict.decision.refusing} if isinstance(verdict, Refusal) else set()
        )
        assert ("unsigned_script" in rules) == (claim.request.script.id == second.script)


def test_figures_count_what_a_person_answered_by_arm(home: TestHome) -> None:
    campaign, arms = compared(home, PHONES[:8])
    outcomes = [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.VOICEMAIL, Outcome.ACCEPTED]
    expected = {arm.arm: [0, 0, 0, 0, 0] for arm in arms}
    for n, claim in enumerate(claims(home, campaign).values()):
        home.store.authorise(home.permit(claim), claim, home.clock.wall())
        outcome = outcomes[n % 4]
        complaint = n == 3
        record = home.record(
            claim,
            outcome=outcome,
            refused=outcome is Outcome.REFUSED,
            feedback="complaint" if complaint else "yes",
        )
        home.store.finish(claim, record, None)
        name = next(arm.arm for arm in arms if arm.script == claim.request.script.id)
        talked = outcome is not Outcome.VOICEMAIL
        for place, counts in enumerate(
            (True, talked, outcome is Outcome.ACCEPTED, outcome is Outcome.REFUSED, complaint)
        ):
            expected[name][place] += counts
    for counted in home.store.arms.counts(campaign):
        found = [counted.attempts, counted.answered, *(counted.counts[rate] for rate in Rate)]
        assert found == expected[counted.arm]
        assert counted.script.startswith("greeting ")


def test_arms_speak_one_language(home: TestHome) -> None:
    home.campaign(PHONES[:1], name="plain", start=False)
    first = home.store.scripts.current_approved("greeting")
    assert first is not None
    english = home.script()
    with home.engine.begin() as connection:
        connection.execute(
            update(ScriptRow).where(ScriptRow.id == english.id).values(language="en")
        )
    with pytest.raises(BadInput, match="one language"):
        create(home, [Arm("A", first.id), Arm("B", english.id)])
