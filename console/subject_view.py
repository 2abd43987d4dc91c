# SPDX-License-Identifier: GPL-3.0-or-later
"""What is held of a person, for that person: sections on a screen, or plain data.

This shows personal data in the clear: it goes to the terminal and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from compliance.facts import Consent, Number
from console.inputs import shown
from console.messages import text
from storage.subjects import Erasure, Held, HeldCall

KeepUntil = Callable[[datetime], datetime]
"""Until when the recording of a call that ended at some time must be kept (S6)."""


def recording_until(call: HeldCall, keep: KeepUntil) -> datetime | None:
    """None: no sound of this call is held."""
    return keep(call.over_at or call.at) if call.recording else None


def nothing(held: Held) -> bool:
    return not (
        held.contacts
        or held.consents
        or held.refusals
        or held.withdrawn_at
        or held.calls
        or held.tester_since
        or held.destructions
        or held.complaints
    )


# ---------------------------------------------------------------- plain data


def as_json(number: Number, held: Held, keep: KeepUntil) -> dict[str, Any]:
    return {
        "number": number.masked,
        "contacts": [
            {
                "batch": c.batch,
                "source": c.source,
                "imported_at": c.imported_at.isoformat(),
                "name": c.name,
                "interest": c.interest,
                "notes": c.notes,
                "timezone": c.timezone,
                "language": c.language,
                "campaigns": list(c.campaigns),
            }
            for c in held.contacts
        ],
        "consents": [
            {
                "company": c.company,
                "purpose": c.purpose,
                "channel": c.channel,
                "given_at": _iso(c.given_at),
                "expires_at": _iso(c.expires_at),
                "explicit": c.explicit,
                "preticked": c.preticked,
                "names_ai_calling": c.names_ai_calling,
                "evidence": c.evidence,
            }
            for c in held.consents
        ],
        "withdrawn_at": _iso(held.withdrawn_at),
        "refusals": [
            {
                "at": r.at.isoformat(),
                "until": r.until.isoformat(),
                "how": r.how,
                "scope": str(r.scope),
            }
            for r in held.refusals
        ],
        "calls": [
            {
                "id": c.id,
                "campaign": c.campaign,
                "at": c.at.isoformat(),
                "outcome": c.outcome and str(c.outcome),
                "answered_at": _iso(c.answered_at),
                "recording_until": _iso(recording_until(c, keep)),
                "transcript": c.transcript,
            }
            for c in held.calls
        ],
        "refused_by_gate": held.refused_by_gate,
        "tester_since": _iso(held.tester_since),
        "destructions": [
            {
                "id": d.id,
                "at": d.at.isoformat(),
                "by": d.by,
                "operator": d.operator,
                "method": d.method,
                "reason": d.reason,
                "what": dict(d.what),
            }
            for d in held.destructions
        ],
        "complaints": [
            {
                "id": c.id,
                "kind": c.kind,
                "received_at": c.received_at.isoformat(),
                "answered_at": _iso(c.answered_at),
                "closed_at": _iso(c.closed_at),
                "text": c.text,
                "answer": c.answer,
            }
            for c in held.complaints
        ],
    }


def erasure_json(number: Number, done: Erasure) -> dict[str, Any]:
    return {
        "number": number.masked,
        "erased": bool(done.record),
        "record": done.record,
        "at": done.at.isoformat(),
        "what": dict(done.what),
        "kept": [{"call": call, "until": until.isoformat()} for call, until in done.kept],
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


# ---------------------------------------------------------------- a screen


def show(console: Console, number: Number, held: Held, keep: KeepUntil, language: str) -> None:
    """One section a kind of thing held; what is not held is not shown."""

    def say(message: str, **params: object) -> None:
        console.print(text(message, language, **params), markup=False, highlight=False)

    def section(name: str, columns: str, rows: Iterable[tuple[str, ...]]) -> None:
        table = Table(title=text(f"subject.{name}", language), title_justify="left")
        for column in columns.split():
            table.add_column(text(f"column.{column}", language), overflow="fold")
        for row in rows:
            table.add_row(*row)
        if table.row_count:
            console.print(table)

    def when(at: datetime | None) -> str:
        return shown(at, language)

    if nothing(held):
        say("subject.nothing", number=number.masked)
        return
    say("subject.heading", number=number.masked)
    section(
        "contacts",
        "batch origin imported name interest notes campaigns",
        (
            (
                c.batch,
                text(f"source.{c.source}", language),
                when(c.imported_at),
                c.name,
                c.interest,
                c.notes,
                ", ".join(c.campaigns),
            )
            for c in held.contacts
        ),
    )
    section(
        "consents",
        "company purpose channel given expires form evidence",
        (
            (
                c.company,
                c.purpose,
                c.channel,
                when(c.given_at),
                when(c.expires_at),
                _form(c, language),
                c.evidence,
            )
            for c in held.consents
        ),
    )
    if held.withdrawn_at is not None:
        say("subject.withdrawn_at", at=when(held.withdrawn_at))
    if held.tester_since is not None:
        say("subject.tester", at=when(held.tester_since))
    section(
        "refusals",
        "at until how scope",
        (
            (
                when(r.at),
                when(r.until),
                text(f"refusal.{r.how}", language) if r.how else "",
                text(f"scope.{r.scope}", language),
            )
            for r in held.refusals
        ),
    )
    section(
        "calls",
        "at campaign outcome recording_until transcript",
        (
            (
                when(c.at),
                c.campaign,
                text(f"outcome.{c.outcome}", language) if c.outcome else "",
                when(recording_until(c, keep)),
                text("subject.sealed", language) if c.transcript else "",
            )
            for c in held.calls
        ),
    )
    if held.refused_by_gate:
        say("subject.refused_by_gate", count=held.refused_by_gate)
    section(
        "complaints",
        "received complaint_kind complaint_words complaint_answer",
        (
            (
                when(c.received_at),
                text(f"complaint.kind.{c.kind}", language),
                c.text,
                c.answer,
            )
            for c in held.complaints
        ),
    )
    section(
        "destructions",
        "at operator method what",
        (
            (
                when(d.at),
                d.operator,
                text(f"method.{d.method}", language),
                amounts(d.what, language),
            )
            for d in held.destructions
        ),
    )


def _form(consent: Consent, language: str) -> str:
    """Explicit or not, pre-ticked or not, whether it names AI calling (D4)."""
    facts = (
        ("explicit", consent.explicit),
        ("preticked", consent.preticked),
        ("names_ai", consent.names_ai_calling),
    )
    return ", ".join(text(f"consent.{name}.{'yes' if is_so else 'no'}", language)
                     for name, is_so in facts)  # fmt: skip


def amounts(what: Mapping[str, int], language: str) -> str:
    return ", ".join(f"{text(f'rows.{table}', language)} {rows}" for table, rows in what.items())


def say_erased(console: Console, number: Number, done: Erasure, language: str) -> None:
    def say(message: str, **params: object) -> None:
        console.print(text(message, language, **params), markup=False, highlight=False)

    if done.record:
        what = amounts(done.what, language)
        say("subject.erased", number=number.masked, what=what, record=done.record)
    else:
        say("subject.nothing_to_erase", number=number.masked)
    for call, until in done.kept:
        say("subject.kept", call=call[:8], until=shown(until, language))
