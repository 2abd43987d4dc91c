# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be said, in which order and by when, checked on scripts and on timed transcripts.

The order is: that it is a robot and who calls (S1), purpose and expected length (S3),
recording notice (S4), way out (S10); only then anything else. A transcript counts what
reached the ear: a section that was cut off was not said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from compliance.facts import Finding, Speaker, TranscriptLine
from compliance.profiles import SECTIONS
from compliance.wording import normalise

ROBOT_WORDS: dict[str, tuple[str, ...]] = {
    "zh": ("机器人", "人工智能", "自动语音", "AI"),
    "en": ("robot", "automated", "artificial", "bot", "AI"),
}
WITHIN_MS = 3000

_REQUIREMENT = {"disclosure": "S1", "purpose": "S3", "recording_notice": "S4", "way_out": "S10"}
_GREETINGS = re.compile(
    r"(?:\s*(?:您好|你好|喂|早上好|上午好|下午好|晚上好|hello|hi|hey"
    r"|good (?:morning|afternoon|evening))"
    r"[\s,，.。!！、~]*)+",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[,，.。;；!！?？、\n]")
# 我是智能客服… and "this is an automated …" fit; a company's name before the word does not.
_ZH_CHARACTERS_BEFORE = 7
_EN_WORDS_BEFORE = 4
_LENGTH = re.compile(r"分钟|秒|minutes?|seconds?", re.IGNORECASE)
_KEY_ONE = re.compile(r"(?<![0-9])1(?![0-9])|[按键]一|一键|\bone\b", re.IGNORECASE)
_PERSON = re.compile(r"人工|person|human|agent|operator", re.IGNORECASE)
_RECORDED = re.compile(r"录音|record", re.IGNORECASE)

_REASONS = (
    "missing",
    "not_first",
    "no_robot_word",
    "no_company",
    "late",
    "cut_off",
    "no_length",
    "no_notice",
    "no_key",
    "no_person",
    "out_of_order",
)
MESSAGE_IDS = ("disclosure.said", *(f"disclosure.{reason}" for reason in _REASONS))


def _finding(section: str, reason: str = "", params: tuple[tuple[str, str], ...] = ()) -> Finding:
    requirement = _REQUIREMENT[section]
    return Finding(
        rule=f"unsaid_{section}",
        requirement=requirement,
        passed=not reason,
        message=f"disclosure.{reason or 'said'}",
        params=(("section", section), *params),
        source=f"seed {requirement}",
    )


def robot_word_first(text: str, language: str) -> bool:
    """Whether ``text`` says "robot" before it says anything else but a greeting (S1).

    "您好，我是智能客服机器人" does; "您好，这里是某某公司智能客服机器人" does not, and cannot
    end within 3 s. An unknown language has no robot word: False.
    """
    words = ROBOT_WORDS.get(language)
    if words is None:
        return False
    greeting = _GREETINGS.match(text)
    rest = text[greeting.end() :] if greeting else text
    clause = _CLAUSE_END.split(rest, maxsplit=1)[0]
    if language == "en":
        spoken = re.findall(r"[a-z]+", clause.lower())
        return any(w.lower() in spoken[: _EN_WORDS_BEFORE + 1] for w in words)
    normal = normalise(clause).text
    places = [normal.find(normalise(word).text) for word in words]
    return any(0 <= place <= _ZH_CHARACTERS_BEFORE for place in places)


def check_script_order(sections: Sequence[str]) -> tuple[Finding, ...]:
    """One finding per demanded section, for the names of a script's sections in spoken order.

    ``disclosure`` must come first, then ``purpose``, ``recording_notice`` and ``way_out`` in
    this order, before any section of another name.
    """
    findings = []
    for index, section in enumerate(SECTIONS):
        if section not in sections:
            findings.append(_finding(section, "missing"))
        elif sections.index(section) != index:
            findings.append(_finding(section, "not_first" if index == 0 else "out_of_order"))
        else:
            findings.append(_finding(section))
    return tuple(findings)


@dataclass(frozen=True, slots=True)
class _Said:
    """One section as heard: its bot lines taken together."""

    text: str
    start_ms: int
    end_ms: int
    whole: bool


def _said(lines: Sequence[TranscriptLine], section: str) -> _Said | None:
    parts = [line for line in lines if line.mark == section]
    if not parts:
        return None
    return _Said(
        text=" ".join(line.text for line in parts),
        start_ms=min(line.start_ms for line in parts),
        end_ms=max(line.end_ms for line in parts),
        whole=all(line.interrupted_at_ms is None for line in parts),
    )


def _who(
    said: _Said, bot: Sequence[TranscriptLine], language: str, company: str, within_ms: int
) -> Finding:
    section = "disclosure"
    if bot[0].mark != section:
        return _finding(section, "not_first")
    if not said.whole:
        return _finding(section, "cut_off")
    if not robot_word_first(said.text, language):
        return _finding(section, "no_robot_word")
    if company and normalise(company).text not in normalise(said.text).text:
        return _finding(section, "no_company")
    if said.end_ms > within_ms:
        times = (("end_ms", str(said.end_ms)), ("within_ms", str(within_ms)))
        return _finding(section, "late", times)
    return _finding(section)


def _content(section: str, said: _Said) -> str:
    """What a section lacks, or empty."""
    if not said.whole:
        return "cut_off"
    if section == "purpose" and not _LENGTH.search(said.text):
        return "no_length"
    if section == "recording_notice" and not _RECORDED.search(said.text):
        return "no_notice"
    if section == "way_out" and not _KEY_ONE.search(said.text):
        return "no_key"
    if section == "way_out" and not _PERSON.search(said.text):
        return "no_person"
    return ""


def check_transcript(
    lines: Sequence[TranscriptLine],
    *,
    language: str = "zh",
    company: str = "",
    within_ms: int = WITHIN_MS,
    cut_short: bool = False,
) -> tuple[Finding, ...]:
    """One finding per demanded section of a call, from what the callee heard.

    Args:
        lines: timed from answer, ms; the bot's carry ``mark``.
        company: must be named inside the disclosure; empty: not checked.
        within_ms: the latest end of the disclosure.
        cut_short: the callee hung up, refused or asked for a person before all was said:
            sections not reached, or cut off as the last thing said, are no fault then.

    Returns:
        Findings in the order of :data:`~compliance.rulebook.SECTIONS`.
    """
    bot = sorted((ln for ln in lines if ln.speaker is Speaker.BOT), key=lambda ln: ln.start_ms)
    # A farewell may follow at any point: it ends the call and tells nothing.
    bot = [line for line in bot if line.mark != "farewell"]
    findings = []
    previous_start = 0
    first_other = min((ln.start_ms for ln in bot if ln.mark not in SECTIONS), default=None)
    for section in SECTIONS:
        said = _said(bot, section)
        if said is None:
            findings.append(_finding(section, "" if cut_short else "missing"))
            continue
        last_words = said.end_ms == max(line.end_ms for line in bot)
        if cut_short and not said.whole and last_words:
            findings.append(_finding(section))
        elif section == "disclosure":
            findings.append(_who(said, bot, language, company, within_ms))
        elif said.start_ms < previous_start or (
            first_other is not None and first_other < said.start_ms
        ):
            findings.append(_finding(section, "out_of_order"))
        else:
            findings.append(_finding(section, _content(section, said)))
        previous_start = max(previous_start, said.start_ms)
    return tuple(findings)
