# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP transactions over UDP (RFC 3261 section 17, RFC 6026 for the accepted state)."""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass

from sip_sim.message import Address, Request, Response, response_address

Send = Callable[[bytes, Address], None]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Timers:
    """Timer values in seconds (RFC 3261 table 4)."""

    t1: float = 0.5
    """Round-trip estimate; a transaction lives 64 times as long."""
    t2: float = 4.0
    """Longest retransmission interval."""
    t4: float = 5.0
    """Longest time a message stays in the network."""

    @property
    def life(self) -> float:
        """64 T1: timers B, F, H, J and L."""
        return 64 * self.t1


class State(enum.Enum):
    """States of a server transaction (RFC 3261 figures 7 and 8, RFC 6026 figure 5)."""

    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"  # INVITE only: 2xx sent
    COMPLETED = "completed"  # final response sent
    CONFIRMED = "confirmed"  # INVITE only: ACK received
    TERMINATED = "terminated"


class _Transaction:
    """Timers and the way out that all transactions share."""

    def __init__(self, layer: "TransactionLayer", key: Key) -> None:
        self._layer = layer
        self._key = key
        self._timers: list[asyncio.TimerHandle] = []

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._timers = [t for t in self._timers if not t.cancelled()]
        self._timers.append(asyncio.get_running_loop().call_later(seconds, action))

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def terminate(self) -> None:
        """Stop all timers and forget the transaction."""
        self._stop_timers()
        self._layer.forget(self._key)


class ServerTransaction(_Transaction):
    """A request we received and answer."""

    def __init__(
        self, layer: "TransactionLayer", key: Key, request: Request, source: Address
    ) -> None:
        super().__init__(layer, key)
        self.request = request
        self.source = source
        self.state = State.PROCEEDING
        self.on_no_ack: Callable[[], None] = lambda: None
        """Called when a final response to an INVITE was never acknowledged (timer H or L)."""
        self._destination = response_address(request, source)
        self._last: bytes | None = None
        self._interval = layer.timers.t1

    @property
    def is_invite(self) -> bool:
        """Whether the INVITE rules apply."""
        return self.request.method == "INVITE"

    def respond(self, response: Response) -> bool:
        """Send a response; False when a final one went out before."""
        if self.state is not State.PROCEEDING:
            return False
        self._last = response.serialize()
        self._send_last()
        if response.status < 200:
            return True
        timers = self._layer.timers
        if not self.is_invite:
            self.state = State.COMPLETED
            self._after(timers.life, self.terminate)  # timer J
            return True
        self.state = State.ACCEPTED if response.status < 300 else State.COMPLETED
        self._after(self._interval, self._retransmit)  # timer G, or section 13.3.1.4
        self._after(timers.life, self._unacknowledged)
        return True

    def retransmission_received(self) -> None:
        """The same request came again: repeat the last response (not a 2xx to an INVITE)."""
        if self.state in (State.PROCEEDING, State.COMPLETED):
            self._send_last()

    def acknowledge(self) -> bool:
        """An ACK arrived; True the first time."""
        if self.state not in (State.ACCEPTED, State.COMPLETED) or not self.is_invite:
            return False
        accepted = self.state is State.ACCEPTED
        self.state = State.CONFIRMED
        self._stop_timers()
        # Timer I; after a 2xx late INVITE retransmissions are absorbed for as long as timer L.
        timers = self._layer.timers
        self._after(timers.life if accepted else timers.t4, self.terminate)
        return True

    def terminate(self) -> None:
        """Stop all timers and forget the transaction."""
        self.state = State.TERMINATED
        super().terminate()

    def _send_last(self) -> None:
        if self._last is not None:
            self._layer.send(self._last, self._destination)

    def _retransmit(self) -> None:
        if self.state in (State.ACCEPTED, State.COMPLETED):
            self._send_last()
            self._interval = min(2 * self._interval, self._layer.timers.t2)
            self._after(self._interval, self._retransmit)

    def _unacknowledged(self) -> None:
        self.terminate()
        self.on_no_ack()


