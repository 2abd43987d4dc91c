# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking beforehand gives the very request a claim would, and changes nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, NotAllowed
from compliance.facts import DialRequest, Number, RefusalScope
from compliance.gate import recheck
from storage.previews import STRANGER
from tests.storage_home import RULEBOOK, START, TestHome

NUMBER = Number("+8613900000001")


def rows(home: TestHome) -> dict[str, int]:
    """Rows by table, the ledger's own apart."""
    tables = ("targets", "leases", "attempts", "gate_refusals", "contacts", "consents")
    with home.engine.connect() as connection:
        return {t: connection.execute(text(f"SELECT count(*) FROM {t}")).scalar_one()
                for t in tables}  # fmt: skip


def same(one: DialRequest, other: DialRequest) -> bool:
    """Equal but for the attempt's id and the salt, which each look-up makes anew."""
    return one.evolve(attempt_id="", salt="") == other.evolve(attempt_id="", salt="")


def refused_before(home: TestHome) -> str:
    """A campaign with history: the number was called and refused, then imported again."""
    first = home.campaign(["13900000001"], name="first")
    claim, attempt = home.attempt(first)
    until = START + timedelta(days=181)
    home.store.record_refusal(
        attempt.id, how="voice", at=START, until=until, scope=RefusalScope.COMPANY
    )
    home.store.finish(claim, home.record(claim, refused=True), None)
    return home.campaign(["0086 139 0000 0001", "13900000002"], name="second")


def test_a_look_up_is_what_a_claim_brings(home: TestHome) -> None:
    campaign = refused_before(home)
    before = rows(home)
    looked = home.store.previews.look_up(home.actors["officer"], campaign, NUMBER)
    assert rows(home) == before
    assert (looked.in_campaign, looked.as_if_started) == (True, False)
    claim = home.claim(campaign)
    assert claim.request.contact.number == NUMBER
    assert same(looked.request, claim.request)
    assert len(looked.request.attempts) == len(looked.request.refusals) == 1
    assert looked.request.attempt_id != claim.request.attempt_id


def test_every_request_of_a_preview_is_what_a_claim_brings(home: TestHome) -> None:
    campaign = refused_before(home)
    before = rows(home)
    seen = list(home.store.previews.requests(home.actors["operator"], campaign))
    assert rows(home) == before
    assert home.store.previews.due(campaign) == len(seen) == 2
    for _ in seen:
        claim = home.claim(campaign)
        (match,) = [r for r in seen if r.contact.id == claim.request.contact.id]
        assert same(match, claim.request)
    assert home.store.previews.due(campaign) == 0  # leased: no longer waiting


def test_the_look_up_is_in_the_ledger_without_the_number(home: TestHome) -> None:
    campaign = home.campaign()
    looked = home.store.previews.look_up(home.actors["auditor"], campaign, NUMBER)
    with home.engine.connect() as connection:
        body = connection.execute(
            text("SELECT body FROM ledger_outbox ORDER BY id DESC LIMIT 1")
        ).scalar_one()
    entry = json.loads(body)
    assert entry["kind"] == "gate.explain"
    assert entry["actor"] == home.actors["auditor"].id
    assert entry["body"] == {"campaign": campaign, "contact": looked.request.contact.id}
    assert b"13900000001" not in body


def test_a_number_nobody_imported_has_neither_source_nor_consent(home: TestHome) -> None:
    campaign = home.campaign()
    looked = home.store.previews.look_up(home.actors["officer"], campaign, Number("+8613900000099"))
    assert not looked.in_campaign
    request = looked.request
    assert (request.contact.id, request.contact.source, request.consents) == (STRANGER, None, ())
    assert request.contact.timezone == "Asia/Shanghai"  # from the number itself
    refusing = {f.rule for f in recheck(request, RULEBOOK, START).refusing}
    assert refusing == {"undeclared_source", "no_explicit_consent"}


def test_a_number_of_another_batch_brings_its_own_consent(home: TestHome) -> None:
    home.contacts(["13900000003"], "elsewhere")
    campaign = home.campaign()
    number = Number("+8613900000003")
    looked = home.store.previews.look_up(home.actors["officer"], campaign, number)
    assert not looked.in_campaign
    assert (looked.request.contact.batch, len(looked.request.consents)) == ("elsewhere", 1)
    assert recheck(looked.request, RULEBOOK, START).permitted


def test_a_draft_is_previewed_as_if_just_started(home: TestHome) -> None:
    campaign = home.campaign(start=False)
    (request,) = home.store.previews.requests(home.actors["operator"], campaign)
    operator, officer = home.actors["operator"].id, home.actors["officer"].id
    assert request.campaign.state == "running"
    assert (request.campaign.launched_by, request.campaign.compliance_officer) == (
        operator,
        officer,
    )
    assert recheck(request, RULEBOOK, START).permitted
    looked = home.store.previews.look_up(home.actors["operator"], campaign, NUMBER)
    assert looked.as_if_started
    assert looked.request.campaign == request.campaign
    home.store.campaigns.start(home.actors["operator"], campaign)
    assert home.claim(campaign).request.campaign == request.campaign


def test_the_stop_in_force_is_among_the_facts(home: TestHome) -> None:
    campaign = home.campaign()
    home.store.stops.stop(home.actors["officer"])
    (request,) = home.store.previews.requests(home.actors["operator"], campaign)
    looked = home.store.previews.look_up(home.actors["operator"], campaign, NUMBER)
    assert request.stopped_at == looked.request.stopped_at == START
    assert {f.rule for f in recheck(request, RULEBOOK, START).refusing} == {"emergency_stop"}


def test_a_long_list_comes_in_pieces_and_equal_numbers_together(home: TestHome) -> None:
    phones = [f"1390000{i:04}" for i in range(450)]
    home.contacts(phones, "all")
    home.contacts(phones[:30], "again")
    campaign = home.campaign(batches=["all", "again"])
    numbers = [
        r.contact.number for r in home.store.previews.requests(home.actors["operator"], campaign)
    ]
    assert len(numbers) == 480
    changes = sum(one != two for one, two in pairwise(numbers))
    assert changes == len(set(numbers)) - 1 == 449


def test_who_may_ask(home: TestHome) -> None:
    campaign = home.campaign()
    for who in ("author", "admin"):
        with pytest.raises(NotAllowed):
            home.store.previews.look_up(home.actors[who], campaign, NUMBER)
        with pytest.raises(NotAllowed):
            home.store.previews.requests(home.actors[who], campaign)
    with pytest.raises(BadInput):
        home.store.previews.look_up(home.actors["officer"], "nothing", NUMBER)
    with pytest.raises(BadInput):
        list(home.store.previews.requests(home.actors["officer"], "nothing"))
