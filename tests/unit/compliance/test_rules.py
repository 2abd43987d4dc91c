# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule refuses alone, for every reason it knows; and nothing else is needed to pass.

Each carries its requirement: C1 to C4, C4b, C5, C6, D1 to D12, G1 to G5, S1, S12, T2, T5, V1 to V4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from compliance.facts import DialRequest, HomeKind, Number, RefusalScope, SourceKind
from compliance.gate import recheck
from compliance.own_numbers import OwnNumber
from compliance.paperwork import CHECKLIST, CLAUSES, NO_PAPERS, NO_SUPPLIER
from compliance.registries import RegistryLookUp
from compliance.rulebook import Rulebook
from compliance.rules import LINE_RULES, RULES
from tests.unit.compliance.builders import (
    ALL_PAPERS,
    CAMPAIGN_PAPERS,
    DATA,
    NOW,
    PARTNER,
    SUPPLIER,
    allowed_request,
    attempt,
    consent,
    demo_request,
    lab_request,
    line,
    load,
    refusal,
    rulebook_with,
    shipped_rulebook,
)

CN = shipped_rulebook()
DEMO = shipped_rulebook("demo")
LAB = shipped_rulebook("lab")
EVENING = rulebook_with(id="evening", windows={"hours": [["18:00", "19:00"]], "days": "all"})
SOON = NOW + timedelta(hours=1)
PAST = NOW - timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Case:
    rule: str
    why: str
    request: DialRequest
    rulebook: Rulebook = CN
    at: datetime = NOW
    beside: frozenset[str] = field(default=frozenset())  # rules that cannot but refuse as well

    def __str__(self) -> str:
        return f"{self.rule}.{self.why}"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


NO_ZONE = frozenset({"outside_calling_hours", "on_a_day_off", "over_call_cap"})
allowed = allowed_request

