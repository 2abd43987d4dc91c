# SPDX-License-Identifier: GPL-3.0-or-later
"""One incoming call: its signalling, and its behaviour brought to life."""

import asyncio
import contextlib
import enum
import random
import time
from collections.abc import Coroutine
from typing import Final

from sip_sim import sdp, sounds
from sip_sim.behaviours import FOREVER, Behaviour, Early
from sip_sim.conversation import Conversation
from sip_sim.dialog import Dialog
from sip_sim.host import Host
from sip_sim.media import CallMedia, Clip, Impairments
from sip_sim.message import Headers, Request, make_response
from sip_sim.record import CallRecord, Stamp
from sip_sim.report import complete
from sip_sim.transaction import ServerTransaction

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"


class State(enum.Enum):
    """Progress of a call; changes only in Call._become."""

    ARRIVED = "arrived"
    PROCEEDING = "proceeding"  # provisional responses are out
    ANSWERED = "answered"
    ENDED = "ended"  # BYE, CANCEL or a failure response; the record is being completed


class Call:
    """A callee dealing with one INVITE."""

    def __init__(
        self,
        host: Host,
        transaction: ServerTransaction,
        behaviour: Behaviour,
        record: CallRecord,
        chooser: random.Random,
    ) -> None:
        self.record = record
        self.behaviour = behaviour
        self.state = State.ARRIVED
        self.media: CallMedia | None = None
        self.name = host.store.new_name(record.call_id)
        self._host = host
        self._transaction = transaction
        self._chooser = chooser
        tag = f"{chooser.getrandbits(48):012x}"
        invite, source = transaction.request, transaction.source
        self.dialog = Dialog.from_invite(invite, source, host.address, tag, chooser)
        self._conversation: Conversation | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._completion: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        transaction.on_no_ack = self._not_acknowledged
        host.store.write(self.name, record)

    # -- what the server calls -------------------------------------------------------------

    def start(self) -> None:
        """Begin to live."""
        self._spawn(self._live())

    def is_for(self, transaction: ServerTransaction | None) -> bool:
        """Whether this transaction is the INVITE of this call."""
        return transaction is self._transaction

    def is_merged(self, invite: Request) -> bool:
        """Whether an INVITE is a copy of ours that came another way (section 8.2.2.2)."""
        own = self._transaction.request
        identity = (own.call_id, own.from_tag, own.cseq)
        return identity == (invite.call_id, invite.from_tag, invite.cseq)

    def heard_from(self) -> None:
        """Any SIP message of this call came in."""
        if self._conversation:
            self._conversation.last_signal_ns = time.monotonic_ns()

    def acknowledged(self, request: Request, mono_ns: int) -> None:
        """ACK for our final response; it brings the answer when the offer was ours."""
        self._transaction.acknowledge()
        if self.record.ack is None:
            self.record.ack = Stamp.at(mono_ns)
        if self.record.answered is None:
            self._hurry.set()  # nothing more will come
        if request.body and self.media and self.media.session is None:
            with contextlib.suppress(sdp.UnacceptableSession):
                self.media.adopt(sdp.parse(request.body))

    def cancelled(self, mono_ns: int) -> None:
        """CANCEL (section 9.2): 487, unless the answer is already on its way."""
        if self.record.cancel is None:
            self.record.cancel = Stamp.at(mono_ns)
        if self.state in (State.ANSWERED, State.ENDED) or self.behaviour.no_reply:
            return
        self._cancel_tasks()
        if self.behaviour.answer_on_cancel_ms is not None:
            self._spawn(self._answer_after(self.behaviour.answer_on_cancel_ms))
        else:
            self._refuse(487, "cancelled by the bot")

    def bye_received(self, transaction: ServerTransaction, mono_ns: int) -> None:
        """The other side hangs up."""
        if self.state is State.ANSWERED and self.behaviour.bye == "glare":
            self._send(self.dialog.request("BYE"))
        self._reply(transaction, 200)
        if self.record.bye is None and self.state is not State.ENDED:
            self.record.bye, self.record.bye_by = Stamp.at(mono_ns), "bot"
        if self.state in (State.ARRIVED, State.PROCEEDING):
            self._refuse(487, "BYE before the answer")
        self._end("hung up by the bot")

    def reinvited(self, transaction: ServerTransaction) -> None:
        """A new offer within the call (section 14.2)."""
        pending = self._conversation is None or self._conversation.pending_reinvite
        if pending or self.state is not State.ANSWERED or self.media is None:
            self._reply(transaction, 491)
            return
        request = transaction.request
        self.media.sdp_version += 1
        local, version = self.media.address, self.media.sdp_version
        if request.body:
            try:
                session = sdp.parse(request.body)
            except sdp.UnacceptableSession:
                self._reply(transaction, 488)
                return
            self.media.adopt(session)
            body = sdp.answer(session, local, version)
        else:
            body = sdp.offer(local, version, "sendrecv", self.media.session)
        self._reply(transaction, 200, [("Content-Type", "application/sdp")], body)

    def info_received(self, transaction: ServerTransaction, mono_ns: int) -> None:
        """INFO; a key press in it is noted."""
        self._reply(transaction, 200)
        text = transaction.request.body.decode("utf-8", "replace")
        pairs = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
        values = {key.strip().lower(): value.strip() for key, value in pairs.items()}
        if "signal" in values and self.record.answered:
            start = self.record.ms(mono_ns)
            length = float(values["duration"]) if values.get("duration", "").isdecimal() else 0.0
            press = {"digit": values["signal"][:1], "start_ms": start, "end_ms": start + length}
            self.record.dtmf_received.append({**press, "method": "info"})

    async def stop(self) -> None:
        """The simulator shuts down: hang up and complete the record at once."""
        if self.state is State.ANSWERED:
            self.hang_up("the simulator was stopped")
        elif self.state is not State.ENDED:
            self._refuse(480, "the simulator was stopped")
        self._hurry.set()
        if self._completion:
            await self._completion

    # -- signalling ------------------------------------------------------------------------

    def _become(self, state: State) -> None:
        order = list(State)
        if order.index(state) > order.index(self.state):
            self.state = state

    def _reply(
        self,
        transaction: ServerTransaction,
        status: int,
        headers: Headers | None = None,
        body: bytes = b"",
        reason: str | None = None,
    ) -> bool:
        host, port = self.dialog.own
        own = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        extra: Headers = [("Allow", ALLOW)] if status == 200 else []
        if transaction.is_invite and 100 < status < 300:
            extra.append(("Contact", f"<sip:callee@{own}>"))
        response = make_response(
            transaction.request,
            status,
            source=transaction.source,
            reason=reason,
            to_tag=self.dialog.local_tag,
            headers=extra + (headers or []),
            body=body,
        )
        return transaction.respond(response)

    def _send(self, request: Request) -> None:
        self._host.layer.request(request, self.dialog.destination, lambda _response: None)

    def _refuse(self, status: int, why: str, headers: Headers | None = None) -> None:
        """A final response that is no answer."""
        reason = self.behaviour.reason if status == self.behaviour.status else None
        if self._reply(self._transaction, status, headers, reason=reason):
            self.record.final_status = status
        self._end(why)

    def hang_up(self, why: str = "hung up by the callee") -> None:
        """Send BYE and end."""
        if self.state is not State.ANSWERED:
            return
        self.record.bye, self.record.bye_by = Stamp.at(), "callee"
        self._send(self.dialog.request("BYE"))
        self._end(why)

    def _not_acknowledged(self) -> None:
        self.record.violations.append("final response was never acknowledged")
        if self.state is State.ANSWERED:
            self.hang_up("no ACK")
        elif self.record.state == "ended":
            self._host.store.write(self.name, self.record)

    # -- the life of a call ----------------------------------------------------------------

    async def _live(self) -> None:
        b = self.behaviour
        if b.no_reply:
            await asyncio.sleep(self._host.limits.vanish)
            self._end("no reply was given")
            return
        if b.ring_ms or b.early or b.status != 200:
            self.record.trying = Stamp.at()
            self._reply(self._transaction, 100)
            self._become(State.PROCEEDING)
        if b.ring_ms:
            await self._ring(b.ring_ms)
        if b.early:
            await self._early_media(b.early)
        if self.state is State.ENDED:
            return
        if b.status == 200:
            self._answer()
            return
        headers: Headers = []
        if b.redirect:
            own = f"{self.dialog.own[0]}:{self.dialog.own[1]}"
            headers = [("Contact", f"<{b.redirect.replace('{own}', own)}>")]
        self._refuse(b.status, f"answered with {b.status}", headers)

    async def _ring(self, ring_ms: tuple[float, float]) -> None:
        self.record.ringing = Stamp.at()
        self._reply(self._transaction, 180)
        if ring_ms[1] == FOREVER:
            await asyncio.sleep(self._host.limits.ring)
            self._refuse(480, "rang to the simulator's limit")
        else:
            await asyncio.sleep(self._chooser.uniform(*ring_ms) / 1000)

    async def _early_media(self, pieces: tuple[Early, ...]) -> None:
        body = self._open_media()
        if body is None or self.media is None:
            return
        self.record.progress = Stamp.at()
        self._reply(self._transaction, 183, [("Content-Type", "application/sdp")], body)
        for piece in pieces:
            if piece.say:
                clip = Clip(self._host.samples(piece.say), text=piece.say.text, means=piece.means)
            elif piece.ringback_ms:
                clip = Clip(sounds.ringback(piece.ringback_ms))
            else:
                clip = Clip(sounds.silence(piece.pause_ms))
            self.media.play(clip)
        self.media.start()
        while self.media.busy:
            await asyncio.sleep(0.02)

    def _open_media(self) -> bytes | None:
        """Open RTP and make our side of the session; None after a 488."""
        if self.media is None:
            offer = self._transaction.request.body
            try:
                session = sdp.parse(offer) if offer else None
            except sdp.UnacceptableSession:
                self._refuse(488, "no G.711 over RTP/AVP was offered")
                return None
            b = self.behaviour
            impairments = Impairments(
                send=b.rtp != "none",
                loss=b.loss,
                foreign_ssrc=b.rtp == "foreign_ssrc",
                noise=self._host.noise(b),
            )
            self.media = CallMedia(self._host.open_rtp, self._chooser, impairments)
            self._conversation = self._converse(self.media)
            if session:
                self.media.adopt(session)
        local, version = self.media.address, self.media.sdp_version
        if self.media.session:
            return sdp.answer(self.media.session, local, version)
        return sdp.offer(local, version, "sendrecv")

    def _converse(self, media: CallMedia) -> Conversation:
        return Conversation(
            behaviour=self.behaviour,
            record=self.record,
            dialog=self.dialog,
            media=media,
            layer=self._host.layer,
            chooser=self._chooser,
            samples=self._host.samples,
            spawn=self._spawn,
            hang_up=self.hang_up,
            vanish_s=self._host.limits.vanish,
        )

    async def _answer_after(self, ms: float) -> None:
        await asyncio.sleep(ms / 1000)
        self._answer()

    def _answer(self) -> None:
        body = self._open_media()
        if body is None or self.media is None or self._conversation is None:
            return
        headers: Headers = [("Content-Type", "application/sdp"), *self.behaviour.extra.items()]
        self.record.answered = Stamp.at()
        self.record.final_status = 200
        self._become(State.ANSWERED)
        self._reply(self._transaction, 200, headers, body)
        self._conversation.begin()
        self.media.start()
        self._host.store.write(self.name, self.record)

    # -- the end ---------------------------------------------------------------------------

    def _end(self, why: str) -> None:
        """The one way out: stop sending, watch for late media, complete the record."""
        if self.state is State.ENDED:
            return
        self._become(State.ENDED)
        self.record.ended = why
        if self.media:
            self.media.stop()
        self._cancel_tasks()
        self._completion = asyncio.get_running_loop().create_task(self._complete())

    async def _complete(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self._host.limits.linger)
        if self.media:
            self.media.close()
        try:
            await complete(self._host.store, self.name, self.record, self.media, self._host.limits)
        except Exception as error:  # the witness must say that it has nothing to say
            self._host.store.event("internal_error", error=repr(error), call_id=self.record.call_id)
        finally:
            self._host.forget(self.record, self.dialog.local_tag)

    def _spawn(self, life: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(life))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, life: Coroutine[None, None, None]) -> None:
        """A fault in one call ends that call, with a record, and no other."""
        try:
            await life
        except Exception as error:
            self._host.store.event("internal_error", error=repr(error), call_id=self.record.call_id)
            if self.state is State.ANSWERED:
                self.hang_up(f"fault of the simulator: {error}")
            elif self.state is not State.ENDED:
                self._refuse(500, f"fault of the simulator: {error}")

    def _cancel_tasks(self) -> None:
        current = asyncio.current_task()
        for task in list(self._tasks):
            if task is not current:
                task.cancel()
