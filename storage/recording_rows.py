# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of recordings: openings before the first chunk, seals at the end, and back (S4, S6)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from storage.models import AttemptRow, RecordingTrack
from storage.recordings import (
    RecordingOpening,
    SealedRecording,
    SealedTrack,
    Track,
    TrackOpening,
    TrackSeal,
)


def is_opened(session: Session, opening: RecordingOpening) -> bool:
    """Whether the rows of this segment are there."""
    return bool(
        session.scalar(
            select(RecordingTrack.recording)
            .where(
                RecordingTrack.recording == opening.id,
                RecordingTrack.segment == opening.segment,
            )
            .limit(1)
        )
    )


def open_rows(session: Session, opening: RecordingOpening, at: datetime) -> None:
    """Keep object names and wrapped keys of a segment about to be written."""
    session.execute(
        insert(RecordingTrack),
        [
            {
                "recording": opening.id,
                "segment": opening.segment,
                "track": str(track.track),
                "attempt": opening.call_id,
                "object": track.object,
                "wrapped_key": track.wrapped_key,
                "opened_at": at,
            }
            for track in opening.tracks
        ],
    )


def seal_rows(session: Session, sealed: SealedRecording, at: datetime) -> None:
    """Store the seals; a destroyed track's wrapped key goes in this very transaction (S4).

    Raises:
        BadInput: a track that was never opened.
    """
    for track in sealed.tracks:
        # A kept key stays as it lies there: it may have been wrapped anew since the call began.
        gone = {"wrapped_key": b""} if track.destroyed else {}
        changed = session.execute(
            update(RecordingTrack)
            .where(
                RecordingTrack.recording == sealed.id,
                RecordingTrack.segment == sealed.segment,
                RecordingTrack.track == str(track.track),
            )
            .values(
                object=track.object,
                **gone,
                sealed_at=at,
                samples=track.seal.samples,
                chunks=track.seal.chunks,
                size=track.seal.bytes,
                sealed_sha256=track.seal.sealed_sha256,
                plain_sha256=track.seal.plain_sha256,
                complete=track.seal.complete,
                destroyed=track.destroyed,
            )
        )
        if not getattr(changed, "rowcount", 0):
            raise BadInput("this recording was never opened", field="recording")


def load_recording(session: Session, recording: str, tenant: str) -> SealedRecording:
    """The newest sealed segment of a recording.

    Raises:
        BadInput: nothing was recorded, or it is not closed yet.
    """
    rows = session.scalars(
        select(RecordingTrack)
        .where(RecordingTrack.recording == recording, RecordingTrack.sealed_at.is_not(None))
        .order_by(RecordingTrack.segment.desc(), RecordingTrack.track)
    ).all()
    if not rows:
        raise BadInput("this call has no closed recording", field="recording")
    newest = [row for row in rows if row.segment == rows[0].segment]
    return SealedRecording(
        recording,
        tenant,
        rows[0].attempt,
        rows[0].segment,
        tuple(_sealed(row) for row in _in_order(newest)),
    )


def unsealed(session: Session, tenant: str) -> list[RecordingOpening]:
    """Segments left open by attempts that are settled or finished."""
    rows = session.scalars(
        select(RecordingTrack)
        .join(AttemptRow, AttemptRow.id == RecordingTrack.attempt)
        .where(
            RecordingTrack.sealed_at.is_(None),
            AttemptRow.outcome.is_not(None),
        )
        .order_by(RecordingTrack.opened_at, RecordingTrack.recording, RecordingTrack.segment)
    )
    found = []
    for (recording, segment), group in groupby(rows, key=lambda r: (r.recording, r.segment)):
        tracks = _in_order(group)
        found.append(
            RecordingOpening(
                recording,
                tenant,
                tracks[0].attempt,
                segment,
                tuple(TrackOpening(Track(t.track), t.object, t.wrapped_key) for t in tracks),
            )
        )
    return found


def _in_order(rows: Iterable[RecordingTrack]) -> list[RecordingTrack]:
    order = [str(track) for track in Track]
    return sorted(rows, key=lambda row: order.index(row.track))


def _sealed(row: RecordingTrack) -> SealedTrack:
    seal = TrackSeal(
        samples=row.samples,
        chunks=row.chunks,
        sealed_sha256=row.sealed_sha256,
        plain_sha256=row.plain_sha256,
        bytes=row.size,
        complete=row.complete,
    )
    gone = row.destroyed or not row.wrapped_key  # its destruction may still be under way
    return SealedTrack(Track(row.track), row.object, row.wrapped_key, seal, gone)