CASES = [
    Case("incomplete_request", "missing", allowed(tenant="")),
    Case("unsigned_script", "no_digest", allowed(script__digest="")),
    Case("unsigned_script", "no_author", allowed(script__author="")),
    Case("unsigned_script", "not_approved", allowed(script__approved_by="")),
    Case("unsigned_script", "not_approved", allowed(script__approved_digest="")),
    Case("unsigned_script", "self_approved", allowed(script__approved_by="author-1")),
    Case("unsigned_script", "changed", allowed(script__digest="ab" * 32)),
    Case("late_disclosure", "unmeasured", allowed(script__disclosure_end_ms=None)),
    Case("late_disclosure", "unmeasured", allowed(script__disclosure_end_ms=0.0)),
    Case("late_disclosure", "late", allowed(script__disclosure_end_ms=3000.1)),
    Case("no_compliance_officer", "missing", allowed(campaign__compliance_officer="")),
    Case("campaign_not_running", "state", allowed(campaign__state="paused")),
    Case("campaign_not_running", "state", allowed(campaign__state="")),
    Case("emergency_stop", "in_force", allowed(stopped_at=NOW - DAY)),
    Case("emergency_stop", "in_force", allowed(stopped_at=NOW + DAY)),
    Case("clock_adrift", "unmeasured", allowed(clock_ahead_s=None)),
    Case("clock_adrift", "adrift", allowed(clock_ahead_s=2.001)),
    Case("clock_adrift", "adrift", allowed(clock_ahead_s=-2.001)),
    Case("operator_unknown", "unknown", allowed(campaign__launched_by="")),
    Case(
        "profile_for_another_home",
        "other_home",
        allowed(),
        rulebook_with(homes=["demo"]),
    ),
    Case("profile_not_in_force", "not_yet", allowed(), rulebook_with(effective_from="2026-11-25")),
    Case("profile_not_in_force", "ended", allowed(), rulebook_with(effective_until="2026-11-23")),
    Case("undeclared_source", "missing", allowed(contact__source=None)),
    Case("no_explicit_consent", "missing", allowed(consents=())),
    Case("no_explicit_consent", "not_explicit", allowed(consent__explicit=False)),
    Case("no_explicit_consent", "undated", allowed(consent__given_at=None)),
    Case("no_explicit_consent", "in_future", allowed(consent__given_at=SOON)),
    Case("no_explicit_consent", "expired", allowed(consent__expires_at=NOW)),
    Case("preticked_or_vague_consent", "preticked", allowed(consent__preticked=True)),
    Case(
        "preticked_or_vague_consent",
        "no_company",
        allowed(consent__company=""),
        beside=frozenset({"consent_for_another_use"}),
    ),
    Case("preticked_or_vague_consent", "no_ai_calling", allowed(consent__names_ai_calling=False)),
    Case("consent_for_another_use", "other_purpose", allowed(consent__purpose="survey")),
    Case("consent_for_another_use", "other_company", allowed(consent__company="别的公司")),
    Case("withdrawn_consent", "withdrawn", allowed(withdrawn_at=NOW - DAY)),
    Case("withdrawn_consent", "withdrawn", allowed(withdrawn_at=consent().given_at)),
    Case(
        "withdrawn_consent",
        "withdrawn",
        # The refusal's term is over; the consent is still the old one.
        allowed(refusals=(refusal(400 * DAY),), consent__given_at=NOW - 500 * DAY),
    ),
    Case("number_on_refusal_list", "until", allowed(refusals=(refusal(60 * DAY),))),
    Case(
        "number_on_refusal_list",
        "until",
        allowed(refusals=(refusal(60 * DAY, scope=RefusalScope.CAMPAIGN, campaign="campaign-1"),)),
    ),
    Case(
        "number_on_refusal_list",
        "until",
        # Stored under a milder profile: today's term of six months counts.
        allowed(refusals=(refusal(60 * DAY, until=NOW - DAY),)),
    ),
    Case(
        "number_on_refusal_list",
        "for_good",
        allowed(refusals=(refusal(900 * DAY),)),
        rulebook_with(refusal={"forever": True}),
    ),
    Case("number_not_e164", "not_e164", allowed(contact__number=Number("13912345678"))),
    Case("number_not_e164", "not_e164", allowed(contact__number=Number("+86 13912345678"))),
    Case("number_not_e164", "not_e164", allowed(contact__number=Number("+8613912345678\n"))),
    Case("number_not_e164", "not_e164", allowed(contact__number=Number("+٨٦١٣٩١٢٣٤٥٦٧٨"))),
    Case("number_not_e164", "not_e164", allowed(contact__number=Number("sip:a@127.0.0.1"))),
    Case("short_code_or_emergency_number", "listed", allowed(contact__number=Number("+8610086"))),
    Case("short_code_or_emergency_number", "listed", allowed(contact__number=Number("+8610110"))),
    Case("short_code_or_emergency_number", "listed", allowed(contact__number=Number("+8695588"))),
    Case(
        "unlisted_lab_address",
        "no_uri",
        lab_request(contact__number=Number("+8613912345678"), lab_allow=("+8613912345678",)),
        LAB,
    ),
    Case(
        "unlisted_lab_address",
        "not_local",
        lab_request(
            contact__number=Number("sip:a@198.51.100.7"), lab_allow=("sip:a@198.51.100.7",)
        ),
        LAB,
    ),
    Case(
        "unlisted_lab_address",
        "unlisted",
        lab_request(lab_allow=("sip:other@127.0.0.1",), consents=(consent(),)),
        LAB,
    ),
    Case(
        "registry_not_looked_up",
        "unknown",
        allowed(),
        rulebook_with(registries=[{"name": "TPS", "max_age_days": 28}]),
    ),
    Case("outside_calling_hours", "closed", allowed(), at=utc(2026, 11, 24, 4, 0)),
    Case(
        "outside_calling_hours",
        "never",
        allowed(),
        Rulebook((*CN.profiles, *EVENING.profiles), CN.calendars),
    ),
    Case(
        "outside_calling_hours",
        "unknown_zone",
        allowed(contact__timezone="Asia/Nowhere"),
        beside=NO_ZONE,
    ),
    Case("on_a_day_off", "day_off", allowed(), at=utc(2026, 11, 28, 2, 0)),
    Case("on_a_day_off", "unknown_year", allowed(), at=utc(2027, 1, 5, 2, 0)),
    Case("on_a_day_off", "unknown_zone", allowed(contact__timezone=""), beside=NO_ZONE),
    Case("over_call_cap", "reached", allowed(attempts=(attempt(HOUR * 0.99),))),
    Case("over_call_cap", "unknown_zone", allowed(contact__timezone="localtime"), beside=NO_ZONE),
    Case("disabled_line", "disabled", allowed(line__enabled=False)),
    Case("disabled_line", "unnamed", allowed(line__id="")),
    Case("disabled_line", "twice", allowed(lines=(line(), line(carrier="mobile")))),
    Case("line_not_whitelisted", "not_ai_line", allowed(line__kind="ordinary")),
    Case("line_not_whitelisted", "missing", allowed(line__whitelisted_until=None)),
    Case("line_not_whitelisted", "expired", allowed(line__whitelisted_until=NOW)),
    Case("unregistered_line", "registration", allowed(line__registered_until=PAST)),
    Case("unregistered_line", "registration", allowed(line__registered_until=None)),
    Case("unregistered_line", "filing", allowed(line__filed_until=None)),
    Case("plaintext_line", "no_exception", allowed(line__encrypted=False)),
    Case(
        "plaintext_line",
        "expired",
        allowed(line__encrypted=False, line__plaintext_exception_until=NOW),
    ),
    Case(
        "line_for_another_home",
        "unknown_kind",
        demo_request(line__kind="sim"),
        DEMO,
    ),
    Case("line_for_another_home", "not_simulator", demo_request(line__kind="ai_line"), DEMO),
    Case("line_for_another_home", "unproven", demo_request(line__simulator_proven=False), DEMO),
    Case("line_for_another_home", "not_lab", lab_request(line__kind="ai_line"), LAB),
    Case("line_for_another_home", "not_local", lab_request(line__address="pbx:5060"), LAB),
    Case(
        "line_for_another_home",
        "simulator",
        lab_request(line__kind="simulator", line__simulator_proven=True),
        LAB,
    ),
    Case(
        "line_for_another_home",
        "simulator",
        allowed(line__kind="simulator", line__simulator_proven=True),
        beside=frozenset({"line_not_whitelisted"}),
    ),
    Case(
        "line_for_another_home",
        "lab",
        allowed(line__kind="lab"),
        beside=frozenset({"line_not_whitelisted"}),
    ),
]

