# SPDX-License-Identifier: GPL-3.0-or-later
"""Does this address belong to a simulator that holds the key issued to it?

A demo home dials nothing else. The challenge goes to the very address an
INVITE would go to; the answer is a signature over the nonce and over the
address the simulator itself is bound to. A proxy on loopback that relays the
challenge to a real simulator is caught by that address: it is not the one we
asked, so it gets no INVITE.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from compliance.errors import ConfigError, LineUnproven

_CONTEXT = b"candor-sim-proof-v1"


@dataclass(frozen=True, slots=True)
class SimulatorKey:
    """The public half of the key issued to ``candor sim`` (Ed25519)."""

    key: Ed25519PublicKey

    @staticmethod
    def load(pem: bytes) -> SimulatorKey:
        """Read a PEM public key; ConfigError when it is none."""
        try:
            key = load_pem_public_key(pem)
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError(
                "the simulator's public key is not an Ed25519 PEM key",
                field="sim.pub",
                remedy="make the demo home anew with `candor init --demo`",
            )
        return SimulatorKey(key)

    def check(self, nonce: str, asked: str, proof: str) -> None:
        """Check a ``X-Candor-Proof`` value; LineUnproven says what is wrong with it."""
        version, _, rest = proof.partition(";")
        address, _, signature = rest.partition(";")
        if version.strip() != "v1" or not signature:
            raise LineUnproven("the answer is no proof this version knows")
        if address != asked:
            raise LineUnproven(
                "the proof speaks of another address than the one asked: a proxy answered",
                remedy="point the line at the simulator itself",
            )
        signed = b"\n".join((_CONTEXT, nonce.encode(), address.encode(), b""))
        try:
            self.key.verify(base64.b64decode(signature, validate=True), signed)
        except (InvalidSignature, ValueError):
            raise LineUnproven(
                "the proof is not signed by the key issued to this home's simulator"
            ) from None


class _Challenge(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def prove(address: str, key: SimulatorKey, timeout_s: float = 2.0) -> None:
    """Challenge ``host:port`` with an OPTIONS (RFC 3261 §11); returns if it proved itself.

    Raises:
        LineUnproven: no answer, no proof, or a proof of something else.
    """
    host, _, port = address.rpartition(":")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise LineUnproven("a demo home dials loopback addresses only")
    nonce = secrets.token_hex(16)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        _Challenge, local_addr=("127.0.0.1", 0), remote_addr=(host, int(port))
    )
    try:
        mine = transport.get_extra_info("sockname")
        request = _options(address, f"{mine[0]}:{mine[1]}", nonce)
        deadline = loop.time() + timeout_s
        wait = 0.25
        while True:  # RFC 3261 §17.1.2: a request over UDP is repeated until answered
            transport.sendto(request)
            try:
                async with asyncio.timeout(min(wait, max(0.0, deadline - loop.time()))):
                    answer = await asyncio.shield(protocol.answer)
                break
            except TimeoutError:
                if loop.time() >= deadline:
                    raise LineUnproven(
                        f"no answer from the simulator at {address}",
                        remedy="start it with `candor sim`",
                    ) from None
                wait *= 2
            except OSError:
                raise LineUnproven(
                    f"nothing listens at {address}", remedy="start it with `candor sim`"
                ) from None
    finally:
        transport.close()
    key.check(nonce, address, _proof_header(answer))


def _options(target: str, local: str, nonce: str) -> bytes:
    tag, branch, call = secrets.token_hex(4), secrets.token_hex(8), secrets.token_hex(8)
    return (
        f"OPTIONS sip:proof@{target} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {local};branch=z9hG4bK{branch};rport\r\n"
        "Max-Forwards: 0\r\n"  # RFC 3261 §11: an honest proxy answers this itself
        f"From: <sip:candor@{local}>;tag={tag}\r\n"
        f"To: <sip:proof@{target}>\r\n"
        f"Call-ID: {call}\r\n"
        "CSeq: 1 OPTIONS\r\n"
        f"Contact: <sip:candor@{local}>\r\n"
        f"X-Candor-Challenge: {nonce}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def _proof_header(answer: bytes) -> str:
    head = answer.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    for line in head.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon and name.strip().lower() == "x-candor-proof":
            return value.strip()
    raise LineUnproven(
        "what answers there is not this home's simulator", remedy="start it with `candor sim`"
    )
