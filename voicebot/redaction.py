# SPDX-License-Identifier: GPL-3.0-or-later
"""Long numbers that somebody says are struck from the transcript (D6). Pure.

Bank and identity cards are said in groups, often with a pause that begins a new utterance,
and a recognizer gets digits wrong: no checksum is asked for, and a number may run over
several utterances. A mobile number stays: people give one to be called back at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LEAST = 6  # digits in a row; shorter ones are dates, prices, answers
STRUCK = "●"  # one for each digit

_ZH = {**{c: str(i) for i, c in enumerate("零一二三四五六七八九")}, "〇": "0", "幺": "1"}
_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
          "eighteen", "nineteen")  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_EN = {
    **{word: str(i) for i, word in enumerate(_ONES)},
    **{word: str(10 + i) for i, word in enumerate(_TEENS)},
    **{word: f"{2 + i}0" for i, word in enumerate(_TENS)},
    "oh": "0",
}
_NEXT = "\x1f"  # between two utterances; counts as a pause
_AGAIN = {"double": 1, "triple": 2}
_NUMBER = re.compile(
    rf"[0-9０-９{''.join(_ZH)}]|\b(?:{'|'.join((*_EN, *_AGAIN))})\b", re.IGNORECASE
)
# What may stand between two digits of one number: pauses, and sounds made in them.
_BETWEEN = re.compile(
    r"(?:[\s,，、。.\-–—_/·]|[嗯呃啊哦额]|\b(?:um|uh|er|then|and)\b)*", re.IGNORECASE
)
_MOBILE = re.compile(r"(?:86)?1[3-9][0-9]{9}")


def strike(texts: Sequence[str]) -> list[str]:
    """One speaker's utterances in their order -> the same with long numbers struck out."""
    whole = _NEXT.join(texts)
    out = list(whole)
    for run in _runs(whole):
        digits = _digits([whole[start:end].lower() for start, end in run])
        if len(digits) < LEAST or _MOBILE.fullmatch(digits):
            continue
        for start, end in run:
            count = max(1, len(_digits([whole[start:end].lower()])))
            out[start:end] = [STRUCK * count, *[""] * (end - start - 1)]
    return "".join(out).split(_NEXT) if texts else []


def _runs(text: str) -> list[list[tuple[int, int]]]:
    """Places of digits and number words, those of one number together."""
    runs: list[list[tuple[int, int]]] = []
    for match in _NUMBER.finditer(text):
        if runs and _BETWEEN.fullmatch(text, runs[-1][-1][1], match.start()):
            runs[-1].append(match.span())
        else:
            runs.append([match.span()])
    return runs


def _digits(words: Sequence[str]) -> str:
    digits = ""
    again = 0
    for word in words:
        if word in _AGAIN:
            again = _AGAIN[word]
            continue
        found = _ZH.get(word) or _EN.get(word) or str(int(word))
        digits += found + found * again
        again = 0
    return digits
