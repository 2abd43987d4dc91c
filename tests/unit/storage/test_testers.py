# SPDX-License-Identifier: GPL-3.0-or-later
"""The allow-list of a lab home: who fills it, what the gate learns of it, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from compliance.errors import AuthorisationDenied, BadInput, NotAllowed
from compliance.facts import Claim, HomeKind, LineFacts, Number, RefusalScope
from compliance.gate import authorize
from compliance.permits import Permit, Refusal
from dialer.policies import load_rulebook
from storage import pii
from storage.ledger import verify_commitment
from tests.storage_home import START, TestHome

URI = "sip:me@127.0.0.1:5060"
LAB = load_rulebook(["lab"])
LAB_LINE = LineFacts(
    "lab",
    "lab",
    "lab",
    "127.0.0.1:5060",
    "candor",
    plaintext_exception_until=START + timedelta(days=30),
)


@pytest.fixture
def lab(home_of: Callable[[HomeKind], TestHome]) -> TestHome:
    opened = home_of(HomeKind.LAB)
    opened.store.lines.add_line(opened.actors["admin"], LAB_LINE)
    return opened


def campaign(home: TestHome, batch: str, name: str = "test-1") -> str:
    """A running campaign over ``batch`` and the lab's line."""
    script = home.store.scripts.current_approved("greeting") or home.script()
    made = home.store.campaigns.create_campaign(
        home.actors["operator"],
        name=name,
        purpose="test",
        script=script.id,
        batches=[batch],
        lines=["lab"],
    )
    home.store.campaigns.start(home.actors["operator"], made)
    return made


def confirmed(home: TestHome, uri: str = URI) -> str:
    """A confirmed tester; the batch to call them by."""
    home.store.testers.confirm(home.actors["operator"], uri)
    return home.store.testers.contact(home.actors["operator"], uri, "zh")


def refused_rules(home: TestHome, claim: Claim) -> set[str]:
    verdict = authorize(claim.request, LAB, home.clock)
    assert isinstance(verdict, Refusal)
    return {finding.rule for finding in verdict.decision.refusing}


def test_a_confirmed_uri_passes_the_gate(lab: TestHome) -> None:
    claim = lab.claim(campaign(lab, confirmed(lab)))
    assert claim.request.contact.number == Number(URI)
    assert claim.request.lab_allow == (URI,)
    verdict = authorize(claim.request, LAB, lab.clock)
    assert isinstance(verdict, Permit), [f.rule for f in verdict.decision.refusing]
    assert verdict.decision.lines == ("lab",)


def test_the_list_keeps_no_uri_in_the_clear(lab: TestHome) -> None:
    confirmed(lab, "sip:somebody@192.168.7.7:5062")
    assert [t.number.e164 for t in lab.store.testers.testers()] == ["sip:somebody@192.168.7.7:5062"]
    assert "somebody" not in repr(lab.store.testers.testers())
    stored = b"".join(p.read_bytes() for p in lab.path.glob("candor.db*"))
    assert b"somebody" not in stored
    assert b"192.168.7.7" not in stored


def test_the_ledger_holds_a_commitment_to_the_uri(lab: TestHome) -> None:
    lab.store.testers.confirm(lab.actors["operator"], URI)
    with lab.engine.connect() as connection:
        entry = connection.scalar(
            text("SELECT body FROM ledger_outbox WHERE kind = 'tester.confirm'")
        )
    key = lab.commitment_key("lab_testers", "uri_key")
    assert b"127.0.0.1" not in entry
    commitment = json.loads(entry)["body"]["uri"]
    assert verify_commitment(URI.encode(), commitment, key)
    assert not verify_commitment(b"sip:you@127.0.0.1:5060", commitment, key)


