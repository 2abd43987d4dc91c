# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames between dialer and speech process: length, kind, stream number, body.

``u32 length | u8 kind | u32 stream | body`` in network byte order. Audio bodies are
``u64 position`` and PCM; the others are JSON. A frame longer than ``MAX_BODY`` or of an
unknown kind makes the receiver close that connection.
"""

from __future__ import annotations

import enum
import json
import struct
from asyncio import IncompleteReadError, StreamReader
from dataclasses import dataclass, field
from typing import Any

from compliance.errors import SpeechError
from voicebot import hearing
from voicebot.hearing import SpeechEvent, Word

MAX_BODY = 64 * 1024
_HEAD = struct.Struct("!IBI")
_POSITION = struct.Struct("!Q")


class Kind(enum.IntEnum):
    """What a frame carries; below 16 towards the speech process, from 16 back."""

    OPEN = 1  # {"call": str, "language": str}
    AUDIO = 2  # position and PCM
    CLOSE = 3  # empty
    EVENT = 16  # one speech event
    PROGRESS = 17  # position up to which audio was heard


class BadFrame(SpeechError):
    """The peer sent something that is no frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    stream: int
    body: bytes = field(repr=False)


def pack(kind: Kind, stream: int, body: bytes = b"") -> bytes:
    """One frame as bytes."""
    return _HEAD.pack(len(body), kind, stream) + body


def pack_audio(stream: int, position: int, pcm: bytes) -> bytes:
    """An AUDIO frame."""
    return pack(Kind.AUDIO, stream, _POSITION.pack(position) + pcm)


def unpack_audio(body: bytes) -> tuple[int, bytes]:
    """Body of an AUDIO frame -> (position, PCM)."""
    return unpack_position(body), body[_POSITION.size :]


def pack_progress(stream: int, position: int) -> bytes:
    """A PROGRESS frame."""
    return pack(Kind.PROGRESS, stream, _POSITION.pack(position))


def unpack_position(body: bytes) -> int:
    """First 8 bytes of a body as a position."""
    if len(body) < _POSITION.size:
        raise BadFrame("a position is cut short")
    return int(_POSITION.unpack_from(body)[0])


def pack_json(kind: Kind, stream: int, value: dict[str, Any]) -> bytes:
    """A frame with a JSON body."""
    return pack(kind, stream, json.dumps(value, ensure_ascii=False).encode())


def unpack_json(body: bytes) -> dict[str, Any]:
    """A JSON body; only an object will do."""
    try:
        value = json.loads(body)
    except ValueError as e:
        raise BadFrame("a body is not JSON") from e
    if not isinstance(value, dict):
        raise BadFrame("a body is not an object")
    return value


async def read_frame(reader: StreamReader) -> Frame | None:
    """The next frame; ``None`` at the end of the connection.

    Raises:
        BadFrame: what arrived is no frame.
    """
    try:
        head = await reader.readexactly(_HEAD.size)
        length, kind, stream = _HEAD.unpack(head)
        if length > MAX_BODY:
            raise BadFrame("a frame is too long")
        body = await reader.readexactly(length)
    except (IncompleteReadError, ConnectionError):
        return None
    try:
        return Frame(Kind(kind), stream, body)
    except ValueError as e:
        raise BadFrame("a frame of an unknown kind") from e


# ---------------------------------------------------------------- events

_EVENTS: dict[str, type[Any]] = {
    "ready": hearing.SpeechReady,
    "started": hearing.SpeechStarted,
    "ended": hearing.SpeechEnded,
    "partial": hearing.Partial,
    "final": hearing.Final,
    "behind": hearing.Behind,
    "failed": hearing.SpeechFailed,
}
_NAMES = {kind: name for name, kind in _EVENTS.items()}


def pack_event(stream: int, event: SpeechEvent) -> bytes:
    """An EVENT frame."""
    value: dict[str, Any] = {"event": _NAMES[type(event)]}
    for key in event.__dataclass_fields__:
        item = getattr(event, key)
        if key == "words":
            item = [[w.text, w.start, w.end, round(w.confidence, 4)] for w in item]
        value[key] = item
    return pack_json(Kind.EVENT, stream, value)


def unpack_event(body: bytes) -> SpeechEvent:
    """Body of an EVENT frame -> the event."""
    value = unpack_json(body)
    try:
        kind = _EVENTS[value.pop("event")]
        if "words" in value:
            value["words"] = tuple(Word(*w) for w in value["words"])
        event: SpeechEvent = kind(**value)
    except (KeyError, TypeError) as e:
        raise BadFrame("not a speech event") from e
    return event
