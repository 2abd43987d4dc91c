# SPDX-License-Identifier: GPL-3.0-or-later
"""Testers of a lab home: whose own softphone may be rung, because they said so (D3).

A lab home dials SIP URIs on this list only. The URI is sealed, the ledger holds a
commitment to it. Whether it is an address on this machine or network is for the rules
to say; the gate asks them again before every call.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, HomeKind, Number, Role, SourceKind
from storage import destructions, ledger
from storage.context import SYSTEM, Context, new_id
from storage.destructions import Method, Record, Why
from storage.models import Batch, ContactRow, LabTester
from storage.refusals import withdrawn_at

_LONGEST_URI = 200
_URI = re.compile(r"sip:[^\s<>;?]+")
_DIGITS_OF_A_NUMBER = 7
_TIMEZONE = "UTC"  # the lab profile is open at any hour, so any zone the rules know will do


@dataclass(frozen=True, slots=True)
class Tester(Evolve):
    """A confirmed URI; ``number`` hides it wherever it is printed."""

    number: Number
    confirmed_by: str  # actor id
    confirmed_at: datetime


class Testers:
    """The allow-list of a lab home, and the contacts its test calls go to."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def confirm(self, actor: Actor, uri: str) -> None:
        """``actor`` says that ``uri`` is their own telephone and that a robot may call it.

        Saying it again renews it, which is needed after a refusal (S12).

        Raises:
            NotAllowed: not an operator.
            BadInput: not a lab home, or no plain SIP URI.
        """
        context = self._context
        context.require(actor, "tester.confirm", Role.OPERATOR)
        number = self._number(uri)
        index, now = context.number_index(number), context.clock.wall()
        with context.write() as session:
            row = _row(session, index)
            if row is not None:
                session.execute(
                    update(LabTester)
                    .where(LabTester.id == row.id)
                    .values(confirmed_by=actor.id, confirmed_at=now)
                )
                context.log(session, "tester.confirm", actor.id, now, tester=row.id)
                return
            tester = new_id()
            commitment, key = ledger.commit_to(uri.encode())
            session.execute(
                insert(LabTester).values(
                    id=tester,
                    number_index=index,
                    uri_sealed=context.seal(uri, "lab_testers", "uri", tester),
                    uri_key=context.hide(key, "lab_testers", "uri_key", tester),
                    confirmed_by=actor.id,
                    confirmed_at=now,
                )
            )
            context.log(session, "tester.confirm", actor.id, now, tester=tester, uri=commitment)

    def remove(self, actor: Actor, uri: str) -> None:
        """Take a URI off the list: it is not called any more.

        Raises:
            NotAllowed: neither operator, compliance officer nor administrator.
            BadInput: it is not on the list.
        """
        context = self._context
        context.require(actor, "tester.remove", Role.OPERATOR, Role.COMPLIANCE, Role.ADMIN)
        with context.write() as session:
            row = _row(session, context.number_index(Number(uri)))
            if row is None:
                raise BadInput("this URI is not on the list", field="uri")
            self._remove(session, row, actor.id)

    def remove_again(self, record: str, commitment: str) -> bool:
        """Take whom a record of the log of destructions names off the list; False: nobody here.

        For a restored backup, from which the removal is missing (D14).
        """
        context = self._context
        with context.write() as session:
            for row in session.scalars(select(LabTester)).all():
                named = destructions.commitment(context.keyring, record, row.number_index)
                if hmac.compare_digest(named, commitment):
                    self._remove(session, row, SYSTEM)
                    return True
        return False

    def _remove(self, session: Session, row: LabTester, by: str) -> None:
        context, now = self._context, self._context.clock.wall()
        session.delete(row)
        context.log(session, "tester.remove", by, now, tester=row.id)
        what = {"lab_testers": 1}
        record = Record(
            new_id(), now, by, Method.DELETE_ROWS, Why.REQUEST, what, number_index=row.number_index
        )
        destructions.write(context, session, [record])

    def testers(self) -> list[Tester]:
        """Every confirmed URI, longest confirmed first."""
        query = select(LabTester).order_by(LabTester.confirmed_at, LabTester.id)
        with self._context.read() as session:
            return [
                Tester(
                    Number(self._context.unseal(row.uri_sealed, "lab_testers", "uri", row.id)),
                    row.confirmed_by,
                    row.confirmed_at,
                )
                for row in session.scalars(query)
            ]

    def allowed(self, uri: str) -> bool:
        """Whether ``uri`` may be called now: confirmed here, and not refused since."""
        context, number = self._context, Number(uri)
        with context.read() as session:
            refused = withdrawn_at(session, context.refusal_index(number))
            return bool(allow_list(context, session, number, refused))

    def contact(self, actor: Actor, uri: str, language: str) -> str:
        """The batch whose one contact is ``uri``, made when there is none; its name.

        Raises:
            NotAllowed: not an operator.
            BadInput: not a lab home, or nobody confirmed the URI.
        """
        context = self._context
        context.require(actor, "tester.contact", Role.OPERATOR)
        number = self._number(uri)
        index, now = context.number_index(number), context.clock.wall()
        with context.write() as session:
            tester = _row(session, index)
            if tester is None:
                raise BadInput("nobody confirmed this URI", field="uri")
            known = session.scalar(
                select(Batch.name)
                .join(ContactRow, ContactRow.batch == Batch.id)
                .where(
                    ContactRow.number_index == index,
                    ContactRow.language == language,
                    Batch.staged_at.is_(None),
                )
                .limit(1)
            )
            if known is not None:
                return known
            batch, contact = new_id(), new_id()
            name = f"tester-{batch[:8]}"
            session.execute(
                insert(Batch).values(
                    id=batch,
                    name=name,
                    source=str(SourceKind.OWN_CRM),  # given by the tester in person
                    imported_by=actor.id,
                    imported_at=now,
                    accepted=1,
                    rejected=0,
                    duplicates=0,
                    file_key="",  # no file
                )
            )

            def seal(text: str, column: str) -> bytes:
                return context.seal(text, "contacts", column, contact)

            session.execute(
                insert(ContactRow).values(
                    id=contact,
                    batch=batch,
                    row=1,
                    number_index=index,
                    number_sealed=seal(uri, "number"),
                    name_sealed=seal(actor.name, "name"),
                    interest_sealed=seal("", "interest"),
                    notes_sealed=seal("", "notes"),
                    timezone=_TIMEZONE,
                    language=language,
                )
            )
            context.log(session, "tester.contact", actor.id, now, batch=batch, tester=tester.id)
        return name

    def _number(self, uri: str) -> Number:
        if self._context.home is not HomeKind.LAB:
            raise BadInput(
                f"a {self._context.home} home has no testers and dials no SIP URI",
                field="home",
                remedy="make a lab home: candor init --lab --home NEW_FOLDER",
            )
        return check_uri(uri)