PAPERS = rulebook_with(papers=dict(ALL_PAPERS))


def supplied(**changes: Any) -> DialRequest:
    return allowed(line__supplier=SUPPLIER.evolve(**changes))


def given(**changes: Any) -> DialRequest:
    """A contact from a partner."""
    partner = PARTNER.evolve(**changes)
    return allowed(contact__source=SourceKind.PARTNER, contact__partner=partner)


def assessed(**changes: Any) -> DialRequest:
    return allowed(campaign__papers=CAMPAIGN_PAPERS.evolve(**changes))


CASES += [
    Case(
        "unlicensed_supplier",
        "no_supplier",
        allowed(line__supplier=NO_SUPPLIER),
        PAPERS,
        beside=frozenset({"unchecked_supplier", "supplier_without_contract"}),
    ),
    Case("unlicensed_supplier", "licence", supplied(licence_until=None), PAPERS),
    Case("unlicensed_supplier", "licence_class", supplied(licence="B21"), PAPERS),
    Case("unlicensed_supplier", "licence_expired", supplied(licence_until=NOW), PAPERS),
    Case("unlicensed_supplier", "certificate", supplied(certificate_until=None), PAPERS),
    Case("unlicensed_supplier", "certificate_expired", supplied(certificate_until=NOW), PAPERS),
    Case("unchecked_supplier", "lacking", supplied(checklist=CHECKLIST[1:]), PAPERS),
    Case("unchecked_supplier", "paper", supplied(checklist_until=None), PAPERS),
    Case("unchecked_supplier", "paper_expired", supplied(checklist_until=NOW), PAPERS),
    Case("supplier_without_contract", "contract", supplied(contract_until=None), PAPERS),
    Case("supplier_without_contract", "contract_expired", supplied(contract_until=NOW), PAPERS),
    Case("supplier_without_contract", "clauses", supplied(clauses=CLAUSES[:2]), PAPERS),
    Case("unproven_data_partner", "no_partner", given(id=""), PAPERS),
    Case("unproven_data_partner", "licence", given(licence_until=None), PAPERS),
    Case("unproven_data_partner", "licence_expired", given(licence_until=NOW), PAPERS),
    Case("unproven_data_partner", "provenance", given(provenance_until=None), PAPERS),
    Case("unproven_data_partner", "provenance_expired", given(provenance_until=NOW), PAPERS),
    Case("undeclared_purpose", "undeclared", assessed(purpose_declared=False), PAPERS),
    Case("no_impact_assessment", "missing", assessed(assessed=""), PAPERS),
    Case("no_impact_assessment", "changed", assessed(content="cc" * 32), PAPERS),
    Case("no_impact_assessment", "own", assessed(created_by="officer-1"), PAPERS),
    Case("no_impact_assessment", "in_future", assessed(assessed_at=SOON), PAPERS),
    Case("no_impact_assessment", "expired", assessed(assessed_at=utc(2023, 11, 24, 2)), PAPERS),
]


