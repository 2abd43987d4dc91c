# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an INVITE goes: over the line's next hop, or to a lab tester's own address."""

from __future__ import annotations

import pytest

from compliance.facts import Number
from dialer.lines import Line

LINE = Line("line1", "10.0.0.5:5070", "4008887686")


@pytest.mark.parametrize(
    ("number", "target", "peer"),
    [
        ("+8613900000101", "sip:+8613900000101@10.0.0.5:5070", "10.0.0.5:5070"),
        ("sip:me@127.0.0.1:5062", "sip:me@127.0.0.1:5062", "127.0.0.1:5062"),
        ("sip:me@192.168.1.20", "sip:me@192.168.1.20", "192.168.1.20:5060"),
        ("sip:192.168.1.20:5080", "sip:192.168.1.20:5080", "192.168.1.20:5080"),
    ],
)
def test_target_and_peer(number: str, target: str, peer: str) -> None:
    assert LINE.target(Number(number)) == target
    assert LINE.peer(Number(number)) == peer
