# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared purposes and impact assessments (D11, D12; PIPL art. 6, 55).

An assessment is bound to a digest of what was assessed: of a campaign, its purpose as
declared, its script versions and its batches; of a purpose, the declaration alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert, or_, select
from sqlalchemy.orm import Session

from compliance.canonical import digest, encode
from compliance.errors import BadInput, NotAllowed
from compliance.facts import Actor, Evolve, Role
from compliance.paperwork import LEGAL_BASES, CampaignPapers
from storage.check_tables import CampaignArm
from storage.context import Context, new_id
from storage.models import Batch, CampaignRow, ScriptRow
from storage.objects import Objects
from storage.paper_tables import AssessmentRow, CampaignBatch, PaperRow, PurposeRow
from storage.papers import file_paper

_STEERABLE = frozenset({"draft", "paused"})


@dataclass(frozen=True, slots=True)
class Purpose(Evolve):
    """What people may be called for, and on what basis (PIPL art. 13)."""

    code: str
    legal_basis: str
    description: str
    declared_by: str
    declared_at: datetime
    ended_at: datetime | None
    assessed_at: datetime | None = None  # of the newest assessment that covers it as declared


@dataclass(frozen=True, slots=True)
class Assessment(Evolve):
    """``what`` is what was assessed; ``current``: it is still so."""

    id: str
    campaign: str  # name; empty: of a purpose
    purpose: str  # code; empty: of a campaign
    paper: str
    what: Mapping[str, Any]
    by: str
    at: datetime
    confirms: str  # an earlier one that was confirmed
    current: bool


