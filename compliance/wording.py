# SPDX-License-Identifier: GPL-3.0-or-later
"""Words a call must not use, found however they are written (S2, S7, S8, S9, S13, S14, D6).

Text is compared in a normal form: compatibility forms and accents unified, case folded,
spaces and inserted signs removed, figures of any script the same, so that "保 本*高收益"
and full-width letters are the same words. Positions in findings are those of the text as
written. Lexicons are data (``data/lexicon/*.yaml``), passed in as parsed mappings: one
grammar a language (exceptions, negations) and any number of packs, which can only add
words. :func:`lint` is the plain scan; ``voicebot.words`` finds the same and more
(traditional characters, words that sound the same) in one pass.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from compliance.facts import Evolve, Finding
from compliance.mapping import Fields

FORMAT = "candor-lexicon/2"
GRAMMAR = "candor-lexicon-grammar/1"
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
PARDONS = ("never", "denied", "negated")
"""When a term is harmless after all.

``denied``: denied right before it, as in "not guaranteed returns"; "no risk" itself is a
claim. ``negated``: its clause refuses it, as in "we never ask for your password".
"""

_PARDONING = (
    "exceptions",
    "harmless_sounds",
    "negations",
    "warnings",
    "demands",
    "denials",
    "no_denials",
)
_CLAUSE_ENDS = frozenset("，。；！？,.;!?\n")
_NEAR = 24  # characters of normal form before a term in which its denial must end
_FIGURES = str.maketrans("〇零一二三四五六七八九壹贰叁肆伍陆柒捌玖", "00123456789123456789")
# Letters of other scripts that look like Latin ones.
_LOOKALIKES = str.maketrans("аеорсухкмтвніјѕԁɡαορνικτυχıɑℓ", "aeopcyxkmtbhijsdgaopviktuxial")


@dataclass(frozen=True, slots=True)
class Term(Evolve):
    """One forbidden expression in normal form."""

    text: str
    category: str
    industries: frozenset[str]
    pardon: str  # one of PARDONS
    source: str  # law, rule or article it comes from
    pack: str
    sounds: bool = True  # also found by its sound

    def holds_in(self, industry: str) -> bool:
        """The ``general`` words hold in every industry."""
        return "general" in self.industries or industry in self.industries


@dataclass(frozen=True, slots=True)
class Pack(Evolve):
    """Where words came from: a name, its version, SHA-256 hex of its data."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Lexicon(Evolve):
    """The words of one language."""

    language: str
    terms: tuple[Term, ...]
    exceptions: tuple[str, ...]  # harmless expressions that contain a term
    harmless_sounds: tuple[str, ...]  # harmless expressions that sound like a term
    negations: tuple[str, ...]  # before a term, in its clause
    warnings: tuple[str, ...]  # after a term: in its clause, or opening the next
    demands: tuple[str, ...]  # in a clause: what it asks for is asked for after all
    denials: tuple[str, ...]  # right before a term
    no_denials: tuple[str, ...]  # end like a denial and are none
    robot_words: tuple[str, ...]  # any of these tells the callee it is a robot (S1)
    packs: tuple[Pack, ...]
    digest: str  # SHA-256 hex over grammar and packs


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
    source: str
    pack: str = ""

    def as_finding(self) -> Finding:
        """The same as a :class:`~compliance.facts.Finding`, for a script's report."""
        return Finding(
            rule=f"wording_{self.category}",
            requirement=self.requirement,
            passed=False,
            message=self.message,
            params=(("term", self.term), ("start", str(self.start)), ("end", str(self.end))),
            source=self.source,
        )


# ---------------------------------------------------------------- normal form


