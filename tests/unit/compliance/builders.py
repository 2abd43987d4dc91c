# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and rulebooks for tests: ``allowed_request()`` passes every rule of ``cn_seed``.

Give the restriction under test as a change; names with a double underscore reach
inside: ``allowed_request(script__approved_by="")``, ``line__enabled=False``,
``consent__preticked=True``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

import compliance
from compliance.facts import (
    CampaignFacts,
    Consent,
    Contact,
    DialRequest,
    HomeKind,
    LineFacts,
    Number,
    PastAttempt,
    RefusalRecord,
    RefusalScope,
    ScriptFacts,
    SourceKind,
)
from compliance.own_numbers import OwnNumber
from compliance.paperwork import CHECKLIST, CLAUSES, CampaignPapers, PartnerFacts, SupplierFacts
from compliance.rulebook import Rulebook, parse
from compliance.standing import Standing

DATA = Path(compliance.__file__).parent / "data"
# A Tuesday, 10:00 in Shanghai: inside the morning window of a workday.
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
_LATER = NOW + timedelta(days=365)
ALL_PAPERS: Mapping[str, Any] = {
    "supplier": ["licence", "certificate", "checklist", "contract"],
    "partner": ["licence", "provenance"],
    "declared_purposes": True,
    "assessment_months": 36,
}
SUPPLIER = SupplierFacts(
    id="supplier-1",
    licence="B24",
    licence_until=_LATER,
    certificate_until=_LATER,
    checklist=CHECKLIST,
    checklist_until=_LATER,
    contract_until=_LATER,
    clauses=CLAUSES,
)
PARTNER = PartnerFacts("partner-1", _LATER, _LATER)
CAMPAIGN_PAPERS = CampaignPapers(
    created_by="operator-1",
    purpose_declared=True,
    content="bb" * 32,
    assessed="bb" * 32,
    assessed_by="officer-1",
    assessed_at=NOW - timedelta(days=30),
)


def load(path: str) -> Any:
    """A data file of compliance, parsed."""
    return yaml.safe_load((DATA / path).read_text("utf-8"))


def profile_data(name: str = "cn_seed", **changes: Any) -> dict[str, Any]:
    """A shipped profile as a mapping, with top-level keys replaced.

    Tests change the law at will: it need not be adopted, unless they ask for that.
    """
    data: dict[str, Any] = load(f"policies/{name}.yaml")
    return {**data, "adopted_law": False, **changes}


def calendar_data() -> list[Mapping[str, Any]]:
    return [load(f"calendars/{p.name}") for p in sorted((DATA / "calendars").glob("*.yaml"))]


@lru_cache(maxsize=32)
def shipped_rulebook(*names: str) -> Rulebook:
    """The shipped profiles of these names (default ``cn_seed``) with every calendar."""
    return parse([profile_data(name) for name in names or ("cn_seed",)], calendar_data())


def rulebook_with(**changes: Any) -> Rulebook:
    """``cn_seed`` with top-level keys replaced."""
    return parse([profile_data(**changes)], calendar_data())


def consent(**changes: Any) -> Consent:
    return Consent(
        id="consent-1",
        company="星辰公司",
        purpose="member_service",
        channel="web_form",
        given_at=NOW - timedelta(days=30),
        explicit=True,
        preticked=False,
        names_ai_calling=True,
        evidence="sha256:00",
    ).evolve(**changes)


def line(**changes: Any) -> LineFacts:
    return LineFacts(
        id="line-1",
        carrier="telecom",
        kind="ai_line",
        address="192.0.2.10:5061",
        caller_id="+861055550000",
        whitelisted_until=_LATER,
        registered_until=_LATER,
        filed_until=_LATER,
        encrypted=True,
        own_number=OwnNumber("+861055550000", calls=0),
        supplier=SUPPLIER,
    ).evolve(**changes)


def attempt(ago: timedelta, *, campaign: str = "campaign-1", now: datetime = NOW) -> PastAttempt:
    return PastAttempt(id=f"past-{ago}", at=now - ago, campaign=campaign, outcome=None)


def refusal(ago: timedelta, **changes: Any) -> RefusalRecord:
    at = NOW - ago
    return RefusalRecord(
        at=at, until=at + timedelta(days=184), scope=RefusalScope.COMPANY, how="voice"
    ).evolve(**changes)


def allowed_request(**changes: Any) -> DialRequest:
    """A request that ``cn_seed`` permits at :data:`NOW`, with changes."""
    request = DialRequest(
        attempt_id="attempt-1",
        tenant="tenant-1",
        home=HomeKind.PRODUCTION,
        contact=Contact(
            id="contact-1",
            number=Number("+8613912345678"),
            name="王小明",
            timezone="Asia/Shanghai",
            source=SourceKind.OWN_CRM,
            batch="batch-1",
        ),
        consents=(consent(),),
        attempts=(),
        refusals=(),
        withdrawn_at=None,
        script=ScriptFacts(
            id="script-1",
            digest="aa" * 32,
            author="author-1",
            approved_by="officer-1",
            approved_digest="aa" * 32,
            disclosure_end_ms=2600.0,
        ),
        campaign=CampaignFacts(
            id="campaign-1",
            company="星辰公司",
            purpose="member_service",
            state="running",
            launched_by="operator-1",
            compliance_officer="officer-1",
            papers=CAMPAIGN_PAPERS,
        ),
        lines=(line(),),
        clock_ahead_s=0.0,
        standing=Standing("", _LATER, _LATER),
    )
    inside: dict[str, dict[str, Any]] = {}
    for name in [key for key in changes if "__" in key]:
        part, _, field = name.partition("__")
        inside.setdefault(part, {})[field] = changes.pop(name)
    request = request.evolve(**changes)
    for part, fields in inside.items():
        if part == "consent":
            request = request.evolve(consents=(request.consents[0].evolve(**fields),))
        elif part == "line":
            request = request.evolve(lines=(request.lines[0].evolve(**fields),))
        else:
            request = request.evolve(**{part: getattr(request, part).evolve(**fields)})
    return request


def demo_request(**changes: Any) -> DialRequest:
    """What the profile ``demo`` permits: a proven simulator line without a carrier's papers."""
    simulator = line(
        kind="simulator",
        address="127.0.0.1:5070",
        whitelisted_until=None,
        registered_until=None,
        filed_until=None,
        encrypted=False,
        plaintext_exception_until=_LATER,
        simulator_proven=True,
    )
    return allowed_request(**{"home": HomeKind.DEMO, "lines": (simulator,), **changes})


LAB_URI = "sip:tester@127.0.0.1:5080"


def lab_request(**changes: Any) -> DialRequest:
    """What the profile ``lab`` permits: an allow-listed URI on this machine."""
    phone = line(
        kind="lab",
        address="127.0.0.1:5080",
        encrypted=False,
        plaintext_exception_until=_LATER,
    )
    return allowed_request(
        **{
            "home": HomeKind.LAB,
            "lines": (phone,),
            "contact__number": Number(LAB_URI),
            "consents": (),
            "lab_allow": (LAB_URI,),
            **changes,
        }
    )
