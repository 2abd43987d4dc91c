# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words the recogniser knows and how they may sound."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import combinations, pairwise
from multiprocessing import get_context

from .alignment import Pronunciation
from .corpus import Corpus
from .espeak import Voice
from .synthesis import pronounce

_MOST_VARIANTS = 4  # pronunciations a word
_LEAST_SHARE = 0.05  # of a word's utterances, for a pronunciation to count


@dataclass(frozen=True)
class Lexicon:
    """Words with their pronunciations, background words marked."""

    words: dict[str, list[Pronunciation]]
    fillers: frozenset[str]


def _distance(a: Pronunciation, b: Pronunciation) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def _divide(phones: Pronunciation, known: list[list[Pronunciation]]) -> list[Pronunciation] | None:
    """Cut the phones of words spoken as one where the parts fit the words best."""
    best: tuple[int, list[Pronunciation]] | None = None
    for cuts in combinations(range(1, len(phones)), len(known) - 1):
        edges = [0, *cuts, len(phones)]
        parts = [phones[a:b] for a, b in pairwise(edges)]
        cost = sum(
            min(_distance(part, other) for other in others)
            for part, others in zip(parts, known, strict=True)
        )
        if best is None or cost < best[0]:
            best = (cost, parts)
    return best[1] if best else None


def _gb2312_characters() -> list[str]:
    """The 3755 common characters of GB/T 2312."""
    return [
        bytes((row, cell)).decode("gb2312")
        for row in range(0xB0, 0xD8)
        for cell in range(0xA1, 0xFF if row < 0xD7 else 0xFA)
    ]


def _spoken_alone(corpus: Corpus, words: Iterable[str]) -> dict[str, list[Pronunciation]]:
    """Pronunciations of words the training set does not have, from a worker process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        voice = Voice(corpus.plain_voice)
        return pool.submit(pronounce, corpus.language, list(words), voice).result()


def _counts(
    corpus: Corpus, heard: Mapping[str, Counter[Pronunciation]]
) -> dict[str, Counter[Pronunciation]]:
    """Pronunciations of single words, those of run-together words divided up."""
    single: dict[str, Counter[Pronunciation]] = defaultdict(Counter)
    joined = {}
    for word, counts in heard.items():
        if " " in word:
            joined[word] = counts
        else:
            single[word].update(counts)
    missing = [w for w in (*corpus.vocabulary, *corpus.fillers) if not single.get(w)]
    for word, pronunciations in _spoken_alone(corpus, missing).items():
        for pronunciation in pronunciations:
            single[word][pronunciation] += 1
    for text, counts in joined.items():
        words = text.split(" ")
        if len(words) > 4 or any(not single.get(word) for word in words):
            continue
        known = [list(single[word]) for word in words]
        for phones, count in counts.items():
            for word, part in zip(words, _divide(phones, known) or [], strict=False):
                single[word][part] += count
    return single


def build_lexicon(
    corpus: Corpus, heard: Mapping[str, Counter[Pronunciation]], phones: Iterable[str]
) -> Lexicon:
    """Lexicon of the domain's words and of background words that sound like none of them."""
    available = set(phones)
    counts = _counts(corpus, heard)
    words: dict[str, list[Pronunciation]] = {}
    for word in corpus.vocabulary:
        total = sum(counts[word].values())
        kept = [
            pronunciation
            for pronunciation, count in counts[word].most_common(_MOST_VARIANTS)
            if count >= _LEAST_SHARE * total and set(pronunciation) <= available
        ]
        if not kept:
            raise ValueError(f"{word!r} is never pronounced")
        words[word] = kept
    taken = {pronunciation for kept in words.values() for pronunciation in kept}
    candidates = {word: list(counts[word]) for word in corpus.fillers if word not in words}
    if not corpus.joiner:
        for word, kept in _spoken_alone(corpus, _gb2312_characters()).items():
            if word not in words:
                candidates.setdefault(word, kept)
    fillers = set()
    for word, pronunciations in candidates.items():
        if not pronunciations:
            continue
        common = Counter(counts.get(word) or pronunciations).most_common(1)[0][0]
        if common not in taken and set(common) <= available:
            words[word] = [common]
            taken.add(common)
            fillers.add(word)
    return Lexicon(words, frozenset(fillers))