@dataclass(frozen=True, slots=True)
class NormalText:
    """Text in normal form; ``origin[i]`` is where its character ``i`` was written."""

    text: str
    origin: tuple[int, ...]

    def written(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]`` was written: start and end, half-open."""
        return self.origin[start], self.origin[end - 1] + 1


def normalise(text: str) -> NormalText:
    """Letters and digits only, each in one form; "%" stays after 100, where it is a claim."""
    kept: list[str] = []
    origin: list[int] = []
    for position, written in enumerate(text):
        plain = _PLAIN[written]
        if plain == "%" and kept[-3:] != ["1", "0", "0"]:
            continue
        for character in plain:
            kept.append(character)
            origin.append(position)
    return NormalText("".join(kept), tuple(origin))


class _Plain(dict[str, str]):
    """Each character in normal form, worked out once; empty: it is a sign."""

    def __missing__(self, character: str) -> str:
        folded = unicodedata.normalize("NFKD", character).casefold().translate(_LOOKALIKES)
        plain = "".join(c for c in folded.translate(_FIGURES) if c.isalnum() or c == "%")
        # A per-mille sign or such may hold a percent sign among others: a lone one only counts.
        self[character] = plain if plain == "%" else plain.replace("%", "")
        return self[character]


_PLAIN = _Plain()


# ---------------------------------------------------------------- reading


def parse_lexicon(grammar: Mapping[str, object], packs: Sequence[Mapping[str, object]]) -> Lexicon:
    """Read the grammar of a language and its packs strictly; a pack can only add words.

    Raises:
        PolicyError: naming key and document.
    """
    fields = Fields(grammar, "lexicon")
    fields.choice("format", (GRAMMAR,))
    language = fields.text("language")
    fields.where = f"lexicon {language}"
    fields.text("version")

    def words(key: str, *, empty: bool = True) -> tuple[str, ...]:
        return tuple(_normal(fields, key, word) for word in fields.texts(key, empty=empty))

    parts = {key: words(key) for key in _PARDONING}
    robot_words = words("robot_words", empty=False)
    fields.finish()
    terms: dict[tuple[str, str, str, bool], Term] = {}
    read: list[Pack] = []
    for data in packs:
        pack, found = _pack(data, language)
        if pack.name in {known.name for known in read}:
            raise fields.error("packs", f"two packs are called {pack.name!r}")
        read.append(pack)
        for term in found:
            # The same word may stand in packs of several industries; a laxer entry never
            # replaces a stricter one.
            key = (term.text, term.category, term.pardon, term.sounds)
            known = terms.get(key)
            reach = term.industries | (known.industries if known else frozenset())
            terms[key] = (known or term).evolve(industries=reach)
    if not terms:
        raise fields.error("packs", "there is no word in them")
    whole = json.dumps(
        [_plain_data(grammar), [pack.digest for pack in read]], sort_keys=True, ensure_ascii=False
    )
    return Lexicon(
        language=language,
        terms=tuple(terms.values()),
        robot_words=robot_words,
        packs=tuple(read),
        digest=hashlib.sha256(whole.encode()).hexdigest(),
        **parts,
    )


def beside(lexicon: Lexicon, other: Lexicon) -> Lexicon:
    """``lexicon`` with the words of another language: a sentence may hold both.

    What pardons a word in either language pardons it in both.
    """
    digest = hashlib.sha256(f"{lexicon.digest} {other.digest}".encode()).hexdigest()
    return lexicon.evolve(
        terms=lexicon.terms + other.terms,
        packs=lexicon.packs + other.packs,
        digest=digest,
        **{name: getattr(lexicon, name) + getattr(other, name) for name in _PARDONING},
    )


def _pack(data: Mapping[str, object], language: str) -> tuple[Pack, list[Term]]:
    fields = Fields(data, "lexicon pack")
    fields.choice("format", (FORMAT,))
    name = fields.text("pack")
    fields.where = f"lexicon pack {name}"
    fields.choice("language", (language,))
    version = fields.text("version")
    terms = []
    for group in fields.sections("groups", empty=False):
        category = group.choice("category", tuple(CATEGORIES))
        group.choice("requirement", (CATEGORIES[category],))
        industries = frozenset(group.choices("industries", INDUSTRIES, empty=False))
        source = group.text("source")
        pardon = group.choice("pardon", PARDONS) if group.has("pardon") else PARDONS[0]
        sounds = group.flag("sounds", True)
        terms += [
            Term(_normal(group, "words", word), category, industries, pardon, source, name, sounds)
            for word in group.texts("words", empty=False)
        ]
        group.finish()
    fields.finish()
    text = json.dumps(_plain_data(data), sort_keys=True, ensure_ascii=False)
    return Pack(name, version, hashlib.sha256(text.encode()).hexdigest()), terms


def _normal(fields: Fields, key: str, word: str) -> str:
    normal = normalise(word).text
    if not normal:
        raise fields.error(key, f"{word!r} has no letter")
    return normal


def _plain_data(data: object) -> object:
    """YAML data as JSON can hold it: a version may have been read as a day."""
    if isinstance(data, Mapping):
        return {str(key): _plain_data(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain_data(value) for value in data]
    return data if isinstance(data, str | int | bool) else str(data)


# ---------------------------------------------------------------- judging


Place = tuple[int, int]
"""Start and end in normal form, half-open."""


def lint(text: str, lexicon: Lexicon, industry: str) -> tuple[WordFinding, ...]:
    """Every forbidden expression in ``text``, in order of position, by a plain scan.

    Raises:
        ValueError: unknown industry; guessing one would skip its words.
    """
    require_industry(industry)
    normal = normalise(text)
    harmless = [
        place
        for expression in lexicon.exceptions
        for place in _places(normal.text, expression)
        if not _inside_a_word(text, *normal.written(*place))
    ]
    candidates = (
        (*place, term)
        for term in lexicon.terms
        if term.holds_in(industry)
        for place in _places(normal.text, term.text)
    )
    return judge(text, normal, candidates, harmless, lexicon)


def require_industry(industry: str) -> None:
    """Raises:
    ValueError: unknown industry.
    """
    if industry not in INDUSTRIES:
        raise ValueError(f"unknown industry; one of {', '.join(INDUSTRIES)}")


def _places(text: str, words: str) -> Iterable[Place]:
    at = text.find(words)
    while at >= 0:
        yield at, at + len(words)
        at = text.find(words, at + 1)


def judge(
    text: str,
    normal: NormalText,
    candidates: Iterable[tuple[int, int, Term]],
    harmless: Sequence[Place],
    lexicon: Lexicon,
) -> tuple[WordFinding, ...]:
    """Which candidates (start and end in normal form) count, in order of position.

    ``harmless`` are the places of exceptions: what lies within one is not meant.
    """
    found: dict[tuple[int, int, str], WordFinding] = {}
    for first, last, term in candidates:
        start, end = normal.written(first, last)
        key = (start, end, term.category)
        if key in found or _inside_a_word(text, start, end):
            continue
        if any(begin <= first and last <= over for begin, over in harmless):
            continue
        if term.pardon == "denied" and _denied(text, normal, first, lexicon):
            continue
        if term.pardon == "negated" and _negated(text, start, end, lexicon):
            continue
        found[key] = WordFinding(
            start=start,
            end=end,
            written=text[start:end],
            term=term.text,
            category=term.category,
            requirement=CATEGORIES[term.category],
            message=f"wording.{term.category}",
            source=term.source,
            pack=term.pack,
        )
    return tuple(sorted(found.values(), key=lambda f: (f.start, -f.end, f.category)))


def _is_latin(character: str) -> bool:
    return character.isalnum() and character.isascii()


def _inside_a_word(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` is cut out of a longer Latin word: "risk" in "asterisk"."""
    before = start > 0 and _is_latin(text[start]) and _is_latin(text[start - 1])
    after = end < len(text) and _is_latin(text[end - 1]) and _is_latin(text[end])
    return before or after


