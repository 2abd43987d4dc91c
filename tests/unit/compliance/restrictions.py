# SPDX-License-Identifier: GPL-3.0-or-later
"""For every rule of the gate: what can be added to a call that this rule minds.

A rule without an entry here fails ``test_gate_restrictions.py``, which puts every entry on
every kind of request: none may ever turn a refusal into a permit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from compliance.facts import (
    DialRequest,
    HomeKind,
    Number,
    PastAttempt,
    RefusalRecord,
    RefusalScope,
    SourceKind,
)
from compliance.own_numbers import OwnNumber
from compliance.paperwork import CHECKLIST, NO_PARTNER, NO_SUPPLIER
from compliance.registries import RegistryLookUp
from tests.unit.compliance.builders import NOW, profile_data

SOON, PAST = NOW + timedelta(minutes=1), NOW - timedelta(days=2)
EARLY = {"hours": [["00:00", "01:00"]], "days": "all"}
_ROOMY = {"windows": {"hours": [["00:00", "24:00"]], "days": "all"}, "caps": []}


def _same(request: DialRequest) -> DialRequest:
    return request


@dataclass(frozen=True)
class Restriction:
    """A change of the request, and, where it is the law that gets stricter, a second profile
    beside the ones in force."""

    change: Callable[[DialRequest], DialRequest] = _same
    profile: dict[str, Any] = field(default_factory=dict)

    def law(self) -> list[dict[str, Any]]:
        """The second profile: it asks for little but what is under test."""
        if not self.profile:
            return []
        data = profile_data(id="second", homes=[home.value for home in HomeKind], **_ROOMY)
        return [{**data, **self.profile}]


def request(**changes: Any) -> Restriction:
    return Restriction(lambda r: r.evolve(**changes))


def inside(part: str, **changes: Any) -> Restriction:
    return Restriction(lambda r: r.evolve(**{part: getattr(r, part).evolve(**changes)}))


def papers(**changes: Any) -> Restriction:
    return Restriction(
        lambda r: r.evolve(campaign=r.campaign.evolve(papers=r.campaign.papers.evolve(**changes)))
    )


def each_line(**changes: Any) -> Restriction:
    return Restriction(lambda r: r.evolve(lines=tuple(one.evolve(**changes) for one in r.lines)))


def each_supplier(**changes: Any) -> Restriction:
    return Restriction(
        lambda r: r.evolve(
            lines=tuple(one.evolve(supplier=one.supplier.evolve(**changes)) for one in r.lines)
        )
    )


def each_consent(**changes: Any) -> Restriction:
    return Restriction(lambda r: r.evolve(consents=tuple(c.evolve(**changes) for c in r.consents)))


def calls(*ago: timedelta) -> Restriction:
    """Earlier calls of another campaign; a negative time is one dated in the future."""
    more = tuple(PastAttempt(f"more-{back}", NOW - back, "campaign-9", None) for back in ago)
    return Restriction(lambda r: r.evolve(attempts=(*more, *r.attempts)))


def said_no(ago: timedelta, **changes: Any) -> Restriction:
    no = RefusalRecord(NOW - ago, SOON, RefusalScope.COMPANY, "written").evolve(**changes)
    return Restriction(lambda r: r.evolve(refusals=(*r.refusals, no)))


def also(**profile: Any) -> Restriction:
    return Restriction(profile=profile)


def _twice(r: DialRequest) -> DialRequest:
    return r.evolve(lines=(*r.lines, *r.lines))


HOUR, DAY = timedelta(hours=1), timedelta(days=1)

RESTRICTIONS: dict[str, tuple[Restriction, ...]] = {
    "incomplete_request": (request(tenant=""), inside("contact", id="")),
    "unsigned_script": (
        inside("script", approved_by=""),
        inside("script", digest="00" * 32),
        inside("script", author="officer-1"),
    ),
    "late_disclosure": (
        inside("script", disclosure_end_ms=3001.0),
        inside("script", disclosure_end_ms=None),
        also(disclosure={"within_ms": 1000, "order": ["disclosure"]}),
    ),
    "no_compliance_officer": (inside("campaign", compliance_officer=""),),
    "campaign_not_running": (
        inside("campaign", state="paused"),
        inside("campaign", state="stopped"),
    ),
    "emergency_stop": (request(stopped_at=PAST), request(stopped_at=SOON)),
    "clock_adrift": (
        request(clock_ahead_s=None),
        request(clock_ahead_s=3600.0),
        request(clock_ahead_s=-2.5),
    ),
    "operator_unknown": (inside("campaign", launched_by=""),),
    "profile_for_another_home": (
        also(homes=["demo"]),
        also(homes=["lab"], consent="tester", line_papers=[]),
    ),
    "profile_not_in_force": (
        also(effective_from="2027-01-01"),
        also(effective_until="2026-11-01"),
    ),
    "untrained_launcher": (
        Restriction(inside("standing", launcher_exam_until=PAST).change, {"exam": True}),
        Restriction(inside("standing", officer_exam_until=None).change, {"exam": True}),
    ),
    "rulebook_not_adopted": (
        also(adopted_law=True),
        Restriction(inside("standing", adopted_law="00" * 32).change, {"adopted_law": True}),
    ),
    "unproven_data_partner": (inside("contact", source=SourceKind.PARTNER, partner=NO_PARTNER),),
    "undeclared_purpose": (papers(purpose_declared=False),),
    "no_impact_assessment": (
        papers(assessed=""),
        papers(content="cc" * 32),
        papers(assessed_by="operator-1"),
        papers(assessed_at=NOW + 900 * DAY),
        papers(assessed_at=NOW - 9000 * DAY),
    ),
    "undeclared_source": (inside("contact", source=None),),
    "no_explicit_consent": (
        request(consents=()),
        each_consent(explicit=False),
        each_consent(given_at=None),
        each_consent(expires_at=datetime(2026, 11, 1, tzinfo=UTC)),
    ),
    "preticked_or_vague_consent": (
        each_consent(preticked=True),
        each_consent(names_ai_calling=False),
        each_consent(company=""),
    ),
    "consent_for_another_use": (
        each_consent(purpose="another"),
        each_consent(company="别的公司"),
        inside("campaign", purpose="another"),
    ),
    "withdrawn_consent": (
        request(withdrawn_at=NOW),
        said_no(DAY),
        said_no(400 * DAY, at=NOW - DAY, until=NOW - HOUR),
    ),
    "number_on_refusal_list": (
        said_no(DAY),
        said_no(5 * DAY, scope=RefusalScope.CAMPAIGN, campaign="campaign-1"),
        said_no(5 * DAY, scope=RefusalScope.CAMPAIGN),
        said_no(100 * DAY),
        Restriction(said_no(400 * DAY, until=PAST).change, {"refusal": {"forever": True}}),
    ),
    "number_not_e164": (inside("contact", number=Number("13912345678")),),
    "short_code_or_emergency_number": (
        inside("contact", number=Number("+86110")),
        inside("contact", number=Number("+8610086")),
        also(never_dial=["+86139????????"]),
    ),
    "unlisted_lab_address": (Restriction(lambda r: r.evolve(home=HomeKind.LAB, lab_allow=())),),
    "registry_not_looked_up": (
        also(registries=[{"name": "A list", "max_age_days": 28}]),
        Restriction(
            request(registries=(RegistryLookUp("A list", NOW - 29 * DAY, False),)).change,
            {"registries": [{"name": "A list", "max_age_days": 28}]},
        ),
    ),
    "on_registry": (request(registries=(RegistryLookUp("A list", NOW - DAY, True),)),),
    "outside_calling_hours": (
        also(windows=EARLY),
        inside("contact", timezone=""),
        inside("contact", timezone="Nowhere/None"),
    ),
    "on_a_day_off": (
        also(windows={"hours": [["00:00", "24:00"]], "days": "workdays", "calendar": "XX"}),
    ),
    "over_call_cap": (
        calls(timedelta(minutes=59)),
        calls(-DAY),
        calls(2 * HOUR, 3 * HOUR, 4 * HOUR),
        Restriction(
            calls(2 * HOUR).change,
            {"caps": [{"calls": 1, "per": "month", "window": "calendar"}]},
        ),
    ),
    "disabled_line": (each_line(enabled=False), Restriction(_twice), each_line(id="")),
    "line_not_whitelisted": (
        each_line(whitelisted_until=None),
        each_line(whitelisted_until=PAST),
        each_line(kind="ordinary"),
    ),
    "unregistered_line": (
        each_line(registered_until=None),
        each_line(filed_until=PAST),
    ),
    "plaintext_line": (
        each_line(encrypted=False, plaintext_exception_until=None),
        each_line(encrypted=False, plaintext_exception_until=PAST),
    ),
    "line_for_another_home": (
        each_line(kind="unheard of"),
        each_line(kind="simulator", simulator_proven=False),
    ),
    "unlicensed_supplier": (
        each_line(supplier=NO_SUPPLIER),
        each_supplier(licence_until=PAST),
        each_supplier(licence="B25"),
        each_supplier(certificate_until=None),
    ),
    "unchecked_supplier": (
        each_supplier(checklist=CHECKLIST[1:]),
        each_supplier(checklist_until=PAST),
    ),
    "supplier_without_contract": (
        each_supplier(contract_until=None),
        each_supplier(contract_until=PAST),
        each_supplier(clauses=()),
    ),
    "own_number_over_cap": (
        each_line(own_number=None),
        each_line(own_number=OwnNumber("+861055550000", calls=200, oldest=NOW - HOUR)),
    ),
    "own_number_resting": (
        each_line(own_number=OwnNumber("+861055550000", calls=0, rest_until=NOW + 900 * DAY)),
    ),
}
