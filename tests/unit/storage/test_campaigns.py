# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns: what must be there before one launches, and its states."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from compliance.errors import BadInput, ScriptError
from compliance.facts import Outcome
from storage.campaigns import CampaignState, TargetState, transition
from storage.store import Store
from tests.storage_home import LINE, PURPOSE, TestHome


def test_a_campaign_over_two_batches_in_their_order(home: TestHome) -> None:
    home.contacts(["13900000003", "13900000001"], "one")
    home.contacts(["13900000002", "+8613900000001"], "two")  # one number in both
    campaign = home.campaign(batches=["one", "two"])
    assert home.store.campaigns.campaign_counts(campaign).targets == {TargetState.DUE: 4}
    order = [home.claim(campaign).request.contact.number.e164[-1] for _ in range(3)]
    assert order == ["3", "1", "2"]  # the second row of the leased number waits
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None


def test_what_the_gate_learns_of_campaign_and_lines(home: TestHome) -> None:
    request = home.claim(home.campaign()).request
    assert request.campaign.state == "running"
    assert request.campaign.purpose == PURPOSE
    assert request.campaign.company == home.store.company
    assert request.campaign.launched_by == home.actors["operator"].id
    assert request.campaign.compliance_officer == home.actors["officer"].id
    [line] = request.lines
    assert line.evolve(supplier=LINE.supplier, own_number=LINE.own_number) == LINE
    assert (line.supplier.id, line.supplier.licence) == (LINE.supplier.id, "B24")
    assert home.store.line_transport("line1") == {"password": "line secret"}
    stored = b"".join(p.read_bytes() for p in home.path.glob("candor.db*"))
    assert b"line secret" not in stored


def test_nothing_launches_without_a_compliance_officer(home: TestHome) -> None:
    campaign = home.campaign(start=False)
    home.store.people.disable_person(home.actors["admin"], home.actors["officer"].id)
    with pytest.raises(BadInput, match="G1"):
        home.store.campaigns.start(home.actors["operator"], campaign)
    assert home.store.campaign_state(campaign) is CampaignState.DRAFT
    assert "campaign.start" not in home.ledger_kinds()


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        ("UPDATE scripts SET approved_by = NULL", "not approved"),
        ("UPDATE scripts SET approved_by = author", "not approved"),
        ("UPDATE scripts SET digest = 'x'", "changed"),
    ],
)
def test_nothing_launches_with_an_unsigned_script(home: TestHome, damage: str, match: str) -> None:
    campaign = home.campaign(start=False)
    with home.engine.begin() as connection:
        connection.execute(text(damage))
    with pytest.raises(ScriptError, match=match):
        home.store.campaigns.start(home.actors["operator"], campaign)


def test_nothing_launches_with_every_line_off(home: TestHome) -> None:
    campaign = home.campaign(start=False)
    home.store.lines.enable_line(home.actors["admin"], "line1", False)
    with pytest.raises(BadInput, match="no line"):
        home.store.campaigns.start(home.actors["operator"], campaign)


def test_pausing_and_stopping_end_the_claims_at_once(home: TestHome) -> None:
    campaigns, operator = home.store.campaigns, home.actors["operator"]
    campaign = home.campaign(["13900000001", "13900000002"])
    claim = home.claim(campaign)
    campaigns.pause(operator, campaign)
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None
    home.store.release(claim)
    campaigns.start(operator, campaign)
    home.claim(campaign)
    campaigns.stop(home.actors["officer"], campaign)
    assert home.store.campaign_state(campaign) is CampaignState.STOPPED
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None
    with pytest.raises(BadInput, match="cannot start a campaign that is stopped"):
        campaigns.start(operator, campaign)
    kinds = [k for k in home.ledger_kinds() if k.startswith("campaign.")]
    assert kinds == [f"campaign.{e}" for e in ("create", "start", "pause", "start", "stop")]


@given(st.sampled_from(CampaignState), st.sampled_from(["start", "pause", "stop", "finish"]))
def test_an_ended_campaign_never_runs_again(state: CampaignState, event: str) -> None:
    if state in (CampaignState.STOPPED, CampaignState.DONE):
        with pytest.raises(BadInput):
            transition(state, event)
    elif state is CampaignState.RUNNING:
        assert (event == "start") == _raises(state, event)


def _raises(state: CampaignState, event: str) -> bool:
    try:
        transition(state, event)
    except BadInput:
        return True
    return False


def test_a_campaign_is_done_when_nothing_is_left(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    for expected in (CampaignState.RUNNING, CampaignState.DONE):
        claim, _ = home.attempt(campaign)
        home.store.finish(claim, home.record(claim), None)
        assert home.store.campaign_state(campaign) is expected
    counts = home.store.campaigns.campaign_counts(campaign)
    assert counts.targets == {TargetState.DONE: 2}
    assert counts.outcomes == {Outcome.ACCEPTED: 2}
    assert (counts.total, counts.open_attempts) == (2, 0)
    assert home.ledger_kinds().count("campaign.finish") == 1


def test_a_deferred_contact_keeps_the_campaign_open(home: TestHome) -> None:
    campaign = home.campaign()
    home.clock.advance(2 * 3600)  # 12:00 in Shanghai: lunch
    claim = home.claim(campaign)
    home.store.refuse(claim, home.refusal(claim).decision, home.clock.wall())
    assert home.store.campaign_state(campaign) is CampaignState.RUNNING
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None
    home.clock.advance(timedelta(hours=2.5).total_seconds())  # 14:30
    assert home.permit(home.claim(campaign))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "c1"}, "name"),
        ({"name": " "}, "name"),
        ({"purpose": " "}, "purpose"),
        ({"script": "nothing"}, "script"),
        ({"batches": []}, "batches"),
        ({"batches": ["c1-batch", "c1-batch"]}, "batches"),
        ({"batches": ["nothing"]}, "batches"),
        ({"lines": []}, "lines"),
        ({"lines": ["nothing"]}, "lines"),
    ],
)
def test_unusable_campaigns_leave_nothing(
    home: TestHome, change: dict[str, object], field: str
) -> None:
    home.campaign()
    script = home.store.scripts.current_approved("greeting")
    assert script is not None
    options = {
        "name": "c2",
        "purpose": PURPOSE,
        "script": script.id,
        "batches": ["c1-batch"],
        "lines": ["line1"],
    } | change
    with pytest.raises(BadInput) as refused:
        home.store.campaigns.create_campaign(home.actors["operator"], **options)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert [name for _, name, _ in home.store.campaigns.campaigns()] == ["c1"]


def test_look_ups(home: TestHome) -> None:
    store: Store = home.store
    campaign = home.campaign()
    assert store.campaigns.campaign_named("c1") == campaign
    assert store.campaigns.campaign(campaign).id == campaign
    assert store.campaign_script(campaign).text == "您好，我是智能机器人"
    for look in (store.campaigns.campaign_named, store.campaign_state, store.campaign_script):
        with pytest.raises(BadInput):
            look("nothing")


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (LINE, "line"),
        (LINE.evolve(id="Bad Id"), "line"),
        (LINE.evolve(id="l2", address=" "), "address"),
    ],
)
def test_unusable_lines(home: TestHome, line: object, field: str) -> None:
    home.campaign()
    with pytest.raises(BadInput) as refused:
        home.store.lines.add_line(home.actors["admin"], line)  # type: ignore[arg-type]
    assert refused.value.field == field
