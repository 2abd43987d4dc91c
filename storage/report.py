# SPDX-License-Identifier: GPL-3.0-or-later
"""The electronic report of one call: when, what was said, what the callee answered (T3).

There is one for every ended call, also for one that a crash ended. Without a
reason it is masked and holds no words; with one it is a raw read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import (
    Actor,
    Decision,
    Evolve,
    HomeKind,
    KeyPress,
    Role,
    TranscriptLine,
)
from storage import call_keys, decisions, labels
from storage.calls import AccessReason
from storage.checks import Checks, StoredCheck
from storage.context import Context
from storage.journal import Journal, JournalEntry
from storage.listing import CallRow, Listing
from storage.models import AttemptRow, CampaignRow, ScriptRow
from storage.transcripts import lines_of

FORMAT = "candor-report/1"


@dataclass(frozen=True, slots=True)
class Report(Evolve):
    """One ended call. ``said`` and ``keys`` are None where no reason was given."""

    company: str
    home: HomeKind
    made_at: datetime
    campaign: str  # its name
    purpose: str
    script: str  # id and number of the version: greeting 3
    script_digest: str
    call: CallRow
    decision: Decision
    crashed: bool  # no process lived to write its record
    entries: tuple[JournalEntry, ...]
    said: tuple[TranscriptLine, ...] | None = field(default=None, repr=False)
    keys: tuple[KeyPress, ...] | None = field(default=None, repr=False)
    check: StoredCheck | None = None  # the newest check after the call

    @property
    def demo(self) -> bool:
        return self.home is HomeKind.DEMO

    @property
    def tracks(self) -> tuple[str, ...]:
        """Which sides of the recording were kept when the call ended, by the ledger."""
        kept: tuple[str, ...] = ()
        for entry in self.entries:
            if entry.kind in ("call.finish", "recording.recover"):
                kept = tuple(str(row[3]) for row in entry.body.get("objects") or ())
        return kept


class Reports:
    """Reading reports."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def read(self, actor: Actor, attempt_id: str, reason: AccessReason | None = None) -> Report:
        """The report; with ``reason`` the words are in it, and the ledger says so first.

        Raises:
            BadInput: no such call, or it is still going on.
            NotAllowed: nobody who works here; words asked for by neither auditor nor
                compliance officer.
        """
        context = self._context
        context.require(actor, "report.read", *(role for role in Role if role is not Role.SYSTEM))
        if reason is not None:
            context.require(actor, "pii.read", Role.AUDITOR, Role.COMPLIANCE)
            with context.write() as session:
                ended(session, attempt_id)
                context.log(
                    session,
                    "pii.read",
                    actor.id,
                    context.clock.wall(),
                    attempt=attempt_id,
                    what="report",
                    reason=str(reason),
                )
        report = self.masked(attempt_id)
        if reason is None:
            return report
        with context.read() as session:
            transcript, keys = words(context, session, ended(session, attempt_id))
        return report.evolve(said=lines_of(transcript), keys=keys_of(keys))

    def masked(self, attempt_id: str) -> Report:
        """The report without words.

        Raises:
            BadInput: no such call, or it is still going on.
        """
        context = self._context
        with context.read() as session:
            row = ended(session, attempt_id)
            campaign = session.get(CampaignRow, row.campaign)
            assert campaign is not None
            script = session.get(ScriptRow, row.script or campaign.script)
            assert script is not None
        return Report(
            company=campaign.company,
            home=context.home,
            made_at=context.clock.wall(),
            campaign=campaign.name,
            purpose=campaign.purpose,
            script=f"{script.script} {script.number}",
            script_digest=script.digest,
            call=Listing(context).call(attempt_id),
            decision=decisions.from_json(row.decision),
            crashed=row.finished_at is None,
            entries=tuple(Journal(context).entries(attempt_id)),
            check=Checks(context).check(attempt_id),
        )


def ended(session: Session, attempt_id: str) -> AttemptRow:
    """The row of a call that is over.

    Raises:
        BadInput: no such call, or it is still going on.
    """
    row = session.get(AttemptRow, attempt_id)
    if row is None:
        raise BadInput("there is no such attempt", field="attempt")
    if row.outcome is None:
        raise BadInput("this call is still going on", field="call", remedy="wait for its end")
    return row


def words(context: Context, session: Session, row: AttemptRow) -> tuple[str, str]:
    """Transcript and keys pressed as the JSON that was committed to; empty: there is none."""
    sealed = {"transcript": row.transcript_sealed, "keys": row.keys_sealed}
    opened = {
        column: "" if value is None else call_keys.unseal(context, session, row.id, column, value)
        for column, value in sealed.items()
    }
    return opened["transcript"], opened["keys"]


def keys_of(keys: str) -> tuple[KeyPress, ...]:
    return tuple(KeyPress(digit, at_ms) for digit, at_ms in json.loads(keys or "[]"))


def as_json(report: Report) -> Mapping[str, Any]:
    """Plain data: a report says ``content: null`` where the words were not asked for."""
    call = report.call
    return {
        "format": FORMAT,
        "demo": report.demo,
        "company": report.company,
        "made_at": report.made_at.isoformat(),
        "campaign": report.campaign,
        "purpose": report.purpose,
        "script": {"version": report.script, "digest": report.script_digest},
        "call": {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in ((name, getattr(call, name)) for name in CallRow.__slots__)
        }
        | {"crashed": report.crashed, "tracks": list(report.tracks)},
        "decision": decisions.to_json(report.decision),
        "synthetic_voice": {labels.KEY: labels.label(report.company, call.id)},
        "content": None
        if report.said is None
        else [
            {
                "who": str(line.speaker),
                "text": line.text,
                "start_ms": line.start_ms,
                "end_ms": line.end_ms,
                "cut_at_ms": line.interrupted_at_ms,
                "confidence": line.confidence,
                "mark": line.mark,
                "flags": list(line.flags),
            }
            for line in report.said
        ],
        "keys": None
        if report.keys is None
        else [{"digit": press.digit, "at_ms": press.at_ms} for press in report.keys],
        "check": None
        if report.check is None
        else {
            "at": report.check.at.isoformat(),
            "result": report.check.result,
            "items": [dict(item) for item in report.check.items],
            "versions": dict(report.check.versions),
        },
        "ledger": [
            {
                "index": entry.index,
                "kind": entry.kind,
                "actor": entry.actor,
                "at": entry.at.isoformat(),
            }
            for entry in report.entries
        ],
    }
