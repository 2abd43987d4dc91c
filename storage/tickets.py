# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback tickets: somebody asked for a person and waits to be called back (S10)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, Number, Role, mask_name
from storage.context import SYSTEM, Context, new_id
from storage.models import AttemptRow, Callback, CampaignRow, ContactRow


@dataclass(frozen=True, slots=True)
class Ticket(Evolve):
    """One callback that is owed; ``contact`` and ``number`` are masked (D8)."""

    id: str
    attempt_id: str
    campaign: str  # its name
    contact: str
    number: str
    opened_at: datetime
    closed_at: datetime | None


class Tickets:
    """Listing what is owed, and closing it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def tickets(self, *, closed: bool = False) -> list[Ticket]:
        """Open tickets, oldest first; with ``closed`` the closed ones too."""
        query = (
            select(Callback, AttemptRow.contact, CampaignRow.name)
            .join(AttemptRow, AttemptRow.id == Callback.attempt)
            .join(CampaignRow, CampaignRow.id == AttemptRow.campaign)
            .order_by(Callback.opened_at, Callback.id)
        )
        if not closed:
            query = query.where(Callback.closed_at.is_(None))
        with self._context.read() as session:
            return [
                self._ticket(session, row, contact, campaign)
                for row, contact, campaign in session.execute(query).all()
            ]

    def close(self, actor: Actor, ticket: str) -> None:
        """The person was called back.

        Raises:
            NotAllowed: neither operator nor compliance officer.
            BadInput: no such ticket, or closed already.
        """
        context = self._context
        context.require(actor, "callback.close", Role.OPERATOR, Role.COMPLIANCE)
        now = context.clock.wall()
        with context.write() as session:
            row = session.get(Callback, ticket, with_for_update=True)
            if row is None:
                raise BadInput("there is no such ticket", field="ticket")
            if row.closed_at is not None:
                raise BadInput("this ticket is closed already", field="ticket")
            row.closed_at = now
            context.log(
                session, "callback.close", actor.id, now, ticket=ticket, attempt=row.attempt
            )

    def _ticket(self, session: Session, row: Callback, contact: str, campaign: str) -> Ticket:
        context = self._context
        person = session.get(ContactRow, contact)
        name = number = ""
        if person is not None:  # else purged: the ticket stays, nobody can be called
            name = mask_name(context.unseal(person.name_sealed, "contacts", "name", contact))
            number = Number(
                context.unseal(person.number_sealed, "contacts", "number", contact)
            ).masked
        return Ticket(row.id, row.attempt, campaign, name, number, row.opened_at, row.closed_at)


def open_ticket(context: Context, session: Session, attempt: str, now: datetime) -> None:
    """Owe the callee of ``attempt`` a callback; one ticket an attempt."""
    if session.scalar(select(Callback.id).where(Callback.attempt == attempt)):
        return
    ticket = new_id()
    session.execute(insert(Callback).values(id=ticket, attempt=attempt, opened_at=now))
    context.log(session, "callback.open", SYSTEM, now, attempt=attempt, ticket=ticket)
