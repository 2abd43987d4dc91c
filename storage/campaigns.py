# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns: a purpose, a signed script, batches of contacts, lines, and a state."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import func, insert, literal, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput, ScriptError
from compliance.facts import Actor, CampaignFacts, Evolve, Outcome, Role
from storage.arms import Arm, arms_of, keep_arms
from storage.context import SYSTEM, Context, new_id
from storage.duties import refuse_if_blocked
from storage.lines import attach, lines_of
from storage.models import AttemptRow, Batch, CampaignRow, ContactRow, Target
from storage.paper_tables import CampaignBatch
from storage.people import active_officers
from storage.processing import record
from storage.purposes import campaign_papers
from storage.scripts import ScriptVersion, load_version

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)  # a target that may be dialed at any time


class CampaignState(enum.StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"  # by a person, for good
    DONE = "done"  # nothing is left to dial


class TargetState(enum.StrEnum):
    """Where a contact stands in a campaign."""

    DUE = "due"
    LEASED = "leased"
    REFUSED = "refused"  # by the gate, for this campaign
    DONE = "done"  # dialed once


_TRANSITIONS: Mapping[tuple[CampaignState, str], CampaignState] = {
    (CampaignState.DRAFT, "start"): CampaignState.RUNNING,
    (CampaignState.PAUSED, "start"): CampaignState.RUNNING,
    (CampaignState.RUNNING, "pause"): CampaignState.PAUSED,
    (CampaignState.DRAFT, "stop"): CampaignState.STOPPED,
    (CampaignState.RUNNING, "stop"): CampaignState.STOPPED,
    (CampaignState.PAUSED, "stop"): CampaignState.STOPPED,
    (CampaignState.RUNNING, "finish"): CampaignState.DONE,
    (CampaignState.PAUSED, "finish"): CampaignState.DONE,
}


def transition(state: CampaignState, event: str) -> CampaignState:
    """The only way a campaign's state changes.

    Raises:
        BadInput: this event does not apply to that state.
    """
    following = _TRANSITIONS.get((state, event))
    if following is None:
        raise BadInput(f"cannot {event} a campaign that is {state}", field="campaign")
    return following


@dataclass(frozen=True, slots=True)
class CampaignCounts(Evolve):
    """How far a campaign has come, in contacts, and how its calls ended."""

    targets: Mapping[TargetState, int] = field(default_factory=dict)
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    open_attempts: int = 0  # authorised, not settled yet

    @property
    def total(self) -> int:
        return sum(self.targets.values())


class Campaigns:
    """Making, steering and watching campaigns."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create_campaign(
        self,
        actor: Actor,
        *,
        name: str,
        purpose: str,
        script: str,
        batches: Sequence[str],
        lines: Sequence[str],
        max_line_concurrency: int = 0,
        arms: Sequence[Arm] = (),
    ) -> str:
        """A draft over whole batches (by name), in their order; returns its id.

        With ``arms`` it compares signed scripts, of which ``script`` is the first arm's (G6).

        Raises:
            NotAllowed: not an operator.
            BadInput: name taken, empty purpose, unknown batch, line or script version.
        """
        context = self._context
        context.require(actor, "campaign.create", Role.OPERATOR)
        name = name.strip()
        if not name or len(name) > 100 or not name.isprintable():
            raise BadInput("a name has 1 to 100 printable characters", field="name")
        if not purpose.strip():
            raise BadInput("a campaign declares its purpose (D11)", field="purpose")
        campaign, now = new_id(), context.clock.wall()
        with context.write() as session:
            if session.scalar(select(CampaignRow.id).where(CampaignRow.name == name)) is not None:
                raise BadInput("a campaign of this name exists", field="name")
            version = load_version(session, script)
            session.execute(
                insert(CampaignRow).values(
                    id=campaign,
                    name=name,
                    company=context.company,
                    purpose=purpose.strip(),
                    script=version.id,
                    state=CampaignState.DRAFT,
                    created_by=actor.id,
                    created_at=now,
                    launched_by="",
                    compliance_officer="",
                    max_line_concurrency=max_line_concurrency,
                )
            )
            if arms and arms[0].script != version.id:
                raise BadInput("the first arm speaks the campaign's script", field="arms")
            keep_arms(session, campaign, arms)
            attach(session, campaign, lines)
            contacts = _aim(session, campaign, batches)
            context.log(
                session,
                "campaign.create",
                actor.id,
                now,
                campaign=campaign,
                purpose=purpose.strip(),
                script=version.id,
                lines=list(lines),
                contacts=contacts,
                **({"arms": [[a.arm, a.script, a.weight] for a in arms]} if arms else {}),
            )
        return campaign

    # ------------------------------------------------------------ steering

    def start(self, actor: Actor, campaign: str) -> None:
        """Launch or go on. The approver of the script answers for it, if still in office.

        Raises:
            NotAllowed: not an operator.
            BadInput: no compliance officer (G1), no line in use, nothing to dial, a state
                that cannot start, or it is new while an audit is long overdue (G2, T5).
            ScriptError: the script is not approved, or changed since (G5).
        """
        context = self._context
        context.require(actor, "campaign.start", Role.OPERATOR)
        now = context.clock.wall()
        with context.write() as session:
            row = _locked(session, campaign)
            if row.state == CampaignState.DRAFT:
                refuse_if_blocked(context, session, now)
            state = transition(CampaignState(row.state), "start")
            version = load_version(session, row.script)
            for signed in (version, *_of_arms(session, campaign)):
                _check_signed(signed)
            officers = active_officers(session)
            if not officers:
                raise BadInput(
                    "no compliance officer is in office (G1)",
                    field="compliance_officer",
                    remedy="register one: nothing launches without",
                )
            if not any(line.enabled for line in lines_of(session, campaign, now)):
                raise BadInput("no line of this campaign is in use", field="lines")
            row.state = state
            row.launched_by = actor.id
            row.compliance_officer = _answers_for(version, officers)
            record(context, session, row, actor, now)
            context.log(
                session,
                "campaign.start",
                actor.id,
                now,
                campaign=campaign,
                officer=row.compliance_officer,
                script=version.id,
                digest=version.digest,
            )

    def pause(self, actor: Actor, campaign: str) -> None:
        """No new calls until started again; live ones go on."""
        self._steer(actor, campaign, "pause")

    def stop(self, actor: Actor, campaign: str) -> None:
        """No new calls, for good."""
        self._steer(actor, campaign, "stop")

    def _steer(self, actor: Actor, campaign: str, event: str) -> None:
        context = self._context
        kind = f"campaign.{event}"
        context.require(actor, kind, Role.OPERATOR, Role.COMPLIANCE, Role.ADMIN)
        with context.write() as session:
            row = _locked(session, campaign)
            now = context.clock.wall()
            row.state = transition(CampaignState(row.state), event)
            row.ended_at = now if row.state == CampaignState.STOPPED else None
            context.log(session, kind, actor.id, now, campaign=campaign)

    def log_run(self, actor: Actor, campaign: str, event: str) -> None:
        """Trace that somebody ``begin``s, ``drain``s, ``abort``s or ``end``s dialing here (T2).

        Raises:
            NotAllowed: not an operator.
        """
        context = self._context
        context.require(actor, f"run.{event}", Role.OPERATOR)
        with context.write() as session:
            _get(session, campaign)
            context.log(session, f"run.{event}", actor.id, context.clock.wall(), campaign=campaign)

    # ------------------------------------------------------------ watching

    def campaign_state(self, campaign: str) -> CampaignState:
        """Where it stands now.

        Raises:
            BadInput: no such campaign.
        """
        with self._context.read() as session:
            return CampaignState(_get(session, campaign).state)

    def campaign(self, campaign: str) -> CampaignFacts:
        """The campaign as the gate sees it."""
        with self._context.read() as session:
            return campaign_facts(_get(session, campaign))

    def campaign_named(self, name: str) -> str:
        """The id of the campaign of this name.

        Raises:
            BadInput: no such campaign.
        """
        with self._context.read() as session:
            found = session.scalar(select(CampaignRow.id).where(CampaignRow.name == name))
        if found is None:
            raise BadInput("there is no campaign of this name", field="campaign")
        return found

    def campaigns(self) -> list[tuple[str, str, CampaignState]]:
        """(id, name, state) of every campaign, oldest first."""
        with self._context.read() as session:
            rows = session.execute(
                select(CampaignRow.id, CampaignRow.name, CampaignRow.state).order_by(
                    CampaignRow.created_at, CampaignRow.id
                )
            )
            return [(row.id, row.name, CampaignState(row.state)) for row in rows]

    def campaign_script(self, campaign: str) -> ScriptVersion:
        """The script version the campaign speaks."""
        with self._context.read() as session:
            return load_version(session, _get(session, campaign).script)

    def campaign_counts(self, campaign: str) -> CampaignCounts:
        with self._context.read() as session:
            _get(session, campaign)
            targets = session.execute(
                select(Target.state, func.count())
                .where(Target.campaign == campaign)
                .group_by(Target.state)
            )
            outcomes = session.execute(
                select(AttemptRow.outcome, func.count())
                .where(AttemptRow.campaign == campaign)
                .group_by(AttemptRow.outcome)
            ).all()
            return CampaignCounts(
                targets={TargetState(state): n for state, n in targets},
                outcomes={Outcome(o): n for o, n in outcomes if o is not None},
                open_attempts=sum(n for o, n in outcomes if o is None),
            )


def campaign_facts(row: CampaignRow) -> CampaignFacts:
    return CampaignFacts(
        id=row.id,
        company=row.company,
        purpose=row.purpose,
        state=row.state,
        launched_by=row.launched_by,
        compliance_officer=row.compliance_officer,
        max_line_concurrency=row.max_line_concurrency,
    )


def as_started(session: Session, row: CampaignRow, actor: Actor) -> CampaignFacts:
    """A campaign that waits for its start, as the gate would see it had ``actor`` just started
    it; one of another state as it is."""
    facts = campaign_facts(row).evolve(papers=campaign_papers(session, row))
    if (CampaignState(row.state), "start") not in _TRANSITIONS:
        return facts
    officer = _answers_for(load_version(session, row.script), active_officers(session))
    return facts.evolve(
        state=str(CampaignState.RUNNING), launched_by=actor.id, compliance_officer=officer
    )


def finish_if_exhausted(context: Context, session: Session, campaign: str, at: datetime) -> None:
    """Close a campaign once no contact is due, deferred or on the line."""
    left = select(Target.contact).where(
        Target.campaign == campaign,
        Target.state.in_([TargetState.DUE, TargetState.LEASED]),
    )
    if session.scalar(left.limit(1)) is not None:
        return
    # Whoever steers it just now decides; waiting for them here could deadlock. The next
    # claim looks again.
    row = session.get(
        CampaignRow,
        campaign,
        with_for_update={"key_share": True, "skip_locked": True},
        populate_existing=True,
    )
    if row is not None and (CampaignState(row.state), "finish") in _TRANSITIONS:
        row.state = transition(CampaignState(row.state), "finish")
        row.ended_at = at
        context.log(session, "campaign.finish", SYSTEM, at, campaign=campaign)


def _answers_for(version: ScriptVersion, officers: Sequence[str]) -> str:
    """The approver of the script if still in office, else the longest in office; empty: nobody."""
    if version.approved_by in officers:
        return version.approved_by
    return officers[0] if officers else ""


def _of_arms(session: Session, campaign: str) -> list[ScriptVersion]:
    return [load_version(session, arm.script) for arm in arms_of(session, campaign)]


def _check_signed(version: ScriptVersion) -> None:
    if not version.approved_by or version.approved_by == version.author:
        raise ScriptError("the script is not approved by a compliance officer (G5)", field="script")
    if version.approved_digest != version.digest:
        raise ScriptError("the script changed after it was approved (G5)", field="script")


def _aim(session: Session, campaign: str, batches: Sequence[str]) -> int:
    """Put the batches' contacts in the campaign's list, by batch and row; returns how many."""
    if not batches or len(set(batches)) != len(batches):
        raise BadInput("name at least one batch, each once", field="batches")
    total = 0
    for name in batches:
        whole = select(Batch.id).where(Batch.name == name, Batch.staged_at.is_(None))
        batch = session.scalar(whole)
        if batch is None:
            raise BadInput("there is no batch of this name", field="batches")
        place = batches.index(name)
        session.execute(
            insert(CampaignBatch).values(campaign=campaign, batch=batch, position=place)
        )
        position = func.row_number().over(order_by=ContactRow.row) + literal(total)
        session.execute(
            insert(Target).from_select(
                [
                    "campaign",
                    "contact",
                    "number_index",
                    "position",
                    "state",
                    "not_before",
                    "fencing",
                ],
                select(
                    literal(campaign),
                    ContactRow.id,
                    ContactRow.number_index,
                    position,
                    literal(TargetState.DUE.value),
                    literal(ALWAYS, Target.not_before.type),
                    literal(0),
                ).where(ContactRow.batch == batch),
            )
        )
        counted = session.scalar(
            select(func.count()).select_from(Target).where(Target.campaign == campaign)
        )
        total = counted or 0
    if not total:
        raise BadInput("these batches hold no contact", field="batches")
    return total


def _get(session: Session, campaign: str) -> CampaignRow:
    row = session.get(CampaignRow, campaign)
    if row is None:
        raise BadInput("there is no such campaign", field="campaign")
    return row


def _locked(session: Session, campaign: str) -> CampaignRow:
    # Not for its key: attempts that refer to it may be written meanwhile.
    row = session.get(CampaignRow, campaign, with_for_update={"key_share": True})
    if row is None:
        raise BadInput("there is no such campaign", field="campaign")
    return row
