# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP lines with their papers and transport settings (C5, C6, D7)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, LineFacts, Role
from storage.context import Context
from storage.models import CampaignLine, LineRow
from storage.suppliers import check_supplier, facts_of

_LINE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PAPERS = ("whitelisted_until", "registered_until", "filed_until", "plaintext_exception_until")


class Lines:
    """Registration and look-up of lines."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add_line(
        self, actor: Actor, line: LineFacts, transport: Mapping[str, Any] | None = None
    ) -> str:
        """Register a line; ``transport`` (JSON values, may hold a password) is sealed.

        Of its supplier the id alone is taken: what the gate must know comes from the supplier's
        papers. ``simulator_proven`` is never stored: a line proves that a moment before each dial.

        Raises:
            NotAllowed: not an administrator.
            BadInput: an unusable or taken id, no address, an unknown supplier.
        """
        context = self._context
        context.require(actor, "line.add", Role.ADMIN)
        if not _LINE_ID.fullmatch(line.id):
            raise BadInput("write small letters, digits, dots and dashes", field="line")
        if not line.address.strip():
            raise BadInput("a line needs the address of its next hop", field="address")
        settings = json.dumps(dict(transport or {}), sort_keys=True)
        now = context.clock.wall()
        with context.write() as session:
            if session.get(LineRow, line.id) is not None:
                raise BadInput("a line of this name exists", field="line")
            if line.supplier.id:
                check_supplier(session, line.supplier.id)
            session.execute(
                insert(LineRow).values(
                    id=line.id,
                    carrier=line.carrier,
                    kind=line.kind,
                    address=line.address,
                    caller_id=line.caller_id,
                    whitelisted_until=line.whitelisted_until,
                    registered_until=line.registered_until,
                    filed_until=line.filed_until,
                    plaintext_exception_until=line.plaintext_exception_until,
                    encrypted=line.encrypted,
                    enabled=line.enabled,
                    transport_sealed=context.seal(settings, "lines", "transport", line.id),
                    supplier=line.supplier.id or None,
                )
            )
            context.log(
                session,
                "line.add",
                actor.id,
                now,
                line=line.id,
                line_kind=line.kind,
                papers=[name for name in _PAPERS if getattr(line, name) is not None],
                supplier=line.supplier.id,
            )
        return line.id

    def enable_line(self, actor: Actor, line: str, enabled: bool) -> None:
        """Switch a line on or off; an off line is passed by no gate.

        Raises:
            NotAllowed: not an administrator.
            BadInput: no such line.
        """
        context = self._context
        context.require(actor, "line.enable", Role.ADMIN)
        with context.write() as session:
            row = session.get(LineRow, line)
            if row is None:
                raise BadInput("there is no such line", field="line")
            session.execute(update(LineRow).where(LineRow.id == line).values(enabled=enabled))
            context.log(
                session, "line.enable", actor.id, context.clock.wall(), line=line, enabled=enabled
            )

    def lines(self) -> list[LineFacts]:
        """Every line, by id."""
        with self._context.read() as session:
            rows = session.scalars(select(LineRow).order_by(LineRow.id)).all()
            return list(_with_suppliers(session, rows, self._context.clock.wall()))

    def line_transport(self, line: str) -> dict[str, Any]:
        """A line's transport settings, opened for the dialer; keep them out of logs.

        Raises:
            BadInput: no such line.
        """
        with self._context.read() as session:
            row = session.get(LineRow, line)
        if row is None:
            raise BadInput("there is no such line", field="line")
        opened = self._context.unseal(row.transport_sealed, "lines", "transport", line)
        return dict(json.loads(opened))


def all_lines(session: Session) -> list[LineFacts]:
    """Every line, by id."""
    return [_facts(row) for row in session.scalars(select(LineRow).order_by(LineRow.id))]


def lines_of(session: Session, campaign: str, now: datetime) -> tuple[LineFacts, ...]:
    """The campaign's lines in its order, with what their suppliers' papers say at ``now``."""
    rows = session.scalars(
        select(LineRow)
        .join(CampaignLine, CampaignLine.line == LineRow.id)
        .where(CampaignLine.campaign == campaign)
        .order_by(CampaignLine.position)
    )
    return _with_suppliers(session, rows.all(), now)


def _with_suppliers(
    session: Session, rows: Sequence[LineRow], now: datetime
) -> tuple[LineFacts, ...]:
    known = facts_of(session, {row.supplier for row in rows if row.supplier}, now)
    return tuple(
        _facts(row).evolve(supplier=known[row.supplier]) if row.supplier else _facts(row)
        for row in rows
    )


def attach(session: Session, campaign: str, lines: Sequence[str]) -> None:
    """Give a campaign its lines.

    Raises:
        BadInput: none, one twice, or one nobody registered.
    """
    if not lines or len(set(lines)) != len(lines):
        raise BadInput("name at least one line, each once", field="lines")
    known = set(session.scalars(select(LineRow.id).where(LineRow.id.in_(lines))))
    for line in lines:
        if line not in known:
            raise BadInput(f"there is no line {line!r}", field="lines", remedy="add it first")
    session.execute(
        insert(CampaignLine),
        [
            {"campaign": campaign, "line": line, "position": position}
            for position, line in enumerate(lines)
        ],
    )


def _facts(row: LineRow) -> LineFacts:
    return LineFacts(
        id=row.id,
        carrier=row.carrier,
        kind=row.kind,
        address=row.address,
        caller_id=row.caller_id,
        whitelisted_until=row.whitelisted_until,
        registered_until=row.registered_until,
        filed_until=row.filed_until,
        plaintext_exception_until=row.plaintext_exception_until,
        encrypted=row.encrypted,
        enabled=row.enabled,
    )
