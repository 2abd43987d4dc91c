# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervisor tells a new dialer process, and the one that checks ended calls."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

DRAIN = b"drain\n"
"""Said on the same pipe later: no new calls, and a goodbye to whoever talks."""


END = "end"
"""Said to the checker: the run is over, check what waits and leave."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the supervisor tells a new worker. Sent over a pipe: it may hold a secret."""

    home: str
    campaign: str
    name: str
    sip_port: int
    rtp_port: int
    rtp_ports: int
    max_calls: int
    speech_socket: str
    passphrase: str | None = None  # what opens the keys: a passphrase, or a token's PIN

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """What the supervisor tells a new checker. Sent over a pipe: it may hold a secret."""

    home: str
    passphrase: str | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))
