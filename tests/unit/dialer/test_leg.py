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


@pytest.fixture
def person(leg: CallLeg) -> CallLeg:
    """Somebody at a telephone of ours, joined to ``leg``."""
    person = CallLeg(Nobody(), leg._loop, "line1")
    person.tape.clock = person.tape.first_tick = 10.0
    person.on_answered(10.0, "")
    person._base = 0
    leg.join(person)
    return person


def tick(leg: CallLeg, person: CallLeg, voice: bytes, own: bytes = SILENCE) -> None:
    """The media clock moves by one frame in which ``voice`` is heard from the person."""
    person.tape.frames.append((SILENCE, voice))
    leg.tape.frames.append((own, SILENCE))


def run_clock(leg: CallLeg, ticks: list[float]) -> None:
    """The bridge asks for a frame at each of these times."""
    for number, now in enumerate(ticks):
        if number:
            leg.tape.frames.append((frame(number), frame(number)))
        leg.tape.tick(now)


def test_a_first_tick_that_was_late_and_caught_up_is_no_silence(leg: CallLeg) -> None:
    """Sample 0 was due 5 ms after the answer; the clock thread woke 110 ms later."""
    pieces: list[tuple[bytes, bytes]] = []
    leg.tap = lambda heard, sent: pieces.append((heard, sent))
    leg.on_answered(10.0, "")
    run_clock(leg, [10.115] * 6 + [10.005 + 0.02 * n for n in range(6, 12)])
    leg.drain()
    assert leg._base == -40  # 5 ms, not 115
    assert pieces[0] == (bytes(80), bytes(80))
    assert len(pieces[1][1]) == 11 * FRAME_BYTES


def test_a_port_that_began_late_is_silence_at_the_start(leg: CallLeg) -> None:
    leg.on_answered(10.0, "")
    run_clock(leg, [10.05 + 0.02 * n for n in range(9)])
    leg.drain()
    assert leg._base is None  # not yet sure
    leg.tape.tick(10.05 + 0.02 * 9)
    leg.drain()
    assert leg._base == -400
    short = CallLeg(Nobody(), leg._loop, "line1")
    short.on_answered(10.0, "")
    run_clock(short, [10.05, 10.07])
    short.drain(last=True)  # it was over before anybody could be sure
    assert short._base == -400


def test_a_joined_person_is_mixed_into_what_the_callee_was_told(
    leg: CallLeg, person: CallLeg, recorded: list[tuple[bytes, bytes]]
) -> None:
    tick(leg, person, frame(500), frame(100))
    leg.drain()
    tick(leg, person, frame(600), frame(100))
    leg.drain()
    assert [sent for _, sent in recorded] == [frame(100), frame(600)]


@pytest.mark.parametrize("lags", [(1,) * 40, (8, 1, 1, 8, 3, 1, 9, 9), (40,)])
@pytest.mark.parametrize("person_first", [True, False])
def test_no_piece_of_a_joined_person_is_lost_however_late_the_recording_is(
    leg: CallLeg,
    person: CallLeg,
    recorded: list[tuple[bytes, bytes]],
    lags: tuple[int, ...],
    person_first: bool,
) -> None:
    said = iter(range(1, 1000))
    for lag in (1, 1, *lags):
        for _ in range(lag):
            tick(leg, person, frame(next(said)))
        for each in (person, leg) if person_first else (leg, person):
            each.drain()
    heard = np.frombuffer(b"".join(sent for _, sent in recorded), "<i2")[:: FRAME_BYTES // 2]
    spoken = heard[np.flatnonzero(heard)[0] :]
    assert list(spoken) == list(range(1, len(spoken) + 1))
    assert len(spoken) >= sum(lags)


def test_mixing_never_wraps_around(
    leg: CallLeg, person: CallLeg, recorded: list[tuple[bytes, bytes]]
) -> None:
    for _ in range(2):
        tick(leg, person, frame(32000), frame(32000))
    leg.drain()
    assert recorded[0][1] == frame(32767) * 2


def test_the_third_voice_does_not_pile_up(
    leg: CallLeg, person: CallLeg, recorded: list[tuple[bytes, bytes]]
) -> None:
    for _ in range(50):
        person.tape.frames.append((SILENCE, frame(9)))
    leg.tape.frames.append((SILENCE, SILENCE))
    leg.drain()
    assert len(leg._third) <= 4 * FRAME_BYTES
    assert len(recorded) == 1
