# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny scripted SIP caller for the simulator's own tests: sockets and string templates only.

It builds its messages by hand, so that it does not share a parser's mistakes with the simulator.
"""

import asyncio
import functools
import itertools
import re
import socket
import struct
import time
from dataclasses import dataclass, field

import numpy as np

_numbers = itertools.count(1)


def tone(ms: float, hz: float = 300.0, level: float = 6000.0) -> np.ndarray:
    """A sine at 8 kHz, PCM16."""
    t = np.arange(int(8 * ms)) / 8000
    return np.rint(level * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def gap(ms: float) -> np.ndarray:
    """Digital silence."""
    return np.zeros(int(8 * ms), dtype=np.int16)


@functools.cache
def _alaw_table() -> np.ndarray:
    """A-law of every sample from -32768 to 32767."""
    return np.frombuffer(alaw(np.arange(-32768, 32768)), np.uint8)


def alaw(samples: np.ndarray) -> bytes:
    """A-law by the bit arithmetic of the G.711 text, one sample at a time."""
    out = bytearray()
    for sample in samples.tolist():
        sign, magnitude = (0x80, sample) if sample >= 0 else (0, -sample - 1)
        magnitude >>= 4
        chord = max(0, magnitude.bit_length() - 4)
        mantissa = magnitude >> max(0, chord - 1) & 15
        out.append((sign | chord << 4 | mantissa) ^ 0x55)
    return bytes(out)


@dataclass
class Received:
    """A message that came from the simulator."""

    text: str
    at: float

    @property
    def status(self) -> int:
        """Status of a response, 0 for a request."""
        return int(self.text[8:11]) if self.text.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """Method of a request, or of the request a response answers."""
        if self.status:
            return self.header("CSeq").split()[-1]
        return self.text.split()[0]

    def header(self, name: str) -> str:
        """First value of a header."""
        found = re.search(rf"^{name}: *(.*?)\r$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""


@dataclass
class Caller:
    """One call (or none): send what the test says, keep what comes."""

    peer: tuple[str, int]
    number: str = "+8613900000101"
    inbox: list[Received] = field(default_factory=list)
    rtp_in: list[tuple[float, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.serial = next(_numbers)
        self.call_id = f"caller-{self.serial}@test"
        self.branch = f"z9hG4bK-{self.serial}"
        self.cseq = 1
        self.to_tag = ""
        self.sip = self._bind()
        self.rtp = self._bind()
        self.remote_rtp: tuple[str, int] | None = None
        self.sequence = 0
        self.timestamp = 0
        self._new = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.sip, self._sip_readable)
        loop.add_reader(self.rtp, self._rtp_readable)

    @staticmethod
    def _bind() -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("127.0.0.1", 0))
        bound.setblocking(False)
        return bound

    def close(self) -> None:
        """Free both ports."""
        for bound in (self.sip, self.rtp):
            asyncio.get_running_loop().remove_reader(bound)
            bound.close()

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    def _sip_readable(self) -> None:
        data = self.sip.recv(65535)
        self.inbox.append(Received(data.decode(), time.monotonic()))
        port = re.search(r"^m=audio (\d+)", data.decode(), re.MULTILINE)
        if port:
            self.remote_rtp = ("127.0.0.1", int(port[1]))
        self._new.set()

    def _rtp_readable(self) -> None:
        self.rtp_in.append((time.monotonic(), self.rtp.recv(2048)))

    # -- SIP -------------------------------------------------------------------------------

    def sdp(self, codecs: str = "8 0 101", direction: str = "sendrecv") -> str:
        """An offer of G.711 and telephone-event."""
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
        lines += [f"m=audio {self.rtp.getsockname()[1]} RTP/AVP {codecs}"]
        lines += ["a=rtpmap:101 telephone-event/8000", f"a={direction}", ""]
        return "\r\n".join(lines)

    def message(
        self, method: str, body: str = "", extra: str = "", branch: str = "", uri: str = ""
    ) -> bytes:
        """A request as a datagram."""
        port = self.sip.getsockname()[1]
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        content = "Content-Type: application/sdp\r\n" if body.startswith("v=") else ""
        target = uri or f"sip:{self.number}@127.0.0.1:{self.peer[1]}"
        return (
            f"{method} {target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch={branch or self.branch}\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <sip:4008887686@127.0.0.1>;tag=f{self.serial}\r\n"
            f"To: <sip:{self.number}@127.0.0.1>{tag}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {self.cseq} {method}\r\n"
            f"Contact: <sip:bot@127.0.0.1:{port}>\r\n{extra}{content}"
            f"Content-Length: {len(body.encode())}\r\n\r\n{body}"
        ).encode()

    def send(self, data: bytes) -> None:
        """One datagram to the simulator."""
        self.sip.sendto(data, self.peer)

    def invite(self, **options: str) -> None:
        """Send the INVITE, again if it was sent before."""
        self.send(self.message("INVITE", options.pop("body", self.sdp()), **options))

    def request(self, method: str, body: str = "", extra: str = "") -> None:
        """A request within the dialog."""
        self.cseq += 1
        self.send(self.message(method, body, extra, f"{self.branch}-{self.cseq}"))

    def ack(self, body: str = "") -> None:
        """ACK for a 2xx: a branch of its own."""
        self.send(self.message("ACK", body, branch=f"{self.branch}-ack"))

    def reply(self, request: Received, body: str = "") -> None:
        """200 to a request of the simulator."""
        content = "Content-Type: application/sdp\r\n" if body else ""
        copied = "".join(
            f"{name}: {request.header(name)}\r\n"
            for name in ("Via", "From", "To", "Call-ID", "CSeq")
        )
        port = self.sip.getsockname()[1]
        self.send(
            f"SIP/2.0 200 OK\r\n{copied}Contact: <sip:bot@127.0.0.1:{port}>\r\n{content}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    async def wait(self, status: int = 0, method: str = "", timeout: float = 5.0) -> Received:
        """The first message with this status (or request method) not taken before."""
        deadline = time.monotonic() + timeout
        while True:
            for index, message in enumerate(self.inbox):
                if message.status == status and method in ("", message.method):
                    return self.inbox.pop(index)
            self._new.clear()
            left = deadline - time.monotonic()
            try:
                await asyncio.wait_for(self._new.wait(), left)
            except TimeoutError:
                seen = [m.text.splitlines()[0] for m in self.inbox]
                raise AssertionError(f"no {method} {status or ''}; left: {seen}") from None

    async def answered(self) -> Received:
        """Call until the 200 and acknowledge it."""
        self.invite()
        response = await self.wait(200, "INVITE")
        self.to_tag = response.header("To").split("tag=")[1]
        self.ack()
        return response

    async def hang_up(self) -> None:
        """BYE and its 200."""
        self.request("BYE")
        await self.wait(200, "BYE")

    # -- RTP -------------------------------------------------------------------------------

    def packet(self, payload: bytes, payload_type: int = 8, timestamp: int | None = None) -> None:
        """One RTP packet."""
        assert self.remote_rtp
        stamp = self.timestamp if timestamp is None else timestamp
        head = struct.pack("!BBHII", 0x80, payload_type, self.sequence & 0xFFFF, stamp, 0xB07)
        self.sequence += 1
        self.rtp.sendto(head + payload, self.remote_rtp)

    async def speak(self, samples: np.ndarray) -> float:
        """Send audio in real time; returns the monotonic time of the first packet."""
        coded = _alaw_table()[samples.astype(int) + 32768].tobytes()
        start = time.monotonic()
        for index in range(0, len(coded) - 159, 160):
            await asyncio.sleep(start + index / 8000 - time.monotonic())
            self.packet(coded[index : index + 160])
            self.timestamp += 160
        return start
