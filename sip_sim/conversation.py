# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation after the answer: a behaviour's steps brought to life."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine

import numpy as np
from numpy.typing import NDArray

from sip_sim import sdp, sounds
from sip_sim.behaviours import Behaviour, Step
from sip_sim.callee import Callee
from sip_sim.dialog import Dialog
from sip_sim.media import CallMedia, Clip
from sip_sim.message import Request, Response
from sip_sim.record import CallRecord
from sip_sim.transaction import TransactionLayer
from sip_sim.voices import Utterance

Pcm = NDArray[np.int16]


class Conversation:
    """Hears the bot through the media's callbacks and acts on it."""

    def __init__(
        self,
        *,
        behaviour: Behaviour,
        record: CallRecord,
        dialog: Dialog,
        media: CallMedia,
        layer: TransactionLayer,
        chooser: random.Random,
        samples: Callable[[Utterance], Pcm],
        spawn: Callable[[Coroutine[None, None, None]], None],
        hang_up: Callable[[str], None],
        vanish_s: float,
    ) -> None:
        self._behaviour = behaviour
        self._record = record
        self._dialog = dialog
        self._media = media
        self._layer = layer
        self._chooser = chooser
        self._samples = samples
        self._spawn = spawn
        self._hang_up = hang_up
        self._vanish_s = vanish_s
        self._callee = Callee(behaviour.steps)
        self._said_count = 0
        self.pending_reinvite = False
        """Our own re-INVITE waits for its final response (RFC 3261 section 14.2)."""
        self.last_signal_ns = time.monotonic_ns()
        media.on_clip_end = self.clip_ended

    def begin(self) -> None:
        """The 200 is out: listen and act from now on."""
        self._media.on_tick = self.tick
        self._media.on_level = self._hear

    def _hear(self, mono_ns: int, level_dbfs: float) -> None:
        self._callee.ear.frame(self._record.ms(mono_ns), level_dbfs)

    def _send(self, request: Request) -> None:
        self._layer.request(request, self._dialog.destination, lambda _response: None)

    def tick(self, now_ns: int) -> None:
        now_ms = self._record.ms(now_ns)
        last = max(self.last_signal_ns, self._media.last_arrival_ns or 0)
        if now_ns - last > self._vanish_s * 1e9:
            self._hang_up("peer vanished")
            return
        if now_ms > self._behaviour.max_ms:
            self._hang_up("the callee's longest time was reached")
            return
        step = self._callee.due(now_ms, self._media.busy)
        if step:
            self._perform(step)

    def _perform(self, step: Step) -> None:
        if step.say:
            words = step.say[self._said_count % len(step.say)]
            self._said_count += 1
            clip = Clip(self._samples(words), text=words.text, refuses=step.refuses)
            clip.means = step.means
            self._media.play(clip)
        elif step.tone_hz:
            self._media.play(Clip(sounds.tone((step.tone_hz,), step.tone_ms)))
        elif step.dtmf and step.method == "info":
            self._press_by_info(step)
        elif step.dtmf:
            clip = Clip(digit=step.dtmf, method=step.method, duration_ms=step.dtmf_ms)
            clip.refuses = step.refuses
            self._media.play(clip)
        elif step.hold_ms:
            self._spawn(self._hold(step.hold_ms))
        elif step.hangup:
            self._hang_up("hung up by the callee")

    def _press_by_info(self, step: Step) -> None:
        body = f"Signal={step.dtmf}\r\nDuration={step.dtmf_ms:.0f}\r\n".encode()
        now = time.monotonic_ns()
        clip = Clip(digit=step.dtmf, method="info", refuses=step.refuses, start_ns=now)
        clip.end_ns = now + round(step.dtmf_ms * 1e6)
        kind = [("Content-Type", "application/dtmf-relay")]
        self._send(self._dialog.request("INFO", kind, body))
        self.clip_ended(clip)

    def clip_ended(self, clip: Clip) -> None:
        if not self._record.answered:
            self._record.early += [clip.text] if clip.text else []
            self._record.announced = clip.means or self._record.announced
            return
        start, end = self._record.ms(clip.start_ns), self._record.ms(clip.end_ns)
        times = {"start_ms": start, "end_ms": end, **({"cut": True} if clip.cut else {})}
        if clip.text:
            means = {"means": clip.means} if clip.means else {}
            self._record.said.append({"text": clip.text, **times, **means})
        if clip.digit:
            self._record.dtmf.append({"digit": clip.digit, **times, "method": clip.method})
        if clip.refuses:
            self._record.refused_at_ms = end
        self._callee.done(end)

    async def _hold(self, ms: float) -> None:
        """Hold by re-INVITE sendonly, then resume (RFC 3264 section 8.4)."""
        for direction, pause in (("sendonly", ms), ("sendrecv", 0.0)):
            answered: asyncio.Future[Response | None] = asyncio.Future()
            self._reinvite(direction, answered)
            response = await answered
            if response is not None and response.status == 491:  # section 14.1
                await asyncio.sleep(self._chooser.uniform(2.1, 4.0))
                answered = asyncio.Future()
                self._reinvite(direction, answered)
                await answered
            await asyncio.sleep(pause / 1000)

    def _reinvite(self, direction: str, answered: "asyncio.Future[Response | None]") -> None:
        if self._record.bye is not None:
            answered.set_result(None)
            return
        self._media.sdp_version += 1
        body = sdp.offer(
            self._media.address, self._media.sdp_version, direction, self._media.session
        )
        request = self._dialog.request("INVITE", [("Content-Type", "application/sdp")], body)
        self.pending_reinvite = True

        def received(response: Response | None) -> None:
            if response is not None and response.status < 200:
                return
            self.pending_reinvite = False
            if response is not None:
                self._acknowledge(request, response)
            if not answered.done():
                answered.set_result(response)

        self._layer.request(request, self._dialog.destination, received)

    def _acknowledge(self, request: Request, response: Response) -> None:
        """ACK for our re-INVITE: on its own branch after a failure (section 17.1.1.3)."""
        ack = self._dialog.request("ACK", cseq=request.cseq[0])
        if response.status >= 300:
            ack.headers[0] = request.headers[0]
        self._layer.send(ack.serialize(), self._dialog.destination)
