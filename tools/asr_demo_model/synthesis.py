# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the training set in throw-away worker processes.

libespeak crashes on some inputs. A worker notes which job it is at; when it dies, that job is
struck out and a new worker takes the chunk up again.
"""

from __future__ import annotations

import multiprocessing
import pickle
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from .alignment import (
    SILENCE,
    Pronunciation,
    Unalignable,
    frame_labels,
    mandarin_words,
    segments,
    spaced_words,
)
from .augment import Audio, Channel, coloured_noise, g711, rms, transmit
from .corpus import load
from .espeak import Espeak, Spoken, Voice
from .features import SAMPLE_RATE, mfcc
from .nonspeech import random_sound
from .recipes import Job

_CHUNK = 400  # jobs a worker
_BANK = 40  # utterances kept for babble
_COPIES = 2  # channels each utterance is sent through; synthesis is the costly step
_TONE_BEFORE_SPEECH = 0.08  # share of utterances that follow a tone or music


@dataclass
class Dataset:
    """Features, labels and pronunciations of many utterances."""

    features: list[NDArray[np.float16]] = field(default_factory=list)  # [frames, 40] each
    labels: list[list[str]] = field(default_factory=list)  # one a 30 ms frame
    pronunciations: dict[str, Counter[Pronunciation]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    dropped: int = 0

    def extend(self, other: Dataset) -> None:
        """Take over everything of another set."""
        self.features += other.features
        self.labels += other.labels
        self.dropped += other.dropped
        for word, counts in other.pronunciations.items():
            self.pronunciations[word].update(counts)

    @property
    def hours(self) -> float:
        """Length of the audio."""
        return sum(map(len, self.features)) / 360_000


def at_8khz(spoken: Spoken, sample_rate: int) -> Audio:
    """Audio of an utterance at 8 kHz, scaled to 1."""
    audio: Audio = soxr.resample(spoken.pcm / 32768.0, sample_rate, SAMPLE_RATE)
    return audio


def _non_speech(rng: random.Random) -> tuple[NDArray[np.float16], list[str]]:
    sound = random_sound(rng, rng.uniform(1.0, 4.0))
    sound = sound / max(rms(sound), 1e-4) * 32768 * 10 ** (rng.uniform(-50, -14) / 20)
    floor = coloured_noise("white", len(sound), rng) * 10 ** rng.uniform(-0.5, 1.8)
    features = mfcc(g711(np.clip(sound + floor, -32767, 32767), rng.choice("ua")))
    return features.astype(np.float16), [SILENCE] * ((len(features) + 2) // 3)


class _Maker:
    """Makes one utterance after the other inside a worker."""

    def __init__(self, language: str) -> None:
        self._espeak = Espeak()
        self._mandarin = not load(language).joiner
        self._bank: list[Audio] = []

    def _transmit(self, audio: Audio, rng: random.Random) -> tuple[NDArray[np.int16], float]:
        """One copy as heard at the far end, and the seconds before its speech."""
        channel = Channel.random(rng)
        samples = transmit(audio, channel, self._bank, rng)
        lead = int(channel.lead * SAMPLE_RATE)
        if rng.random() < _TONE_BEFORE_SPEECH:
            before = random_sound(rng, rng.uniform(0.3, 1.5))
            before = before / max(rms(before), 1e-4) * rng.uniform(300, 4000)
            samples = np.concatenate([g711(np.clip(before, -32767, 32767), "a"), samples])
            lead += len(before)
        return samples, lead / SAMPLE_RATE

    def add(self, job: Job, out: Dataset) -> None:
        """Make ``job`` and put it into ``out``."""
        rng = random.Random(job.seed)
        if not job.words:
            features, labels = _non_speech(rng)
            out.features.append(features)
            out.labels.append(labels)
            return
        spoken = self._espeak.speak(job.text, job.voice)
        words = list(job.words)
        split = mandarin_words if self._mandarin else spaced_words
        audio = at_8khz(spoken, self._espeak.sample_rate)
        if len(audio) < 400:
            raise Unalignable("no audio")
        found, finish = segments(spoken, self._espeak.sample_rate)
        for _ in range(_COPIES):
            samples, lead = self._transmit(audio, rng)
            heard = mfcc(samples).astype(np.float16)
            out.labels.append(frame_labels(found, finish, lead, len(heard)))
            out.features.append(heard)
        if len(self._bank) < _BANK:
            self._bank.append(audio / rms(audio))
        # Marks between phrases shift the positions the words are found by.
        if self._mandarin or job.text == " ".join(words):
            for word, pronunciation in split(words, spoken):
                out.pronunciations[word][pronunciation] += 1


def _work(language: str, jobs: list[Job], skip: set[int], note: Path, result: Path) -> None:
    maker, out = _Maker(language), Dataset()
    for index, job in enumerate(jobs):
        if index in skip:
            out.dropped += 1
            continue
        note.write_text(str(index))
        try:
            maker.add(job, out)
        except Unalignable:
            out.dropped += 1
    with result.open("wb") as file:
        pickle.dump(out, file)


def _chunk(language: str, jobs: list[Job], folder: Path, number: int) -> Path:
    result, note = folder / f"{number:04d}.pickle", folder / f"{number:04d}.at"
    if result.exists():
        return result
    skip: set[int] = set()
    context = multiprocessing.get_context("spawn")
    while True:
        part = result.with_suffix(".part")
        worker = context.Process(target=_work, args=(language, jobs, skip, note, part))
        worker.start()
        worker.join()
        if worker.exitcode == 0:
            part.rename(result)
            return result
        crashed = int(note.read_text())
        if crashed in skip:
            raise RuntimeError(f"chunk {number} fails at job {crashed} again")
        skip.add(crashed)


def make_dataset(language: str, jobs: list[Job], folder: Path) -> Dataset:
    """All jobs as one data set; finished chunks in ``folder`` are taken as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    whole, begun = Dataset(), time.monotonic()
    for number, start in enumerate(range(0, len(jobs), _CHUNK)):
        with _chunk(language, jobs[start : start + _CHUNK], folder, number).open("rb") as file:
            whole.extend(pickle.load(file))
        if number % 10 == 9 or start + _CHUNK >= len(jobs):
            elapsed = time.monotonic() - begun
            print(f"synthesis: {len(whole.labels)}/{len(jobs)} in {elapsed:.0f} s", flush=True)
    return whole


def pronounce(language: str, texts: list[str], voice: Voice) -> dict[str, list[Pronunciation]]:
    """Pronunciations of single words as spoken alone; meant for a worker process."""
    espeak = Espeak()
    split = spaced_words if load(language).joiner else mandarin_words
    found: dict[str, list[Pronunciation]] = {}
    for text in texts:
        try:
            pairs = split([text], espeak.speak(text, voice))
        except Unalignable:
            continue
        found[text] = [pronunciation for _, pronunciation in pairs]
    return found
