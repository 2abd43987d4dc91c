# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call needs of the simulator around it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sip_sim.behaviours import Behaviour
from sip_sim.message import Address
from sip_sim.record import CallRecord, RecordStore
from sip_sim.transaction import TransactionLayer
from sip_sim.udp import Receiver, UdpSocket
from sip_sim.voices import Utterance

Pcm = NDArray[np.int16]


@dataclass(frozen=True)
class Limits:
    """How long the simulator waits; seconds."""

    vanish: float = 40.0
    """Neither RTP nor signalling for this long: the peer has vanished."""
    ring: float = 300.0
    """Longest ringing."""
    linger: float = 0.5
    """How long media is watched after the BYE."""
    in_flight: float = 0.2
    """Media this soon after the BYE was under way before it."""


class Host(Protocol):
    """What a call needs of the simulator."""

    layer: TransactionLayer
    store: RecordStore
    limits: Limits
    address: Address

    def samples(self, utterance: Utterance) -> Pcm:
        """Rendered words."""

    def noise(self, behaviour: Behaviour) -> Pcm | None:
        """Background of a behaviour, None for a quiet one."""

    def open_rtp(self, receive: Receiver) -> UdpSocket:
        """A socket from the RTP range."""

    def forget(self, record: CallRecord, tag: str) -> None:
        """The call with this tag of ours is over and its record written."""
