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
    pinyin, 0.6 a bare word, 0.0 unknown. ``everything``: the words refuse calls of any kind.
    """

    intent: Intent
    refused: bool
    score: float
    everything: bool = False


UNKNOWN = IntentResult(Intent.UNKNOWN, False, 0.0)

# "Never call me again", "no calls of any kind": more than this company's calls (S12). Asked only
# of words that refuse.
_EVERYTHING_ZH = re.compile(
    r"(?:别|不要|不许|不准|不能|勿)(?:再|也|给我|跟我|向我|往我)*(?:打|拨|来|接|联系)?(?:任何|所有)"
    r"(?:的)?(?:电话|来电|推销|营销)"
    r"|(?:永远|一辈子|这辈子|再也|从今往后|无论如何)(?:都|也)?(?:别|不要|不许|不准|不用|不必|不想|不)"
    r"(?:再|给我|跟我|找我)*(?:打|拨|来|联系|接|烦|骚扰)"
    r"|(?:任何|所有)(?:的)?(?:电话|来电|推销|营销)(?:我)?(?:都|也)?(?:别|不要|不接|不想|不许|拒绝)"
    r"|(?:不接受|拒绝|谢绝|拒接)(?:任何|所有|一切)"
)
_EVERYTHING_EN = re.compile(
    r"\b(?:never|don't ever|do not ever)(?: ever)?(?: you)? (?:call|phone|ring|contact|bother)\b"
    r"|\b(?:no|any|stop all) (?:more |further )?(?:marketing |sales )?calls? "
    r"(?:of any kind|of any sort|from anyone|from anybody|about anything|whatsoever|ever)\b"
    r"|\b(?:refuse|reject|block) (?:all|any) (?:marketing |sales )?calls\b"
)
_PUNCTUATION = re.compile(r"[\W_]+")


def classify(text: str, language: str) -> IntentResult:
    """Classify one utterance; ``language`` is ``zh`` or ``en``.

    Unknown languages give ``Intent.UNKNOWN``: keys still work there.
    """
    if language == "zh":
        plain, everything = _PUNCTUATION.sub("", text).lower(), _EVERYTHING_ZH
        found = _intents_zh.classify(plain)
    elif language == "en":
        plain, everything = _words(text), _EVERYTHING_EN
        found = _intents_en.classify(plain)
    else:
        return UNKNOWN
    if found is None:
        return UNKNOWN
    name, refused, score = found
    return IntentResult(
        Intent(name), refused, score, refused and everything.search(plain) is not None
    )


def _words(text: str) -> str:
    """Lower-case words with apostrophes, single spaces between."""
    lowered = text.lower().replace("’", "'")
    return " ".join(re.findall(r"[a-z0-9']+", lowered))
