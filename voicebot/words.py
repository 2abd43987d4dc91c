# SPDX-License-Identifier: GPL-3.0-or-later
"""Forbidden words in one pass: Aho-Corasick over written and over spoken forms (S2, S7-S9, S14).

:class:`WordCheck` finds all that :func:`compliance.wording.lint` finds, and besides
traditional characters, letters replaced by figures or signs, and Mandarin words that sound
like a forbidden one, as a recognizer writes them: "宝本高收益" for "保本高收益".

The libraries are loaded when the first check is built: pypinyin's tables take most of a
second. A check holds no lock and changes nothing once built; threads may share it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from threading import Lock
from typing import Any

from compliance.wording import (
    Lexicon,
    NormalText,
    Place,
    Term,
    WordFinding,
    judge,
    normalise,
    require_industry,
)

SOUND_LEAST = 3
"""Shorter words have too many harmless homophones; packs list their misspellings instead."""

BLUR_LEAST = 4
"""From this length on zh/z, ch/c, sh/s, -ng/-n and l/n count as the same sound."""

_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_SPOKEN = re.compile(rf"(?:{_HAN.pattern}|[0-9])+")
_FIGURE_SOUNDS = ("ling", "yi", "er", "san", "si", "wu", "liu", "qi", "ba", "jiu")
# Signs and figures in the place of letters; "!" ends a sentence more often than a word.
_LEET = re.compile(r"(?<=[A-Za-z])[@$!|0134578]*[@$0134578]|[@$!|0134578]+(?=[A-Za-z])")
_LEET_LETTERS = (
    str.maketrans("@$!|0134578", "asiloieastb"),
    str.maketrans("@$!|0134578", "aslloleastb"),
)
_FIRST_SOUND = 0xE000  # each syllable is one character of the private use area


@dataclass(frozen=True, slots=True)
class _Said:
    """A term with its spelling, to compare what was written with it."""

    term: Term
    spelling: str


class WordCheck:
    """The words of one language and industry, ready to search with.

    Raises:
        ValueError: unknown industry.
    """

    def __init__(self, lexicon: Lexicon, industry: str) -> None:
        require_industry(industry)
        self.lexicon = lexicon
        self.industry = industry
        terms = [term for term in lexicon.terms if term.holds_in(industry)]
        written: dict[str, list[Term | None]] = {}
        for term in terms:
            written.setdefault(self._folded(term.text), []).append(term)
        for expression in lexicon.exceptions:
            written.setdefault(self._folded(expression), []).append(None)
        self._written = _automaton(written)
        self._sounds: tuple[tuple[_Sounds, Any], ...] = ()
        if lexicon.language == "zh":
            self._sounds = tuple(self._by_sound(terms, table) for table in (_EXACT, _BLURRED))
            quiet = {self._folded(words): [None] for words in lexicon.harmless_sounds}
            self._quiet = _automaton(quiet)

    def _by_sound(self, terms: Iterable[Term], table: _Sounds) -> tuple[_Sounds, Any]:
        """Shorter terms by their exact sound, longer ones by a blurred one."""
        lengths = range(SOUND_LEAST, BLUR_LEAST) if table is _EXACT else range(BLUR_LEAST, 100)
        found: dict[str, list[_Said]] = {}
        for term in terms:
            spelling = self._folded(term.text)
            spoken = _SPOKEN.fullmatch(spelling) and _HAN.search(spelling)
            if term.sounds and spoken and len(spelling) in lengths:
                sound = spelling.translate(table)
                found.setdefault(sound, []).append(_Said(term, spelling))
        return table, _automaton(found)

    @staticmethod
    def _folded(text: str) -> str:
        return text if text.isascii() else text.translate(_SIMPLIFIED)

    def findings(self, text: str) -> tuple[WordFinding, ...]:
        """Every forbidden expression in ``text``, in order of position."""
        found = self._findings(text)
        for letters in _LEET_LETTERS if _LEET.search(text) else ():
            other = _LEET.sub(partial(_as_letters, letters), text)
            if other != text:
                more = (f.evolve(written=text[f.start : f.end]) for f in self._findings(other))
                known = {(f.start, f.end, f.category) for f in found}
                found += tuple(f for f in more if (f.start, f.end, f.category) not in known)
        return tuple(sorted(found, key=lambda f: (f.start, -f.end, f.category)))

    def _findings(self, text: str) -> tuple[WordFinding, ...]:
        normal = normalise(text)
        folded = NormalText(self._folded(normal.text), normal.origin)
        candidates: list[tuple[int, int, Term]] = []
        harmless: list[Place] = []
        for start, end, term in _found(self._written, folded.text):
            if term is None:
                if not _cut_out(text, *normal.written(start, end)):
                    harmless.append((start, end))
            else:
                candidates.append((start, end, term))
        found = judge(text, folded, candidates, harmless, self.lexicon)
        alike = list(self._alike(folded.text))
        if not alike:
            return found
        quiet = harmless + [(start, end) for start, end, _ in _found(self._quiet, folded.text)]
        covered = {(f.start, f.end, f.category) for f in found}
        heard = judge(text, folded, alike, quiet, self.lexicon)
        return found + tuple(f for f in heard if (f.start, f.end, f.category) not in covered)

    def _alike(self, text: str) -> Iterator[tuple[int, int, Term]]:
        """What sounds like a term and is written otherwise."""
        for table, automaton in self._sounds:
            for start, end, said in _found(automaton, text.translate(table)):
                written = text[start:end]
                same = sum(a == b for a, b in zip(written, said.spelling, strict=True))
                if same == len(written):
                    continue  # found as written, or pardoned
                if same >= _needed(written, said.spelling):
                    yield start, end, said.term


def _as_letters(letters: dict[int, int], signs: re.Match[str]) -> str:
    return signs[0].translate(letters)


def _needed(written: str, spelling: str) -> int:
    """How many characters must be those of the term: the shorter, the more."""
    if len(spelling) < BLUR_LEAST:
        return len(spelling) - 1
    exact = written.translate(_EXACT) == spelling.translate(_EXACT)
    return 1 if exact else len(spelling) // 2


def _automaton(words: dict[str, Any]) -> Any:
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for word, payload in words.items():
        automaton.add_word(word, (len(word), tuple(payload)))
    if words:
        automaton.make_automaton()
    return automaton


def _found(automaton: Any, text: str) -> Iterator[tuple[int, int, Any]]:
    """Start, end (half-open) and what was stored, for every word in ``text``."""
    if not len(automaton):
        return
    for last, (length, payload) in automaton.iter(text):
        for stored in payload:
            yield last + 1 - length, last + 1, stored


def _cut_out(text: str, start: int, end: int) -> bool:
    latin = [c.isascii() and c.isalnum() for c in text[max(0, start - 1) : end + 1]]
    before = start > 0 and latin[0] and latin[1]
    after = end < len(text) and latin[-1] and latin[-2]
    return before or after


class _Simplified(dict[int, str]):
    """For ``str.translate``: the simplified form of each character, worked out once."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        simple: str = character if character.isascii() else _converter().convert(character)
        self[point] = simple if len(simple) == 1 else character
        return self[point]


