# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine's clock against the database's: measured in the claim, and again at the commit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from compliance.clock import SystemClock
from compliance.errors import AuthorisationDenied
from tests.storage_home import TestHome


def test_a_claim_carries_how_far_the_clock_is_off_and_the_gate_refuses(home: TestHome) -> None:
    campaign = home.campaign()
    home.clock.ahead_s = 3600.0
    adrift = home.store.steering(campaign).clock_adrift  # no dialer process asks for a call
    claim = home.claim(campaign)
    if home.engine.dialect.name == "sqlite":  # no clock but this machine's
        assert not adrift
        assert claim.request.clock_ahead_s == 0.0
        home.permit(claim)
        return
    assert adrift
    assert claim.request.clock_ahead_s == 3600.0
    refusal = home.refusal(claim)
    assert {finding.rule for finding in refusal.decision.refusing} == {"clock_adrift"}
    home.store.refuse(claim, refusal.decision, home.clock.wall())
    # It is not the contact's fault: due again in five minutes.
    home.clock.ahead_s = 0.0
    home.clock.advance(300)
    home.permit(home.claim(campaign))


def test_a_clock_that_is_set_while_the_call_is_prepared_is_seen_at_the_commit(
    home: TestHome,
) -> None:
    claim = home.claim(home.campaign())
    permit = home.permit(claim)
    home.clock.ahead_s = -2.5
    if home.engine.dialect.name == "sqlite":
        home.store.authorise(permit, claim, home.clock.wall())
        return
    with pytest.raises(AuthorisationDenied) as denied:
        home.store.authorise(permit, claim, home.clock.wall())
    assert denied.value.rule == "clock_adrift"
    assert home.ledger_kinds()[-1] == "attempt.deny"


class SlowAnswers(SystemClock):
    """Time that passes only while another clock is asked; its answers take ever less time."""

    def __init__(self, *takes: float) -> None:
        self.now, self.asked = 0.0, 0
        self._takes = takes

    def wall(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self.now)

    def monotonic(self) -> float:
        return self.now

    def other(self) -> datetime:
        """Five seconds behind, read in the middle of the way there and back."""
        took = self._takes[self.asked]
        self.asked += 1
        read = self.wall() + timedelta(seconds=took / 2 - 5)
        self.now += took
        return read


@pytest.mark.parametrize(("takes", "asked"), [((0.01,), 1), ((3.0, 0.1), 2), ((3.0, 1.0, 2.0), 3)])
def test_a_slow_answer_is_asked_for_again_and_the_quickest_counts(
    takes: tuple[float, ...], asked: int
) -> None:
    clock = SlowAnswers(*takes)
    assert clock.ahead_of(clock.other) == pytest.approx(5.0)
    assert clock.asked == asked
