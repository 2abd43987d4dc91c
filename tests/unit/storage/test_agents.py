# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents are handed out one callee at a time, and every leg is on record first (S10)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from compliance.errors import BadInput, NotAllowed
from compliance.facts import Blame, CallRecord, Outcome
from tests.storage_home import TestHome


def attempt(home: TestHome, name: str = "c1", phone: str = "13900000001") -> str:
    claim = home.claim(home.campaign([phone], name=name))
    return home.store.authorise(home.permit(claim), claim, home.clock.wall()).id


def add(home: TestHome, agent: str) -> None:
    home.store.agents.add_agent(home.actors["admin"], agent, "sip:140@127.0.0.1:5070")


def test_one_agent_takes_one_callee_and_rests_afterwards(home: TestHome) -> None:
    add(home, "li")
    first = attempt(home)
    agents, now = home.store.agents, home.clock.wall()
    taken = agents.claim_agent(first, now)
    assert taken is not None
    agent, leg = taken
    assert agent.id == "li"
    assert agents.claim_agent(first, now) is None
    agents.connect_agent(leg, now, sip_call_id="abc")
    agents.release_agent(leg, now, rest_s=30)
    agents.release_agent(leg, now, rest_s=9999)  # repeated: nothing changes
    assert agents.claim_agent(first, now + timedelta(seconds=29)) is None
    assert agents.claim_agent(first, now + timedelta(seconds=30)) is not None
    record = home.store.agent_legs(home.store.campaigns.campaign_named("c1"))[0]
    assert (record.connected, record.sip_call_id, record.sip_status) == (True, "abc", 200)


def test_who_was_free_for_longest_comes_first(home: TestHome) -> None:
    add(home, "li")
    add(home, "wu")
    call, now, agents = attempt(home), home.clock.wall(), home.store.agents
    order = []
    for minute in range(4):
        at = now + timedelta(minutes=minute)
        taken = agents.claim_agent(call, at)
        assert taken is not None
        order.append(taken[0].id)
        agents.release_agent(taken[1], at, rest_s=0)
    assert order == ["li", "wu", "li", "wu"]


def test_a_crash_frees_the_agent_with_the_attempt(home: TestHome) -> None:
    add(home, "li")
    call, now = attempt(home), home.clock.wall()
    home.store.agents.claim_agent(call, now)
    home.store.settle_expired(now + timedelta(hours=1))
    (agent,) = home.store.agents.agents()
    assert agent.busy_with == ""
    assert home.store.agents.claim_agent(call, now + timedelta(hours=2)) is not None


def test_the_record_of_a_call_frees_an_agent_that_could_not_be_released(home: TestHome) -> None:
    add(home, "li")
    claim, call = home.attempt()
    now = home.clock.wall()
    home.store.agents.claim_agent(call.id, now)
    home.store.finish(claim, home.record(claim), None)
    assert home.store.agents.claim_agent(call.id, now) is not None


def test_an_agent_switched_off_is_not_called(home: TestHome) -> None:
    add(home, "li")
    home.store.agents.enable_agent(home.actors["admin"], "li", False)
    assert home.store.agents.claim_agent(attempt(home), home.clock.wall()) is None


@pytest.mark.parametrize("uri", ["tel:+86139", "sip:a b@h", "sip:1@h;maddr=2", "13900000001", ""])
def test_a_telephone_is_named_by_a_plain_sip_uri(home: TestHome, uri: str) -> None:
    with pytest.raises(BadInput):
        home.store.agents.add_agent(home.actors["admin"], "li", uri)


def test_only_an_administrator_registers_agents(home: TestHome) -> None:
    for name in ("operator", "officer", "author", "auditor"):
        with pytest.raises(NotAllowed):
            home.store.agents.add_agent(home.actors[name], "li", "sip:1@127.0.0.1:5070")


def test_a_ticket_is_owed_until_somebody_closes_it(home: TestHome) -> None:
    claim = home.claim(home.campaign())
    call = home.store.authorise(home.permit(claim), claim, home.clock.wall())
    home.store.finish(
        claim, CallRecord(call.id, Outcome.CALLBACK, Blame.CALLEE, "line1", callback=True), None
    )
    (ticket,) = home.store.tickets.tickets()
    assert (ticket.attempt_id, ticket.campaign, ticket.number) == (call.id, "c1", "139****0001")
    with pytest.raises(NotAllowed):
        home.store.tickets.close(home.actors["auditor"], ticket.id)
    home.store.tickets.close(home.actors["operator"], ticket.id)
    assert home.store.tickets.tickets() == []
    assert home.store.tickets.tickets(closed=True)[0].closed_at is not None
    with pytest.raises(BadInput):
        home.store.tickets.close(home.actors["operator"], ticket.id)
