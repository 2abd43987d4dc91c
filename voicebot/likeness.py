# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an approved prompt stands in a recorded channel, and in what state it is there.

Found by normalised cross-correlation, so that level, companding (G.711) and resampling do not
matter; then looked at piece by piece, so that a hole, a cut or foreign sound in the middle of
it is not averaged away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compliance.callcheck import Likeness
from voicebot.line import to_ms, to_samples

Pcm = npt.NDArray[np.int16]
_Floats = npt.NDArray[np.float64]

PIECE_MS = 80  # foreign speech reaches about 0.5 in pieces this short, the same speech 0.99
PIECE_ALIKE = 0.7
FRAME_MS = 10
HOLE_DB = -20.0  # a frame so far below what it should be is a hole
_SPOKEN_DB = -20.0  # frames of the prompt this far below its level are its own pauses
_HEAD_MS = 600  # what a prompt that was cut is found by
_PEAK = 0.9  # of the loudest sample: what clipping piles up at
_SILENT_RMS = 12.0  # sample units; below it is only what G.711 makes of silence
_MOSTLY = 0.6


ABSENT = Likeness(0.0, 0, 0, 0.0, 0.0, 0, 0.0, -120.0)


def find(channel: Pcm, prompt: Pcm) -> Likeness:
    """The best place of ``prompt`` (8 kHz, its audible part) in ``channel``.

    A prompt that was cut off is found by its first words; its ``score`` is then low and its
    ``share`` says how far it came.
    """
    if not len(channel) or not _energy(prompt):
        return ABSENT
    start, score = _best(channel, prompt)
    head = prompt[: to_samples(_HEAD_MS)]
    if score < PIECE_ALIKE and len(head) < len(prompt):
        at, alike = _best(channel, head)
        # The head alone fits somewhere by chance; it counts where it is the very same sound.
        start = at if alike >= max(PIECE_ALIKE, score) else start
    part = channel[start : start + len(prompt)]
    heard, worst = _walk(part, prompt)
    found, step = part[:heard], to_samples(PIECE_MS)
    return Likeness(
        score=round(score, 4),
        start_ms=to_ms(start),
        end_ms=to_ms(start + len(prompt)),
        share=round(heard / len(prompt), 4),
        worst=round(worst, 4),
        hole_ms=_longest_hole(
            part, prompt, heard if heard == len(prompt) else max(0, heard - step)
        ),
        clipped=round(max(0.0, _piled(found) - _piled(prompt[:heard])), 4),
        level_dbfs=round(_dbfs(found), 1),
    )


def _best(channel: Pcm, prompt: Pcm) -> tuple[int, float]:
    """(sample, normalised correlation) of the best place; a part at the end counts as a part."""
    reference = _centred(prompt)
    signal = np.concatenate([_centred(channel), np.zeros(len(reference))])  # cut at its end too
    size = 1 << (len(signal) + len(reference) - 1).bit_length()
    spectrum = np.fft.rfft(signal, size) * np.conj(np.fft.rfft(reference, size))
    products = np.fft.irfft(spectrum, size)[: len(channel)]
    sums = np.concatenate([[0.0], np.cumsum(signal**2)])
    floor = _SILENT_RMS**2 * len(reference)
    energies = np.maximum(sums[len(reference) :] - sums[: -len(reference)], floor)[: len(channel)]
    scores = products / np.sqrt(energies * float(reference @ reference))
    best = int(np.argmax(scores))
    return best, float(np.clip(scores[best], -1.0, 1.0))


def _walk(part: Pcm, prompt: Pcm) -> tuple[int, float]:
    """(samples of the prompt up to where it was cut for good, likeness of the worst piece).

    A prompt counts as cut where nothing of it follows any more; what is missing in between is a
    hole or foreign sound, and lowers the worst piece.
    """
    step = to_samples(PIECE_MS)
    scores: list[tuple[int, float]] = []
    for at in range(0, len(prompt), step):
        end = min(at + step, len(prompt))
        piece = prompt[at:end].astype(np.float64)
        if _dbfs(prompt[at:end]) < _dbfs(prompt) + _SPOKEN_DB or end - at < step // 4:
            continue  # a pause of the prompt says nothing
        scores.append((end, _alike(part[at:end], piece)))
    heard, worst, alike = 0, 0.0, 0
    least = 1.0
    for count, (end, score) in enumerate(scores, 1):
        least = min(least, score)
        if score < PIECE_ALIKE:
            continue
        alike += 1
        if alike >= _MOSTLY * count:  # else a piece that fits by chance, after the cut
            heard = len(prompt) if count == len(scores) else end
            worst = max(0.0, least)
    return heard, worst


def _alike(part: Pcm, piece: _Floats) -> float:
    if len(part) < len(piece):
        return 0.0
    other, piece = _centred(part), piece - piece.mean()
    power = float(other @ other)
    if power < _SILENT_RMS**2 * len(other):
        return 0.0
    return float(other @ piece / np.sqrt(power * float(piece @ piece)))


def _longest_hole(part: Pcm, prompt: Pcm, heard: int) -> int:
    """Longest run of frames in which the prompt speaks and the channel does not, in ms."""
    step = to_samples(FRAME_MS)
    count = heard // step
    if not count:
        return 0
    meant = _frames(prompt, count, step)
    found = _frames(np.pad(part, (0, max(0, count * step - len(part)))), count, step)
    spoken = meant > np.sqrt(np.mean(meant**2)) * 10 ** (_SPOKEN_DB / 20)
    gain = float(np.median(found[spoken] / meant[spoken])) if spoken.any() else 0.0
    missing = spoken & (found < gain * meant * 10 ** (HOLE_DB / 20))
    longest = run = 0
    for silent, speaks in zip(missing, spoken, strict=True):
        run = run + 1 if silent else run if run and not speaks else 0
        longest = max(longest, run if silent else 0)
    return longest * FRAME_MS


def _frames(samples: Pcm, count: int, step: int) -> _Floats:
    blocks = samples[: count * step].astype(np.float64).reshape(count, step)
    return np.asarray(np.sqrt(np.mean(blocks**2, axis=1)), dtype=np.float64)


def _piled(samples: Pcm) -> float:
    """Share of samples near the loudest one: under 1 % in speech, much more once clipped."""
    if not len(samples):
        return 0.0
    loud = np.abs(samples.astype(np.float64))
    peak = float(loud.max())
    return float(np.mean(loud >= _PEAK * peak)) if peak > 0 else 0.0


def _dbfs(samples: Pcm) -> float:
    if not len(samples):
        return -120.0
    rms = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    return 20 * float(np.log10(max(rms / 32768, 1e-6)))


def _energy(samples: Pcm) -> bool:
    return bool(len(samples)) and _dbfs(samples) > -70.0


def _centred(samples: Pcm) -> _Floats:
    values: _Floats = np.asarray(samples, dtype=np.float64)
    centred: _Floats = values - values.mean()
    return centred
