# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a "no" reaches, how long, and what a later consent restores, in store and gate (S12)."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product

import pytest

from compliance.errors import AuthorisationDenied, BadInput
from compliance.facts import Number, RefusalScope
from compliance.gate import recheck
from compliance.profiles import FOREVER
from storage.subjects import SubjectReason
from tests.storage_home import RULEBOOK, START, TestHome

PHONE = "13900000001"
NUMBER = Number("+8613900000001")
DAY = timedelta(days=1)
SAID = START - timedelta(days=400)  # the no, long ago
OVER = SAID + timedelta(days=300)
AHEAD = START + timedelta(days=30)
BEFORE, AFTER = "2025-01-01T09:00:00+08:00", "2026-11-01T09:00:00+08:00"

YES_NO = (True, False)
EVERYTHING = RefusalScope.EVERYTHING
S12 = {"withdrawn_consent", "number_on_refusal_list"}


def refused_by(home: TestHome, campaign: str) -> set[str]:
    """What the gate says of the number for a campaign, of the rules about refusals."""
    found = home.store.previews.look_up(home.actors["officer"], campaign, NUMBER)
    decision = recheck(found.request, RULEBOOK, home.clock.wall())
    return {f.rule for f in decision.refusing} & S12


def refuse(
    home: TestHome, scope: RefusalScope, campaign: str, *, at: datetime, until: datetime
) -> None:
    home.store.refusals.refuse_number(
        home.actors["officer"],
        NUMBER,
        how="request",
        at=at,
        until=until,
        scope=scope,
        campaign=campaign if scope is RefusalScope.CAMPAIGN else "",
    )


# Scope of the no, asked by the campaign it was about, consent later than the no, its stored end
# over. The six months of cn_seed are over for all.
TABLE = {
    (scope, own, later, over): (
        set()
        if scope is RefusalScope.CAMPAIGN and not own
        else (set() if later else {"withdrawn_consent"})
        # cn_seed takes whoever wants no call of any kind at their word, whatever end is stored.
        | (set() if over and scope is not EVERYTHING else {"number_on_refusal_list"})
    )
    for scope, own, later, over in product(RefusalScope, YES_NO, YES_NO, YES_NO)
}


def test_the_whole_table(home: TestHome) -> None:
    """Every combination has a number of its own."""
    one = home.campaign(["13911111111"], name="one")
    other = home.campaign(["13911111112"], name="other")
    seen = set()
    for place, ((scope, own, later, over), expected) in enumerate(TABLE.items()):
        number = Number(f"+861392222{place:04}")
        home.contacts([number.e164], f"batch-{place}", consent_at=AFTER if later else BEFORE)
        home.store.refusals.refuse_number(
            home.actors["officer"],
            number,
            how="request",
            at=SAID,
            until=OVER if over else AHEAD,
            scope=scope,
            campaign=one if scope is RefusalScope.CAMPAIGN else "",
        )
        asked = one if own else other
        found = home.store.previews.look_up(home.actors["officer"], asked, number)
        decision = recheck(found.request, RULEBOOK, home.clock.wall())
        assert {f.rule for f in decision.refusing} & S12 == expected, (scope, own, later, over)
        seen.add(frozenset(expected))
    assert len(TABLE) == 24
    assert len(seen) == 4


def test_a_later_narrow_no_takes_nothing_from_an_earlier_wide_one(home: TestHome) -> None:
    one, other = home.campaign([PHONE], name="one"), home.campaign(["13900000002"], name="other")
    refuse(home, RefusalScope.EVERYTHING, "", at=SAID, until=FOREVER)
    refuse(
        home,
        RefusalScope.CAMPAIGN,
        one,
        at=START - timedelta(days=1),
        until=OVER + timedelta(days=3650),
    )
    for campaign in (one, other):
        assert "number_on_refusal_list" in refused_by(home, campaign)


def test_a_purge_keeps_the_withdrawal_of_every_scope_as_a_hash(home: TestHome) -> None:
    one, other = home.campaign([PHONE], name="one"), home.campaign(["13900000002"], name="other")
    refuse(
        home,
        RefusalScope.CAMPAIGN,
        one,
        at=START - timedelta(days=1),
        until=START + timedelta(hours=1),
    )
    home.clock.advance(7200)
    assert home.store.retention.purge_refusals_again(home.clock.wall()) == 1
    held = home.store.subjects.show(home.actors["officer"], NUMBER, SubjectReason.AUDIT)
    assert held.refusals == ()
    # The list forgot; what was agreed before is not restored, for that campaign alone.
    assert refused_by(home, one) == {"withdrawn_consent"}
    assert refused_by(home, other) == set()


@pytest.mark.parametrize("scope", RefusalScope)
def test_a_no_between_claim_and_dial_is_seen_as_far_as_it_reaches(
    home: TestHome, scope: RefusalScope
) -> None:
    one = home.campaign([PHONE], name="one")
    home.store.campaigns.pause(home.actors["operator"], one)
    other = home.campaign([PHONE], name="other")
    claim = home.claim(other)
    permit = home.permit(claim)
    refuse(home, scope, one, at=home.clock.wall(), until=AHEAD)
    if scope is RefusalScope.CAMPAIGN:
        home.store.authorise(permit, claim, home.clock.wall())
    else:
        with pytest.raises(AuthorisationDenied, match="number_on_refusal_list"):
            home.store.authorise(permit, claim, home.clock.wall())


def test_the_campaign_s_own_no_between_claim_and_dial(home: TestHome) -> None:
    one = home.campaign([PHONE], name="one")
    claim = home.claim(one)
    permit = home.permit(claim)
    refuse(home, RefusalScope.CAMPAIGN, one, at=home.clock.wall(), until=AHEAD)
    with pytest.raises(AuthorisationDenied, match="number_on_refusal_list"):
        home.store.authorise(permit, claim, home.clock.wall())


def test_a_no_of_one_campaign_leaves_the_contact_and_a_wider_one_does_not(home: TestHome) -> None:
    one = home.campaign([PHONE], name="one")
    refuse(home, RefusalScope.CAMPAIGN, one, at=START, until=AHEAD)
    with home.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM refused_numbers").scalar() == 0
    refuse(home, RefusalScope.COMPANY, "", at=START, until=AHEAD)
    with home.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM refused_numbers").scalar() == 1


def test_scope_and_campaign_go_together(home: TestHome) -> None:
    one, officer = home.campaign([PHONE], name="one"), home.actors["officer"]
    before = home.ledger_kinds()
    for scope, campaign, at in (
        (RefusalScope.CAMPAIGN, "", START),
        (RefusalScope.COMPANY, one, START),
        (RefusalScope.CAMPAIGN, "0" * 32, START),
        (RefusalScope.COMPANY, "", START + timedelta(seconds=1)),
    ):
        with pytest.raises(BadInput):
            home.store.refusals.refuse_number(
                officer, NUMBER, how="letter", at=at, until=AHEAD, scope=scope, campaign=campaign
            )
    assert home.ledger_kinds() == before


def test_the_term_of_everything_is_never_the_shorter_one() -> None:
    for days in range(0, 800, 50):
        at = SAID + timedelta(days=days)
        policy = RULEBOOK.policy
        assert policy.refusal_until(at, everything=True) >= policy.refusal_until(at)
    assert RULEBOOK.policy.refusal_until(SAID, everything=True) == FOREVER