TPS = rulebook_with(registries=[{"name": "TPS", "max_age_days": 28}])


def looked_up(days_ago: float, *, listed: bool = False, name: str = "TPS") -> DialRequest:
    look_up = RegistryLookUp(name, NOW - timedelta(days=days_ago), listed)
    return allowed(registries=(look_up,))


def own(**changes: Any) -> DialRequest:
    return allowed(line__own_number=OwnNumber("+861055550000", **{"calls": 0, **changes}))


CASES += [
    Case("registry_not_looked_up", "unknown", looked_up(1, name="tps"), TPS),
    Case("registry_not_looked_up", "unknown", looked_up(-1), TPS),  # of a day to come
    Case("registry_not_looked_up", "stale", looked_up(28.00001), TPS),
    Case("on_registry", "listed", looked_up(28, listed=True), TPS),
    Case("on_registry", "listed", looked_up(400, listed=True)),  # no profile asks for it
    Case("own_number_over_cap", "unknown", allowed(line__own_number=None)),
    Case("own_number_over_cap", "reached", own(calls=200, oldest=NOW - HOUR)),
    Case("own_number_over_cap", "reached", own(calls=5, oldest=NOW - HOUR, day_cap=5)),
    Case("own_number_resting", "until", own(rest_until=SOON)),
]

EXAMINED = rulebook_with(exam=True)
ADOPTED = rulebook_with(adopted_law=True)

CASES += [
    Case("untrained_launcher", "launcher", allowed(standing__launcher_exam_until=None), EXAMINED),
    Case("untrained_launcher", "launcher", allowed(standing__launcher_exam_until=NOW), EXAMINED),
    Case("untrained_launcher", "officer", allowed(standing__officer_exam_until=None), EXAMINED),
    Case("untrained_launcher", "officer", allowed(standing__officer_exam_until=NOW), EXAMINED),
    Case("rulebook_not_adopted", "never", allowed(), ADOPTED),
    Case("rulebook_not_adopted", "other", allowed(standing__adopted_law=CN.digest), ADOPTED),
]


def test_the_exam_counts_to_the_second_and_adopted_law_by_its_digest() -> None:
    second = NOW + timedelta(seconds=1)
    exams = {"launcher_exam_until": second, "officer_exam_until": second}
    held = allowed(**{f"standing__{name}": until for name, until in exams.items()})
    assert recheck(held, EXAMINED, NOW).permitted
    assert recheck(allowed(standing__adopted_law=ADOPTED.digest), ADOPTED, NOW).permitted


def test_every_profile_but_the_lab_s_asks_for_exam_and_adopted_law() -> None:
    for path in sorted((DATA / "policies").glob("*.yaml")):
        profile = load(f"policies/{path.name}")
        asked = path.stem != "lab"
        assert (profile["exam"], profile["adopted_law"]) == (asked, asked)


@pytest.mark.parametrize("licence", ["B24", "B26"])
def test_either_licence_of_a_supplier_is_accepted(licence: str) -> None:
    assert recheck(supplied(licence=licence), PAPERS, NOW).permitted


def test_a_partner_s_papers_are_asked_of_a_partner_s_contacts_only() -> None:
    assert recheck(given(), PAPERS, NOW).permitted
    assert recheck(allowed(), PAPERS, NOW).permitted


def test_what_no_profile_asks_for_is_not_asked_for() -> None:
    bare = allowed(line__supplier=NO_SUPPLIER, campaign__papers=NO_PAPERS)
    none = {"supplier": [], "partner": [], "declared_purposes": False, "assessment_months": 0}
    assert recheck(bare, rulebook_with(papers=none), NOW).permitted
    assert not recheck(bare, rulebook_with(papers={**none, "assessment_months": 1}), NOW).permitted


def test_an_assessment_stands_for_its_months_to_the_second() -> None:
    last = utc(2023, 11, 24, 2, 0, 1)
    assert recheck(assessed(assessed_at=last), PAPERS, NOW).permitted


