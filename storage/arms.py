# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns that compare signed scripts: who hears which, and how the calls of each ended (G6).

Which script a number hears follows from a hash of it under the home's keys and the campaign:
the same at every attempt, and nobody without the keys can tell it beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, exists, func, insert, or_, select
from sqlalchemy.orm import Session

from compliance.arms import ArmCounts, Rate, assigned
from compliance.errors import BadInput, ScriptError
from compliance.facts import Evolve, Outcome
from storage.check_tables import CampaignArm
from storage.complaint_tables import ComplaintRow
from storage.context import Context
from storage.keys import length_prefixed
from storage.models import AttemptRow, CampaignRow
from storage.scripts import ScriptVersion, load_version

MOST = 8
LARGEST_WEIGHT = 1000
_PURPOSE = "campaign.arm"  # of the keyed hash: no other look-up has the same


@dataclass(frozen=True, slots=True)
class Arm(Evolve):
    """One of the scripts a campaign compares."""

    arm: str  # A, B, …
    script: str  # version id
    weight: int = 1  # of the numbers, beside the other arms' weights


class Arms:
    """Reading a campaign's arms and their figures."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def arms(self, campaign: str) -> tuple[Arm, ...]:
        """The arms in their order; empty: the campaign has one script."""
        with self._context.read() as session:
            return arms_of(session, campaign)

    def scripts(self, campaign: str) -> tuple[ScriptVersion, ...]:
        """Every script version the campaign speaks; the first is its own.

        Raises:
            BadInput: no such campaign.
        """
        with self._context.read() as session:
            row = session.get(CampaignRow, campaign)
            if row is None:
                raise BadInput("there is no such campaign", field="campaign")
            ids = [arm.script for arm in arms_of(session, campaign)] or [row.script]
            return tuple(load_version(session, version) for version in ids)

    def counts(self, campaign: str) -> list[ArmCounts]:
        """How the calls of each arm ended so far; rates count calls a person answered."""
        complained = or_(
            AttemptRow.feedback == "complaint",
            exists().where(ComplaintRow.attempt == AttemptRow.id),
        )
        talked = and_(
            AttemptRow.answered_at.is_not(None),
            AttemptRow.outcome.is_not(None),
            AttemptRow.outcome != Outcome.VOICEMAIL,
        )
        with self._context.read() as session:
            arms = arms_of(session, campaign)
            rows = session.execute(
                select(
                    AttemptRow.arm,
                    func.count(),
                    _how_many(talked),
                    _how_many(and_(talked, AttemptRow.outcome == Outcome.ACCEPTED)),
                    _how_many(and_(talked, AttemptRow.refused)),
                    _how_many(and_(talked, complained)),
                )
                .where(AttemptRow.campaign == campaign)
                .group_by(AttemptRow.arm)
            )
            found = {name: counted for name, *counted in rows}
            names = {}
            for arm in arms:
                version = load_version(session, arm.script)
                names[arm.arm] = f"{version.script} {version.number}"
        counts = []
        for arm in arms:
            attempts, answered, *rates = (n or 0 for n in found.get(arm.arm, [0] * 5))
            by_rate = dict(zip(Rate, rates, strict=True))
            counts.append(
                ArmCounts(arm.arm, names[arm.arm], arm.weight, attempts, answered, by_rate)
            )
        return counts


def arms_of(session: Session, campaign: str) -> tuple[Arm, ...]:
    """A campaign's arms, by name."""
    rows = session.scalars(
        select(CampaignArm).where(CampaignArm.campaign == campaign).order_by(CampaignArm.arm)
    )
    return tuple(Arm(row.arm, row.script, row.weight) for row in rows)


def keep_arms(session: Session, campaign: str, arms: Sequence[Arm]) -> None:
    """Store the arms of a campaign being made.

    Raises:
        BadInput: one alone or too many, a name or script twice, or a weight out of range.
        ScriptError: a version that is not signed as it stands.
    """
    if not arms:
        return
    if not 2 <= len(arms) <= MOST:
        raise BadInput(f"a comparison has 2 to {MOST} scripts", field="arms")
    if len({arm.arm for arm in arms}) < len(arms) or len({arm.script for arm in arms}) < len(arms):
        raise BadInput("each arm has its own name and script version", field="arms")
    languages = set()
    for arm in arms:
        if not arm.arm.isascii() or not arm.arm.isalnum() or len(arm.arm) > MOST:
            raise BadInput("an arm's name has 1 to 8 letters and digits", field="arms")
        if not 1 <= arm.weight <= LARGEST_WEIGHT:
            raise BadInput(f"a weight is 1 to {LARGEST_WEIGHT}", field="arms")
        version = load_version(session, arm.script)
        languages.add(version.language)
        if not version.is_approved:
            raise ScriptError(
                f"the script of arm {arm.arm} is not approved as it stands (G5)",
                field="arms",
                remedy="candor script approve VERSION",
            )
    if len(languages) > 1:
        raise BadInput("a comparison is of one language", field="arms")
    session.execute(
        insert(CampaignArm),
        [
            {"campaign": campaign, "arm": arm.arm, "script": arm.script, "weight": arm.weight}
            for arm in arms
        ],
    )


def arm_of(context: Context, campaign: str, number_index: bytes, arms: Sequence[Arm]) -> Arm:
    """The arm of one number, by the blind index of it."""
    fields = length_prefixed(campaign, number_index.hex())
    keyed = context.keyring.blind(_PURPOSE, fields)
    name = assigned(keyed, [(arm.arm, arm.weight) for arm in arms])
    return next(arm for arm in arms if arm.arm == name)


def scripts_for(
    context: Context, session: Session, campaign: CampaignRow, indexes: Sequence[bytes]
) -> list[ScriptVersion]:
    """The script version each number hears, in their order."""
    arms = arms_of(session, campaign.id)
    if not arms:
        return [load_version(session, campaign.script)] * len(indexes)
    versions = {arm.script: load_version(session, arm.script) for arm in arms}
    return [versions[arm_of(context, campaign.id, index, arms).script] for index in indexes]


def _how_many(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))
