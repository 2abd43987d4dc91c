# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles lexicon and grammar into libvosk's static decoding graph, without Kaldi's tools.

Imports kaldifst, so it must never share a process with vosk.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import kaldifst

from .alignment import SILENCE, Pronunciation
from .grammar import BACKOFF, RESTART, Grammar
from .lexicon import Lexicon

SELF_LOOP = 0.5  # probability of staying in a phone; the same in the transition model
_TRANSITION_SCALE = 0.1
_SILENCE_BETWEEN_WORDS = 0.5
_EPSILON = 0
_SILENCE_ID = 1
_POSITIONS = (("_B", "begin"), ("_E", "end"), ("_I", "internal"), ("_S", "singleton"))


@dataclass(frozen=True)
class PhoneTable:
    """Phones with their position in the word; the four of one phone share one output."""

    names: list[str]  # id -> name; 0 is epsilon, 1 silence
    pdfs: list[int]  # id -> output of the network; -1 for epsilon
    boundaries: list[str]  # id -> Kaldi's word boundary class

    @staticmethod
    def of(phones: list[str]) -> PhoneTable:
        """Table for the network's outputs, silence first."""
        if phones[0] != SILENCE:
            raise ValueError("the first output must be silence")
        names, pdfs, boundaries = ["<eps>", SILENCE], [-1, 0], ["", "nonword"]
        for output, phone in enumerate(phones[1:], 1):
            for suffix, boundary in _POSITIONS:
                names.append(phone + suffix)
                pdfs.append(output)
                boundaries.append(boundary)
        return PhoneTable(names, pdfs, boundaries)

    def ids(self, pronunciation: Pronunciation) -> tuple[int, ...]:
        """Phone ids of a word."""
        if len(pronunciation) == 1:
            return (self.names.index(pronunciation[0] + "_S"),)
        first, *middle, last = pronunciation
        names = [first + "_B", *(phone + "_I" for phone in middle), last + "_E"]
        return tuple(self.names.index(name) for name in names)


def word_table(lexicon: Lexicon) -> dict[str, int]:
    """Word ids as ``graph/words.txt`` has them."""
    names = ["<eps>", *sorted(lexicon.words), BACKOFF, RESTART]
    return {name: number for number, name in enumerate(names)}


class _Builder:
    """A transducer under construction."""

    def __init__(self) -> None:
        self.fst = kaldifst.StdVectorFst()

    def state(self) -> int:
        number: int = self.fst.add_state()
        return number

    def arc(self, source: int, label: int, output: int, cost: float, target: int) -> None:
        self.fst.add_arc(state=source, arc=kaldifst.StdArc(label, output, cost, target))


def _lexicon_fst(
    table: PhoneTable, words: dict[str, int], lexicon: Lexicon
) -> tuple[kaldifst.StdVectorFst, set[int]]:
    """Phones to words with optional silence, and the ids of its disambiguation symbols."""
    entries = [
        (word, table.ids(pronunciation))
        for word, pronunciations in lexicon.words.items()
        for pronunciation in pronunciations
    ]
    same = Counter(ids for _, ids in entries)
    prefixes = {ids[:length] for _, ids in entries for length in range(1, len(ids))}
    first = len(table.names)
    back, restart, after_silence = first, first + 1, first + 2
    used: Counter[tuple[int, ...]] = Counter()
    builder = _Builder()
    start, loop, silent, silence_end = (builder.state() for _ in range(4))
    builder.fst.start = start
    with_silence = -math.log(_SILENCE_BETWEEN_WORDS)
    without = -math.log(1 - _SILENCE_BETWEEN_WORDS)
    builder.arc(start, _EPSILON, 0, without, loop)
    builder.arc(start, _SILENCE_ID, 0, with_silence, silence_end)
    builder.arc(silent, _SILENCE_ID, 0, 0.0, silence_end)
    builder.arc(silence_end, after_silence, 0, 0.0, loop)
    most = 0
    for word, ids in entries:
        labels = list(ids)
        if same[ids] > 1 or ids in prefixes:
            used[ids] += 1
            most = max(most, used[ids])
            labels.append(after_silence + used[ids])
        current, output = loop, words[word]
        for label in labels[:-1]:
            target = builder.state()
            builder.arc(current, label, output, 0.0, target)
            current, output = target, 0
        builder.arc(current, labels[-1], output, without, loop)
        builder.arc(current, labels[-1], output, with_silence, silent)
    builder.arc(loop, back, words[BACKOFF], 0.0, loop)
    builder.arc(loop, restart, words[RESTART], 0.0, loop)
    builder.fst.set_final(loop, 0.0)
    return builder.fst, set(range(first, after_silence + most + 1))