LINE_NAMES = {rule.name for rule in LINE_RULES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_refuses_and_nothing_else_does(case: Case) -> None:
    decision = recheck(case.request, case.rulebook, case.at)
    assert not decision.permitted
    assert decision.lines == ()
    expected = {case.rule} | case.beside
    if case.rule in LINE_NAMES:
        expected |= {"no_usable_line"}
    assert {finding.rule for finding in decision.refusing} == expected
    [finding] = {f for f in decision.refusing if f.rule == case.rule}
    assert finding.message == f"rule.{case.rule}.{case.why}"
    assert finding.source
    assert finding.requirement


@pytest.mark.parametrize(
    ("request_", "rulebook"),
    [(allowed_request(), CN), (demo_request(), DEMO), (lab_request(), LAB)],
    ids=["production", "demo", "lab"],
)
def test_without_any_of_it_the_call_is_permitted(request_: DialRequest, rulebook: Rulebook) -> None:
    decision = recheck(request_, rulebook, NOW)
    assert decision.refusing == ()
    assert decision.permitted
    assert decision.lines == ("line-1",)


def test_every_reason_of_every_rule_has_a_case_and_every_rule_one_alone() -> None:
    declared = {f"{rule.name}.{why}" for rule in (*RULES, *LINE_RULES) for why in rule.why}
    assert {str(case) for case in CASES} == declared
    alone = {case.rule for case in CASES if not case.beside}
    assert alone == {rule.name for rule in (*RULES, *LINE_RULES)}


def test_demo_and_lab_profiles_and_lines_stay_in_their_homes() -> None:
    for request, rulebook in (
        (demo_request(home=HomeKind.PRODUCTION), DEMO),
        (lab_request(home=HomeKind.PRODUCTION), LAB),
        (demo_request(home=HomeKind.LAB), LAB),
        (lab_request(home=HomeKind.DEMO), DEMO),
    ):
        assert not recheck(request, rulebook, NOW).permitted


def test_two_consents_do_not_add_up_to_one_that_nobody_gave() -> None:
    vague = consent(id="a", names_ai_calling=False)
    elsewhere = consent(id="b", purpose="survey")
    assert not recheck(allowed_request(consents=(vague, elsewhere)), CN, NOW).permitted
    assert recheck(allowed_request(consents=(vague, elsewhere, consent())), CN, NOW).permitted


def test_refusing_one_campaign_leaves_another_free_and_the_company_none() -> None:
    other = refusal(DAY, scope=RefusalScope.CAMPAIGN, campaign="campaign-2")
    assert recheck(allowed_request(refusals=(other,)), CN, NOW).permitted
    unnamed = other.evolve(campaign="")
    assert not recheck(allowed_request(refusals=(unnamed,)), CN, NOW).permitted


def test_consent_given_again_after_the_refusals_end_restores_dialing() -> None:
    request = allowed_request(
        refusals=(refusal(400 * DAY),), withdrawn_at=NOW - 400 * DAY, consent__given_at=NOW - DAY
    )
    assert recheck(request, CN, NOW).permitted


@pytest.mark.parametrize(
    "uri",
    [
        "sip:a@localhost",
        "sip:a@127.0.0.1.example.org",
        "sip:a@0.0.0.0",
        "sip:a@127.1",
        "sip:a@2130706433",
        "sip:a@127.0.0.1:0",
        "sip:a@127.0.0.1;maddr=198.51.100.7",
        "sip:a@127.0.0.1?Route=%3Csip:198.51.100.7%3E",
        "sip:a@127.0.0.1@198.51.100.7",
        "sip:a@[::ffff:198.51.100.7]",
        "sip:a@[2001:db8::1]",
        "sip:a@169.254.1.1",
        "sip:a@127.0.0.1\n",
        "sip:a@127.0.0.1:99999",
    ],
)
def test_a_lab_home_takes_no_name_parameter_or_public_address(uri: str) -> None:
    request = lab_request(contact__number=Number(uri), lab_allow=(uri,))
    assert {f.message for f in recheck(request, LAB, NOW).refusing} == {
        "rule.unlisted_lab_address.not_local"
    }


@pytest.mark.parametrize("uri", ["sip:a@10.1.2.3", "sip:192.168.0.9:5080", "sip:a@[::1]:5062"])
def test_a_lab_home_takes_private_addresses(uri: str) -> None:
    request = lab_request(contact__number=Number(uri), lab_allow=(uri,))
    assert recheck(request, LAB, NOW).permitted
