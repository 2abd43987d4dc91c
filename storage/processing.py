# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of processing, one for each start of a campaign, kept three years (PIPL art. 56).

Contacts, calls and recordings go when their terms end; a record names nobody, holds numbers
and names of things only, and nothing in the program deletes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from compliance.calendar import add_calendar_months
from compliance.facts import Actor, Evolve, Role
from storage.context import Context, new_id
from storage.models import Batch, CampaignLine, CampaignRow, LineRow, Target
from storage.paper_tables import CampaignBatch, PartnerRow, ProcessingRow, SupplierRow
from storage.purposes import content_of, declared

KEPT_MONTHS = 36
CATEGORIES = ("telephone number", "name", "interest", "consent", "voice, after the notice")


@dataclass(frozen=True, slots=True)
class Processing(Evolve):
    """What a campaign processed, as it stood at a start."""

    id: str
    campaign: str  # name
    at: datetime
    by: str
    what: Mapping[str, Any]
    ended_at: datetime | None
    keep_until: datetime | None  # None: the campaign goes on


class Records:
    """Reading the records of processing."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def records(self, actor: Actor) -> list[Processing]:
        """Every record, newest first.

        Raises:
            NotAllowed: neither compliance officer nor auditor.
        """
        context = self._context
        context.require(actor, "records.list", Role.COMPLIANCE, Role.AUDITOR)
        with context.read() as session:
            rows = session.execute(
                select(ProcessingRow, CampaignRow.name, CampaignRow.ended_at)
                .join(CampaignRow, CampaignRow.id == ProcessingRow.campaign)
                .order_by(ProcessingRow.at.desc(), ProcessingRow.id)
            ).all()
        return [
            Processing(
                row.id,
                name,
                row.at,
                row.by,
                row.what,
                ended,
                None if ended is None else add_calendar_months(ended, KEPT_MONTHS),
            )
            for row, name, ended in rows
        ]


def record(
    context: Context, session: Session, campaign: CampaignRow, actor: Actor, at: datetime
) -> None:
    """Write down what a campaign processes, in the transaction that starts it."""
    purpose = declared(session, campaign.purpose)
    persons = session.scalar(
        select(func.count()).select_from(Target).where(Target.campaign == campaign.id)
    )
    what = {
        **content_of(session, campaign, purpose),
        "legal_basis": "" if purpose is None else purpose.legal_basis,
        "description": "" if purpose is None else purpose.description,
        "categories": list(CATEGORIES),
        "persons": persons or 0,
        "sources": _sources(session, campaign.id),
        "recipients": _recipients(session, campaign.id),
    }
    session.execute(
        insert(ProcessingRow).values(
            id=new_id(), campaign=campaign.id, at=at, by=actor.id, what=what
        )
    )


def _sources(session: Session, campaign: str) -> list[list[str]]:
    rows = session.execute(
        select(Batch.name, Batch.source, PartnerRow.company)
        .join(CampaignBatch, CampaignBatch.batch == Batch.id)
        .outerjoin(PartnerRow, PartnerRow.id == Batch.partner)
        .where(CampaignBatch.campaign == campaign)
        .order_by(CampaignBatch.position)
    )
    return [[row.name, row.source, row.company or ""] for row in rows]


def _recipients(session: Session, campaign: str) -> list[list[str]]:
    """Who gets a callee's number and voice: the lines' carriers and suppliers."""
    rows = session.execute(
        select(LineRow.id, LineRow.carrier, SupplierRow.company)
        .join(CampaignLine, CampaignLine.line == LineRow.id)
        .outerjoin(SupplierRow, SupplierRow.id == LineRow.supplier)
        .where(CampaignLine.campaign == campaign)
        .order_by(CampaignLine.position)
    )
    return [[row.id, row.carrier, row.company or ""] for row in rows]
