# SPDX-License-Identifier: GPL-3.0-or-later
"""Papers of a demonstration: specimens, filed through the same methods as real ones."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path

from compliance.facts import Actor
from compliance.paperwork import CALL_CENTRE_CLASS, CHECKLIST, CLAUSES
from storage.objects import Objects
from storage.store import Store

_YEAR = timedelta(days=365)


def specimen(name: str) -> Path:
    """A file of ``examples/demo/papers``."""
    return Path(str(resources.files("console"))).parent / "examples" / "demo" / "papers" / name


def add_supplier(
    store: Store, objects: Objects, officer: Actor, supplier: str, *, company: str, now: datetime
) -> None:
    """A supplier with licence, certificate, contract and a filled checklist (V1, V2, V4)."""
    store.suppliers.add(officer, supplier, company=company, exemplary=2)
    for kind, details in (
        ("licence", {"class": CALL_CENTRE_CLASS}),
        ("certificate", {}),
        ("contract", {clause: f"clause {n}" for n, clause in enumerate(CLAUSES, 1)}),
    ):
        store.papers.add(
            officer,
            objects,
            specimen("specimen.txt"),
            kind=kind,
            owner_kind="supplier",
            owner=supplier,
            number="SPECIMEN",
            issuer="Candor",
            valid_until=now + _YEAR,
            details=details,
        )
    for item in CHECKLIST:
        store.suppliers.note(officer, supplier, item, "specimen: see the contract")


def declare_purpose(store: Store, objects: Objects, officer: Actor, purpose: str) -> None:
    """A declared purpose with an impact assessment of it (D11, PIPL 55)."""
    store.purposes.declare(
        officer, purpose, legal_basis="consent", description="calls to people who agreed to them"
    )
    store.assessments.add(officer, objects, specimen("assessment.txt"), purpose=purpose)
