# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate would be asked, without a lease: for one number, or for all that is due.

Nothing here leases, dials or writes more than the ledger entry of a look-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Contact, DialRequest, Evolve, LineFacts, Number, Role
from storage.campaigns import TargetState, as_started
from storage.context import Context, new_id
from storage.lines import lines_of
from storage.models import Batch, CampaignRow, ContactRow, Target
from storage.numbers import timezone_of
from storage.own_numbers import with_own_numbers
from storage.requests import contact_of, contact_rows, request_of, requests_for
from storage.standing import standing_of

_AT_ONCE = 200  # contacts opened at a time
_READERS = (Role.OPERATOR, Role.COMPLIANCE, Role.AUDITOR)
STRANGER = "stranger"
"""The contact's id in a request about a number nobody imported."""


@dataclass(frozen=True, slots=True)
class Looked(Evolve):
    """A request about one number, as the gate would get it."""

    request: DialRequest
    in_campaign: bool
    as_if_started: bool  # the campaign waits for its start


class Previews:
    """Asking beforehand."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def look_up(self, actor: Actor, campaign_id: str, number: Number) -> Looked:
        """What the gate would decide on if ``number`` were claimed for the campaign now.

        A draft or paused campaign is taken as if ``actor`` had just started it. A number
        outside the campaign is taken from the batch it was last imported with; one nobody
        imported becomes a contact without source and consent. The look-up is in the ledger
        before the caller sees anything.

        Raises:
            NotAllowed: neither operator, compliance officer nor auditor.
            BadInput: no such campaign.
        """
        context = self._context
        context.require(actor, "gate.explain", *_READERS)
        now = context.clock.wall()
        with context.write() as session:
            campaign = _campaign(session, campaign_id)
            inside, known = _find(session, campaign_id, context.number_index(number))
            context.log(
                session,
                "gate.explain",
                actor.id,
                now,
                campaign=campaign_id,
                contact=known or "",
            )
            if known is not None:
                request = request_of(context, session, campaign, known, new_id(), now)
            else:
                stranger = Contact(STRANGER, number, timezone=timezone_of(number))
                (request,) = requests_for(context, session, campaign, {new_id(): stranger}, now)
            facts = as_started(session, campaign, actor)
            request = request.evolve(campaign=facts, standing=standing_of(session, facts))
        return Looked(request, inside, facts.state != campaign.state)

    def due(self, campaign_id: str) -> int:
        """How many contacts of a campaign still wait for their turn."""
        query = select(func.count()).select_from(Target).where(*_due(campaign_id))
        with self._context.read() as session:
            return session.scalar(query) or 0

    def lines(self, campaign_id: str) -> tuple[LineFacts, ...]:
        """The campaign's lines, in its order."""
        with self._context.read() as session:
            now = self._context.clock.wall()
            return with_own_numbers(session, lines_of(session, campaign_id, now), now)

    def requests(self, actor: Actor, campaign_id: str) -> Iterator[DialRequest]:
        """A request for every contact that still waits; a draft or paused campaign as if
        ``actor`` had just started it.

        Equal numbers come one after another. A few hundred are opened at a time, however
        long the list.

        Raises:
            NotAllowed: neither operator, compliance officer nor auditor.
            BadInput: no such campaign.
        """
        self._context.require(actor, "campaign.preview", *_READERS)
        return self._requests(actor, campaign_id)

    def _requests(self, actor: Actor, campaign_id: str) -> Iterator[DialRequest]:
        context = self._context
        now = context.clock.wall()
        query = (
            contact_rows()
            .join(Target, Target.contact == ContactRow.id)
            .where(*_due(campaign_id))
            .order_by(Target.number_index, Target.position)
        )
        with context.read() as session:
            campaign = _campaign(session, campaign_id)
            facts = as_started(session, campaign, actor)
            standing = standing_of(session, facts)
            rows = session.execute(query.execution_options(yield_per=_AT_ONCE))
            for part in rows.partitions():
                people = {new_id(): contact_of(context, row, batch) for row, batch in part}
                for request in requests_for(context, session, campaign, people, now):
                    yield request.evolve(campaign=facts, standing=standing)


def _campaign(session: Session, campaign_id: str) -> CampaignRow:
    campaign = session.get(CampaignRow, campaign_id)
    if campaign is None:
        raise BadInput("there is no such campaign", field="campaign")
    return campaign


def _due(campaign: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (Target.campaign == campaign, Target.state == TargetState.DUE)


def _find(session: Session, campaign: str, number_index: bytes) -> tuple[bool, str | None]:
    """(whether it is in the campaign, the contact's id)"""
    inside = session.scalar(
        select(Target.contact)
        .where(Target.campaign == campaign, Target.number_index == number_index)
        .order_by(Target.position)
        .limit(1)
    )
    if inside is not None:
        return True, inside
    elsewhere = session.scalar(
        select(ContactRow.id)
        .join(Batch, Batch.id == ContactRow.batch)
        .where(ContactRow.number_index == number_index, Batch.staged_at.is_(None))
        .order_by(Batch.imported_at.desc(), ContactRow.id)
        .limit(1)
    )
    return False, elsewhere