class ClientTransaction(_Transaction):
    """A request of our own; the callback gets every response, or None on time-out."""

    def __init__(
        self,
        layer: "TransactionLayer",
        request: Request,
        destination: Address,
        on_response: Callable[[Response | None], None],
    ) -> None:
        super().__init__(layer, ("client", request.branch, request.method))
        self._destination = destination
        self._data = request.serialize()
        self._invite = request.method == "INVITE"
        self._on_response = on_response
        self._interval = layer.timers.t1
        self._layer.send(self._data, destination)
        self._after(self._interval, self._retransmit)  # timer A or E
        self._after(layer.timers.life, self._timed_out)  # timer B or F

    def receive(self, response: Response) -> None:
        """A response with our branch arrived."""
        if response.status >= 200:
            self.terminate()
        elif self._invite:
            self._interval = float("inf")
        else:
            self._interval = self._layer.timers.t2
        self._on_response(response)

    def _retransmit(self) -> None:
        if self._interval == float("inf"):
            return
        self._layer.send(self._data, self._destination)
        doubled = 2 * self._interval
        self._interval = doubled if self._invite else min(doubled, self._layer.timers.t2)
        self._after(self._interval, self._retransmit)

    def _timed_out(self) -> None:
        self.terminate()
        self._on_response(None)


class TransactionLayer:
    """Matches messages to transactions (RFC 3261 sections 17.1.3 and 17.2.3)."""

    def __init__(self, send: Send, timers: Timers) -> None:
        self.send = send
        self.timers = timers
        self._servers: dict[Key, ServerTransaction] = {}
        self._clients: dict[Key, ClientTransaction] = {}

    def __len__(self) -> int:
        return len(self._servers) + len(self._clients)

    def match(self, request: Request, source: Address) -> ServerTransaction | None:
        """The transaction a request belongs to: an ACK or CANCEL finds the INVITE's."""
        method = "INVITE" if request.method in ("ACK", "CANCEL") else request.method
        return self._servers.get(_server_key(request, source, method))

    def create(self, request: Request, source: Address) -> ServerTransaction:
        """A new server transaction for a request that matched none."""
        key = _server_key(request, source, request.method)
        self._servers[key] = transaction = ServerTransaction(self, key, request, source)
        return transaction

    def find_repeat(self, request: Request, source: Address) -> ServerTransaction | None:
        """The transaction of an earlier copy of this very request, CANCEL included."""
        return self._servers.get(_server_key(request, source, request.method))

    def request(
        self,
        request: Request,
        destination: Address,
        on_response: Callable[[Response | None], None],
    ) -> ClientTransaction:
        """Send a request of our own."""
        transaction = ClientTransaction(self, request, destination, on_response)
        self._clients["client", request.branch, request.method] = transaction
        return transaction

    def receive_response(self, response: Response) -> bool:
        """Hand a response to its transaction; False for a stray one."""
        found = self._clients.get(("client", response.branch, response.cseq[1]))
        if found:
            found.receive(response)
        return found is not None

    def forget(self, key: Key) -> None:
        """Drop a terminated transaction."""
        self._servers.pop(key, None)
        self._clients.pop(key, None)

    def close(self) -> None:
        """Stop every timer."""
        for transaction in [*self._servers.values(), *self._clients.values()]:
            transaction.terminate()


def _server_key(request: Request, source: Address, method: str) -> Key:
    branch = request.branch
    if branch.lower().startswith("z9hg4bk"):
        via = request.values("via")[0]
        return "server", branch, via.split(";")[0].split()[-1].lower(), method
    number = str(request.cseq[0])  # RFC 2543 peers: section 17.2.3, second part
    return "server", request.call_id, request.from_tag, number, f"{source[0]}:{source[1]}", method
