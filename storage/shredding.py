# SPDX-License-Identifier: GPL-3.0-or-later
"""Destroying one call's sound, words and proof, so that it may be killed at any step.

1. One transaction: the wrapped keys go, and a ``Shredding`` row says what is under way.
   From here nothing opens any more, and nothing can be held any more.
2. The objects are deleted, as often as it takes.
3. Once they are seen to be gone, one transaction writes the destruction record and its ledger
   entry, marks the tracks destroyed and takes the ``Shredding`` row away.

So no record speaks of something that is still there, and no object is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from compliance.errors import StorageError
from storage import destructions
from storage.complaint_tables import CallNote
from storage.context import SYSTEM, Context, new_id
from storage.destructions import Method, Record, Why
from storage.models import AttemptRow, RecordingTrack
from storage.objects import Objects
from storage.recordings import SealedRecording, Track
from storage.retention_tables import CallKey, Shredding

Step = Callable[[str], None]


def no_step(_name: str) -> None:
    """Nobody watches the steps."""


def begin(
    context: Context, session: Session, attempt: AttemptRow, *, by: str, at: datetime, why: str
) -> dict[str, int]:
    """Step 1, in the caller's transaction; returns what goes, rows by table; empty: nothing
    is left, or it is under way."""
    if session.get(Shredding, attempt.id) is not None:
        return {}
    tracks = session.scalars(
        select(RecordingTrack)
        .where(RecordingTrack.attempt == attempt.id, ~RecordingTrack.destroyed)
        .order_by(RecordingTrack.recording, RecordingTrack.segment, RecordingTrack.track)
    ).all()
    objects = [[track.object, track.sealed_sha256] for track in tracks]
    what = {
        "recording_tracks": len(tracks),
        "transcripts": int(attempt.transcript_sealed is not None),
        "requests": int(attempt.request_sealed is not None),
    }
    what = {table: rows for table, rows in what.items() if rows}
    for track in tracks:
        track.wrapped_key, track.plain_sha256 = b"", ""
        track.sealed_at = track.sealed_at or at  # nobody recovers what is on its way out
    forget_words(session, attempt)
    if not what:
        return {}
    record = new_id()
    session.execute(
        insert(Shredding).values(
            attempt=attempt.id,
            record=record,
            begun_at=at,
            by=by,
            reason=str(why),
            what=what,
            objects=objects,
        )
    )
    context.log(
        session,
        "destruction.begin",
        by,
        at,
        attempt=attempt.id,
        record=record,
        reason=str(why),
        destroyed=[name for name, _ in objects],
    )
    return what


def forget_words(session: Session, attempt: AttemptRow) -> None:
    """Transcript, key presses and proof go, with the key they were sealed under."""
    session.execute(delete(CallKey).where(CallKey.attempt == attempt.id))
    session.execute(  # of people of ours; they lay under the same key
        update(CallNote).where(CallNote.attempt == attempt.id).values(text_sealed=None, text_key="")
    )
    attempt.transcript_sealed = attempt.keys_sealed = attempt.request_sealed = None
    # Without their random keys the ledger's commitments lead nowhere.
    attempt.transcript_key = attempt.number_key = ""


def pending(session: Session) -> list[str]:
    """Attempts whose destruction is under way, oldest first."""
    return list(
        session.scalars(select(Shredding.attempt).order_by(Shredding.begun_at, Shredding.attempt))
    )


def complete(context: Context, objects: Objects, attempt: str, *, step: Step = no_step) -> None:
    """Steps 2 and 3. Harmless when repeated, or done by two processes at once.

    Raises:
        StorageError: the object store is away or refuses; the destruction stays under way.
    """
    with context.read() as session:
        row = session.get(Shredding, attempt)
        names = [] if row is None else [name for name, _ in row.objects if name]
    if row is None:
        return
    for name in names:
        objects.delete(name)
        step("object deleted")
    for name in names:
        if objects.exists(name):
            raise StorageError(
                f"object {name} is still there after it was deleted",
                remedy="look at the store's versioning and locks, then run it again",
            )
    step("objects gone")
    with context.write() as session:
        row = session.get(Shredding, attempt, with_for_update=True)
        if row is None:
            return  # another process was faster
        called = session.get(AttemptRow, attempt)
        assert called is not None
        session.execute(
            update(RecordingTrack)
            .where(RecordingTrack.attempt == attempt, ~RecordingTrack.destroyed)
            .values(object="", wrapped_key=b"", plain_sha256="", destroyed=True)
        )
        record = Record(
            row.record,
            context.clock.wall(),
            row.by,
            Method.SHRED,
            row.reason,
            row.what,
            number_index=called.number_index,
            attempt=attempt,
            objects=[pair for pair in row.objects if pair[0]],
        )
        destructions.write(context, session, [record])
        session.delete(row)
        step("record written")


def record_provisional(
    context: Context, session: Session, sealed: SealedRecording, at: datetime
) -> None:
    """The record of tracks that were shredded when their call ended; before ``seal_rows``.

    The callee's, if the recording notice was not completed (S4), and what a killed process
    never got onto the disk. Their objects are gone and their keys go with this transaction.
    """
    gone = {str(track.track): track for track in sealed.tracks if track.destroyed}
    if not gone:
        return
    rows = session.scalars(
        select(RecordingTrack).where(
            RecordingTrack.recording == sealed.id,
            RecordingTrack.segment == sealed.segment,
            RecordingTrack.track.in_(gone),
            ~RecordingTrack.destroyed,
        )
    ).all()
    called = session.get(AttemptRow, sealed.call_id)
    assert called is not None
    records = [
        Record(
            new_id(),
            at,
            SYSTEM,
            Method.FORGET,
            Why.NO_NOTICE if row.track == Track.CALLEE else Why.NEVER_WRITTEN,
            {"recording_tracks": 1},
            number_index=called.number_index,
            attempt=sealed.call_id,
            objects=[[row.object, gone[row.track].seal.sealed_sha256]],
        )
        for row in rows
    ]
    destructions.write(context, session, records)
