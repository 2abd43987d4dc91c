# SPDX-License-Identifier: GPL-3.0-or-later
"""Suppliers of lines, and data partners, with what their papers say (V1-V4, D2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, Number, Role
from compliance.paperwork import (
    CALL_CENTRE_CLASS,
    CHECKLIST,
    CLAUSES,
    NO_END,
    NO_PARTNER,
    NO_SUPPLIER,
    SUPPLIER_PAPERS,
    PartnerFacts,
    SupplierFacts,
)
from storage import ledger, papers
from storage.context import Context
from storage.models import Batch, ContactRow, LineRow
from storage.paper_tables import PaperRow, PartnerRow, SupplierRow

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_HANDLERS = (Role.COMPLIANCE, Role.ADMIN)
SEVERAL = 2  # exemplary clients from which a supplier is preferred (V3)


@dataclass(frozen=True, slots=True)
class Supplier(Evolve):
    """A supplier as it is shown: who it is, its lines, and what the gate knows of it."""

    facts: SupplierFacts
    company: str
    exemplary: int  # exemplary clients known (V3)
    notes: Mapping[str, str]
    lines: tuple[str, ...]

    @property
    def preferred(self) -> bool:
        return self.exemplary >= SEVERAL


@dataclass(frozen=True, slots=True)
class Partner(Evolve):
    facts: PartnerFacts
    company: str
    batches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Origin(Evolve):
    """Where one contact came from: its batch, who gave it, and the papers that prove it (D2)."""

    batch: str
    source: str
    imported_at: datetime
    row: int
    partner: str  # empty: our own
    company: str
    papers: tuple[papers.Paper, ...]


class Suppliers:
    """Whom lines are bought from."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(self, actor: Actor, supplier: str, *, company: str, exemplary: int = 0) -> str:
        """Register a supplier; its papers are filed afterwards.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            BadInput: an unusable or taken id, no company, a negative score.
        """
        context = self._context
        context.require(actor, "supplier.add", *_HANDLERS)
        company = _company(supplier, company, "supplier")
        if not 0 <= exemplary <= 10_000:
            raise BadInput("is the number of exemplary clients", field="exemplary")
        now = context.clock.wall()
        with context.write() as session:
            if session.get(SupplierRow, supplier) is not None:
                raise BadInput("a supplier of this name exists", field="supplier")
            session.execute(
                insert(SupplierRow).values(
                    id=supplier,
                    company=company,
                    exemplary=exemplary,
                    notes={},
                    added_by=actor.id,
                    added_at=now,
                )
            )
            context.log(
                session, "supplier.add", actor.id, now, supplier=supplier, exemplary=exemplary
            )
        return supplier

    def note(self, actor: Actor, supplier: str, item: str, words: str) -> None:
        """Write down how the supplier meets an item of the checklist (V2).

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            BadInput: no such supplier or item, or nothing said.
        """
        context = self._context
        context.require(actor, "supplier.note", *_HANDLERS)
        if item not in CHECKLIST:
            raise BadInput(f"is none of {', '.join(CHECKLIST)}", field="item")
        words = words.strip()
        if not words or len(words) > 1000 or not words.isprintable():
            raise BadInput("1 to 1000 printable characters", field="note")
        with context.write() as session:
            row = session.get(SupplierRow, supplier, with_for_update=True)
            if row is None:
                raise BadInput("there is no such supplier", field="supplier")
            row.notes = {**row.notes, item: words}
            context.log(
                session,
                "supplier.note",
                actor.id,
                context.clock.wall(),
                supplier=supplier,
                item=item,
            )

    def assign(self, actor: Actor, line: str, supplier: str) -> None:
        """Say whom a line is bought from.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            BadInput: no such line or supplier.
        """
        context = self._context
        context.require(actor, "line.assign", *_HANDLERS)
        with context.write() as session:
            row = session.get(LineRow, line, with_for_update=True)
            if row is None:
                raise BadInput("there is no such line", field="line")
            check_supplier(session, supplier)
            row.supplier = supplier
            context.log(
                session,
                "line.assign",
                actor.id,
                context.clock.wall(),
                line=line,
                supplier=supplier,
            )

    def suppliers(self) -> list[Supplier]:
        """Every supplier, those with most exemplary clients first (V3)."""
        now = self._context.clock.wall()
        with self._context.read() as session:
            rows = session.scalars(select(SupplierRow)).all()
            facts = facts_of(session, [row.id for row in rows], now)
            lines: dict[str, list[str]] = {}
            for line in session.scalars(select(LineRow).order_by(LineRow.id)):
                lines.setdefault(line.supplier or "", []).append(line.id)
        found = [
            Supplier(
                facts[row.id],
                row.company,
                row.exemplary,
                dict(row.notes),
                tuple(lines.get(row.id, ())),
            )
            for row in rows
        ]
        return sorted(found, key=lambda s: (-s.exemplary, s.facts.id))

    def supplier(self, supplier: str) -> Supplier:
        """One supplier.

        Raises:
            BadInput: there is none of this name.
        """
        for found in self.suppliers():
            if found.facts.id == supplier:
                return found
        raise BadInput("there is no such supplier", field="supplier")


