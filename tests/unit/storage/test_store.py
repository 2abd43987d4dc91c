# SPDX-License-Identifier: GPL-3.0-or-later
"""Claim, authorise, lease: the attempt counts from its commit, whatever happens then."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from compliance.canonical import canonical, digest
from compliance.clock import RINGS_WITHIN_S
from compliance.errors import AuthorisationDenied, BadInput, LeaseLost, PermitError
from compliance.facts import Blame, Claim, Number, Outcome, RefusalScope
from storage import ledger
from storage.campaigns import TargetState
from storage.context import Context
from storage.store import CallRow, CampaignState, Caps
from tests.storage_home import LINE, START, TestHome

HALF_YEAR = timedelta(days=182)


def counts(home: TestHome, campaign: str) -> dict[TargetState, int]:
    return dict(home.store.campaigns.campaign_counts(campaign).targets)


def only_call(home: TestHome, campaign: str) -> CallRow:
    (call,) = home.store.calls(campaign)
    return call


def refuse_number(home: TestHome, attempt: str, at: datetime) -> None:
    home.store.record_refusal(
        attempt, how="voice", at=at, until=at + HALF_YEAR, scope=RefusalScope.COMPANY
    )


# ---------------------------------------------------------------- authorise


def test_a_permit_is_good_only_after_the_commit(home: TestHome) -> None:
    campaign = home.campaign()
    claim = home.claim(campaign)
    permit = home.permit(claim)
    with pytest.raises(PermitError, match="not committed"):
        permit.redeem(LINE.id, home.clock.monotonic())
    attempt = home.store.authorise(permit, claim, home.clock.wall())
    assert permit.redeem(LINE.id, home.clock.monotonic()) == Number("+8613900000001")
    assert (attempt.id, attempt.campaign) == (claim.request.attempt_id, campaign)
    assert (attempt.contact, attempt.line) == (claim.request.contact.id, LINE.id)
    with home.engine.connect() as connection:
        body = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE leaf_hash = :leaf"),
            {"leaf": bytes.fromhex(attempt.ledger_leaf)},
        ).scalar_one()
    key = home.commitment_key("attempts", "number_key")
    entry = json.loads(body)["body"]
    assert ledger.verify_commitment(b"+8613900000001", entry["number"], key)
    assert entry["rulebook"] == permit.decision.rulebook
    assert home.store.decision(attempt.id) == permit.decision


def test_the_database_alone_confirms_no_guessed_number(home: TestHome) -> None:
    claim, attempt = home.attempt()
    with home.engine.connect() as connection:
        row = connection.execute(text("SELECT number_key, decision FROM attempts")).one()
        body = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = 'attempt.authorise'")
        ).scalar_one()
    entry = json.loads(body)["body"]
    kept = base64.b64decode(row.number_key)
    assert len(kept) == 32
    for key in (kept, row.number_key.encode()):
        assert not ledger.verify_commitment(b"+8613900000001", entry["number"], key.hex())
    # Whoever guesses every fact of the request lacks its salt.
    guessed = claim.request.evolve(salt="")
    assert digest(canonical(claim.request)) == entry["inputs"] != digest(canonical(guessed))
    # A key that an older version kept in the open still proves its entry.
    context = Context(home.engine, home.keyring, node="node1", clock=home.clock)
    old = home.commitment_key("attempts", "number_key")
    assert context.reveal(old, "attempts", "number_key", attempt.id) == old
    assert ledger.verify_commitment(b"+8613900000001", entry["number"], old)


def test_an_attempt_is_authorised_once(home: TestHome) -> None:
    claim, _ = home.attempt()
    with pytest.raises(LeaseLost):
        home.store.authorise(home.permit(claim), claim, home.clock.wall())
    assert home.ledger_kinds().count("attempt.authorise") == 1


def test_a_permit_of_another_claim_is_refused(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    one, two = home.claim(campaign), home.claim(campaign)
    with pytest.raises(PermitError):
        home.store.authorise(home.permit(two), one, home.clock.wall())


def test_an_expired_lease_cannot_dial(home: TestHome) -> None:
    claim = home.claim(home.campaign(), lease_s=60)
    permit = home.permit(claim)
    home.clock.advance(60)
    with pytest.raises(LeaseLost):
        home.store.authorise(permit, claim, home.clock.wall())
    with pytest.raises(PermitError, match="not committed"):
        permit.redeem(LINE.id, 0)
    assert "attempt.authorise" not in home.ledger_kinds()


def test_an_old_fencing_token_cannot_dial(home: TestHome) -> None:
    campaign = home.campaign()
    old = home.claim(campaign, "cut off")
    home.clock.advance(61)
    assert home.store.settle_expired(home.clock.wall()) == []
    new = home.claim(campaign, "alive")
    assert new.fencing == old.fencing + 1
    stolen = old.evolve(lease_id=new.lease_id, leased_until=new.leased_until)
    for stale in (old, stolen):
        with pytest.raises((LeaseLost, PermitError)):
            home.store.authorise(home.permit(stale), stale, home.clock.wall())
        with pytest.raises(LeaseLost):
            home.store.renew(stale, home.clock.wall())
        home.store.release(stale)  # without effect
    assert home.store.authorise(home.permit(new), new, home.clock.wall()).id == new.lease_id


def stale_second_claim(home: TestHome, seconds: float, times: int = 1) -> Claim:
    """A claim whose facts do not show the attempts made ``seconds`` apart before it."""
    numbers = ["13900000001", "+86 139 0000 0001", "0086-139-0000-0001", "8613900000001"]
    for n in range(times + 1):
        home.contacts([numbers[n]], f"b{n}")
    campaign = home.campaign(batches=[f"b{n}" for n in range(times + 1)])
    for _ in range(times):
        claim = home.claim(campaign)
        claim = claim.evolve(request=claim.request.evolve(attempts=()))
        home.store.authorise(home.permit(claim), claim, home.clock.wall(), Caps(60, 60))
        home.store.finish(claim, home.record(claim), None)
        home.clock.advance(seconds)
    claim = home.claim(campaign)
    assert len(claim.request.attempts) == times
    return claim.evolve(request=claim.request.evolve(attempts=()))


@pytest.mark.parametrize(("seconds", "allowed"), [(3608, False), (3609, True)])
def test_the_hourly_cap_is_counted_again_at_the_commit(
    home: TestHome, seconds: float, allowed: bool
) -> None:
    claim = stale_second_claim(home, seconds)
    permit = home.permit(claim)
    if allowed:
        home.store.authorise(permit, claim, home.clock.wall())
        return
    with pytest.raises(AuthorisationDenied) as denied:
        home.store.authorise(permit, claim, home.clock.wall())
    assert denied.value.rule == "over_call_cap"
    with pytest.raises(PermitError, match="not committed"):
        permit.redeem(LINE.id, 0)
    assert home.ledger_kinds()[-1] == "attempt.deny"
    # The contact is due again when the hour is over, and not before.
    campaign = claim.request.campaign.id
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None
    home.clock.advance(1)
    home.permit(home.claim(campaign))


def test_the_daily_cap_is_counted_by_the_callees_calendar_and_rolling(home: TestHome) -> None:
    # 10:00 and hourly: the gate's hours end at 11:30, so the caps are asked directly.
    caps = Caps(per_hour=10, per_day=3)
    claim = stale_second_claim(home, 60, times=3)
    with pytest.raises(AuthorisationDenied, match="over_call_cap"):
        home.store.authorise(home.permit(claim), claim, home.clock.wall(), caps)
    # Not due before local midnight: the day's third call was at 10:02.
    campaign = claim.request.campaign.id
    midnight = datetime.fromisoformat("2026-11-25T00:00:00+08:00")
    assert home.store.claim(campaign, worker="w", now=midnight - timedelta(seconds=1)) is None
    # The next morning three calls still lie within 24 hours.
    home.clock.advance((midnight - home.clock.wall()).total_seconds() + 9 * 3600)  # 9:00
    claim = home.claim(campaign)
    claim = claim.evolve(request=claim.request.evolve(attempts=()))
    with pytest.raises(AuthorisationDenied, match="over_call_cap"):
        home.store.authorise(home.permit(claim), claim, home.clock.wall(), caps)
    home.clock.advance(3600 + RINGS_WITHIN_S)  # 10:00: the first of them rang a day ago
    claim = home.claim(campaign)
    claim = claim.evolve(request=claim.request.evolve(attempts=()))
    assert home.store.authorise(home.permit(claim), claim, home.clock.wall(), caps)


def test_caps_come_from_the_caller(home: TestHome) -> None:
    claim = stale_second_claim(home, 60, times=3)
    caps = Caps(per_hour=60, per_day=1000)
    assert home.store.authorise(home.permit(claim), claim, home.clock.wall(), caps)


def test_a_refusal_between_gate_and_commit_denies(home: TestHome) -> None:
    campaign = home.campaign(["13900000001"])
    claim = home.claim(campaign)
    permit = home.permit(claim)
    now = home.clock.wall()
    home.store.refusals.refuse_number(
        home.actors["officer"],
        Number("+8613900000001"),
        how="written",
        at=now,
        until=now + HALF_YEAR,
    )
    with pytest.raises(AuthorisationDenied, match="number_on_refusal_list"):
        home.store.authorise(permit, claim, now)
    assert counts(home, campaign) == {TargetState.REFUSED: 1}
    assert home.store.campaign_state(campaign) is CampaignState.DONE


def test_a_withdrawal_between_gate_and_commit_denies_after_the_refusal_ended(
    home: TestHome,
) -> None:
    campaign = home.campaign(["13900000001"])
    claim = home.claim(campaign)
    permit = home.permit(claim)
    at = home.clock.wall() - timedelta(days=2)
    home.store.refusals.refuse_number(
        home.actors["officer"],
        Number("+8613900000001"),
        how="written",
        at=at,
        until=at + timedelta(days=1),
    )
    with pytest.raises(AuthorisationDenied, match="withdrawn_consent"):
        home.store.authorise(permit, claim, home.clock.wall())


def test_a_pause_between_gate_and_commit_denies_and_keeps_the_contact(home: TestHome) -> None:
    campaign = home.campaign()
    claim = home.claim(campaign)
    permit = home.permit(claim)
    home.store.campaigns.pause(home.actors["operator"], campaign)
    with pytest.raises(AuthorisationDenied, match="campaign_not_running"):
        home.store.authorise(permit, claim, home.clock.wall())
    home.store.campaigns.start(home.actors["operator"], campaign)
    claim = home.claim(campaign)
    assert home.store.authorise(home.permit(claim), claim, home.clock.wall())


# ---------------------------------------------------------------- claims


def test_one_number_is_with_one_worker_over_spellings_and_campaigns(home: TestHome) -> None:
    one = home.campaign(["13900000001"], name="one")
    two = home.campaign(["+86 139-0000-0001"], name="two")
    claim = home.claim(one)
    assert home.store.claim(two, worker="w2", now=home.clock.wall()) is None
    home.store.release(claim)
    other = home.claim(two)
    assert home.store.claim(one, worker="w1", now=home.clock.wall()) is None
    home.store.authorise(home.permit(other), other, home.clock.wall())
    home.store.finish(other, home.record(other), None)
    # The other campaign's claim knows of it, and the gate refuses for the cap (C4).
    claim = home.claim(one)
    assert [a.campaign for a in claim.request.attempts] == [two]
    decision = home.refusal(claim).decision
    assert {f.rule for f in decision.refusing} == {"over_call_cap"}
    home.store.refuse(claim, decision, home.clock.wall())
    (refused,) = home.store.gate_refusals(one)
    assert (refused.rules, refused.decision) == (("over_call_cap",), decision)
    assert (refused.contact, refused.number) == ("测**", "139****0001")


def test_a_contact_is_dialed_once_a_campaign(home: TestHome) -> None:
    campaign = home.campaign()
    claim, _ = home.attempt(campaign)
    home.store.finish(claim, home.record(claim, outcome=Outcome.NO_ANSWER), None)
    home.clock.advance(2 * 24 * 3600)
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None


def test_a_refusal_by_the_gate_is_final_unless_time_mends_it(home: TestHome) -> None:
    home.contacts(["13900000001"], consent_preticked="yes")
    campaign = home.campaign(batches=["batch1"])
    claim = home.claim(campaign)
    leaf = home.store.refuse(claim, home.refusal(claim).decision, home.clock.wall())
    assert counts(home, campaign) == {TargetState.REFUSED: 1}
    (refused,) = home.store.gate_refusals(campaign)
    assert (refused.ledger_leaf, refused.ledger_index) == (leaf, None)
    assert "preticked_or_vague_consent" in refused.rules
    assert home.ledger_kinds()[-2:] == ["gate.refuse", "campaign.finish"]


def test_a_line_that_is_down_costs_no_contact(home: TestHome) -> None:
    campaign = home.campaign()
    claim = home.claim(campaign)
    request = claim.request.evolve(lines=(LINE.evolve(enabled=False),))
    home.store.refuse(
        claim, home.refusal(claim.evolve(request=request)).decision, home.clock.wall()
    )
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None
    home.clock.advance(300)
    assert home.claim(campaign)


def test_a_decision_about_another_claim_refuses_nothing(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    one, two = home.claim(campaign), home.claim(campaign)
    bad = home.refusal(two.evolve(request=two.request.evolve(consents=()))).decision
    with pytest.raises(BadInput):
        home.store.refuse(one, bad, home.clock.wall())
    with pytest.raises(BadInput):
        home.store.refuse(one, home.permit(one).decision, home.clock.wall())
    home.store.refuse(two, bad, home.clock.wall())
    with pytest.raises(LeaseLost):
        home.store.refuse(two, bad, home.clock.wall())


def test_release_gives_back_only_what_was_not_dialed(home: TestHome) -> None:
    campaign = home.campaign()
    claim, _ = home.attempt(campaign)
    home.store.release(claim)
    assert counts(home, campaign) == {TargetState.LEASED: 1}
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None


def test_a_renewed_lease_is_not_settled(home: TestHome) -> None:
    claim, attempt = home.attempt()
    for _ in range(5):
        home.clock.advance(40)
        claim = home.store.renew(claim, home.clock.wall())
        assert claim.leased_until == home.clock.wall() + timedelta(seconds=60)
        assert home.store.settle_expired(home.clock.wall()) == []
    home.clock.advance(59)
    assert home.store.settle_expired(home.clock.wall()) == []
    home.clock.advance(1)
    assert home.store.settle_expired(home.clock.wall()) == [attempt.id]


def test_only_a_live_call_may_renew_late(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    live, _ = home.attempt(campaign)
    idle = home.claim(campaign)
    home.clock.advance(61)
    assert home.store.renew(live, home.clock.wall())
    with pytest.raises(LeaseLost):
        home.store.renew(idle, home.clock.wall())


def test_unknown_campaigns_and_attempts(home: TestHome) -> None:
    with pytest.raises(BadInput):
        home.store.claim("nothing", worker="w", now=START)
    with pytest.raises(BadInput):
        home.store.mark_answered("nothing", START)
    with pytest.raises(BadInput):
        refuse_number(home, "nothing", START)
    for read in (home.store.call, home.store.decision):
        with pytest.raises(BadInput):
            read("nothing")


# ---------------------------------------------------------------- after a crash


@pytest.mark.parametrize(
    ("answered", "refused", "outcome", "blame"),
    [
        (False, False, Outcome.UNKNOWN, Blame.US),
        (True, False, Outcome.ABORTED, Blame.US),
        (True, True, Outcome.REFUSED, Blame.CALLEE),
    ],
)
def test_an_expired_attempt_settles_counts_and_is_not_redialed(
    home: TestHome, answered: bool, refused: bool, outcome: Outcome, blame: Blame
) -> None:
    campaign = home.campaign(["13900000001"])
    _, attempt = home.attempt(campaign)
    if answered:
        home.store.mark_answered(attempt.id, home.clock.wall())
        home.store.mark_answered(attempt.id, home.clock.wall() + timedelta(seconds=9))
    if refused:
        refuse_number(home, attempt.id, home.clock.wall())
    assert only_call(home, campaign).outcome is None
    home.clock.advance(60)
    assert home.store.settle_expired(home.clock.wall()) == [attempt.id]
    assert home.store.settle_expired(home.clock.wall()) == []
    call = only_call(home, campaign)
    assert (call.outcome, call.blame, call.refused) == (outcome, blame, refused)
    assert call.answered_at == (START if answered else None)
    assert home.ledger_kinds().count("attempt.answer") == answered
    assert home.store.campaign_state(campaign) is CampaignState.DONE
    # Over another campaign the number still is at its cap.
    claim = home.claim(home.campaign(["0086 13900000001"], name="again"))
    assert [a.outcome for a in claim.request.attempts] == [outcome]
    rules = {f.rule for f in home.refusal(claim).decision.refusing}
    assert "over_call_cap" in rules
    assert ("number_on_refusal_list" in rules) is refused


def test_a_lease_that_was_not_authorised_is_simply_freed(home: TestHome) -> None:
    campaign = home.campaign()
    home.claim(campaign)
    home.clock.advance(60)
    assert home.store.settle_expired(home.clock.wall()) == []
    assert counts(home, campaign) == {TargetState.DUE: 1}
    assert home.claim(campaign).request.attempts == ()


# ---------------------------------------------------------------- refusals


def test_a_refusal_is_recorded_once_and_holds_everywhere(home: TestHome) -> None:
    campaign = home.campaign()
    claim, attempt = home.attempt(campaign)
    refuse_number(home, attempt.id, home.clock.wall())
    refuse_number(home, attempt.id, home.clock.wall() + timedelta(seconds=1))
    home.store.finish(claim, home.record(claim, outcome=Outcome.REFUSED, refused=True), None)
    assert home.ledger_kinds().count("refusal.record") == 1
    home.clock.advance(7 * 24 * 3600)
    claim = home.claim(home.campaign(["+86-13900000001"], name="again"))
    (refusal,) = claim.request.refusals
    assert (refusal.at, refusal.how, refusal.scope) == (START, "voice", RefusalScope.COMPANY)
    assert refusal.until == START + HALF_YEAR
    assert claim.request.withdrawn_at == START


def test_importing_the_old_file_again_does_not_restore_consent(home: TestHome) -> None:
    claim, attempt = home.attempt(home.campaign())
    refuse_number(home, attempt.id, home.clock.wall())
    home.store.finish(claim, home.record(claim, refused=True), None)
    home.clock.advance(300 * 24 * 3600)  # the refusal has ended, the withdrawal has not
    old = home.claim(home.campaign(["13900000001"], name="old"))
    rules = {f.rule for f in home.refusal(old).decision.refusing}
    assert "withdrawn_consent" in rules
    assert "number_on_refusal_list" not in rules
    home.store.release(old)
    home.contacts(["13900000001"], "new", consent_at="2027-09-01T09:00:00+08:00")
    new = home.claim(home.campaign(batches=["new"], name="new"))
    assert "withdrawn_consent" not in {f.rule for f in home.refusal(new).decision.refusing}


def test_an_earlier_withdrawal_never_replaces_a_later_one(home: TestHome) -> None:
    campaign = home.campaign()
    for days in (5, 1, 3):
        at = START - timedelta(days=days)
        home.store.refusals.refuse_number(
            home.actors["officer"],
            Number("+8613900000001"),
            how="written",
            at=at,
            until=at + HALF_YEAR,
        )
    request = home.claim(campaign).request
    assert request.withdrawn_at == START - timedelta(days=1)
    assert [r.at for r in request.refusals] == [START - timedelta(days=d) for d in (1, 3, 5)]


def test_a_campaign_scoped_refusal_leaves_other_campaigns(home: TestHome) -> None:
    one = home.campaign(name="one")
    _, attempt = home.attempt(one)
    home.store.record_refusal(
        attempt.id, how="key", at=START, until=START + HALF_YEAR, scope=RefusalScope.CAMPAIGN
    )
    home.clock.advance(3600)
    home.store.settle_expired(home.clock.wall())
    other = home.claim(home.campaign(["13900000001"], name="two"))
    assert other.request.refusals[0].campaign == one
    assert other.request.withdrawn_at is None  # consent for the others stands


def test_a_refusal_must_end_after_it_was_made(home: TestHome) -> None:
    _, attempt = home.attempt()
    with pytest.raises(BadInput):
        home.store.record_refusal(
            attempt.id, how="voice", at=START, until=START, scope=RefusalScope.COMPANY
        )
    assert "refusal.record" not in home.ledger_kinds()
