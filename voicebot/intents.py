# SPDX-License-Identifier: GPL-3.0-or-later
"""What an utterance means: pure rules, negation first, made for recognizer output.

Order matters more than any single pattern: idioms that only look negative are taken out,
then refusals, then everything else. Whole phrases are matched, never fuzzy parts ("需要" is
inside "不需要"). Mandarin is also matched by its pinyin, because recognizers confuse
homophones (专人工, 赚人工 for 转人工).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from voicebot import _intents_en, _intents_zh


class Intent(enum.StrEnum):
    """Meanings the dialogue can act on."""

    REFUSAL = "refusal"
    HUMAN = "human"
    YES = "yes"
    LATER = "later"
    QUESTION = "question"
    ROBOT_QUESTION = "robot_question"
    GREETING = "greeting"
    WRONG_NUMBER = "wrong_number"
    COMPLAINT = "complaint"
    ABUSE = "abuse"
    REPEAT = "repeat"
    BACKCHANNEL = "backchannel"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class IntentResult:
    """``refused``: the call must end and the number goes on the refusal list (S11, S12).

    A complaint or abuse may refuse as well. ``score`` 0-1: 1.0 an explicit phrase, 0.9 by
    pinyin, 0.6 a bare word, 0.0 unknown.
    """

    intent: Intent
    refused: bool
    score: float


UNKNOWN = IntentResult(Intent.UNKNOWN, False, 0.0)

_PUNCTUATION = re.compile(r"[\W_]+")


def classify(text: str, language: str) -> IntentResult:
    """Classify one utterance; ``language`` is ``zh`` or ``en``.

    Unknown languages give ``Intent.UNKNOWN``: keys still work there.
    """
    if language == "zh":
        found = _intents_zh.classify(_PUNCTUATION.sub("", text).lower())
    elif language == "en":
        found = _intents_en.classify(_words(text))
    else:
        return UNKNOWN
    if found is None:
        return UNKNOWN
    name, refused, score = found
    return IntentResult(Intent(name), refused, score)


def _words(text: str) -> str:
    """Lower-case words with apostrophes, single spaces between."""
    lowered = text.lower().replace("’", "'")
    return " ".join(re.findall(r"[a-z0-9']+", lowered))
