# SPDX-License-Identifier: GPL-3.0-or-later
"""Session descriptions: one audio stream of G.711 and telephone-event (RFC 4566, RFC 3264)."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from sip_sim.g711 import PCMA, PCMU
from sip_sim.message import Address

DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_MIRROR: Final = {"sendonly": "recvonly", "recvonly": "sendonly"}
_NAMES: Final = {PCMA: "PCMA", PCMU: "PCMU"}
_OWN_EVENT_TYPE: Final = 101


class UnacceptableSession(ValueError):
    """The offer has no audio stream we can speak (RFC 3261 section 21.4.26: 488)."""


@dataclass(frozen=True)
class Session:
    """What both sides settled on: where to send, and how."""

    remote: Address
    codec: int
    """RTP payload type, PCMA or PCMU."""
    event_type: int | None
    """Payload type of telephone-event (RFC 4733), None when the peer has not offered it."""
    direction: str
    """The peer's direction attribute as we read it."""
    streams: tuple[str, ...] = ()
    """All m= lines of the peer in order; the answer must have as many (RFC 3264 section 6)."""
    audio_index: int = 0


@dataclass
class _Media:
    line: str
    connection: str | None
    attributes: list[str] = field(default_factory=list)


def parse(body: bytes) -> Session:
    """Read an offer or answer; UnacceptableSession when there is no G.711 audio over RTP/AVP."""
    connection: str | None = None
    direction = "sendrecv"
    media: list[_Media] = []
    for raw in body.decode("utf-8", "replace").splitlines():
        kind, _, value = raw.strip().partition("=")
        if kind == "m":
            media.append(_Media(value, connection))
        elif kind == "c" and media:
            media[-1].connection = value
        elif kind == "c":
            connection = value
        elif kind == "a" and media:
            media[-1].attributes.append(value)
        elif kind == "a" and value in DIRECTIONS:
            direction = value
    for index, stream in enumerate(media):
        session = _audio(stream, direction, tuple(m.line for m in media), index)
        if session:
            return session
    raise UnacceptableSession("no audio stream with PCMA or PCMU over RTP/AVP")


def _audio(media: _Media, direction: str, streams: tuple[str, ...], index: int) -> Session | None:
    parts = media.line.split()
    if len(parts) < 4 or parts[0] != "audio" or parts[2] not in ("RTP/AVP", "RTP/AVPF"):
        return None
    if not re.fullmatch(r"\d{1,5}(/\d+)?", parts[1]) or not media.connection:
        return None
    port = int(parts[1].split("/")[0])
    host = media.connection.split()[-1].split("/")[0]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    types = [int(p) for p in parts[3:] if p.isascii() and p.isdigit() and int(p) < 128]
    codec = next((t for t in types if t in _NAMES), None)
    if codec is None or not 0 < port < 65536:
        return None
    event_type = None
    for attribute in media.attributes:
        mapped = re.match(r"rtpmap:\s*(\d{1,3})\s+telephone-event/8000", attribute, re.IGNORECASE)
        if mapped and int(mapped[1]) in types:
            event_type = int(mapped[1])
        if attribute in DIRECTIONS:
            direction = attribute
    return Session((host, port), codec, event_type, direction, streams, index)


def answer(offer: Session, local: Address, version: int, direction: str | None = None) -> bytes:
    """The answer to an offer (RFC 3264 section 6): its codec, refused streams with port 0."""
    direction = direction or _MIRROR.get(offer.direction, offer.direction)
    audio = _audio_lines(local[1], [offer.codec], offer.event_type, direction)
    lines = []
    for index, stream in enumerate(offer.streams):
        if index == offer.audio_index:
            lines += audio
        else:
            parts = stream.split()
            lines.append("m=" + " ".join([*parts[:1], "0", *parts[2:]]))
    return _description(local, version, lines or audio)


def offer(local: Address, version: int, direction: str, session: Session | None = None) -> bytes:
    """An offer of our own: for an INVITE without one, or for a re-INVITE (RFC 3264 section 8)."""
    codecs = [session.codec] if session else [PCMA, PCMU]
    event_type = session.event_type if session else _OWN_EVENT_TYPE
    return _description(local, version, _audio_lines(local[1], codecs, event_type, direction))


def _audio_lines(port: int, codecs: list[int], event_type: int | None, direction: str) -> list[str]:
    types = [*codecs, *([] if event_type is None else [event_type])]
    lines = [f"m=audio {port} RTP/AVP {' '.join(map(str, types))}"]
    lines += [f"a=rtpmap:{codec} {_NAMES[codec]}/8000" for codec in codecs]
    if event_type is not None:
        lines += [f"a=rtpmap:{event_type} telephone-event/8000", f"a=fmtp:{event_type} 0-15"]
    return [*lines, "a=ptime:20", f"a={direction}"]


def _description(local: Address, version: int, media: list[str]) -> bytes:
    kind = "IP6" if ":" in local[0] else "IP4"
    origin = f"o=- {local[1]} {version} IN {kind} {local[0]}"
    head = ["v=0", origin, "s=callee", f"c=IN {kind} {local[0]}", "t=0 0"]
    return "\r\n".join([*head, *media, ""]).encode()