class Purposes:
    """Declaring purposes, and giving a campaign another one."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def declare(self, actor: Actor, code: str, *, legal_basis: str, description: str) -> str:
        """Declare a purpose by the code that consents name; declaring it again in other words
        replaces it, and every assessment of the old words covers it no longer.

        Raises:
            NotAllowed: not a compliance officer.
            BadInput: an unusable code, an unknown basis, no description.
        """
        context = self._context
        context.require(actor, "purpose.declare", Role.COMPLIANCE)
        if not code.strip() or code != code.strip() or len(code) > 100 or not code.isprintable():
            raise BadInput("a purpose has 1 to 100 printable characters", field="purpose")
        if legal_basis not in LEGAL_BASES:
            raise BadInput(f"is none of {', '.join(LEGAL_BASES)}", field="legal_basis")
        description = description.strip()
        if not description or len(description) > 1000 or not description.isprintable():
            raise BadInput("1 to 1000 printable characters", field="description")
        now = context.clock.wall()
        values = {
            "legal_basis": legal_basis,
            "description": description,
            "declared_by": actor.id,
            "declared_at": now,
        }
        with context.write() as session:
            row = session.get(PurposeRow, code, with_for_update=True)
            if row is None:
                session.execute(insert(PurposeRow).values(code=code, **values))
            else:
                for name, value in values.items():
                    setattr(row, name, value)
                row.ended_by = row.ended_at = None
            context.log(
                session,
                "purpose.declare",
                actor.id,
                now,
                purpose=code,
                legal_basis=legal_basis,
                declaration=_declaration(code, legal_basis, description),
            )
        return code

    def end(self, actor: Actor, code: str) -> None:
        """Nobody may be called for this purpose any more.

        Raises:
            NotAllowed: not a compliance officer.
            BadInput: not declared, or ended before.
        """
        context = self._context
        context.require(actor, "purpose.end", Role.COMPLIANCE)
        now = context.clock.wall()
        with context.write() as session:
            row = session.get(PurposeRow, code, with_for_update=True)
            if row is None or row.ended_at is not None:
                raise BadInput("there is no such purpose", field="purpose")
            row.ended_by, row.ended_at = actor.id, now
            context.log(session, "purpose.end", actor.id, now, purpose=code)

    def purposes(self) -> list[Purpose]:
        """Every declared purpose, by code."""
        with self._context.read() as session:
            return [
                Purpose(
                    row.code,
                    row.legal_basis,
                    row.description,
                    row.declared_by,
                    row.declared_at,
                    row.ended_at,
                    max(
                        (a.at for a in _of_purpose(session, row.code) if a.covers == _told(row)),
                        default=None,
                    ),
                )
                for row in session.scalars(select(PurposeRow).order_by(PurposeRow.code))
            ]

    def change(self, actor: Actor, campaign: str, purpose: str) -> None:
        """Give a campaign another declared purpose: whoever did not agree to that one is
        called no more (D12), and the campaign needs a new assessment.

        Raises:
            NotAllowed: not an operator.
            BadInput: no such campaign or purpose, or the campaign runs or has ended.
        """
        context = self._context
        context.require(actor, "campaign.purpose", Role.OPERATOR)
        with context.write() as session:
            row = session.get(CampaignRow, campaign, with_for_update={"key_share": True})
            if row is None:
                raise BadInput("there is no such campaign", field="campaign")
            if row.state not in _STEERABLE:
                raise BadInput(
                    f"the campaign is {row.state}",
                    field="campaign",
                    remedy="pause it first; one that has ended stays as it was",
                )
            if declared(session, purpose) is None:
                raise BadInput(
                    "this purpose is not declared",
                    field="purpose",
                    remedy="candor purposes add CODE",
                )
            was, row.purpose = row.purpose, purpose
            context.log(
                session,
                "campaign.purpose",
                actor.id,
                context.clock.wall(),
                campaign=campaign,
                was=was,
                purpose=purpose,
            )


class Assessments:
    """Impact assessments of campaigns and purposes, signed by a compliance officer."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(
        self,
        actor: Actor,
        objects: Objects,
        file: Path,
        *,
        campaign: str = "",
        purpose: str = "",
        number: str = "",
    ) -> str:
        """Sign an assessment of a campaign (by id) or a purpose, as it stands; returns its id.

        Raises:
            NotAllowed: not a compliance officer, or the one who made the campaign.
            BadInput: both or neither named, no such campaign or purpose, an unusable file.
        """
        context = self._context
        context.require(actor, "assessment.add", Role.COMPLIANCE)
        if bool(campaign) == bool(purpose):
            raise BadInput("name a campaign or a purpose", field="campaign")
        with context.read() as session:
            covers, what = _assessed(session, actor, campaign, purpose)
        paper = file_paper(
            context,
            actor,
            objects,
            file,
            kind="assessment",
            owner_kind="campaign" if campaign else "purpose",
            owner=campaign or purpose,
            number=number,
            issuer="",
            valid_from=None,
            valid_until=None,
            details={},
        )
        with context.write() as session:
            if _assessed(session, actor, campaign, purpose)[0] != covers:
                raise BadInput("it changed meanwhile", field="campaign", remedy="assess it again")
            return self._sign(session, actor, campaign, purpose, paper, covers, what, None)

    def confirm(self, actor: Actor, campaign: str) -> str:
        """Sign that the newest assessment of a campaign holds for what it is now too.

        Raises:
            NotAllowed: not a compliance officer, or the one who made the campaign.
            BadInput: there is none, or nothing changed since.
        """
        context = self._context
        context.require(actor, "assessment.confirm", Role.COMPLIANCE)
        with context.write() as session:
            covers, what = _assessed(session, actor, campaign, "")
            row = session.scalar(
                select(AssessmentRow)
                .where(AssessmentRow.campaign == campaign)
                .order_by(AssessmentRow.at.desc())
                .limit(1)
            )
            if row is None:
                raise BadInput(
                    "there is no assessment of this campaign to confirm",
                    field="campaign",
                    remedy="candor assessment add",
                )
            if row.covers == covers:
                raise BadInput("nothing changed since the assessment", field="campaign")
            return self._sign(session, actor, campaign, "", row.paper, covers, what, row.id)

    def _sign(
        self,
        session: Session,
        actor: Actor,
        campaign: str,
        purpose: str,
        paper: str,
        covers: str,
        what: Mapping[str, Any],
        confirms: str | None,
    ) -> str:
        context = self._context
        assessment, now = new_id(), context.clock.wall()
        session.execute(
            insert(AssessmentRow).values(
                id=assessment,
                campaign=campaign or None,
                purpose=purpose or None,
                paper=paper,
                covers=covers,
                what=what,
                by=actor.id,
                at=now,
                confirms=confirms,
            )
        )
        context.log(
            session,
            "assessment.confirm" if confirms else "assessment.add",
            actor.id,
            now,
            assessment=assessment,
            campaign=campaign,
            purpose=purpose,
            paper=paper,
            covers=covers,
        )
        return assessment

    def standing(self) -> list[tuple[str, CampaignPapers]]:
        """What the gate knows of every campaign that has not ended, by name."""
        with self._context.read() as session:
            rows = session.scalars(
                select(CampaignRow).where(CampaignRow.ended_at.is_(None)).order_by(CampaignRow.name)
            ).all()
            return [(row.name, campaign_papers(session, row)) for row in rows]

    def assessments(self) -> list[Assessment]:
        """Every assessment, newest first."""
        with self._context.read() as session:
            known = session.execute(select(CampaignRow.id, CampaignRow.name))
            names = {row.id: row.name for row in known}
            rows = session.scalars(select(AssessmentRow).order_by(AssessmentRow.at.desc())).all()
            return [
                Assessment(
                    row.id,
                    names.get(row.campaign or "", ""),
                    row.purpose or "",
                    row.paper,
                    row.what,
                    row.by,
                    row.at,
                    row.confirms or "",
                    row.covers == _now(session, row),
                )
                for row in rows
            ]


