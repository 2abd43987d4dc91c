# SPDX-License-Identifier: GPL-3.0-or-later
"""What `candor doctor` says of suppliers, data partners, papers, purposes and assessments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from compliance.facts import HomeKind
from compliance.rulebook import Policy
from console.diagnosis import Diagnosis, fail, ok, warn
from storage.papers import WARN
from storage.store import Store
from storage.suppliers import faults, first_end, wrong_class


def suppliers(store: Store, policy: Policy, now: datetime) -> Iterator[Diagnosis]:
    """Lines without a supplier, suppliers whose papers block their lines or soon will (V1-V4)."""
    asked = policy.supplier_papers
    if not asked:
        return
    nobodys = [li.id for li in store.lines.lines() if li.enabled and not li.supplier.id]
    if nobodys:
        yield fail("suppliers", "nobody", lines=", ".join(nobodys))
    for supplier in store.suppliers.suppliers():
        if not supplier.lines:
            continue
        name, lacking = supplier.facts.id, faults(supplier.facts, asked, now)
        end = first_end(supplier.facts)
        if lacking:
            yield fail("suppliers", "lacking", supplier=name, papers=", ".join(lacking))
        elif end is not None and end <= now + WARN and store.home is HomeKind.PRODUCTION:
            yield warn("suppliers", "soon", supplier=name, day=f"{end:%Y-%m-%d}")
        elif wrong_class(supplier.facts):
            yield warn("suppliers", "class", supplier=name)
        else:
            yield ok("suppliers", supplier=name)


def papers(store: Store, policy: Policy, now: datetime) -> Iterator[Diagnosis]:
    """Papers that have ended or end within 30 days, and data partners without valid ones."""
    names = store.papers.owner_names()
    states: dict[str, list[str]] = {}
    for paper in store.papers.papers():
        told = f"{paper.kind} {names.get(paper.owner, paper.owner)} ({paper.id[:8]})"
        states.setdefault(paper.state(now), []).append(told)
    for case in ("expired", "soon"):
        if states.get(case):
            yield warn("papers", case, papers=", ".join(states[case]))
    for partner in store.partners.partners():
        ends = {
            "licence": partner.facts.licence_until,
            "provenance": partner.facts.provenance_until,
        }
        gone = [
            kind
            for kind, end in ends.items()
            if kind in policy.partner_papers and (end is None or end <= now)
        ]
        if gone and partner.batches:
            yield fail("papers", "partner", partner=partner.facts.id, papers=", ".join(gone))
    if not (states.get("expired") or states.get("soon")):
        yield ok("papers", count=len(states.get("valid", ())))


def assessments(store: Store, policy: Policy, now: datetime) -> Iterator[Diagnosis]:
    """Campaigns that go on without a declared purpose or an assessment of what they are now."""
    if not policy.declared_purposes and not policy.assessment_months:
        return
    good = 0
    for name, known in store.assessments.standing():
        if policy.declared_purposes and not known.purpose_declared:
            yield fail("assessments", "undeclared", campaign=name)
        elif policy.assessment_months and not known.assessed:
            yield fail("assessments", "missing", campaign=name)
        elif policy.assessment_months and known.assessed != known.content:
            yield fail("assessments", "changed", campaign=name)
        else:
            good += 1
    yield ok("assessments", count=good)
