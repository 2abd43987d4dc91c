# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog of one call, seen from the called side (RFC 3261 section 12)."""

import ipaddress
import random
from dataclasses import dataclass

from sip_sim.message import Address, Headers, Request, address_uri, uri_address


@dataclass
class Dialog:
    """What it takes to send requests within the call."""

    call_id: str
    local: str
    """Our From value: the To of the INVITE with our tag."""
    remote: str
    """Our To value: the From of the INVITE."""
    target: str
    """The peer's Contact URI."""
    routes: list[str]
    source: Address
    own: Address
    local_tag: str
    chooser: random.Random
    sequence: int = 1
    peer_sequence: int = 0

    @classmethod
    def from_invite(
        cls, invite: Request, source: Address, own: Address, tag: str, chooser: random.Random
    ) -> "Dialog":
        """The dialog an INVITE opens (section 12.1.1)."""
        contacts = invite.values("contact")
        target = address_uri(contacts[0]) if contacts else ""
        return cls(
            call_id=invite.call_id,
            local=f"{invite.get('to') or ''};tag={tag}",
            remote=invite.get("from") or "",
            target=target or f"sip:{source[0]}:{source[1]}",
            routes=invite.values("record-route"),
            source=source,
            own=own,
            local_tag=tag,
            chooser=chooser,
            peer_sequence=invite.cseq[0],
        )

    @property
    def destination(self) -> Address:
        """Next hop: first route, else the target; a host name means the INVITE's source."""
        address = uri_address(address_uri(self.routes[0]) if self.routes else self.target)
        if address is None:
            return self.source
        try:
            ipaddress.ip_address(address[0])
        except ValueError:
            return self.source
        return address

    def request(
        self, method: str, headers: Headers | None = None, body: bytes = b"", cseq: int = 0
    ) -> Request:
        """A request within the dialog (section 12.2.1.1); `cseq` only for an ACK."""
        if not cseq:
            self.sequence += 1
            cseq = self.sequence
        host, port = self.own
        host = f"[{host}]" if ":" in host else host
        branch = f"z9hG4bK{self.chooser.getrandbits(64):016x}"
        lines: Headers = [
            ("Via", f"SIP/2.0/UDP {host}:{port};branch={branch};rport"),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in self.routes),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", f"<sip:callee@{host}:{port}>"),
        ]
        return Request(method=method, uri=self.target, headers=lines + (headers or []), body=body)
