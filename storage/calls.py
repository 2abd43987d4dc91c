# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call leaves behind, written in one transaction, and how it is read again.

Lists are masked (D8). Transcripts and recordings are raw reads: they ask for a
reason and are in the ledger before the caller sees anything (S5, D10).
"""

from __future__ import annotations

import enum
import json
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import (
    Actor,
    Blame,
    CallRecord,
    Claim,
    KeyPress,
    Outcome,
    Role,
    TranscriptLine,
)
from storage import call_keys, ledger, transcripts
from storage.agents import free_agents_of
from storage.campaigns import TargetState, finish_if_exhausted
from storage.context import SYSTEM, Context
from storage.corrections import correct
from storage.leases import drop_lease, lease_of, set_target
from storage.models import AttemptRow
from storage.recording_rows import is_opened, load_recording, open_rows, seal_rows, unsealed
from storage.recordings import RecordingOpening, SealedRecording
from storage.refusals import number_of, withdraw
from storage.shredding import record_provisional
from storage.tickets import open_ticket

# Fields of CallRecord kept in columns of the same name.
_PLAIN = (
    "line",
    "sip_call_id",
    "sip_status",
    "sip_reason",
    "invited_at",
    "ringing_at",
    "answered_at",
    "ended_at",
    "ended_by",
    "duration_ms",
    "disclosed_ms",
    "notice_ms",
    "refused",
    "refused_ms",
    "farewell_ms",
    "transferred",
    "transferred_ms",
    "agent",
    "announcement",
    "callback",
    "feedback",
    "recording",
    "max_gap_ms",
)


# One key commits to three things; the marks keep them apart.
KEYS_MARK, RECORD_MARK = b"keys\n", b"record\n"


class AccessReason(enum.StrEnum):
    """What a transcript or recording may be opened for (S5)."""

    QUALITY = "quality"
    DISPUTE = "dispute"
    AUDIT = "audit"


class Calls:
    """Records of calls, their transcripts and recordings."""

    def __init__(self, context: Context) -> None:
        self._context = context

    # ------------------------------------------------------------ writing

    def open_recording_row(self, attempt_id: str, opening: RecordingOpening) -> None:
        """Make the wrapped keys durable; repeating it changes nothing (S4).

        Raises:
            BadInput: no such attempt, or a recording of another call.
        """
        context = self._context
        now = context.clock.wall()
        with context.write() as session:
            attempt = _attempt(session, attempt_id)
            if opening.call_id != attempt_id or opening.tenant != context.tenant:
                raise BadInput("this recording belongs to another call", field="recording")
            if is_opened(session, opening):
                return
            open_rows(session, opening, now)
            attempt.recording = opening.id
            context.log(
                session,
                "recording.begin",
                SYSTEM,
                now,
                attempt=attempt_id,
                recording=opening.id,
                segment=opening.segment,
            )

    def finish(self, claim: Claim, record: CallRecord, sealed: SealedRecording | None) -> str:
        """:meth:`finish_attempt` of the attempt of ``claim``.

        Raises:
            BadInput: record, recording and claim are not of one attempt.
        """
        if record.attempt_id != claim.request.attempt_id:
            raise BadInput("record and claim are of different attempts", field="attempt")
        return self.finish_attempt(claim.fencing, record, sealed)

    def finish_attempt(
        self, fencing: int, record: CallRecord, sealed: SealedRecording | None
    ) -> str:
        """Outcome, sealed transcript, recording, callback ticket: one transaction (T3).

        Returns the ledger leaf. Repeating it changes nothing and gives the same leaf.
        A record that comes after its attempt was settled as lost replaces the guess.

        Raises:
            BadInput: no such attempt, or record and recording are not of one.
        """
        context = self._context
        if sealed and sealed.call_id != record.attempt_id:
            raise BadInput("record and recording are of different attempts", field="attempt")
        now = context.clock.wall()
        with context.write() as session:
            # First, as who settles it locks them.
            lease = lease_of(session, record.attempt_id, fencing)
            attempt = _attempt(session, record.attempt_id)
            if attempt.finished_at is not None and attempt.last_leaf is not None:
                return attempt.last_leaf.hex()
            correct(context, session, attempt, record.outcome, record.blame, now)
            leaf = self._finish(session, attempt, record, sealed, now)
            free_agents_of(session, attempt.id, now)  # the database was away when theirs ended
            if lease is not None:
                set_target(session, lease, TargetState.DONE)
                drop_lease(session, lease)
                finish_if_exhausted(context, session, lease.campaign, now)
        return leaf

    def _finish(
        self,
        session: Session,
        attempt: AttemptRow,
        record: CallRecord,
        sealed: SealedRecording | None,
        now: datetime,
    ) -> str:
        context = self._context
        transcript = transcripts.as_text(record.transcript)
        keys = json.dumps([[k.digit, k.at_ms] for k in record.keys], separators=(",", ":"))
        commitment, key = ledger.commit_to(transcript.encode())
        refused_before, answered_before = attempt.refused, attempt.answered_at
        recording_before = attempt.recording
        for name in _PLAIN:
            setattr(attempt, name, getattr(record, name))
        # What was made durable in mid-call is never taken back by the record.
        attempt.refused = record.refused or refused_before
        attempt.answered_at = record.answered_at or answered_before
        attempt.recording = record.recording or recording_before
        attempt.sip_reason = _harmless(record.sip_reason)
        attempt.violations = list(record.violations)
        attempt.outcome, attempt.blame = record.outcome, record.blame
        attempt.transcript_sealed = call_keys.seal(
            context, session, attempt.id, "transcript", transcript
        )
        attempt.keys_sealed = call_keys.seal(context, session, attempt.id, "keys", keys)
        attempt.transcript_key = context.hide(key, "attempts", "transcript_key", attempt.id)
        attempt.finished_at = now
        if sealed is not None:
            record_provisional(context, session, sealed, now)
            seal_rows(session, sealed, now)
        if record.refused and not refused_before:
            self._withdraw_only(session, attempt, record, now)
        if record.callback:
            open_ticket(context, session, attempt.id, now)
        leaf = context.log(
            session,
            "call.finish",
            SYSTEM,
            now,
            attempt=attempt.id,
            campaign=attempt.campaign,
            outcome=str(record.outcome),
            blame=str(record.blame),
            line=record.line,
            sip_status=record.sip_status,
            duration_ms=record.duration_ms,
            disclosed_ms=record.disclosed_ms,
            notice_ms=record.notice_ms,
            refused=record.refused,
            refused_ms=record.refused_ms,
            violations=list(record.violations),
            wording=transcripts.flagged(record.transcript),
            transcript=commitment,
            keys=ledger.commit_with(key, KEYS_MARK + keys.encode()),
            record=ledger.commit_with(key, RECORD_MARK + record_bytes(attempt)),
            recording=attempt.recording,
            objects=sealed.ledger_objects() if sealed is not None else [],
            settled=attempt.settled_at is not None,
        )
        attempt.last_leaf = bytes.fromhex(leaf)
        return leaf

    def _withdraw_only(
        self, session: Session, attempt: AttemptRow, record: CallRecord, now: datetime
    ) -> None:
        """The record tells of a refusal that ``record_refusal`` never saw: fail closed (S12)."""
        context = self._context
        at = record.ended_at or now
        index = context.refusal_index(number_of(context, session, attempt.contact))
        withdraw(session, index, at)
        context.log(session, "consent.withdraw", SYSTEM, now, attempt=attempt.id)

    # ------------------------------------------------------------ after a crash

    def unsealed_recordings(self) -> list[RecordingOpening]:
        """Recordings whose call is over but which nobody closed: for ``recordings.recover``."""
        with self._context.read() as session:
            return unsealed(session, self._context.tenant)

    def seal_recovered(self, sealed: SealedRecording) -> None:
        """Store what ``recordings.recover`` found; the ledger says how many chunks opened."""
        context = self._context
        now = context.clock.wall()
        with context.write() as session:
            attempt = _attempt(session, sealed.call_id)
            record_provisional(context, session, sealed, now)
            seal_rows(session, sealed, now)
            leaf = context.log(
                session,
                "recording.recover",
                SYSTEM,
                now,
                attempt=attempt.id,
                recording=sealed.id,
                chunks=sum(track.seal.chunks for track in sealed.tracks),
                objects=sealed.ledger_objects(),
            )
            attempt.last_leaf = bytes.fromhex(leaf)

    # ------------------------------------------------------------ reading

    def invites(self, campaign: str = "") -> list[CallRecord]:
        """Records of every INVITE known to have been sent, in order, without what was said."""
        query = select(AttemptRow).where(AttemptRow.sip_call_id != "")
        if campaign:
            query = query.where(AttemptRow.campaign == campaign)
        with self._context.read() as session:
            return [record_of(row) for row in session.scalars(query.order_by(AttemptRow.at))]

    def transcript(
        self, actor: Actor, attempt_id: str, reason: AccessReason
    ) -> tuple[TranscriptLine, ...]:
        """What was said in a call; a raw read.

        Raises:
            NotAllowed: neither auditor nor compliance officer.
            BadInput: no such attempt, or a reason that is none of the three.
        """
        row = self._raw_read(actor, attempt_id, reason, "pii.read")
        if row.transcript_sealed is None:
            return ()
        opened = self._opened(row, "transcript", row.transcript_sealed)
        return transcripts.lines_of(opened)

    def key_presses(
        self, actor: Actor, attempt_id: str, reason: AccessReason
    ) -> tuple[KeyPress, ...]:
        """What was keyed in a call; a raw read like :meth:`transcript`."""
        row = self._raw_read(actor, attempt_id, reason, "pii.read")
        if row.keys_sealed is None:
            return ()
        opened = self._opened(row, "keys", row.keys_sealed)
        return tuple(KeyPress(digit, at_ms) for digit, at_ms in json.loads(opened))

    def recording(self, actor: Actor, attempt_id: str, reason: AccessReason) -> SealedRecording:
        """The sealed recording with its wrapped keys, for ``recordings.open_recording``.

        Raises:
            NotAllowed: neither auditor nor compliance officer.
            BadInput: no such attempt, nothing recorded or not closed yet, no proper reason.
        """
        row = self._raw_read(actor, attempt_id, reason, "recording.open")
        with self._context.read() as session:
            return load_recording(session, row.recording, self._context.tenant)

    def _opened(self, row: AttemptRow, column: str, sealed: bytes) -> str:
        with self._context.read() as session:
            return call_keys.unseal(self._context, session, row.id, column, sealed)

    def _raw_read(self, actor: Actor, attempt_id: str, reason: str, kind: str) -> AttemptRow:
        context = self._context
        try:
            reason = AccessReason(reason)
        except ValueError:
            raise BadInput(
                "raw data is opened for quality, dispute or audit only (S5)", field="reason"
            ) from None
        context.require(actor, kind, Role.AUDITOR, Role.COMPLIANCE)
        with context.write() as session:
            row = _attempt(session, attempt_id)
            context.log(
                session,
                kind,
                actor.id,
                context.clock.wall(),
                attempt=attempt_id,
                reason=str(reason),
            )
        return row


def record_bytes(attempt: AttemptRow) -> bytes:
    """What the record of a finished call says, as the ledger commits to it: canonical JSON.

    Only columns that nothing changes once the call is finished.
    """
    facts: dict[str, object] = {name: getattr(attempt, name) for name in _PLAIN}
    facts |= {
        "attempt": attempt.id,
        "campaign": attempt.campaign,
        "contact": attempt.contact,
        "at": attempt.at,
        "outcome": attempt.outcome,
        "blame": attempt.blame,
        "violations": attempt.violations,
    }
    return json.dumps(
        facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_utc
    ).encode()


def _utc(value: object) -> str:
    assert isinstance(value, datetime)
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _attempt(session: Session, attempt_id: str) -> AttemptRow:
    row = session.get(AttemptRow, attempt_id, with_for_update=True)
    if row is None:
        raise BadInput("there is no such attempt", field="attempt")
    return row


def record_of(row: AttemptRow) -> CallRecord:
    """The record of a call without what was said."""
    from_columns = {name: getattr(row, name) for name in _PLAIN}
    return CallRecord(
        attempt_id=row.id,
        outcome=Outcome(row.outcome or Outcome.UNKNOWN),
        blame=Blame(row.blame or Blame.US),
        violations=tuple(row.violations),
        **from_columns,
    )


def _harmless(reason: str) -> str:
    """A reason phrase comes from outside and may quote the number: keep one without digits."""
    text = reason[:255]
    return "" if sum(c.isdigit() for c in text) >= 5 else text
