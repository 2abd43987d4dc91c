# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompts cut into frames: gapless, to the sample, and stopped at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.playout import FRAME_BYTES, FRAME_SAMPLES, SILENCE, Playout


def pcm(samples: int, value: int = 1000) -> bytes:
    return np.full(samples, value, "<i2").tobytes()


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8))
def test_prompts_are_gapless_and_marked_to_the_sample(lengths: list[int]) -> None:
    playout = Playout()
    for number, length in enumerate(lengths):
        playout.play(pcm(length, number + 1), str(number))
    total = sum(lengths)
    sent = b"".join(playout.next_frame() for _ in range(total // FRAME_SAMPLES + 2))
    expected = b"".join(pcm(length, i + 1) for i, length in enumerate(lengths))
    assert sent.startswith(expected)
    assert not any(sent[len(expected) :])
    at = 0
    marks = list(playout.marks)
    for number, length in enumerate(lengths):
        started = next(m for m in marks if m.tag == str(number) and m.kind == "started")
        ended = next(m for m in marks if m.tag == str(number) and m.kind == "ended")
        assert (started.sample, ended.sample, ended.played) == (at, at + length, length)
        at += length


@given(st.integers(1, 5000), st.integers(0, 40))
def test_a_stop_is_followed_by_at_most_a_short_fade(length: int, frames: int) -> None:
    playout = Playout()
    playout.play(pcm(length), "a")
    playout.play(pcm(length), "b")
    sent = b"".join(playout.next_frame() for _ in range(frames))
    playout.stop()
    tail = b"".join(playout.next_frame() for _ in range(3))
    loud = np.flatnonzero(np.frombuffer(tail, "<i2"))
    assert loud.size <= 80
    assert playout.idle
    assert playout.sent == (frames + 3) * FRAME_SAMPLES
    cut = [m for m in playout.marks if m.kind == "cut"]
    done = {m.tag for m in playout.marks if m.kind == "ended"}
    assert {m.tag for m in cut} | done == {"a", "b"}
    assert len(sent) == frames * FRAME_BYTES


def test_silence_when_there_is_nothing_to_say() -> None:
    assert Playout().next_frame() == SILENCE


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        Playout().play(b"\0", "a")
