# SPDX-License-Identifier: GPL-3.0-or-later
"""Words a call must not use, found however they are written (S2, S7, S8, S13, S14, D6).

Text is compared in a normal form: NFKC, case folded, spaces and inserted signs
removed, so that "保 本*高收益" and full-width letters are the same words. Positions
in findings are those of the text as written. Lexicons are data
(``data/lexicon/*.yaml``), passed in as parsed mappings.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from compliance.facts import Evolve, Finding
from compliance.mapping import Fields

FORMAT = "candor-lexicon/1"
INDUSTRIES = ("general", "finance", "education", "retail")
CATEGORIES = {
    "self_description": "S2",
    "exaggeration": "S7",
    "false_promise": "S8",
    "risk_word": "S9",
    "sensitive_topic": "S13",
    "banned_offer": "S14",
    "sensitive_data": "D6",
}
MESSAGE_IDS = tuple(f"wording.{category}" for category in CATEGORIES)
_CLAUSE_ENDS = frozenset("，。；！？,.;!?\n")


@dataclass(frozen=True, slots=True)
class Term(Evolve):
    """One forbidden expression in normal form."""

    text: str
    category: str
    industries: frozenset[str]
    unless_negated: bool  # "we never ask for your password" is a good sentence


@dataclass(frozen=True, slots=True)
class Lexicon(Evolve):
    """The words of one language."""

    language: str
    terms: tuple[Term, ...]
    exceptions: tuple[str, ...]  # harmless expressions that contain a term
    negations: tuple[str, ...]
    robot_words: tuple[str, ...]  # any of these tells the callee it is a robot (S1)


@dataclass(frozen=True, slots=True)
class WordFinding(Evolve):
    """A forbidden expression; ``text[start:end]`` is how it was written."""

    start: int
    end: int
    written: str = field(repr=False)
    term: str
    category: str
    requirement: str
    message: str

    def as_finding(self) -> Finding:
        """The same as a :class:`~compliance.facts.Finding`, for a script's report."""
        return Finding(
            rule=f"wording_{self.category}",
            requirement=self.requirement,
            passed=False,
            message=self.message,
            params=(("term", self.term), ("start", str(self.start)), ("end", str(self.end))),
            source=f"seed {self.requirement}",
        )


@dataclass(frozen=True, slots=True)
class NormalText:
    """Text in normal form; ``origin[i]`` is where its character ``i`` was written."""

    text: str
    origin: tuple[int, ...]


def normalise(text: str) -> NormalText:
    """NFKC, case folded, letters and digits only."""
    kept: list[str] = []
    origin: list[int] = []
    for position, written in enumerate(text):
        for character in unicodedata.normalize("NFKC", written).casefold():
            if character.isalnum():
                kept.append(character)
                origin.append(position)
    return NormalText("".join(kept), tuple(origin))


def parse_lexicon(data: Mapping[str, object]) -> Lexicon:
    """Read one lexicon strictly.

    Raises:
        PolicyError: naming key and document.
    """
    fields = Fields(data, "lexicon")
    fields.choice("format", (FORMAT,))
    language = fields.text("language")
    fields.where = f"lexicon {language}"
    terms: dict[tuple[str, str], Term] = {}
    for group in fields.sections("groups", empty=False):
        category = group.choice("category", tuple(CATEGORIES))
        industries = frozenset(group.choices("industries", INDUSTRIES, empty=False))
        unless_negated = group.flag("unless_negated", False)
        for word in group.texts("words", empty=False):
            normal = normalise(word).text
            if not normal:
                raise group.error("words", f"{word!r} has no letter")
            known = terms.get((normal, category))
            reach = industries | (known.industries if known else frozenset())
            terms[normal, category] = Term(normal, category, reach, unless_negated)
        group.finish()
    lexicon = Lexicon(
        language=language,
        terms=tuple(terms.values()),
        exceptions=tuple(normalise(w).text for w in fields.texts("exceptions")),
        negations=tuple(normalise(w).text for w in fields.texts("negations")),
        robot_words=tuple(normalise(w).text for w in fields.texts("robot_words", empty=False)),
    )
    fields.finish()
    return lexicon


def _is_latin(character: str) -> bool:
    return character.isalnum() and character.isascii()


def _inside_a_word(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` is cut out of a longer Latin word: "risk" in "asterisk"."""
    before = start > 0 and _is_latin(text[start]) and _is_latin(text[start - 1])
    after = end < len(text) and _is_latin(text[end - 1]) and _is_latin(text[end])
    return before or after


def occurrences(text: str, normal: NormalText, term: str) -> list[tuple[int, int]]:
    """Where ``term`` (in normal form) was written in ``text``: start and end, half-open."""
    found = []
    at = normal.text.find(term)
    while at >= 0:
        start, end = normal.origin[at], normal.origin[at + len(term) - 1] + 1
        if not _inside_a_word(text, start, end):
            found.append((start, end))
        at = normal.text.find(term, at + 1)
    return found


def _negated(text: str, start: int, lexicon: Lexicon) -> bool:
    clause_start = start
    while clause_start > 0 and text[clause_start - 1] not in _CLAUSE_ENDS:
        clause_start -= 1
    before = normalise(text[clause_start:start]).text
    return any(word in before for word in lexicon.negations)


def lint(text: str, lexicon: Lexicon, industry: str) -> tuple[WordFinding, ...]:
    """Every forbidden expression in ``text``, in order of position.

    The ``general`` words hold in every industry.

    Raises:
        ValueError: unknown industry; guessing one would skip its words.
    """
    if industry not in INDUSTRIES:
        raise ValueError(f"unknown industry; one of {', '.join(INDUSTRIES)}")
    normal = normalise(text)
    harmless = [
        place
        for expression in lexicon.exceptions
        if expression in normal.text
        for place in occurrences(text, normal, expression)
    ]
    findings = []
    for term in lexicon.terms:
        if term.text not in normal.text or not term.industries & {"general", industry}:
            continue
        for start, end in occurrences(text, normal, term.text):
            if any(first <= start and end <= last for first, last in harmless):
                continue
            if term.unless_negated and _negated(text, start, lexicon):
                continue
            findings.append(
                WordFinding(
                    start=start,
                    end=end,
                    written=text[start:end],
                    term=term.text,
                    category=term.category,
                    requirement=CATEGORIES[term.category],
                    message=f"wording.{term.category}",
                )
            )
    return tuple(sorted(findings, key=lambda f: (f.start, -f.end, f.category)))
