# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides, with a seed, what is said by whom in the training set."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from .corpus import Corpus
from .espeak import Voice
from .voices import training_voice

# Share of each kind of utterance in the training set.
_KINDS = {
    "phrase": 0.42,
    "two phrases": 0.10,
    "random words": 0.12,
    "one word": 0.05,
    "background": 0.23,
    "non-speech": 0.08,
}


@dataclass(frozen=True)
class Job:
    """One utterance to make."""

    seed: int  # of its channel
    words: tuple[str, ...]  # none: a sound that is not speech
    text: str  # what espeak-ng is given
    voice: Voice


def _phrase(corpus: Corpus, rng: random.Random, weights: list[float]) -> list[str]:
    (_, variants) = rng.choices(corpus.groups, weights)[0]
    return list(rng.choice(variants))


def training_jobs(corpus: Corpus, count: int, seed: int) -> list[Job]:
    """``count`` utterances; the same for the same seed."""
    rng = random.Random(seed)
    # A template with many variants is said more often, but not in proportion.
    weights = [1.0 + math.log2(len(variants)) for _, variants in corpus.groups]
    vocabulary, fillers = corpus.vocabulary, corpus.fillers
    novel = {tuple(corpus.split(text)) for text in corpus.novel}
    jobs: list[Job] = []
    while len(jobs) < count:
        kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
        mark = "," if rng.random() < 0.5 else ""
        parts: list[list[str]] = []
        if kind in ("phrase", "two phrases"):
            parts = [_phrase(corpus, rng, weights) for _ in range(1 + (kind != "phrase"))]
        elif kind == "random words":
            parts = [[rng.choice(vocabulary) for _ in range(rng.randint(2, 5))]]
        elif kind == "one word":
            parts = [[rng.choice(vocabulary)]]
        elif kind == "background":
            words = [rng.choice(fillers) for _ in range(rng.randint(1, 7))]
            for _ in range(rng.choice([0, 0, 0, 1, 2, 3])):
                words.insert(rng.randint(0, len(words)), rng.choice(vocabulary))
            parts = [words]
        flat = tuple(word for part in parts for word in part)
        if flat and flat in novel:
            continue
        gap = " " if corpus.joiner or rng.random() < 0.15 else ""
        text = (mark + corpus.joiner if mark or corpus.joiner else "").join(
            gap.join(part) for part in parts
        )
        jobs.append(Job(rng.randrange(1 << 32), flat, text, training_voice(corpus, rng)))
    return jobs