def check_uri(uri: str) -> Number:
    """The URI as what is dialed. A telephone number in it is refused: an exchange at a private
    address would pass the call on to somebody who agreed to nothing.

    Raises:
        BadInput: no plain SIP URI, or a name of seven digits and more.
    """
    if len(uri) > _LONGEST_URI or not _URI.fullmatch(uri):
        raise BadInput("is no plain SIP URI", field="uri", remedy="write sip:name@address:port")
    name = uri.removeprefix("sip:").rpartition("@")[0]
    if sum(character.isdigit() for character in name) >= _DIGITS_OF_A_NUMBER:
        raise BadInput(
            "the name before the @ looks like a telephone number",
            field="uri",
            remedy="call the softphone by a name or a short extension",
        )
    return Number(uri)


def allow_list(
    context: Context, session: Session, number: Number, withdrawn: datetime | None
) -> tuple[str, ...]:
    """What a lab home's gate learns of testers: the number itself if it may be called, else
    nothing. A confirmation counts until its owner refuses; then only a newer one does (S12)."""
    if context.home is not HomeKind.LAB:
        return ()
    row = _row(session, context.number_index(number))
    if row is None or (withdrawn is not None and row.confirmed_at <= withdrawn):
        return ()
    return (context.unseal(row.uri_sealed, "lab_testers", "uri", row.id),)


def _row(session: Session, number_index: bytes) -> LabTester | None:
    return session.scalar(select(LabTester).where(LabTester.number_index == number_index))
