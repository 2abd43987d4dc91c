# SPDX-License-Identifier: GPL-3.0-or-later
"""pjsua2's call and account objects; all of it runs on the endpoint's thread.

An exception in a callback would be printed and swallowed: each reports it instead.
"""

from __future__ import annotations

import contextlib
import time
from typing import Protocol

import pjsua2 as pj
import structlog

from dialer.audio import MediaPort
from dialer.leg import CallLeg

log = structlog.get_logger("dialer.sip")


class Endpoint(Protocol):
    """What calls need of their endpoint."""

    def reap_later(self, call: pj.Call, port: MediaPort | None) -> None: ...

    def callback_failed(self, where: str, error: Exception) -> None: ...


class Account(pj.Account):
    """Answers nothing: an unsolicited INVITE is declined (RFC 3261 section 21.6.2)."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        try:
            call = pj.Call(self, prm.callId)
            answer = pj.CallOpParam()
            answer.statusCode = pj.PJSIP_SC_DECLINE
            call.hangup(answer)
            self._endpoint.reap_later(call, None)
            log.info("unsolicited invite declined", action="sip.unsolicited")
        except Exception as error:
            self._endpoint.callback_failed("onIncomingCall", error)


class Call(pj.Call):
    """One outgoing call; runs on the endpoint's thread."""

    def __init__(self, account: pj.Account, endpoint: Endpoint, leg: CallLeg) -> None:
        super().__init__(account)
        self._endpoint = endpoint
        self.leg: CallLeg | None = leg
        self.port: MediaPort | None = None
        self.answer = ""
        self.seen_bye = False
        self.redirected = False
        self.peer: Call | None = None  # the call it is joined with
        self._media = -1  # index of the audio in the session

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        try:
            leg = self.leg
            if leg is None:
                return
            now = time.monotonic()
            info = self.getInfo()
            if info.state == pj.PJSIP_INV_STATE_EARLY:
                leg.on_ringing(info.lastStatusCode, now)
            elif info.state == pj.PJSIP_INV_STATE_CONNECTING:
                self.answer = _whole_message(prm.e)  # the 200; CONFIRMED comes with our ACK
            elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
                leg.on_answered(now, self.answer)
            elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
                by_peer = self.seen_bye or (not leg.answered_at_monotonic and _from_network(prm.e))
                # pjsua2 reports a redirect it was told not to follow as its own 487.
                status = 302 if self.redirected else info.lastStatusCode
                leg.on_ended(status, info.lastReason, by_peer or self.redirected, now)
                if self.peer is not None:
                    self.peer.peer = None
                    self.peer = None
                self._endpoint.reap_later(self, self.port)
                self.leg = None
                self.port = None
        except Exception as error:
            self._endpoint.callback_failed("onCallState", error)

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:
        try:
            leg = self.leg
            if leg is None:
                return
            info = self.getInfo()  # kept: the media list points into it
            for media in info.media:
                if media.type != pj.PJMEDIA_TYPE_AUDIO or media.status not in (
                    pj.PJSUA_CALL_MEDIA_ACTIVE,
                    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD,
                ):
                    continue
                if self.port is None:
                    port = MediaPort(leg.playout, leg.tape)
                    port.open(f"call-{self.getId()}-{id(port):x}")
                    self.port = port
                self._media = media.index
                audio = self.getAudioMedia(media.index)
                audio.startTransmit(self.port)
                self.port.startTransmit(audio)
                if self.peer is not None:  # a re-INVITE made the media anew
                    self.join(self.peer)
                return
        except Exception as error:
            self._endpoint.callback_failed("onCallMediaState", error)

    def join(self, other: Call) -> None:
        """Let both callees hear each other; our ports keep hearing and speaking."""
        self.peer, other.peer = other, self
        if self._media < 0 or other._media < 0:
            return  # done when the media comes up
        mine, theirs = self.getAudioMedia(self._media), other.getAudioMedia(other._media)
        mine.startTransmit(theirs)
        theirs.startTransmit(mine)

    def part(self) -> None:
        """The other side is gone or leaves; pjsua2 drops the connections of ended media itself."""
        other, self.peer = self.peer, None
        if other is None:
            return
        other.peer = None
        with contextlib.suppress(pj.Error):
            mine, theirs = self.getAudioMedia(self._media), other.getAudioMedia(other._media)
            mine.stopTransmit(theirs)
            theirs.stopTransmit(mine)

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:
        try:
            tsx = prm.e.body.tsxState.tsx
            if tsx.method == "BYE" and tsx.role == pj.PJSIP_ROLE_UAS:
                self.seen_bye = True
        except Exception as error:
            self._endpoint.callback_failed("onCallTsxState", error)

    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:
        try:
            if self.leg is not None:
                self.leg.on_digit(prm.digit)
        except Exception as error:
            self._endpoint.callback_failed("onDtmfDigit", error)

    def onCallRedirected(self, prm: pj.OnCallRedirectedParam) -> int:
        self.redirected = True
        return int(pj.PJSIP_REDIRECT_STOP)

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        prm.statusCode = pj.PJSIP_SC_DECLINE

    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:
        prm.statusCode = pj.PJSIP_SC_DECLINE


def _from_network(event: pj.SipEvent) -> bool:
    """Whether the state change came with a received message, not from our own doing."""
    body = event.body
    return bool(
        event.type == pj.PJSIP_EVENT_TSX_STATE and body.tsxState.type == pj.PJSIP_EVENT_RX_MSG
    )


def _whole_message(event: pj.SipEvent) -> str:
    if not _from_network(event):
        return ""
    return str(event.body.tsxState.src.rdata.wholeMsg)