def _grammar_fst(grammar: Grammar, words: dict[str, int]) -> kaldifst.StdVectorFst:
    builder = _Builder()
    for _ in range(grammar.states):
        builder.state()
    builder.fst.start = grammar.start
    for source, word, cost, target in grammar.arcs:
        output = 0 if word in (BACKOFF, RESTART) else words[word]
        builder.arc(source, words[word], output, cost, target)
    for state, cost in grammar.final.items():
        builder.fst.set_final(state, cost)
    return builder.fst


def _expand(lg: kaldifst.StdVectorFst, disambiguation: set[int]) -> kaldifst.StdVectorFst:
    """Phones to transition ids: entering phone p is 2p, staying in it 2p - 1."""
    enter = -_TRANSITION_SCALE * math.log(1 - SELF_LOOP)
    stay = -_TRANSITION_SCALE * math.log(SELF_LOOP)
    builder = _Builder()
    numbers: dict[tuple[int, int], int] = {}
    waiting: list[tuple[int, int]] = []

    def state(source: int, phone: int) -> int:
        key = (source, phone)
        if key not in numbers:
            numbers[key] = builder.state()
            waiting.append(key)
        return numbers[key]

    builder.fst.start = state(lg.start, 0)
    while waiting:
        source, phone = waiting.pop()
        here = numbers[source, phone]
        if phone:
            builder.arc(here, 2 * phone - 1, 0, stay, here)
        final = lg.final(source).value
        if not math.isinf(final):
            builder.fst.set_final(here, final)
        for arc in kaldifst.ArcIterator(lg, source):
            cost = arc.weight.value
            if arc.ilabel == _EPSILON or arc.ilabel in disambiguation:
                builder.arc(here, _EPSILON, arc.olabel, cost, state(arc.nextstate, 0))
            else:
                target = state(arc.nextstate, arc.ilabel)
                builder.arc(here, 2 * arc.ilabel, arc.olabel, cost + enter, target)
    return builder.fst


def write_graph(folder: Path, table: PhoneTable, lexicon: Lexicon, grammar: Grammar) -> None:
    """Write ``HCLG.fst``, ``words.txt`` and ``phones/word_boundary.int`` into ``folder``."""
    words = word_table(lexicon)
    l_fst, disambiguation = _lexicon_fst(table, words, lexicon)
    g_fst = _grammar_fst(grammar, words)
    kaldifst.arcsort(l_fst, "olabel")
    kaldifst.arcsort(g_fst, "ilabel")
    lg = kaldifst.compose(l_fst, g_fst)
    kaldifst.determinize_star(lg, use_log=True)
    kaldifst.minimize_encoded(lg)
    hclg = _expand(lg, disambiguation)
    kaldifst.connect(hclg)
    kaldifst.arcsort(hclg, "ilabel")
    (folder / "phones").mkdir(parents=True, exist_ok=True)
    hclg.write(str(folder / "HCLG.fst"))
    lines = [f"{word} {number}\n" for word, number in words.items()]
    (folder / "words.txt").write_text("".join(lines), encoding="utf-8")
    lines = [f"{k} {boundary}\n" for k, boundary in enumerate(table.boundaries) if k]
    (folder / "phones" / "word_boundary.int").write_text("".join(lines), encoding="utf-8")
