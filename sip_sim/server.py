# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator: one SIP socket, many callees (RFC 3261 section 8.2)."""

import asyncio
import contextlib
import os
import random
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from sip_sim import behaviours, proof, sounds, voices
from sip_sim.behaviours import Behaviour
from sip_sim.call import ALLOW, Call, State
from sip_sim.errors import MalformedMessage, SimulatorError
from sip_sim.host import Limits
from sip_sim.message import (
    Address,
    Headers,
    Request,
    Response,
    address_uri,
    dialed_number,
    make_response,
    parse,
    via_is_valid,
)
from sip_sim.record import CallRecord, RecordStore, Stamp, read_events, read_records
from sip_sim.transaction import ServerTransaction, Timers, TransactionLayer
from sip_sim.udp import Receiver, UdpSocket
from sip_sim.voices import Utterance

Pcm = NDArray[np.int16]

_MANDATORY: Final = ("via", "from", "to", "call-id", "cseq")
_WILDCARDS: Final = ("", "0.0.0.0", "::")
_KNOWN_METHODS: Final = frozenset(
    ("REGISTER", "UPDATE", "PRACK", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH")
)


class Simulator:
    """Simulated callees on one socket; use it as `async with Simulator(...) as sim`."""

    def __init__(
        self,
        *,
        records: Path,
        listen: Address = ("127.0.0.1", 0),
        key: Ed25519PrivateKey | None = None,
        behaviour_file: Path = behaviours.DEFAULT_FILE,
        seed: int = 1,
        voice_cache: Path | None = None,
        rtp_ports: tuple[int, int] = (42000, 42999),
        timers: Timers | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Read the behaviours and render the voices; nothing is bound yet."""
        if listen[0] in _WILDCARDS:
            raise SimulatorError(
                "the simulator proves and offers its own address: "
                "give --listen the address of one interface, such as 127.0.0.1"
            )
        if not 1024 <= rtp_ports[0] < rtp_ports[1] <= 65535:
            raise SimulatorError("--rtp-ports must be LOW-HIGH within 1024-65535")
        self.behaviours = behaviours.load(behaviour_file)
        self.limits = limits or Limits()
        self.address: Address = listen
        self.calls: dict[str, Call] = {}
        """Open calls by dialog: Call-ID, our tag."""
        cache = voice_cache or records / "voices"
        wanted = {u for b in self.behaviours.values() for u in b.utterances()}
        self._samples = voices.load(wanted, cache)
        self._noises: dict[tuple[str, float], Pcm] = {}
        self._key = key
        self._seed = seed
        self._serials: dict[str, int] = {}
        self._rtp_ports = rtp_ports
        self._next_port = rtp_ports[0]
        self._socket: UdpSocket | None = None
        self._stopping = False
        self.store = RecordStore(records)
        self.layer = TransactionLayer(self._transmit, timers or Timers())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind the SIP socket."""
        try:
            self._socket = UdpSocket(self.address, self._received)
        except (OSError, OverflowError) as error:
            self.store.close()
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
            host, port = self.address
            raise SimulatorError(
                f"cannot listen on {host}:{port} ({reason or error}): "
                "stop what uses it or choose another --listen (port 0 picks a free one)"
            ) from None
        self.address = self._socket.address
        self.store.event("listening", sip=self.own)

    async def stop(self) -> None:
        """Hang up open calls, complete their records, free the ports; within a second."""
        if self._stopping:
            return
        self._stopping = True
        open_calls = list(self.calls.values())
        await asyncio.gather(*(call.stop() for call in open_calls))
        if open_calls:
            await asyncio.sleep(0.05)  # let the peers' 200 for our BYE into the event log
        self.layer.close()
        if self._socket:
            self._socket.close()
        self.store.event("stopped")
        self.store.close()

    @property
    def own(self) -> str:
        """Our own socket as `ip:port`."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def records(self) -> list[dict[str, Any]]:
        """Call records written so far, in the order of their INVITEs."""
        return read_records(self.store.folder)

    def events(self) -> list[dict[str, Any]]:
        """The event log so far."""
        return read_events(self.store.folder)

    async def settled(self, timeout: float = 5.0) -> bool:
        """Wait until no call is open and all records are complete; False on time-out."""
        deadline = time.monotonic() + timeout
        while self.calls and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return not self.calls

    # -- what a call needs (host.Host) -----------------------------------------------------

    def samples(self, utterance: Utterance) -> Pcm:
        """Rendered words."""
        return self._samples[utterance]

    def noise(self, behaviour: Behaviour) -> Pcm | None:
        """Ten seconds of a behaviour's background, None for a quiet one."""
        kind, level = behaviour.noise_kind, behaviour.noise_dbfs
        if kind == "none":
            return None
        if (kind, level) not in self._noises:
            seed = f"{self._seed}:{kind}"
            if kind == "white":
                made = sounds.white_noise(10_000, level, seed)
            else:
                order = sorted(self._samples, key=lambda u: u.file_name)
                made = sounds.babble([self._samples[u] for u in order], 10_000, level, seed)
            self._noises[kind, level] = made
        return self._noises[kind, level]

    def open_rtp(self, receive: Receiver) -> UdpSocket:
        """The next free even port of the range, in turn, so that late packets hit nobody."""
        low, high = self._rtp_ports
        for _ in range((high - low) // 2 + 1):
            port = self._next_port + self._next_port % 2
            self._next_port = port + 2 if port + 2 <= high else low
            try:
                return UdpSocket((self.address[0], port), receive)
            except OSError:
                continue
        raise SimulatorError("no RTP port is free: give a wider --rtp-ports range")

    def forget(self, record: CallRecord, tag: str) -> None:
        """The call with this tag of ours is over and its record written."""
        self.calls.pop(_dialog_key(record.call_id, tag), None)

    # -- messages --------------------------------------------------------------------------

    def _transmit(self, data: bytes, address: Address) -> None:
        if self._socket:
            sent = self._socket.send(data, address)
            with contextlib.suppress(MalformedMessage):  # we may echo a stranger's odd headers
                self._log("out" if sent else "out_failed", parse(data), address, len(data), None)

    def _log(
        self,
        direction: str,
        message: Request | Response,
        peer: Address,
        size: int,
        mono_ns: int | None,
    ) -> None:
        number, method = message.cseq
        about: dict[str, Any] = (
            {"method": message.method, "uri": message.uri}
            if isinstance(message, Request)
            else {"status": message.status, "method": method}
        )
        self.store.event(
            "sip",
            mono_ns,
            dir=direction,
            **about,
            cseq=number,
            call_id=message.call_id,
            peer=f"{peer[0]}:{peer[1]}",
            bytes=size,
        )

    def _received(self, data: bytes, source: Address, mono_ns: int) -> None:
        """One datagram; whatever is in it, the simulator lives on."""
        if not data.strip(b"\r\n\0 "):
            return  # keep-alive (RFC 5626 section 3.5.1)
        try:
            message = parse(data)
        except MalformedMessage as error:
            peer = f"{source[0]}:{source[1]}"
            self.store.event("malformed", mono_ns, why=str(error), peer=peer, bytes=len(data))
            return
        self._log("in", message, source, len(data), mono_ns)
        try:
            if isinstance(message, Response):
                self._response(message)
            else:
                self._request(message, source, mono_ns)
        except Exception as error:  # a bug here must not silence the witness for other calls
            self.store.event("internal_error", error=repr(error), call_id=message.call_id)
            traceback.print_exc(file=sys.stderr)

    def _response(self, response: Response) -> None:
        call = self.calls.get(_dialog_key(response.call_id, response.from_tag))
        if call:
            call.heard_from()
        self.layer.receive_response(response)

    def _request(self, request: Request, source: Address, mono_ns: int) -> None:
        problem = _problem(request)
        if problem:
            self.store.event("malformed", mono_ns, why=problem, call_id=request.call_id)
            if request.method != "ACK" and all(request.get(h) for h in _MANDATORY):
                refusal = make_response(request, 400, source=source, reason=problem)
                self._transmit(refusal.serialize(), source)
            return
        call = self.calls.get(_dialog_key(request.call_id, request.to_tag))
        if call:
            call.heard_from()
        if request.method == "ACK":
            transaction = self.layer.match(request, source)
            if call:
                call.acknowledged(request, mono_ns)
            elif transaction:
                transaction.acknowledge()
            return
        repeat = self.layer.find_repeat(request, source)
        if repeat:
            repeat.retransmission_received()
            return
        transaction = self.layer.create(request, source)
        if request.method == "CANCEL":
            self._cancel(transaction, self.layer.match(request, source), mono_ns)
        elif request.to_tag:
            self._in_dialog(transaction, call, mono_ns)
        else:
            self._out_of_dialog(transaction, mono_ns)

    def _reply(
        self, transaction: ServerTransaction, status: int, headers: Headers | None = None
    ) -> None:
        tag = f"{random.Random(transaction.request.branch).getrandbits(48):012x}"
        transaction.respond(
            make_response(
                transaction.request,
                status,
                source=transaction.source,
                to_tag=tag,
                headers=headers,
            )
        )

    def _cancel(
        self, transaction: ServerTransaction, invite: ServerTransaction | None, mono_ns: int
    ) -> None:
        call = next((c for c in self.calls.values() if c.is_for(invite)), None)
        if call and call.behaviour.no_reply:
            call.cancelled(mono_ns)
            return
        self._reply(transaction, 200 if invite else 481)
        if call:
            call.cancelled(mono_ns)

    def _in_dialog(self, transaction: ServerTransaction, call: Call | None, mono_ns: int) -> None:
        request = transaction.request
        if call is None:
            self._reply(transaction, 481)
        elif request.cseq[0] <= call.dialog.peer_sequence:
            self._reply(transaction, 500)  # section 12.2.2
        else:
            call.dialog.peer_sequence = request.cseq[0]
            match request.method:
                case "BYE":
                    call.bye_received(transaction, mono_ns)
                case "INVITE":
                    call.reinvited(transaction)
                case "INFO":
                    call.info_received(transaction, mono_ns)
                case "OPTIONS":
                    self._reply(transaction, 200, [("Allow", ALLOW)])
                case _:
                    self._reply(transaction, 405, [("Allow", ALLOW)])

    def _out_of_dialog(self, transaction: ServerTransaction, mono_ns: int) -> None:
        request = transaction.request
        required = request.values("require")
        if required:
            self._reply(transaction, 420, [("Unsupported", ", ".join(required))])
        elif request.method == "OPTIONS":
            self._reply(transaction, 200, [("Allow", ALLOW), *self._proof(request)])
        elif request.method == "INVITE":
            self._invite(transaction, mono_ns)
        elif request.method in ("BYE", "INFO"):
            self._reply(transaction, 481)
        else:
            status = 405 if request.method in _KNOWN_METHODS else 501
            self._reply(transaction, status, [("Allow", ALLOW)])

    def _proof(self, request: Request) -> Headers:
        nonce = request.get("x-candor-challenge")
        if self._key is None or nonce is None:
            return []
        value = proof.prove(self._key, nonce, self.own)
        return [("X-Candor-Proof", value)] if value else []

    def _invite(self, transaction: ServerTransaction, mono_ns: int) -> None:
        request = transaction.request
        if any(c.is_merged(request) for c in self.calls.values()):
            self._reply(transaction, 482)  # section 8.2.2.2
            return
        number = dialed_number(request.uri)
        behaviour = self.behaviours.get(number[-3:])
        behaviour = behaviour or Behaviour("none", "unknown number", ring_ms=None, status=404)
        record = CallRecord(
            call_id=request.call_id,
            number=number,
            behaviour=behaviour.name,
            from_uri=address_uri(request.get("from") or ""),
            invite=Stamp.at(mono_ns),
        )
        if behaviour.never_dial:
            record.violations.append("INVITE to a number that must never be dialed")
        for other in self.calls.values():
            if other.state is not State.ENDED and _same_line(other.record.number, number):
                record.violations.append("second INVITE to the same number while one is open")
                break
        self._serials[number] = serial = self._serials.get(number, 0) + 1
        chooser = random.Random(f"{self._seed}:{number}:{serial}")
        call = Call(self, transaction, behaviour, record, chooser)
        self.calls[_dialog_key(record.call_id, call.dialog.local_tag)] = call
        call.start()


def _dialog_key(call_id: str, tag: str) -> str:
    return f"{call_id}\0{tag}"


def _same_line(one: str, other: str) -> bool:
    """Whether two spellings of a number mean one subscriber: their last 11 digits agree."""
    first, second = ("".join(c for c in n if c.isdigit())[-11:] for n in (one, other))
    return bool(first) and first == second


def _problem(request: Request) -> str | None:
    """What makes a request unanswerable (RFC 3261 section 8.1.1), None when it is sound."""
    missing = [name for name in _MANDATORY if not request.get(name)]
    if missing:
        return f"Missing {', '.join(missing)}"
    vias = request.values("via")
    if not vias or not via_is_valid(vias[0]):
        return "Bad Via"
    if request.cseq[0] < 0 or request.cseq[1] != request.method:
        return "Bad CSeq"
    if not request.from_tag and not request.branch:
        return "Missing From tag"
    return None
