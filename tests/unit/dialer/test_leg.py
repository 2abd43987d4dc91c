# SPDX-License-Identifier: GPL-3.0-or-later
"""Early media, and a third voice in the recording."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from dialer.leg import CallLeg
from dialer.playout import FRAME_BYTES, SILENCE


class Nobody:
    def hangup(self, leg: CallLeg) -> None:
        raise AssertionError("nothing here hangs up")


def frame(level: int) -> bytes:
    return np.full(FRAME_BYTES // 2, level, "<i2").tobytes()


@pytest.fixture
def leg() -> Iterator[CallLeg]:
    loop = asyncio.new_event_loop()
    yield CallLeg(Nobody(), loop, "line1")
    loop.close()


@pytest.fixture
def recorded(leg: CallLeg) -> list[tuple[bytes, bytes]]:
    """The recording of ``leg``, answered at its first frame."""
    pieces: list[tuple[bytes, bytes]] = []
    leg.tap = lambda heard, sent: pieces.append((heard, sent))
    leg.tape.clock = leg.tape.first_tick = 10.0
    leg.on_answered(10.0, "")
    leg._base = 0
    return pieces


def test_early_media_is_heard_in_order_and_is_no_part_of_the_call(leg: CallLeg) -> None:
    pieces: list[tuple[int, bytes]] = []
    leg.early = lambda position, pcm: pieces.append((position, pcm))
    leg.tape.frames.extend([(SILENCE, frame(1)), (SILENCE, frame(2))])
    leg.drain()
    leg.tape.frames.append((SILENCE, frame(3)))
    leg.drain()
    assert pieces == [(0, frame(1) + frame(2)), (320, frame(3))]


def test_a_joined_person_is_mixed_into_what_the_callee_was_told(
    leg: CallLeg, recorded: list[tuple[bytes, bytes]]
) -> None:
    leg.hear_third(frame(500), SILENCE)
    leg.tape.frames.extend([(frame(100), frame(7)), (frame(100), frame(7))])
    leg.drain()
    ((heard, sent),) = recorded
    assert heard == frame(7) * 2
    assert sent == frame(600) + frame(100)


def test_mixing_never_wraps_around(leg: CallLeg, recorded: list[tuple[bytes, bytes]]) -> None:
    leg.hear_third(frame(32000), SILENCE)
    leg.tape.frames.append((frame(32000), SILENCE))
    leg.drain()
    assert recorded[0][1] == frame(32767)


def test_the_third_voice_does_not_pile_up(
    leg: CallLeg, recorded: list[tuple[bytes, bytes]]
) -> None:
    for _ in range(50):
        leg.hear_third(frame(9), SILENCE)
    leg.tape.frames.append((SILENCE, SILENCE))
    leg.drain()
    assert len(leg._third) <= 3 * FRAME_BYTES
    assert len(recorded) == 1
