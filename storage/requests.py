# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the gate decides on, brought together from the database.

A claim asks for one contact, a preview for many at a time: the same queries serve both,
so that what is explained beforehand is what is decided later.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from compliance.facts import (
    Consent,
    Contact,
    DialRequest,
    Number,
    Outcome,
    PastAttempt,
    SourceKind,
)
from compliance.paperwork import NO_PARTNER, PartnerFacts
from storage.arms import scripts_for
from storage.campaigns import campaign_facts
from storage.context import Context
from storage.lines import lines_of
from storage.models import AttemptRow, Batch, CampaignRow, ConsentRow, ContactRow
from storage.own_numbers import with_own_numbers
from storage.purposes import campaign_papers
from storage.refusals import refusals_by, withdrawals_by
from storage.registries import look_up
from storage.standing import standing_of
from storage.stops import stopped_at
from storage.suppliers import partner_of
from storage.testers import allow_list

# Covers the longest cap a profile knows: a calendar month in any time zone.
HISTORY = timedelta(days=32)


def contact_rows() -> Select[ContactRow, Batch]:
    """Contacts with their batches; the caller says which."""
    return select(ContactRow, Batch).join(Batch, Batch.id == ContactRow.batch)


def contact_of(context: Context, row: ContactRow, batch: Batch) -> Contact:
    """The person of one row, opened inside the store."""
    return Contact(
        id=row.id,
        number=Number(context.unseal(row.number_sealed, "contacts", "number", row.id)),
        name=context.unseal(row.name_sealed, "contacts", "name", row.id),
        timezone=row.timezone,
        source=SourceKind(batch.source),
        batch=batch.name,
        language=row.language,
        partner=NO_PARTNER.evolve(id=batch.partner or ""),
    )


def request_of(
    context: Context,
    session: Session,
    campaign: CampaignRow,
    contact_id: str,
    attempt_id: str,
    now: datetime,
) -> DialRequest:
    """The request for one contact; ``attempt_id`` becomes the attempt's."""
    row, batch = session.execute(contact_rows().where(ContactRow.id == contact_id)).one()
    contact = contact_of(context, row, batch)
    return requests_for(context, session, campaign, {attempt_id: contact}, now)[0]


def requests_for(
    context: Context,
    session: Session,
    campaign: CampaignRow,
    people: Mapping[str, Contact],
    now: datetime,
) -> list[DialRequest]:
    """A request for each of ``people`` (by attempt id), in their order.

    Earlier attempts, refusals and consents come from all campaigns, batches and spellings
    of the number (C4, S12).
    """
    numbers = [contact.number for contact in people.values()]
    indexes = [context.number_index(number) for number in numbers]
    hidden = [context.refusal_index(number) for number in numbers]
    narrow = {index: context.campaign_refusal_index(index, campaign.id) for index in hidden}
    consents = _consents(context, session, indexes)
    attempts = attempts_by(session, indexes, now - HISTORY)
    refusals = refusals_by(session, hidden)
    withdrawals = withdrawals_by(session, narrow)
    registries = look_up(session, hidden)
    scripts = [v.facts for v in scripts_for(context, session, campaign, indexes)]
    facts = campaign_facts(campaign).evolve(papers=campaign_papers(session, campaign))
    partners = _partners(session, people.values(), now)
    lines = with_own_numbers(session, lines_of(session, campaign.id, now), now)
    stopped, clock_ahead = stopped_at(session), context.clock_ahead_s(session)
    standing = standing_of(session, facts)
    return [
        DialRequest(
            attempt_id=attempt,
            salt=secrets.token_hex(16),
            tenant=context.tenant,
            home=context.home,
            contact=contact.evolve(partner=partners.get(contact.batch, contact.partner)),
            consents=tuple(consents.get(index, ())),
            attempts=tuple(attempts.get(index, ())),
            refusals=tuple(refusals.get(refusal, ())),
            withdrawn_at=withdrawals.get(refusal),
            script=script,
            campaign=facts,
            lines=lines,
            lab_allow=allow_list(context, session, contact.number, withdrawals.get(refusal)),
            stopped_at=stopped,
            clock_ahead_s=clock_ahead,
            registries=registries[refusal],
            standing=standing,
        )
        for (attempt, contact), index, refusal, script in zip(
            people.items(), indexes, hidden, scripts, strict=True
        )
    ]


def changed_papers(session: Session, request: DialRequest, now: datetime) -> str:
    """The rule to ask again, where papers changed since ``request`` was brought together."""
    campaign = session.get(CampaignRow, request.campaign.id)
    if campaign is None or campaign_papers(session, campaign) != request.campaign.papers:
        return "no_impact_assessment"
    contact = request.contact
    if _partners(session, [contact], now).get(contact.batch, NO_PARTNER) != contact.partner:
        return "unproven_data_partner"
    suppliers = {line.id: line.supplier for line in lines_of(session, campaign.id, now)}
    if any(suppliers.get(line.id) != line.supplier for line in request.lines):
        return "unlicensed_supplier"
    return ""


def _partners(
    session: Session, people: Collection[Contact], now: datetime
) -> Mapping[str, PartnerFacts]:
    """What the papers of data partners say, by name of the batch; most batches have none."""
    return {
        name: partner_of(session, partner, name, now)
        for name, partner in {(c.batch, c.partner.id) for c in people if c.partner.id}
    }


def _consents(
    context: Context, session: Session, indexes: Collection[bytes]
) -> Mapping[bytes, Sequence[Consent]]:
    found: dict[bytes, list[Consent]] = defaultdict(list)
    for row in session.scalars(
        select(ConsentRow)
        .join(ContactRow, ContactRow.id == ConsentRow.contact)
        .join(Batch, Batch.id == ContactRow.batch)
        .where(ContactRow.number_index.in_(indexes), Batch.staged_at.is_(None))
        .order_by(ConsentRow.given_at.desc(), ConsentRow.id)
    ):
        found[row.number_index].append(consent_of(context, row))
    return found


def consent_of(context: Context, row: ConsentRow) -> Consent:
    return Consent(
        id=row.id,
        company=row.company,
        purpose=row.purpose,
        channel=row.channel,
        given_at=row.given_at,
        explicit=row.explicit,
        preticked=row.preticked,
        names_ai_calling=row.names_ai_calling,
        evidence=context.unseal(row.evidence_sealed, "consents", "evidence", row.id),
        expires_at=row.expires_at,
    )


def attempts_by(
    session: Session, indexes: Collection[bytes], since: datetime
) -> Mapping[bytes, Sequence[PastAttempt]]:
    """INVITEs after ``since`` by number, over all campaigns, newest first."""
    found: dict[bytes, list[PastAttempt]] = defaultdict(list)
    columns = (
        AttemptRow.number_index,
        AttemptRow.id,
        AttemptRow.at,
        AttemptRow.campaign,
        AttemptRow.outcome,
    )
    for row in session.execute(
        select(*columns)
        .where(AttemptRow.number_index.in_(indexes), AttemptRow.at > since)
        .order_by(AttemptRow.at.desc())
    ):
        outcome = Outcome(row.outcome) if row.outcome else None
        found[row.number_index].append(PastAttempt(row.id, row.at, row.campaign, outcome))
    return found


def past_attempts(
    session: Session, number_index: bytes, since: datetime
) -> tuple[PastAttempt, ...]:
    """INVITEs to one number after ``since``, over all campaigns, newest first."""
    return tuple(attempts_by(session, (number_index,), since).get(number_index, ()))