def _denied(text: str, normal: NormalText, first: int, lexicon: Lexicon) -> bool:
    """Whether the words right before place ``first`` deny what follows, in the same clause."""
    before = normal.text[max(0, first - _NEAR) : first]
    if not before or before.endswith(lexicon.no_denials):
        return False
    for words in lexicon.denials:
        if before.endswith(words):
            start, end = normal.written(first - len(words), first)
            clause = text[start : normal.origin[first]]
            if not _inside_a_word(text, start, end) and _CLAUSE_ENDS.isdisjoint(clause):
                return True
    return False


def _negated(text: str, start: int, end: int, lexicon: Lexicon) -> bool:
    """Whether the clause around ``text[start:end]`` refuses it and does not ask for it."""
    clause_start, clause_end = start, end
    while clause_start > 0 and text[clause_start - 1] not in _CLAUSE_ENDS:
        clause_start -= 1
    while clause_end < len(text) and text[clause_end] not in _CLAUSE_ENDS:
        clause_end += 1
    before = normalise(text[clause_start:start])
    after = normalise(text[end:clause_end])
    if _says(text[end:clause_end], after, lexicon.demands):
        return False
    if _says(text[clause_start:start], before, lexicon.negations):
        return True
    if _says(text[end:clause_end], after, lexicon.warnings):
        return True
    # "If anybody asks for your password, never give it": the warning opens the next clause.
    following = text[clause_end + 1 : clause_end + 1 + _NEAR]
    comma = text[clause_end : clause_end + 1] in ("，", ",")
    return comma and normalise(following).text.startswith(lexicon.warnings)


def _says(written: str, normal: NormalText, expressions: Sequence[str]) -> bool:
    return any(
        not _inside_a_word(written, *normal.written(*place))
        for expression in expressions
        if expression in normal.text
        for place in _places(normal.text, expression)
    )
