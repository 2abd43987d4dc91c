# SPDX-License-Identifier: GPL-3.0-or-later
"""What a robot says of a contact to that contact: the values its script names (D5, D10)."""

from __future__ import annotations

from collections.abc import Iterable

from compliance.errors import BadInput
from compliance.facts import Claim
from storage.context import SYSTEM, Context
from storage.models import ContactRow

COLUMNS = {"name": "name_sealed", "interest": "interest_sealed"}


class Spoken:
    """Raw reads by the platform itself, each of them in the ledger."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def values(self, claim: Claim, names: Iterable[str]) -> dict[str, str]:
        """The values of ``names`` of a leased contact; not logged or kept anywhere else.

        Raises:
            BadInput: no such value, or the contact's data is gone.
        """
        wanted = sorted(set(names))
        for name in wanted:
            if name not in COLUMNS:
                raise BadInput("no value of a contact", field=name)
        context, contact = self._context, claim.request.contact.id
        with context.write() as session:
            row = session.get(ContactRow, contact)
            if row is None:
                raise BadInput("this contact's data is gone", field="contact")
            context.log(
                session,
                "pii.read",
                SYSTEM,
                context.clock.wall(),
                what="spoken",
                contact=contact,
                attempt=claim.request.attempt_id,
                columns=wanted,
            )
            return {
                name: context.unseal(getattr(row, COLUMNS[name]), "contacts", name, contact)
                for name in wanted
            }
