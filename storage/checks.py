# SPDX-License-Identifier: GPL-3.0-or-later
"""The check after a call: which calls wait for it, what it may open, what came of it (S1, T2).

The recording and the words are opened for quality (S5), and the ledger says so before
anybody has them: by the platform itself, or by the person who asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, insert, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, CallRecord, Evolve, Role, TranscriptLine
from storage import call_keys
from storage.calls import AccessReason, record_of
from storage.cases import CaseKind, open_case
from storage.check_tables import CallCheck
from storage.context import SYSTEM, Context, new_id
from storage.models import AttemptRow, CampaignRow, Lease, RecordingTrack, RefusalRow
from storage.recording_rows import load_recording
from storage.recordings import SealedRecording, Track
from storage.scripts import ScriptVersion, load_version
from storage.transcripts import lines_of

PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"


@dataclass(frozen=True, slots=True)
class Subject(Evolve):
    """One recorded call, opened to be checked."""

    attempt: str
    company: str
    record: CallRecord  # without what was said
    finished: bool  # False: its process died, and the record was settled
    lines: tuple[TranscriptLine, ...] = field(repr=False)
    sealed: SealedRecording
    script: ScriptVersion
    later_attempts: int  # to this number while the refusal of this call holds


@dataclass(frozen=True, slots=True)
class StoredCheck(Evolve):
    """One check as it is kept."""

    id: str
    attempt: str
    at: datetime
    by: str  # actor id, or "system"
    result: str  # passed, failed, unknown
    items: tuple[Mapping[str, Any], ...]  # item, requirement, verdict, findings
    figures: Mapping[str, Any]
    versions: Mapping[str, Any]
    case: str  # the case it opened; empty: none


@dataclass(frozen=True, slots=True)
class CheckCounts(Evolve):
    """Calls with a recording that may be checked, by what their newest check says."""

    recorded: int = 0
    passed: int = 0
    failed: int = 0
    unknown: int = 0

    @property
    def checked(self) -> int:
        return self.passed + self.failed + self.unknown


class Checks:
    """Handing out calls to be checked and keeping what was found."""

    def __init__(self, context: Context) -> None:
        self._context = context

    # ------------------------------------------------------------ what waits

    def due(self, *, limit: int = 100) -> list[str]:
        """Ended calls with a recording that nobody checked yet, oldest first."""
        query = (
            select(AttemptRow.id)
            .where(_checkable(), ~_checked())
            .order_by(AttemptRow.at, AttemptRow.id)
            .limit(limit)
        )
        with self._context.read() as session:
            return list(session.scalars(query))

    def calls(self, *, campaign: str = "", since: datetime | None = None) -> list[str]:
        """Ended calls with a recording, checked or not, oldest first."""
        query = select(AttemptRow.id).where(_checkable())
        if campaign:
            query = query.where(AttemptRow.campaign == campaign)
        if since is not None:
            query = query.where(AttemptRow.at >= since)
        with self._context.read() as session:
            return list(session.scalars(query.order_by(AttemptRow.at, AttemptRow.id)))

    def unchecked_before(self, at: datetime) -> int:
        """How many calls that ended before ``at`` nobody has checked."""
        query = select(func.count()).where(_checkable(), ~_checked(), AttemptRow.ended_at < at)
        with self._context.read() as session:
            return session.scalar(query.select_from(AttemptRow)) or 0

    def calls_up(self) -> int:
        """How many calls any process of any machine has under way."""
        query = select(func.count()).select_from(Lease).where(Lease.authorised)
        with self._context.read() as session:
            return session.scalar(query) or 0

    # ------------------------------------------------------------ opening and keeping

    def open(self, attempt: str, actor: Actor | None = None) -> Subject:
        """Open one call to check it; without ``actor`` the platform does so by itself.

        Raises:
            NotAllowed: the actor is neither auditor nor compliance officer.
            BadInput: no such call, going on still, or nothing of it was recorded and kept.
        """
        context = self._context
        if actor is not None:
            context.require(actor, "call.check", Role.AUDITOR, Role.COMPLIANCE)
        with context.write() as session:
            row = session.get(AttemptRow, attempt)
            if row is None:
                raise BadInput("there is no such call", field="call")
            if session.scalar(select(AttemptRow.id).where(_checkable(), AttemptRow.id == attempt)):
                sealed = load_recording(session, row.recording, context.tenant)
            else:
                raise BadInput(
                    "this call has no recording that can be checked",
                    field="call",
                    remedy="it goes on, was never answered, or its recording was destroyed",
                )
            campaign = session.get_one(CampaignRow, row.campaign)
            lines: tuple[TranscriptLine, ...] = ()
            if row.transcript_sealed is not None:
                words = call_keys.unseal(
                    context, session, row.id, "transcript", row.transcript_sealed
                )
                lines = lines_of(words)
            subject = Subject(
                attempt=row.id,
                company=campaign.company,
                record=record_of(row),
                finished=row.finished_at is not None,
                lines=lines,
                sealed=sealed,
                script=load_version(session, row.script or campaign.script),
                later_attempts=_later_attempts(session, row),
            )
            who, now = actor.id if actor is not None else SYSTEM, context.clock.wall()
            for kind in ("recording.open", "pii.read"):
                context.log(
                    session, kind, who, now, attempt=attempt, reason=str(AccessReason.QUALITY)
                )
        return subject

    def keep(
        self,
        attempt: str,
        result: str,
        items: Sequence[Mapping[str, Any]],
        figures: Mapping[str, Any],
        versions: Mapping[str, Any],
        actor: Actor | None = None,
    ) -> StoredCheck:
        """Store what was found, with its ledger entry; a failed check opens a case.

        ``items`` hold item, requirement, verdict and findings each, nothing personal.

        Raises:
            NotAllowed: the actor is neither auditor nor compliance officer.
            BadInput: no such call, or no such result.
        """
        context = self._context
        if actor is not None:
            context.require(actor, "call.check", Role.AUDITOR, Role.COMPLIANCE)
        if result not in (PASSED, FAILED, UNKNOWN):
            raise BadInput("is passed, failed or unknown", field="result")
        check, now = new_id(), context.clock.wall()
        who = actor.id if actor is not None else SYSTEM
        kept = json.dumps([list(items), dict(figures), dict(versions)], sort_keys=True)
        with context.write() as session:
            if session.get(AttemptRow, attempt) is None:
                raise BadInput("there is no such call", field="call")
            session.execute(
                update(CallCheck)
                .where(CallCheck.attempt == attempt, ~CallCheck.replaced)
                .values(replaced=True)
            )
            failed = [str(item["item"]) for item in items if item["verdict"] == FAILED]
            case = ""
            if result == FAILED:
                case = open_case(
                    context,
                    session,
                    CaseKind.POST_CALL_CHECK,
                    attempt,
                    now=now,
                    by=who,
                    findings=failed,
                )
            session.execute(
                insert(CallCheck).values(
                    id=check,
                    attempt=attempt,
                    at=now,
                    by=who,
                    result=result,
                    items=list(items),
                    figures=dict(figures),
                    versions=dict(versions),
                    replaced=False,
                    opened_case=case,
                )
            )
            context.log(
                session,
                "call.check",
                who,
                now,
                attempt=attempt,
                check=check,
                result=result,
                failed=failed,
                case=case,
                judgement=int(versions.get("judgement", 0)),
                kept_sha256=hashlib.sha256(kept.encode()).hexdigest(),
            )
            return _stored(session.get_one(CallCheck, check))

    # ------------------------------------------------------------ reading

    def check(self, attempt: str) -> StoredCheck | None:
        """The newest check of a call."""
        query = select(CallCheck).where(CallCheck.attempt == attempt, ~CallCheck.replaced)
        with self._context.read() as session:
            row = session.scalar(query.order_by(CallCheck.at.desc()).limit(1))
            return None if row is None else _stored(row)

    def counts(self, campaign: str = "") -> CheckCounts:
        """How many calls were checked, and with what result."""
        mine = AttemptRow.campaign == campaign if campaign else AttemptRow.id.is_not(None)
        with self._context.read() as session:
            recorded = session.scalar(
                select(func.count()).select_from(AttemptRow).where(_recorded(), mine)
            )
            results: dict[str, int] = {}
            for result, count in session.execute(
                select(CallCheck.result, func.count())
                .join(AttemptRow, AttemptRow.id == CallCheck.attempt)
                .where(~CallCheck.replaced, mine)
                .group_by(CallCheck.result)
            ):
                results[result] = count
        return CheckCounts(
            recorded or 0,
            results.get(PASSED, 0),
            results.get(FAILED, 0),
            results.get(UNKNOWN, 0),
        )


def _recorded() -> ColumnElement[bool]:
    """Ended, answered and recorded."""
    return and_(AttemptRow.outcome.is_not(None), AttemptRow.recording != "")


def _checkable() -> ColumnElement[bool]:
    """Recorded, closed, and the bot's track is there still."""
    kept = exists().where(
        RecordingTrack.attempt == AttemptRow.id,
        RecordingTrack.recording == AttemptRow.recording,
        RecordingTrack.track == str(Track.BOT),
        RecordingTrack.sealed_at.is_not(None),
        ~RecordingTrack.destroyed,
        RecordingTrack.wrapped_key != b"",
    )
    return and_(_recorded(), kept)


def _checked() -> ColumnElement[bool]:
    return exists().where(CallCheck.attempt == AttemptRow.id)


def _later_attempts(session: Session, row: AttemptRow) -> int:
    """Attempts to this call's number after its refusal, while that is listed (S12)."""
    if not row.refused:
        return 0
    listed = session.scalar(select(RefusalRow).where(RefusalRow.attempt == row.id))
    since = listed.at if listed is not None else row.ended_at or row.at
    query = (
        select(func.count())
        .select_from(AttemptRow)
        .where(
            AttemptRow.number_index == row.number_index,
            AttemptRow.id != row.id,
            AttemptRow.at > since,
        )
    )
    if listed is not None:
        query = query.where(AttemptRow.at < listed.until)
    return session.scalar(query) or 0


def _stored(row: CallCheck) -> StoredCheck:
    return StoredCheck(
        id=row.id,
        attempt=row.attempt,
        at=row.at,
        by=row.by,
        result=row.result,
        items=tuple(row.items),
        figures=row.figures,
        versions=row.versions,
        case=row.opened_case,
    )