@lru_cache(maxsize=1)
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("t2s")


class _Sounds(dict[int, str]):
    """For ``str.translate``: one private character for the toneless syllable of each."""

    def __init__(self, blurred: bool) -> None:
        super().__init__()
        self._blurred = blurred

    def __missing__(self, point: int) -> str:
        character = chr(point)
        if character in "0123456789":
            syllable = _FIGURE_SOUNDS[int(character)]
        elif _HAN.fullmatch(character):
            from pypinyin import lazy_pinyin

            syllable = lazy_pinyin(character)[0]
        else:
            syllable = character
        if syllable != character:  # otherwise it has no reading
            syllable = _syllable(_blurred(syllable) if self._blurred else syllable)
        self[point] = syllable
        return syllable


_SIMPLIFIED = _Simplified()
_EXACT, _BLURRED = _Sounds(False), _Sounds(True)


def _blurred(syllable: str) -> str:
    """What a recognizer and many speakers do not tell apart."""
    for one, other in (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l")):
        if syllable.startswith(one):
            syllable = other + syllable[len(one) :]
            break
    for one, other in (("ing", "in"), ("eng", "en"), ("ang", "an")):
        if syllable.endswith(one):
            return syllable[: -len(one)] + other
    return syllable


_syllables: dict[str, str] = {}
_naming = Lock()


def _syllable(name: str) -> str:
    with _naming:
        return _syllables.setdefault(name, chr(_FIRST_SOUND + len(_syllables)))
