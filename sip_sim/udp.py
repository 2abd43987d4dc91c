# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP sockets on an asyncio loop with the kernel's arrival times."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from sip_sim.message import Address

_SO_TIMESTAMPNS: Final = 35  # Linux; the socket module does not name it
_TIMESPEC: Final = struct.Struct("@qq")

Receiver = Callable[[bytes, Address, int], None]
"""Called with the datagram, its source and its arrival on time.monotonic_ns()."""


class UdpSocket:
    """One bound UDP socket; sending never blocks and never raises for a network reason."""

    def __init__(self, address: Address, receive: Receiver) -> None:
        """Bind (port 0 picks a free one) and start reading on the running loop."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(address)
        except (OSError, OverflowError):
            self._socket.close()
            raise
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        except OSError:
            pass  # not Linux: the time of reading is the time of arrival
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)
        name = self._socket.getsockname()
        self.address: Address = (name[0], name[1])
        self._closed = False

    def send(self, data: bytes, address: Address) -> bool:
        """Send one datagram; False when the system refused it."""
        if self._closed:
            return False
        try:
            self._socket.sendto(data, address)
        except (OSError, OverflowError):
            return False
        return True

    def close(self) -> None:
        """Stop reading and free the port; may be called again."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _readable(self) -> None:
        for _ in range(64):  # a flood must not starve the media clock
            if self._closed:
                return
            try:
                data, ancillary, _, source = self._socket.recvmsg(65535, 64)
            except BlockingIOError:
                return
            except OSError:
                continue
            self._receive(data, (source[0], source[1]), _arrival(ancillary))


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Kernel receive time carried over to the monotonic clock, in ns."""
    now = time.monotonic_ns()
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= 16:
            seconds, nanoseconds = _TIMESPEC.unpack(data[:16])
            age: int = time.time_ns() - (seconds * 1_000_000_000 + nanoseconds)
            if 0 <= age < 5_000_000_000:
                return now - age
    return now