class Partners:
    """Who gives contacts."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(self, actor: Actor, partner: str, *, company: str) -> str:
        """Register a data partner; licence and proof of provenance are filed afterwards.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            BadInput: an unusable or taken id, no company.
        """
        context = self._context
        context.require(actor, "partner.add", *_HANDLERS)
        company = _company(partner, company, "partner")
        now = context.clock.wall()
        with context.write() as session:
            if session.get(PartnerRow, partner) is not None:
                raise BadInput("a partner of this name exists", field="partner")
            session.execute(
                insert(PartnerRow).values(
                    id=partner, company=company, added_by=actor.id, added_at=now
                )
            )
            context.log(session, "partner.add", actor.id, now, partner=partner)
        return partner

    def partners(self) -> list[Partner]:
        """Every partner with the batches it gave, by name."""
        now = self._context.clock.wall()
        with self._context.read() as session:
            rows = session.scalars(select(PartnerRow).order_by(PartnerRow.id)).all()
            filed = papers.rows_of(session, "partner", [row.id for row in rows])
            batches: dict[str, list[str]] = {}
            for batch in session.scalars(
                select(Batch)
                .where(Batch.partner.is_not(None), Batch.staged_at.is_(None))
                .order_by(Batch.imported_at)
            ):
                batches.setdefault(batch.partner or "", []).append(batch.name)
        return [
            Partner(
                partner_facts(row.id, filed[row.id], "", now),
                row.company,
                tuple(batches.get(row.id, ())),
            )
            for row in rows
        ]

    def origin(self, actor: Actor, number: Number) -> list[Origin]:
        """Where the contacts of a number came from: batch, partner, documents (D2).

        Raises:
            NotAllowed: neither compliance officer nor auditor.
        """
        context = self._context
        context.require(actor, "contact.origin", Role.COMPLIANCE, Role.AUDITOR)
        index = context.number_index(number)
        now = context.clock.wall()
        commitment, _ = ledger.commit_to(number.e164.encode())
        with context.write() as session:
            found = session.execute(
                select(ContactRow, Batch, PartnerRow)
                .join(Batch, Batch.id == ContactRow.batch)
                .outerjoin(PartnerRow, PartnerRow.id == Batch.partner)
                .where(ContactRow.number_index == index, Batch.staged_at.is_(None))
                .order_by(Batch.imported_at, ContactRow.id)
            ).all()
            context.log(
                session,
                "contact.origin",
                actor.id,
                now,
                number=commitment,
                contacts=[row.ContactRow.id for row in found],
            )
            filed = papers.rows_of(
                session, "partner", {row.Batch.partner for row in found if row.Batch.partner}
            )
        return [
            Origin(
                batch.name,
                batch.source,
                batch.imported_at,
                contact.row,
                batch.partner or "",
                partner.company if partner is not None else "",
                tuple(
                    papers.paper_of(context, row)
                    for row in filed.get(batch.partner or "", ())
                    if row.details.get("batch", batch.name) == batch.name
                ),
            )
            for contact, batch, partner in found
        ]


# ---------------------------------------------------------------- what the gate must know


def facts_of(
    session: Session, suppliers: Collection[str], now: datetime
) -> dict[str, SupplierFacts]:
    """What the gate must know of these suppliers; one that is not registered is nobody."""
    if not suppliers:
        return {}
    notes = {
        row.id: row.notes
        for row in session.scalars(select(SupplierRow).where(SupplierRow.id.in_(set(suppliers))))
    }
    filed = papers.rows_of(session, "supplier", notes)
    known = {key: _supplier_facts(key, notes[key], filed[key], now) for key in notes}
    return {supplier: known.get(supplier, NO_SUPPLIER) for supplier in suppliers}


def _supplier_facts(
    supplier: str, notes: Mapping[str, str], filed: Sequence[PaperRow], now: datetime
) -> SupplierFacts:
    licence = papers.best(filed, "licence", now)
    certificate = papers.best(filed, "certificate", now)
    contract = papers.best(filed, "contract", now)
    # A note has no end; a paper beside it counts only where there is no note.
    proven = {item: papers.best(filed, item, now) for item in CHECKLIST if item not in notes}
    covered = [item for item in CHECKLIST if item in notes or proven.get(item) is not None]
    return SupplierFacts(
        id=supplier,
        licence="" if licence is None else str(licence.details.get("class", "")),
        licence_until=None if licence is None else papers.end_of(licence),
        certificate_until=None if certificate is None else papers.end_of(certificate),
        checklist=tuple(covered),
        checklist_until=min(
            (papers.end_of(row) for row in proven.values() if row is not None), default=NO_END
        )
        if covered
        else None,
        contract_until=None if contract is None else papers.end_of(contract),
        clauses=tuple(c for c in CLAUSES if contract is not None and contract.details.get(c)),
    )


def partner_facts(
    partner: str, filed: Sequence[PaperRow], batch: str, now: datetime
) -> PartnerFacts:
    """Of a partner, for a batch: a proof of provenance of another batch is none of this one."""
    licence = papers.best(filed, "licence", now)
    fitting = [row for row in filed if row.details.get("batch", batch) == batch]
    provenance = papers.best(fitting, "provenance", now)
    return PartnerFacts(
        partner,
        None if licence is None else papers.end_of(licence),
        None if provenance is None else papers.end_of(provenance),
    )


def partner_of(session: Session, partner: str, batch: str, now: datetime) -> PartnerFacts:
    """What the gate must know of who gave a batch (by name); nobody where it is not known."""
    if session.get(PartnerRow, partner) is None:
        return NO_PARTNER
    filed = papers.rows_of(session, "partner", [partner])[partner]
    return partner_facts(partner, filed, batch, now)


def faults(facts: SupplierFacts, asked: Collection[str], now: datetime) -> list[str]:
    """What of the asked is lacking or has ended, by the names of :data:`SUPPLIER_PAPERS`."""
    ends = {
        "licence": facts.licence_until if facts.licence else None,
        "certificate": facts.certificate_until,
        "checklist": facts.checklist_until if len(facts.checklist) == len(CHECKLIST) else None,
        "contract": facts.contract_until if len(facts.clauses) == len(CLAUSES) else None,
    }
    return [
        paper
        for paper in SUPPLIER_PAPERS
        if paper in asked and ((end := ends[paper]) is None or end <= now)
    ]


def first_end(facts: SupplierFacts) -> datetime | None:
    """When the first of a supplier's papers ends."""
    ends = (
        facts.licence_until,
        facts.certificate_until,
        facts.checklist_until,
        facts.contract_until,
    )
    return min((end for end in ends if end is not None and end != NO_END), default=None)


def wrong_class(facts: SupplierFacts) -> bool:
    """A licence that is accepted, though not of the call-centre class (V1: B24, not B26)."""
    return bool(facts.licence) and facts.licence != CALL_CENTRE_CLASS


def check_supplier(session: Session, supplier: str) -> None:
    """Raises BadInput unless there is such a supplier."""
    if session.get(SupplierRow, supplier) is None:
        raise BadInput(
            "there is no such supplier", field="supplier", remedy="candor suppliers add NAME"
        )


def check_partner(session: Session, partner: str) -> None:
    """Raises BadInput unless there is such a data partner."""
    if session.scalar(select(func.count()).where(PartnerRow.id == partner)) != 1:
        raise BadInput(
            "there is no such data partner", field="partner", remedy="candor partners add NAME"
        )


def _company(name: str, company: str, field: str) -> str:
    if not _ID.fullmatch(name):
        raise BadInput("write small letters, digits, dots and dashes", field=field)
    company = company.strip()
    if not company or len(company) > 200 or not company.isprintable():
        raise BadInput("name the company: 1 to 200 printable characters", field="company")
    return company
