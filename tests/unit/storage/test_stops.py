# SPDX-License-Identifier: GPL-3.0-or-later
"""The emergency stop: nothing is handed out while it holds, and no contact loses its turn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import AuthorisationDenied, BadInput, NotAllowed, PermitError
from compliance.facts import Outcome
from storage.campaigns import CampaignState, TargetState
from storage.stops import StopReason
from tests.storage_home import LINE, START, TestHome


def entries(home: TestHome, kind: str) -> list[dict[str, Any]]:
    with home.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = :kind ORDER BY id"), {"kind": kind}
        )
        return [json.loads(row.body) for row in rows]


def targets(home: TestHome, campaign: str) -> Mapping[TargetState, int]:
    return home.store.campaigns.campaign_counts(campaign).targets


def test_a_stop_holds_every_campaign_until_it_is_lifted(home: TestHome) -> None:
    one = home.campaign(["13900000001"], name="one")
    two = home.campaign(["13900000002"], name="two")
    assert home.store.stops.in_force() is None
    assert home.store.stops.stop(home.actors["operator"], StopReason.COMPLAINT)
    assert home.store.stops.in_force() == START
    for campaign in (one, two):
        assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None
        assert targets(home, campaign) == {TargetState.DUE: 1}
        assert home.store.campaign_state(campaign) is CampaignState.RUNNING
    home.clock.advance(60)
    assert home.store.stops.lift(home.actors["officer"])
    assert home.store.stops.in_force() is None
    for campaign in (one, two):
        claim = home.claim(campaign)
        assert claim.request.stopped_at is None
        home.store.authorise(home.permit(claim), claim, home.clock.wall())


def test_stopping_and_lifting_twice_changes_nothing(home: TestHome) -> None:
    stops = home.store.stops
    assert not stops.lift(home.actors["officer"])
    assert stops.stop(home.actors["officer"])
    home.clock.advance(10)
    assert not stops.stop(home.actors["admin"])
    assert stops.in_force() == START
    assert stops.lift(home.actors["admin"])
    assert not stops.lift(home.actors["admin"])
    kinds = home.ledger_kinds()
    assert (kinds.count("platform.stop"), kinds.count("platform.lift")) == (1, 1)
    home.clock.advance(10)
    assert stops.stop(home.actors["officer"])  # another one, later
    assert stops.in_force() == START + timedelta(seconds=20)


def test_the_ledger_says_who_and_why(home: TestHome) -> None:
    home.store.stops.stop(home.actors["operator"], StopReason.AUTHORITY)
    home.store.stops.lift(home.actors["officer"])
    (stop,) = entries(home, "platform.stop")
    (lift,) = entries(home, "platform.lift")
    assert stop["actor"] == home.actors["operator"].id
    assert stop["body"]["reason"] == "authority"
    assert lift["actor"] == home.actors["officer"].id
    assert lift["body"]["stops"] == [stop["body"]["stop"]]


@pytest.mark.parametrize("who", ["author", "auditor"])
def test_who_may_not_stop(home: TestHome, who: str) -> None:
    with pytest.raises(NotAllowed):
        home.store.stops.stop(home.actors[who])
    assert home.store.stops.in_force() is None


@pytest.mark.parametrize("who", ["author", "auditor", "operator"])
def test_who_may_not_lift(home: TestHome, who: str) -> None:
    home.store.stops.stop(home.actors["operator"])
    with pytest.raises(NotAllowed):
        home.store.stops.lift(home.actors[who])
    assert home.store.stops.in_force() == START


def test_a_stop_between_gate_and_commit_denies_and_keeps_the_contact(home: TestHome) -> None:
    campaign = home.campaign()
    claim = home.claim(campaign)
    permit = home.permit(claim)
    home.store.stops.stop(home.actors["officer"])
    with pytest.raises(AuthorisationDenied, match="emergency_stop"):
        home.store.authorise(permit, claim, home.clock.wall())
    with pytest.raises(PermitError, match="not committed"):
        permit.redeem(LINE.id, 0)
    assert home.store.calls(campaign) == []
    assert targets(home, campaign) == {TargetState.DUE: 1}
    assert entries(home, "attempt.deny")[-1]["body"]["rule"] == "emergency_stop"
    home.store.stops.lift(home.actors["officer"])
    claim = home.claim(campaign)
    assert home.store.authorise(home.permit(claim), claim, home.clock.wall())


def test_a_refusal_for_the_stop_alone_is_not_for_ever(home: TestHome) -> None:
    campaign = home.campaign()
    claim = home.claim(campaign)
    stopped = claim.evolve(request=claim.request.evolve(stopped_at=home.clock.wall()))
    decision = home.refusal(stopped).decision
    assert {f.rule for f in decision.refusing} == {"emergency_stop"}
    home.store.refuse(claim, decision, home.clock.wall())
    assert targets(home, campaign) == {TargetState.DUE: 1}
    home.clock.advance(300)
    assert home.claim(campaign)


def test_a_live_call_is_written_down_under_a_stop(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    claim, _ = home.attempt(campaign)
    home.store.stops.stop(home.actors["officer"])
    home.store.mark_answered(claim.request.attempt_id, home.clock.wall())
    home.store.finish(claim, home.record(claim, outcome=Outcome.CANCELLED), None)
    assert targets(home, campaign) == {TargetState.DUE: 1, TargetState.DONE: 1}
    assert home.store.campaign_state(campaign) is CampaignState.RUNNING


def test_steering_is_the_state_and_the_stop(home: TestHome) -> None:
    campaign = home.campaign()
    steering = home.store.steering(campaign)
    assert (steering.state, steering.stopped_at) == (CampaignState.RUNNING, None)
    home.store.stops.stop(home.actors["officer"])
    home.store.campaigns.pause(home.actors["operator"], campaign)
    steering = home.store.steering(campaign)
    assert (steering.state, steering.stopped_at) == (CampaignState.PAUSED, START)
    with pytest.raises(BadInput):
        home.store.steering("nothing")


def test_many_who_stop_at_once_make_one_stop(home: TestHome) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: home.store.stops.stop(home.actors["operator"]), range(8)))
    assert sorted(made) == [False] * 7 + [True]
    assert home.store.stops.lift(home.actors["officer"])
    assert home.store.stops.in_force() is None


def test_racing_claims_hand_out_nothing_after_the_stop(home: TestHome) -> None:
    """Whatever the order of commits: no attempt is authorised later than the stop's commit."""
    campaign = home.campaign([f"139000000{i:02}" for i in range(20)])

    def dial(_: int) -> bool:
        claim = home.store.claim(campaign, worker="w", now=home.clock.wall())
        if claim is None:
            return False
        try:
            home.store.authorise(home.permit(claim), claim, home.clock.wall())
        except AuthorisationDenied:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        first = [pool.submit(dial, i) for i in range(6)]
        stopping = pool.submit(home.store.stops.stop, home.actors["officer"])
        rest = [pool.submit(dial, i) for i in range(14)]
        assert stopping.result()
        dialed = sum(f.result() for f in (*first, *rest))
    kinds = home.ledger_kinds()
    assert kinds.count("attempt.authorise") == dialed
    assert "attempt.authorise" not in kinds[kinds.index("platform.stop") :]
    assert targets(home, campaign).get(TargetState.DUE, 0) == 20 - dialed