def test_nobody_else_is_called(lab: TestHome) -> None:
    """Another name at the same address is another telephone."""
    running = campaign(lab, confirmed(lab))
    with pytest.raises(BadInput, match="nobody confirmed"):
        lab.store.testers.contact(lab.actors["operator"], "sip:you@127.0.0.1:5060", "zh")
    lab.store.testers.remove(lab.actors["operator"], URI)
    claim = lab.claim(running)
    assert claim.request.lab_allow == ()
    assert refused_rules(lab, claim) >= {"unlisted_lab_address", "no_explicit_consent"}
    with pytest.raises(BadInput, match="not on the list"):
        lab.store.testers.remove(lab.actors["operator"], URI)
    assert lab.ledger_kinds()[-2:] == ["tester.remove", "destruction.record"]


def test_a_refusal_takes_the_confirmation_with_it(lab: TestHome) -> None:
    """A day on the refusal list; after it only a newer confirmation lets the robot call (S12)."""
    batch = confirmed(lab)
    claim = lab.claim(campaign(lab, batch))
    verdict = authorize(claim.request, LAB, lab.clock)
    assert isinstance(verdict, Permit)
    lab.store.authorise(verdict, claim, lab.clock.wall())
    at = lab.clock.wall() + timedelta(seconds=9)
    lab.store.record_refusal(
        claim.lease_id, how="key", at=at, until=at + timedelta(days=1), scope=RefusalScope.COMPANY
    )
    lab.store.finish(claim, lab.record(claim, refused=True), None)
    assert not lab.store.testers.allowed(URI)

    lab.clock.advance(3600)
    lab.store.testers.confirm(lab.actors["operator"], URI)
    assert lab.store.testers.allowed(URI)
    claim = lab.claim(campaign(lab, batch, "test-2"))
    assert refused_rules(lab, claim) == {"number_on_refusal_list"}

    lab.store.release(claim)
    lab.clock.advance(86400)
    claim = lab.claim(campaign(lab, batch, "test-3"))
    assert isinstance(authorize(claim.request, LAB, lab.clock), Permit)


def test_a_refusal_that_ran_out_restores_nothing(lab: TestHome) -> None:
    batch = confirmed(lab)
    lab.clock.advance(1)
    at = lab.clock.wall()
    lab.store.refusals.refuse_number(
        lab.actors["operator"], Number(URI), how="letter", at=at, until=at + timedelta(days=1)
    )
    lab.clock.advance(2 * 86400)
    claim = lab.claim(campaign(lab, batch))
    assert refused_rules(lab, claim) >= {"unlisted_lab_address", "withdrawn_consent"}


def test_a_tester_may_be_called_again_and_again_within_reason(lab: TestHome) -> None:
    batch = confirmed(lab)
    for count in range(61):
        claim = lab.claim(campaign(lab, batch, f"test-{count}"))
        if count == 60:
            assert refused_rules(lab, claim) == {"over_call_cap"}
        claim = claim.evolve(request=claim.request.evolve(attempts=()))  # past the gate's caps
        verdict = authorize(claim.request, LAB, lab.clock)
        assert isinstance(verdict, Permit)
        if count == 60:
            with pytest.raises(AuthorisationDenied, match="over_call_cap"):
                lab.store.authorise(verdict, claim, lab.clock.wall())
            return
        lab.store.authorise(verdict, claim, lab.clock.wall())
        lab.store.finish(claim, lab.record(claim), None)
        lab.clock.advance(20)


def test_one_contact_a_telephone_and_language(lab: TestHome) -> None:
    batch = confirmed(lab)
    assert confirmed(lab) == batch
    other = lab.store.testers.contact(lab.actors["operator"], URI, "en")
    assert other != batch
    assert lab.ledger_kinds().count("tester.contact") == 2


@pytest.mark.parametrize("name", ["admin", "author", "officer", "auditor"])
def test_only_an_operator_confirms(lab: TestHome, name: str) -> None:
    with pytest.raises(NotAllowed):
        lab.store.testers.confirm(lab.actors[name], URI)
    lab.store.testers.confirm(lab.actors["operator"], URI)
    with pytest.raises(NotAllowed):
        lab.store.testers.contact(lab.actors[name], URI, "zh")


