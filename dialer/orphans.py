# SPDX-License-Identifier: GPL-3.0-or-later
"""Say goodbye for a dialer process that died in mid-call.

The callee of a killed process would hear silence until a timer somewhere
gives up. The worker tells its supervisor the dialog identifiers of each
answered call; when it dies the supervisor sends the BYE in its place
(RFC 3261 §12.2.1.1, §15.1.1).
"""

from __future__ import annotations

import re
import secrets
import socket
from dataclasses import asdict, dataclass

_NAME_ADDR = re.compile(r"<([^>]+)>")


@dataclass(frozen=True, slots=True)
class Dialog:
    """A confirmed dialog. Its URIs hold the callee's number: never log it."""

    call_id: str
    local: str  # our From header value of the INVITE, tag included
    remote: str  # To header value of the 200, tag included
    target: str  # remote target: the 200's Contact URI
    route: tuple[str, ...]  # Record-Route reversed (RFC 3261 §12.1.2)
    cseq: int
    peer: str  # host:port the 200 came over

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, object]) -> Dialog:
        route = data.get("route")
        return Dialog(
            call_id=str(data["call_id"]),
            local=str(data["local"]),
            remote=str(data["remote"]),
            target=str(data["target"]),
            route=tuple(str(r) for r in route) if isinstance(route, list | tuple) else (),
            cseq=int(str(data["cseq"])),
            peer=str(data["peer"]),
        )


def dialog_of(answer: str, peer: str) -> Dialog | None:
    """The dialog a 200 to our INVITE made; None when a needed header is missing."""
    headers: dict[str, list[str]] = {}
    for line in answer.partition("\r\n\r\n")[0].split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            short = {"f": "from", "t": "to", "i": "call-id", "m": "contact"}
            key = name.strip().lower()
            headers.setdefault(short.get(key, key), []).append(value.strip())
    try:
        contact = _NAME_ADDR.search(headers["contact"][0])
        return Dialog(
            call_id=headers["call-id"][0],
            local=headers["from"][0],
            remote=headers["to"][0],
            target=contact.group(1) if contact else headers["contact"][0],
            route=tuple(reversed(headers.get("record-route", []))),
            cseq=int(headers["cseq"][0].split()[0]),
            peer=peer,
        )
    except (KeyError, IndexError, ValueError):
        return None


def bye(dialog: Dialog, local_address: str) -> bytes:
    """The BYE request for ``dialog``; CSeq leaves room for what the process sent itself."""
    lines = [
        f"BYE {dialog.target} SIP/2.0",
        f"Via: SIP/2.0/UDP {local_address};branch=z9hG4bK{secrets.token_hex(8)};rport",
        "Max-Forwards: 70",
        f"From: {dialog.local}",
        f"To: {dialog.remote}",
        f"Call-ID: {dialog.call_id}",
        f"CSeq: {dialog.cseq + 1000} BYE",
        *(f"Route: {route}" for route in dialog.route),
        'Reason: SIP;cause=500;text="dialer process lost"',  # RFC 3326
        "Content-Length: 0",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def say_goodbye(dialog: Dialog, timeout_s: float = 2.0) -> bool:
    """Send the BYE, repeated until answered; True when the peer answered."""
    host, _, port = dialog.peer.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, int(port)))
        local = sock.getsockname()
        request = bye(dialog, f"{local[0]}:{local[1]}")
        wait = 0.2
        left = timeout_s
        while left > 0:
            sock.settimeout(wait)
            try:
                sock.send(request)
                return sock.recv(4096).startswith(b"SIP/2.0 ")
            except TimeoutError:
                left -= wait
                wait = min(wait * 2, max(left, 0.01))
            except OSError:
                return False
    return False
