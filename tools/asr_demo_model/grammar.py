# SPDX-License-Identifier: GPL-3.0-or-later
"""A back-off bigram over the phrases, with a loop of background words beside it."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .corpus import Corpus
from .lexicon import Lexicon

BACKOFF = "#0"  # input label of arcs to the unigram state
RESTART = "#1"  # input label of arcs from the end of a phrase to the start of another

_DISCOUNT = 0.35  # probability of leaving the bigrams
_FLOOR = 0.4  # added to each word's count in the unigram
_RESTARTS = 0.25  # probability that another phrase follows
_BACKGROUND = 0.35  # of the unigram: background words
_BACKGROUND_STAYS = 0.65  # probability that a background word follows a background word
_BACKGROUND_ENDS = 0.2
_INTENT_WEIGHT = {"refusal": 2.0, "number": 1.5}

_START, _END = "<s>", "</s>"


@dataclass
class Grammar:
    """A weighted acceptor: costs are negative natural logarithms of probabilities."""

    start: int
    arcs: list[tuple[int, str, float, int]] = field(default_factory=list)  # from, word, cost, to
    final: dict[int, float] = field(default_factory=dict)  # state -> cost
    states: int = 0


def _weighted(corpus: Corpus) -> list[tuple[float, tuple[str, ...]]]:
    """Phrases with weights: templates with many variants count more, not in proportion."""
    phrases = []
    for intent, variants in corpus.groups:
        weight = (1 + math.log2(len(variants))) * _INTENT_WEIGHT.get(intent, 1.0) / len(variants)
        phrases += [(weight, words) for words in variants]
    return phrases


def build_grammar(corpus: Corpus, lexicon: Lexicon) -> Grammar:
    """The language model of the demonstration."""
    following: dict[str, Counter[str]] = defaultdict(Counter)
    unigram: Counter[str] = Counter()
    for weight, words in _weighted(corpus):
        sequence = [_START, *words, _END]
        for before, after in itertools.pairwise(sequence):
            following[before][after] += weight
            unigram[after] += weight
    for word in lexicon.words:
        if word not in lexicon.fillers:
            unigram[word] += _FLOOR

    state = {_START: 0}
    backoff, background = 1, 2
    for word in unigram:
        if word != _END:
            state[word] = len(state) + 2
    grammar = Grammar(start=0, states=len(state) + 2)

    def add(source: int, word: str, probability: float, target: int) -> None:
        grammar.arcs.append((source, word, -math.log(probability), target))

    total = sum(unigram.values()) / (1 - _BACKGROUND)
    for word, count in unigram.items():
        if word == _END:
            grammar.final[backoff] = -math.log(count / total)
        else:
            add(backoff, word, count / total, state[word])
    for word in sorted(lexicon.fillers):
        add(backoff, word, _BACKGROUND / len(lexicon.fillers), background)
        add(background, word, _BACKGROUND_STAYS / len(lexicon.fillers), background)
    grammar.final[background] = -math.log(_BACKGROUND_ENDS)
    add(background, BACKOFF, 1 - _BACKGROUND_STAYS - _BACKGROUND_ENDS, backoff)

    for before, source in state.items():
        counts = following[before]
        weight = sum(counts.values())
        for after, count in counts.items():
            probability = count * (1 - _DISCOUNT) / weight
            if after == _END:
                grammar.final[source] = -math.log(probability * (1 - _RESTARTS))
                add(source, RESTART, probability * _RESTARTS, grammar.start)
            else:
                add(source, after, probability, state[after])
        add(source, BACKOFF, _DISCOUNT if counts else 1.0, backoff)
    return grammar