# ---------------------------------------------------------------- what the gate must know


def campaign_papers(session: Session, campaign: CampaignRow) -> CampaignPapers:
    """A campaign's purpose and assessment as they stand: its own assessment, or one of its
    purpose where only that covers what there is now."""
    purpose = declared(session, campaign.purpose)
    content = digest(encode(content_of(session, campaign, purpose)))
    told = "" if purpose is None else _told(purpose)
    rows = session.execute(
        select(AssessmentRow, PaperRow.withdrawn_at)
        .join(PaperRow, PaperRow.id == AssessmentRow.paper)
        .where(
            or_(
                AssessmentRow.campaign == campaign.id,
                AssessmentRow.purpose == campaign.purpose,
            )
        )
        .order_by(AssessmentRow.at.desc())
    ).all()
    valid = [row for row, withdrawn in rows if withdrawn is None]
    found = next((r for r in valid if r.covers in (content, told)), None)
    counted = found or next(iter(valid), None)
    return CampaignPapers(
        created_by=campaign.created_by,
        purpose_declared=purpose is not None,
        content=told if found is not None and found.purpose is not None else content,
        assessed="" if counted is None else counted.covers,
        assessed_by="" if counted is None else counted.by,
        assessed_at=None if counted is None else counted.at,
    )


def content_of(
    session: Session, campaign: CampaignRow, purpose: PurposeRow | None
) -> dict[str, Any]:
    """What an assessment of a campaign is about: ids and digests, nobody's data."""
    arms = session.execute(
        select(CampaignArm.arm, CampaignArm.script)
        .where(CampaignArm.campaign == campaign.id)
        .order_by(CampaignArm.arm)
    ).all()
    scripts = [campaign.script, *(row.script for row in arms)]
    texts = {
        row.id: row.digest
        for row in session.execute(
            select(ScriptRow.id, ScriptRow.digest).where(ScriptRow.id.in_(scripts))
        )
    }
    batches = session.scalars(
        select(CampaignBatch.batch)
        .where(CampaignBatch.campaign == campaign.id)
        .order_by(CampaignBatch.position)
    )
    return {
        "campaign": campaign.id,
        "company": campaign.company,
        "purpose": campaign.purpose,
        "declaration": "" if purpose is None else _told(purpose),
        "scripts": [[script, texts.get(script, "")] for script in scripts],
        "batches": list(batches),
    }


def declared(session: Session, code: str) -> PurposeRow | None:
    """A purpose that is declared and has not ended."""
    row = session.get(PurposeRow, code)
    return row if row is not None and row.ended_at is None else None


def batches_of(session: Session, campaign: str) -> list[str]:
    """Names of a campaign's batches, in its order."""
    return list(
        session.scalars(
            select(Batch.name)
            .join(CampaignBatch, CampaignBatch.batch == Batch.id)
            .where(CampaignBatch.campaign == campaign)
            .order_by(CampaignBatch.position)
        )
    )


def _assessed(
    session: Session, actor: Actor, campaign: str, purpose: str
) -> tuple[str, dict[str, Any]]:
    if purpose:
        row = declared(session, purpose)
        if row is None:
            raise BadInput("this purpose is not declared", field="purpose")
        what = {"purpose": purpose, "basis": row.legal_basis, "description": row.description}
        return _told(row), what
    found = session.get(CampaignRow, campaign)
    if found is None:
        raise BadInput("there is no such campaign", field="campaign")
    if found.created_by == actor.id:
        raise NotAllowed(
            "whoever made a campaign does not assess it", remedy="ask another compliance officer"
        )
    content = content_of(session, found, declared(session, found.purpose))
    return digest(encode(content)), content


def _now(session: Session, row: AssessmentRow) -> str:
    """The digest of what a row is about, as it is now."""
    if row.campaign is None:
        purpose = declared(session, row.purpose or "")
        return "" if purpose is None else _told(purpose)
    campaign = session.get(CampaignRow, row.campaign)
    if campaign is None:
        return ""
    return digest(encode(content_of(session, campaign, declared(session, campaign.purpose))))


def _of_purpose(session: Session, code: str) -> list[AssessmentRow]:
    return list(session.scalars(select(AssessmentRow).where(AssessmentRow.purpose == code)))


def _told(row: PurposeRow) -> str:
    return _declaration(row.code, row.legal_basis, row.description)


def _declaration(code: str, legal_basis: str, description: str) -> str:
    return digest(encode({"purpose": code, "basis": legal_basis, "description": description}))
