# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed call recordings: two tracks on one sample clock (S4-S6, P5).

Sample 0 is the answer. The callee's and the bot's track are separate sealed
containers (``storage.tracks``) under data keys of their own, so that the
callee's can be shredded alone (S4); opened together they are stereo, callee
left, bot right. Payload is A-law, 8 kHz, mono. After a crash a new segment
with new keys goes on; :func:`recover` settles the torn one.
"""

from __future__ import annotations

import hashlib
import os
import wave
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from compliance.errors import BadInput, Corrupt
from compliance.facts import Evolve
from storage.g711 import SAMPLE_RATE_HZ, SILENCE, Pcm, alaw_to_linear
from storage.keys import KEY_BYTES, Keyring
from storage.objects import FolderObjects, Objects, new_name
from storage.tracks import (
    HEADER_BYTES,
    Track,
    TrackReader,
    TrackSeal,
    TrackWriter,
    open_prefix,
    open_track,
    read_range,
    track_context,
)

__all__ = [
    "RecordingOpening",
    "RecordingWriter",
    "SealedRecording",
    "SealedTrack",
    "Track",
    "TrackOpening",
    "TrackReader",
    "TrackSeal",
    "TrackWriter",
    "open_prefix",
    "open_recording",
    "open_track",
    "read_range",
    "recover",
    "to_wav",
    "track_context",
]


@dataclass(frozen=True, slots=True)
class TrackOpening(Evolve):
    """What must be durable before the first chunk, else a crash loses the track."""

    track: Track
    object: str
    wrapped_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordingOpening(Evolve):
    id: str
    tenant: str
    call_id: str
    segment: int
    tracks: tuple[TrackOpening, ...]


@dataclass(frozen=True, slots=True)
class SealedTrack(Evolve):
    """One track at rest. Shredded: ``object`` and ``wrapped_key`` are empty."""

    track: Track
    object: str
    wrapped_key: bytes = field(repr=False)
    seal: TrackSeal
    destroyed: bool = False


@dataclass(frozen=True, slots=True)
class SealedRecording(Evolve):
    id: str
    tenant: str
    call_id: str
    segment: int
    tracks: tuple[SealedTrack, ...]

    def track(self, track: Track) -> SealedTrack:
        return next(t for t in self.tracks if t.track is track)

    def ledger_objects(self) -> list[list[str | int | bool]]:
        """The ``objects`` value of a ledger entry, as ``docs/formats/ledger.md`` has it.

        One row a kept track: name, sealed SHA-256, plain SHA-256, track, segment,
        bytes, samples, complete.
        """
        return [
            [
                t.object,
                t.seal.sealed_sha256,
                t.seal.plain_sha256,
                str(t.track),
                self.segment,
                t.seal.bytes,
                t.seal.samples,
                t.seal.complete,
            ]
            for t in self.tracks
            if not t.destroyed
        ]


# ---------------------------------------------------------------- a call's two tracks


class RecordingWriter:
    """Both tracks of one segment, sample for sample. Not thread-safe: one writer thread.

    ``opening`` holds the object names and wrapped keys; make it durable before
    the first :meth:`write`, so that a killed process's prefix opens.
    """

    def __init__(
        self,
        objects: Objects,
        opening: RecordingOpening,
        writers: dict[Track, TrackWriter],
    ) -> None:
        self.opening = opening
        self._objects = objects
        self._writers = writers

    @classmethod
    def create(
        cls,
        objects: Objects | Path,
        keyring: Keyring,
        *,
        tenant: str,
        call_id: str,
        recording_id: str,
        segment: int = 0,
    ) -> RecordingWriter:
        """Fresh keys, fresh object names, two empty containers on disk."""
        if isinstance(objects, Path):
            objects = FolderObjects(objects)
        openings: list[TrackOpening] = []
        writers: dict[Track, TrackWriter] = {}
        try:
            for track in Track:
                context = track_context(tenant, call_id, recording_id, track, segment)
                key, name = os.urandom(KEY_BYTES), new_name()
                openings.append(TrackOpening(track, name, keyring.wrap(key, context)))
                writers[track] = TrackWriter(objects.part_path(name), key, context)
        except BaseException:
            for writer in writers.values():
                writer.abandon()
            for opening in openings:
                objects.delete(opening.object)
            raise
        return cls(
            objects,
            RecordingOpening(recording_id, tenant, call_id, segment, tuple(openings)),
            writers,
        )

    def write(self, callee: bytes, bot: bytes) -> None:
        """A-law of both sides for the same samples.

        Raises:
            BadInput: the lengths differ: the tracks would drift apart.
            StorageError: disk full or failing; ``abandon`` keeps the prefix.
        """
        if len(callee) != len(bot):
            raise BadInput(
                f"tracks differ in length: callee {len(callee)}, bot {len(bot)} samples",
                field="recording",
            )
        self._writers[Track.CALLEE].write(callee)
        self._writers[Track.BOT].write(bot)

    def close(self, keep_callee: bool) -> SealedRecording:
        """Finish. Without ``keep_callee`` (the notice was not completed, S4) the callee's
        object is removed and its key forgotten: the caller drops the wrapped key that
        ``opening`` gave it in the transaction that stores this result.
        """
        seals = {track: self._writers[track].close() for track in Track}
        return _finish(self._objects, self.opening, seals, keep_callee)

    def abandon(self) -> None:
        """Stop where it is: the parts stay as prefixes for :func:`recover`. Repeatable."""
        for writer in self._writers.values():
            writer.abandon()


def _finish(
    objects: Objects, opening: RecordingOpening, seals: dict[Track, TrackSeal], keep_callee: bool
) -> SealedRecording:
    tracks: list[SealedTrack] = []
    for track in opening.tracks:
        seal = seals[track.track]
        if track.track is Track.CALLEE and not keep_callee:
            objects.delete(track.object)
            shredded = seal.evolve(plain_sha256="")
            tracks.append(SealedTrack(track.track, "", b"", shredded, destroyed=True))
            continue
        if not objects.exists(track.object) or track.object in objects.unfinished():
            objects.commit(track.object)
        tracks.append(SealedTrack(track.track, track.object, track.wrapped_key, seal))
    return SealedRecording(
        opening.id, opening.tenant, opening.call_id, opening.segment, tuple(tracks)
    )


def _contexts(recording: SealedRecording | RecordingOpening, track: Track) -> bytes:
    return track_context(
        recording.tenant, recording.call_id, recording.id, track, recording.segment
    )


def recover(
    objects: Objects, keyring: Keyring, opening: RecordingOpening, *, keep_callee: bool
) -> SealedRecording:
    """Settle a killed writer's recording: its parts become objects as they lie.

    The seals say ``complete=False`` and count what opens. May be repeated after
    another crash. A track whose header never reached the disk counts 0 samples
    and is shredded.
    """
    seals: dict[Track, TrackSeal] = {}
    lost: set[Track] = set()
    for track in opening.tracks:
        part = objects.part_path(track.object)
        data = b""
        if part.exists():
            data = part.read_bytes()
        elif objects.exists(track.object):
            with objects.open(track.object) as file:
                data = file.read()
        alaw, complete, chunks = b"", False, 0
        if len(data) >= HEADER_BYTES:
            context = _contexts(opening, track.track)
            key = keyring.unwrap(track.wrapped_key, context)
            source = part if part.exists() else None
            with source.open("rb") if source else objects.open(track.object) as file:
                alaw, complete, chunks = TrackReader(file, key, context).prefix()
        else:
            lost.add(track.track)
        seals[track.track] = TrackSeal(
            samples=len(alaw),
            chunks=chunks,
            sealed_sha256=hashlib.sha256(data).hexdigest(),
            plain_sha256=hashlib.sha256(alaw).hexdigest(),
            bytes=len(data),
            complete=complete,
        )
    kept = opening.evolve(tracks=tuple(t for t in opening.tracks if t.track not in lost))
    sealed = _finish(objects, kept, seals, keep_callee)
    for track in opening.tracks:
        if track.track in lost:
            objects.delete(track.object)
    gone = [SealedTrack(t, "", b"", seals[t], destroyed=True) for t in Track if t in lost]
    order = list(Track)
    return sealed.evolve(
        tracks=tuple(sorted((*sealed.tracks, *gone), key=lambda t: order.index(t.track)))
    )


def open_recording(
    objects: Objects, keyring: Keyring, sealed: SealedRecording
) -> tuple[Pcm | None, Pcm]:
    """(callee or None if shredded, bot) as int16 at 8 kHz, sample 0 = answer.

    Of a recovered recording the tracks may differ by one chunk in length.

    Raises:
        Corrupt: an object is missing, altered, cut, or swapped with another.
    """
    opened: dict[Track, Pcm] = {}
    for track in sealed.tracks:
        if track.destroyed:
            continue
        context = _contexts(sealed, track.track)
        key = keyring.unwrap(track.wrapped_key, context)
        with objects.open(track.object) as file:
            reader = TrackReader(file, key, context)
            alaw = reader.whole() if track.seal.complete else reader.prefix()[0]
        if hashlib.sha256(alaw).hexdigest() != track.seal.plain_sha256:
            raise Corrupt(f"the {track.track} track differs from its seal")
        opened[track.track] = alaw_to_linear(alaw)
    if Track.BOT not in opened:
        raise Corrupt("the bot's track is gone", remedy="look for its destruction record")
    return opened.get(Track.CALLEE), opened[Track.BOT]


def to_wav(callee_alaw: bytes | None, bot_alaw: bytes | None, path: Path) -> None:
    """16-bit WAV at 8 kHz: stereo (callee left), or mono if one track is None.

    The shorter track is filled with silence. This writes audio in the clear.
    """
    present = [t for t in (callee_alaw, bot_alaw) if t is not None]
    if not present:
        raise BadInput("there is no track to write", field="recording")
    length = max(len(t) for t in present)
    columns = [alaw_to_linear(t.ljust(length, bytes([SILENCE]))) for t in present]
    with path.open("wb") as raw, wave.open(raw, "wb") as wav:
        wav.setnchannels(len(columns))
        wav.setsampwidth(2)
        wav.setframerate(SAMPLE_RATE_HZ)
        wav.writeframes(np.column_stack(columns).astype("<i2").tobytes())
