# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines the dialer may use, and which of them carries a call. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compliance.errors import TelephonyError
from compliance.facts import LineFacts, Number

_PORT = re.compile(r":\d+$")


@dataclass(frozen=True, slots=True)
class Line:
    """A SIP trunk: ``address`` is host:port of the next hop, ``caller_id`` one of our numbers."""

    id: str
    address: str
    caller_id: str
    max_calls: int = 0  # 0: no limit of its own

    def target(self, number: Number) -> str:
        """The Request-URI for ``number``; never logged."""
        value = number.e164
        if value.startswith("sip:"):
            return value
        return f"sip:{value}@{self.address}"

    def peer(self, number: Number) -> str:
        """host:port that the INVITE for ``number`` goes to; of a lab's own URI, never logged."""
        value = number.e164
        if not value.startswith("sip:"):
            return self.address
        host = value.removeprefix("sip:").rpartition("@")[2]
        return host if _PORT.search(host) else f"{host}:5060"  # RFC 3261 §19.1.2

    @staticmethod
    def of(facts: LineFacts, max_calls: int = 0) -> Line:
        return Line(facts.id, facts.address, facts.caller_id, max_calls)


def choose(permitted: Sequence[str], lines: Mapping[str, Line], live: Mapping[str, int]) -> Line:
    """The first line the permit names that is below its own limit.

    Raises:
        TelephonyError: every permitted line is full.
    """
    for line_id in permitted:
        line = lines.get(line_id)
        if line is not None and (not line.max_calls or live.get(line_id, 0) < line.max_calls):
            return line
    raise TelephonyError("every line this call may use is busy", remedy="wait or add a line")
