# SPDX-License-Identifier: GPL-3.0-or-later
"""The witness's arithmetic: finding, comparing, dividing; G.711; the time line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_sim import g711, sounds, voices, witness
from sip_sim.heard import Arrival, HeardAudio, place
from sip_sim.rtp import RtpPacket, TelephoneEvent, parse, parse_event
from sip_sim.voices import Utterance
from tests.sim.uac import alaw

ALL = np.arange(-32768, 32768).astype(np.int16)


def speechlike(seed: int, length: int) -> np.ndarray:
    """Noise of changing level and colour: it has no period to fool a correlation."""
    chooser = np.random.default_rng(seed)
    noise = np.convolve(chooser.standard_normal(length), np.ones(4) / 4, "same")
    envelope = np.repeat(chooser.uniform(0.1, 1.0, length // 400 + 1), 400)[:length]
    return np.rint(6000 * noise * envelope).astype(np.int16)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    at=st.integers(0, 15000),
    gain=st.floats(0.1, 2.0),
    codec=st.sampled_from([g711.PCMA, g711.PCMU]),
    hiss=st.floats(0, 60),
)
def test_a_prompt_is_found_to_the_sample(
    seed: int, at: int, gain: float, codec: int, hiss: float
) -> None:
    prompt = speechlike(seed, 4000)
    heard = np.random.default_rng(seed + 1).standard_normal(20000) * hiss
    heard[at : at + 4000] += prompt * gain
    line = np.clip(np.rint(heard), -32768, 32767).astype(np.int16)
    match = witness.find_prompt(g711.decode(g711.encode(line, codec), codec), prompt)
    assert match.start_ms == at / 8
    assert match.end_ms == at / 8 + 500
    assert match.score > 0.8


def test_what_was_not_said_is_not_found() -> None:
    heard = speechlike(1, 40000)
    assert witness.find_prompt(heard, speechlike(2, 4000)).score < 0.3
    assert witness.find_prompt(np.zeros(40000, np.int16), speechlike(2, 4000)).score == 0
    assert witness.find_prompt(heard, np.zeros(4000, np.int16)).score == 0
    assert witness.find_prompt(heard[:0], heard[:10]).score == 0
    assert witness.find_prompt(heard, heard[:0]).score == 0


def test_a_prompt_cut_off_at_the_end_is_found_by_its_part() -> None:
    prompt = speechlike(3, 8000)
    match = witness.find_prompt(np.concatenate([np.zeros(8000, np.int16), prompt[:6000]]), prompt)
    assert match.start_ms == 1000
    assert 0.7 < match.score < 1


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), shift=st.integers(-1600, 1600), gain=st.floats(0.05, 2.0))
def test_correlation_finds_shift_and_ignores_level(seed: int, shift: int, gain: float) -> None:
    base = speechlike(seed, 12000)
    later = np.roll(np.pad(base, 2000), shift)
    score, found = witness.correlation(np.pad(base, 2000), (later * gain).astype(np.int16), 250)
    assert found == shift / 8
    assert score > 0.99
    back, opposite = witness.correlation(later, np.pad(base, 2000), 250)
    assert opposite == -shift / 8
    assert back == pytest.approx(1, abs=1e-6)


@settings(max_examples=15)
@given(one=st.integers(0, 500), other=st.integers(501, 1000), length=st.integers(0, 9000))
def test_correlation_is_bounded(one: int, other: int, length: int) -> None:
    score, _ = witness.correlation(speechlike(one, 8000), speechlike(other, 9000)[:length], 50)
    assert -1 <= score <= 1
    if length > 6000:
        assert score < 0.4


def test_correlation_is_quick_enough_for_a_long_call() -> None:
    import time

    audio = speechlike(5, 8000 * 60)
    began = time.monotonic()
    assert witness.correlation(audio, audio, 200) == pytest.approx((1.0, 0.0))
    assert witness.find_prompt(audio, audio[80000:120000]).start_ms == 10000
    assert time.monotonic() - began < 10


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(30, 80), st.integers(5, 60)), max_size=6),
)
def test_speech_intervals_are_where_speech_is(parts: list[tuple[int, int]]) -> None:
    pieces, expected, at = [], [], 0
    for silent, loud in parts:  # in steps of 10 ms; pauses longer than the bridge
        pieces += [sounds.silence(silent * 10), sounds.white_noise(loud * 10, -20, str(at))]
        expected.append((at + silent * 10.0, at + (silent + loud) * 10.0))
        at += (silent + loud) * 10
    audio = np.concatenate([*pieces, sounds.silence(100)])
    assert witness.speech_intervals(audio) == expected


def test_speech_intervals_bridge_pauses_and_drop_clicks() -> None:
    word, pause = sounds.white_noise(300, -20, "w"), sounds.silence(150)
    audio = np.concatenate([word, pause, word, sounds.silence(500), word[:160], sounds.silence(9)])
    assert witness.speech_intervals(audio) == [(0, 750)]
    assert witness.speech_intervals(audio[:10]) == []


@pytest.mark.parametrize("codec", [g711.PCMA, g711.PCMU])
def test_g711_round_trip(codec: int) -> None:
    codes = bytes(range(256))
    again = g711.encode(g711.decode(codes, codec), codec)
    differing = [c for c, d in zip(codes, again, strict=True) if c != d]
    assert differing in ([], [0x7F])  # mu-law has two zeros
    back = g711.decode(g711.encode(ALL, codec), codec).astype(int)
    error = np.abs(back - ALL)
    assert np.all(error[np.abs(back) < 31000] <= 8 + np.abs(back[np.abs(back) < 31000]) / 30)
    assert np.all(np.diff(back) >= 0)


def test_a_law_agrees_with_bit_arithmetic() -> None:
    assert g711.encode(ALL, g711.PCMA) == alaw(ALL)


@settings(max_examples=50)
@given(
    st.builds(
        RtpPacket,
        st.integers(0, 127),
        st.integers(0, 65535),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=200),
        st.booleans(),
    )
)
def test_rtp_round_trip(packet: RtpPacket) -> None:
    assert parse(packet.serialize()) == packet


def test_events() -> None:
    event = TelephoneEvent("#", True, 1280)
    assert parse_event(event.serialize()) == event
    assert parse_event(bytes([200, 0, 0, 1])) is None
    assert parse_event(b"\x01") is None


def arrivals(
    delays_ms: list[float], first: int = 0, jump: dict[int, int] | None = None
) -> list[Arrival]:
    """Packets 20 ms apart, each delayed; `jump` moves timestamps from a packet on."""
    found, stamp = [], first
    for index, delay in enumerate(delays_ms):
        stamp += (jump or {}).get(index, 0)
        packet = RtpPacket(8, index, stamp % 2**32, 1, bytes([index % 250]) * 160)
        found.append(Arrival(round((index * 20 + delay) * 1e6), packet))
        stamp += 160
    return found


def test_jitter_does_not_move_the_time_line() -> None:
    chooser = np.random.default_rng(4)
    delays = [5.0, *chooser.uniform(0, 35, 98).tolist(), 90.0]
    assert place(arrivals(delays, first=2**32 - 800), 0) == [40 + 160 * i for i in range(100)]


def test_one_late_packet_does_not_move_the_anchor() -> None:
    delays = [5.0] * 60
    delays[30] = 120.0
    assert place(arrivals(delays), 0)[30:32] == [40 + 160 * 30, 40 + 160 * 31]


def test_a_sender_that_paused_without_counting_is_anchored_again() -> None:
    delays = [5.0] * 30 + [1005.0] * 30
    positions = place(arrivals(delays), 0)
    assert positions[29] == 40 + 160 * 29
    assert positions[30] == 8040 + 160 * 30


def test_a_sender_that_counted_without_pausing_is_anchored_again() -> None:
    positions = place(arrivals([5.0] * 60, jump={30: 8000}), 0)
    assert positions[29:31] == [40 + 160 * 29, 40 + 160 * 30]


def test_gaps_stay_silent_and_loss_is_counted() -> None:
    heard = HeardAudio()
    came = arrivals([0.0] * 20)
    for arrival in came[:5] + came[10:]:
        heard.add(arrival.mono_ns, arrival.packet, 101)
    audio = heard.timeline(0, 400_000_000)
    assert len(audio) == 3200
    assert not audio[800:1600].any()
    assert audio[:800].any()
    assert audio[1600:].any()
    counted = heard.reception(0, 400_000_000)
    assert (counted.packets, counted.lost, counted.max_gap_ms) == (15, 5, 120.0)


def test_voices_are_level_and_without_silence_around(voice_cache: Path) -> None:
    spoken = voices.load(
        {Utterance("好的，可以"), Utterance("yes please", "adam", 180)}, voice_cache
    )
    for samples in spoken.values():
        assert witness.dbfs(samples) == pytest.approx(-20, abs=2)
        (first, *_), *rest = witness.speech_intervals(samples, threshold_dbfs=-50, bridge_ms=400)
        assert (first, rest) == (0, [])
        assert 400 < len(samples) / 8 < 2000
    assert voices.load(set(spoken), voice_cache).keys() == spoken.keys()  # from the cache
