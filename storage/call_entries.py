# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of the call journal: what they say, as text, and how the database takes them.

Each may be taken again and again: what is there already is left as it is.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from compliance.errors import Corrupt, StorageError
from compliance.facts import (
    Blame,
    CallRecord,
    Evolve,
    KeyPress,
    Outcome,
    RefusalScope,
    Speaker,
    TranscriptLine,
)
from storage.call_journal import Kind
from storage.recordings import (
    RecordingOpening,
    SealedRecording,
    SealedTrack,
    Track,
    TrackOpening,
    TrackSeal,
)
from storage.store import Store

_TIMES = ("invited_at", "ringing_at", "answered_at", "ended_at")


@dataclass(frozen=True, slots=True)
class Answered(Evolve):
    """The callee picked up."""

    attempt: str
    at: datetime
    sip_call_id: str


@dataclass(frozen=True, slots=True)
class Opened(Evolve):
    """A recording began."""

    attempt: str
    opening: RecordingOpening


@dataclass(frozen=True, slots=True)
class Refused(Evolve):
    """The callee said no. The number is in it by its keyed hashes only."""

    attempt: str
    how: str
    at: datetime
    until: datetime
    number_index: bytes = field(repr=False)
    refusal_index: bytes = field(repr=False)
    scope: str = "company"  # of ``RefusalScope``; files of older versions name none


@dataclass(frozen=True, slots=True)
class Ended(Evolve):
    """The call is over: everything it leaves."""

    attempt: str
    fencing: int
    record: CallRecord
    sealed: SealedRecording | None


Entry = Answered | Opened | Refused | Ended

_KINDS: dict[type[Any], Kind] = {
    Answered: Kind.ANSWERED,
    Opened: Kind.OPENED,
    Refused: Kind.REFUSED,
    Ended: Kind.ENDED,
}


def kind_of(entry: Entry) -> Kind:
    return _KINDS[type(entry)]


def to_text(entry: Entry) -> str:
    """JSON; :func:`from_text` reads it."""
    return json.dumps(asdict(entry), ensure_ascii=False, separators=(",", ":"), default=_plain)


def from_text(kind: Kind, text: str) -> Entry:
    """What :func:`to_text` wrote.

    Raises:
        Corrupt: written by another version of this program.
    """
    try:
        return _read(kind, json.loads(text))
    except (ValueError, KeyError, TypeError):
        raise Corrupt("a record of the call journal has another form") from None


def take(store: Store, entry: Entry) -> str:
    """Bring one record into the database; the leaf of a call's last entry, else empty.

    Raises:
        StorageError: not now. BadInput, Corrupt: never, as the database is.
    """
    match entry:
        case Answered():
            store.mark_answered(entry.attempt, entry.at, sip_call_id=entry.sip_call_id)
        case Opened():
            store.open_recording_row(entry.attempt, entry.opening)
        case Refused():
            store.record_refusal(
                entry.attempt,
                how=entry.how,
                at=entry.at,
                until=entry.until,
                scope=RefusalScope(entry.scope),
                indexes=(entry.number_index, entry.refusal_index),
            )
        case Ended():
            return store.finish_attempt(entry.fencing, entry.record, entry.sealed)
    return ""


def may_pass(error: Exception) -> bool:
    """Whether :func:`take` may succeed later, with nothing changed but the database's state."""
    return isinstance(error, StorageError) and not isinstance(error, Corrupt)


# ---------------------------------------------------------------- text


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    assert isinstance(value, datetime)
    return value.isoformat()


def _read(kind: Kind, told: dict[str, Any]) -> Entry:
    match kind:
        case Kind.ANSWERED:
            return Answered(**told | {"at": datetime.fromisoformat(told["at"])})
        case Kind.OPENED:
            return Opened(told["attempt"], _opening(told["opening"]))
        case Kind.REFUSED:
            times = {name: datetime.fromisoformat(told[name]) for name in ("at", "until")}
            hashes = {name: bytes.fromhex(told[name]) for name in ("number_index", "refusal_index")}
            return Refused(**told | times | hashes)
        case Kind.ENDED:
            sealed = told["sealed"] and _sealed(told["sealed"])
            return Ended(told["attempt"], told["fencing"], _record(told["record"]), sealed)


def _opening(told: dict[str, Any]) -> RecordingOpening:
    tracks = tuple(
        TrackOpening(Track(t["track"]), t["object"], bytes.fromhex(t["wrapped_key"]))
        for t in told["tracks"]
    )
    return RecordingOpening(**told | {"tracks": tracks})


def _sealed(told: dict[str, Any]) -> SealedRecording:
    tracks = tuple(
        SealedTrack(
            Track(t["track"]),
            t["object"],
            bytes.fromhex(t["wrapped_key"]),
            TrackSeal(**t["seal"]),
            t["destroyed"],
        )
        for t in told["tracks"]
    )
    return SealedRecording(**told | {"tracks": tracks})


def _record(told: dict[str, Any]) -> CallRecord:
    times = {name: told[name] and datetime.fromisoformat(told[name]) for name in _TIMES}
    said = tuple(
        TranscriptLine(
            **line | {"speaker": Speaker(line["speaker"]), "flags": tuple(line.get("flags", ()))}
        )
        for line in told["transcript"]
    )
    return CallRecord(
        **told
        | times
        | {
            "outcome": Outcome(told["outcome"]),
            "blame": Blame(told["blame"]),
            "transcript": said,
            "keys": tuple(KeyPress(**key) for key in told["keys"]),
            "violations": tuple(told["violations"]),
        }
    )
