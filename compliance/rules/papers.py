# SPDX-License-Identifier: GPL-3.0-or-later
"""Papers: of the line's supplier, of who gave the contacts, of the campaign itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from compliance.calendar import add_calendar_months
from compliance.facts import DialRequest, LineFacts, SourceKind
from compliance.paperwork import CHECKLIST, CLAUSES, LICENCE_CLASSES
from compliance.rulebook import Rulebook
from compliance.rules.base import Breach, forbids, forbids_line, seconds

_CHECKED, _AGREED = frozenset(CHECKLIST), frozenset(CLAUSES)
_SHORTEST_MONTH = timedelta(days=28)


def _paper(until: datetime | None, now: datetime, name: str, source: str = "") -> Breach | None:
    """``name`` is the reason where the paper is missing, ``name``_expired where it has ended."""
    if until is None:
        return Breach(name, source=source)
    if until <= now:
        return Breach(f"{name}_expired", (("until", seconds(until)),), source=source)
    return None


@forbids_line(
    "V1",
    source="seed V1",
    why=(
        "no_supplier",
        "licence",
        "licence_class",
        "licence_expired",
        "certificate",
        "certificate_expired",
    ),
)
def unlicensed_supplier(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A line whose supplier lacks a telecom licence or a certificate of its AI software."""
    asked, supplier = rulebook.policy.supplier_papers, line.supplier
    if not asked:
        return None
    source = rulebook.policy.cite("papers")
    if not supplier.id:
        return Breach("no_supplier", source=source)
    if "licence" in asked:
        found = _paper(supplier.licence_until, now, "licence", source)
        if found is not None:
            return found
        if supplier.licence not in LICENCE_CLASSES:
            return Breach("licence_class", (("class", supplier.licence or "-"),), source=source)
    if "certificate" in asked:
        return _paper(supplier.certificate_until, now, "certificate", source)
    return None


@forbids_line("V2", source="seed V2", why=("lacking", "paper", "paper_expired"))
def unchecked_supplier(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A supplier of whom nobody wrote down encryption, script review and answer to blocks."""
    if "checklist" not in rulebook.policy.supplier_papers:
        return None
    supplier, source = line.supplier, rulebook.policy.cite("papers")
    if not _CHECKED.issubset(supplier.checklist):
        lacking = [item for item in CHECKLIST if item not in supplier.checklist]
        return Breach("lacking", (("items", ", ".join(lacking)),), source=source)
    return _paper(supplier.checklist_until, now, "paper", source)


@forbids_line("V4", source="seed V4", why=("contract", "contract_expired", "clauses"))
def supplier_without_contract(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A supplier without a contract that says who answers for what, and who pays."""
    if "contract" not in rulebook.policy.supplier_papers:
        return None
    supplier, source = line.supplier, rulebook.policy.cite("papers")
    found = _paper(supplier.contract_until, now, "contract", source)
    if found is not None:
        return found
    if _AGREED.issubset(supplier.clauses):
        return None
    lacking = [clause for clause in CLAUSES if clause not in supplier.clauses]
    return Breach("clauses", (("clauses", ", ".join(lacking)),), source=source)


@forbids(
    "D2",
    source="PIPL art. 21, 23; seed D2",
    why=("no_partner", "licence", "licence_expired", "provenance", "provenance_expired"),
)
def unproven_data_partner(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A contact from a partner without a valid licence and a proof of where the data is from."""
    asked = rulebook.policy.partner_papers
    if request.contact.source != SourceKind.PARTNER or not asked:
        return None
    partner, source = request.contact.partner, rulebook.policy.cite("papers")
    if not partner.id:
        return Breach("no_partner", source=source)
    found = _paper(partner.licence_until, now, "licence", source) if "licence" in asked else None
    if found is None and "provenance" in asked:
        found = _paper(partner.provenance_until, now, "provenance", source)
    return found


@forbids("D11", source="PIPL art. 6, 14, 17; seed D11, D12", why=("undeclared",))
def undeclared_purpose(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A purpose nobody declared with its legal basis."""
    campaign = request.campaign
    if not rulebook.policy.declared_purposes or campaign.papers.purpose_declared is True:
        return None
    return Breach("undeclared", (("purpose", campaign.purpose),))


@forbids(
    "T5",
    source="PIPL art. 55, 56",
    why=("missing", "changed", "own", "in_future", "expired"),
)
def no_impact_assessment(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A campaign of which nobody assessed beforehand what it does to people, as it stands."""
    months = rulebook.policy.assessment_months
    if not months:
        return None
    papers, source = request.campaign.papers, rulebook.policy.cite("papers")
    if not papers.assessed or not papers.assessed_by or papers.assessed_at is None:
        return Breach("missing", source=source)
    if papers.assessed != papers.content:
        return Breach("changed", source=source)
    if not papers.created_by or papers.assessed_by == papers.created_by:
        return Breach("own", source=source)
    if papers.assessed_at > now:
        return Breach("in_future", (("at", seconds(papers.assessed_at)),), papers.assessed_at)
    if papers.assessed_at + months * _SHORTEST_MONTH > now:
        return None
    until = add_calendar_months(papers.assessed_at, months)
    if until <= now:
        return Breach("expired", (("until", seconds(until)),), source=source)
    return None


PAPER_RULES = (unproven_data_partner, undeclared_purpose, no_impact_assessment)
SUPPLIER_RULES = (unlicensed_supplier, unchecked_supplier, supplier_without_contract)