@pytest.mark.parametrize(
    "uri",
    ["", "me@127.0.0.1", "tel:+8613900000001", "sip:", "sip:me@127.0.0.1;maddr=192.0.2.1",
     "<sip:me@127.0.0.1>", "sip:me@127.0.0.1 5060", "sip:" + "a" * 200],
)  # fmt: skip
def test_no_plain_uri(lab: TestHome, uri: str) -> None:
    with pytest.raises(BadInput, match="plain SIP URI"):
        lab.store.testers.confirm(lab.actors["operator"], uri)
    assert lab.store.testers.testers() == []


def test_no_telephone_behind_an_exchange(lab: TestHome) -> None:
    """A PBX at a private address would ring somebody who agreed to nothing."""
    for name in ("13900000101", "+8613900000101", "139-0000-0101"):
        with pytest.raises(BadInput, match="telephone number"):
            lab.store.testers.confirm(lab.actors["operator"], f"sip:{name}@192.168.1.5")
    lab.store.testers.confirm(lab.actors["operator"], "sip:1001@192.168.1.5")


@pytest.mark.parametrize("uri", ["sip:me@192.0.2.1:5060", "sip:me@phone.example", "sip:me@8.8.8.8"])
def test_a_far_address_on_the_list_is_refused_all_the_same(lab: TestHome, uri: str) -> None:
    """The console asks the rules before it confirms; the gate asks them again."""
    claim = lab.claim(campaign(lab, confirmed(lab, uri)))
    assert "unlisted_lab_address" in refused_rules(lab, claim)


# ---------------------------------------------------------------- a production home


def test_a_production_home_has_no_testers(home: TestHome) -> None:
    for act in (
        lambda: home.store.testers.confirm(home.actors["operator"], URI),
        lambda: home.store.testers.contact(home.actors["operator"], URI, "zh"),
    ):
        with pytest.raises(BadInput, match="production home"):
            act()
    assert home.store.testers.testers() == []


def test_a_production_home_reaches_no_lab_address_whatever_its_database_says(
    home: TestHome, lab: TestHome
) -> None:
    """A URI and its confirmation, put into the tables by hand, and a line of the lab beside it."""
    running = home.campaign()
    claim = home.claim(running)
    home.store.release(claim)
    contact = claim.request.contact.id
    keyring, store = home.keyring, home.store

    def sealed(table: str, column: str, row: str) -> bytes:
        return pii.seal(keyring, URI, tenant=store.tenant, table=table, column=column, row=row)

    with home.engine.begin() as connection:
        connection.execute(
            text("UPDATE contacts SET number_sealed = :n WHERE id = :id"),
            {"n": sealed("contacts", "number", contact), "id": contact},
        )
        connection.execute(
            text(
                "INSERT INTO lab_testers (id, number_index, uri_sealed, uri_key, confirmed_by,"
                " confirmed_at) VALUES ('t', :i, :u, '', 'x', '2026-11-24 00:00:00')"
            ),
            {"i": pii.number_index(keyring, Number(URI)), "u": sealed("lab_testers", "uri", "t")},
        )
    claim = home.claim(running)
    assert claim.request.contact.number == Number(URI)
    assert claim.request.lab_allow == ()
    request = claim.request.evolve(lines=(*claim.request.lines, LAB_LINE), lab_allow=(URI,))
    for profile in ("cn_seed", "lab", "demo"):
        verdict = authorize(request, load_rulebook([profile]), home.clock)
        assert isinstance(verdict, Refusal)
        rules = {finding.rule for finding in verdict.decision.refusing}
        assert "number_not_e164" in rules
        assert any(f.rule == "line_for_another_home" for f in verdict.decision.findings)
