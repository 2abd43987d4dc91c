# SPDX-License-Identifier: GPL-3.0-or-later
"""Written text -> text a synthesizer reads aloud correctly: numbers, dates, money, telephones."""

from __future__ import annotations

import re

_DIGITS = "零一二三四五六七八九"
_PHONE_ONE = "零幺二三四五六七八九"  # telephone digits are read with 幺 for 1
_UNITS = ("", "十", "百", "千")
_GROUPS = ("", "万", "亿", "万亿")
MAX_DIGITS = 16


def speakable(text: str, language: str) -> str:
    """Replace figures by words; text without figures comes back unchanged but trimmed."""
    text = re.sub(r"[<>]", "", text).strip()
    return _zh(text) if language == "zh" else _en(text)


def number_zh(value: str) -> str:
    """Decimal digits -> Mandarin: ``10203`` -> 一万零二百零三; more than 16 digits singly."""
    value = value.lstrip("0") or "0"
    if len(value) > MAX_DIGITS:
        return digits_zh(value)
    if value == "0":
        return "零"
    groups = []
    while value:
        groups.append(value[-4:])
        value = value[:-4]
    spoken = ""
    gap = False
    for index in range(len(groups) - 1, -1, -1):
        group = groups[index]
        if int(group) == 0:
            gap = bool(spoken)
            continue
        if spoken and (gap or int(group) < 1000):
            spoken += "零"
        spoken += _group_zh(str(int(group))) + _GROUPS[index]
        gap = False
    return spoken.removeprefix("一") if spoken.startswith("一十") else spoken


def digits_zh(value: str, one: str = _DIGITS) -> str:
    """Digits one by one."""
    return "".join(one[int(d)] for d in value)


def _group_zh(group: str) -> str:
    spoken = ""
    zero = False
    for index, digit in enumerate(group):
        if digit == "0":
            zero = True
            continue
        if zero and spoken:
            spoken += "零"
        spoken += _DIGITS[int(digit)] + _UNITS[len(group) - 1 - index]
        zero = False
    return spoken


def _decimal_zh(value: str) -> str:
    whole, _, part = value.replace(",", "").partition(".")
    return number_zh(whole) + ("点" + digits_zh(part) if part else "")


_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"


def _zh(text: str) -> str:
    rules = (
        (r"(\d{4})年", lambda m: digits_zh(m[1]) + "年"),
        (r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)",
         lambda m: f"{digits_zh(m[1])}年{number_zh(m[2])}月{number_zh(m[3])}日"),
        (r"(?<!\d)(\d{1,2})[:：](\d{2})(?!\d)", lambda m: _clock_zh(m[1], m[2])),
        (r"(?<!\d)(?:\+?86[- ]?)?"
         r"(1\d{10}|0\d{2,3}-?\d{7,8}|400-?\d{3}-?\d{4}|1[0-2]\d{3}|9[56]\d{3,4})"
         r"(?![\d元块万亿%.,])",
         lambda m: digits_zh(m[1].replace("-", ""), _PHONE_ONE)),
        (rf"[¥￥]\s*({_NUMBER})", lambda m: _decimal_zh(m[1]) + "元"),
        (rf"({_NUMBER})\s*[%％]", lambda m: "百分之" + _decimal_zh(m[1])),
        (rf"(?<![A-Za-z0-9])-({_NUMBER})", lambda m: "负" + _decimal_zh(m[1])),
        (r"(\d+)/(\d+)", lambda m: f"{number_zh(m[2])}分之{number_zh(m[1])}"),
        (r"(?<![\d.,])2(?=[个次位天年周件张份])", lambda m: "两"),
        (rf"{_NUMBER}", lambda m: _decimal_zh(m[0])),
    )  # fmt: skip
    for pattern, spoken in rules:
        text = re.sub(pattern, spoken, text)
    return text


def _clock_zh(hour: str, minute: str) -> str:
    if int(hour) > 24 or int(minute) > 59:
        return f"{number_zh(hour)}比{number_zh(minute)}"
    hours = "两" if int(hour) == 2 else number_zh(hour)
    if minute == "00":
        return f"{hours}点"
    return f"{hours}点" + ("零" if minute[0] == "0" else "") + f"{number_zh(minute)}分"


def _en(text: str) -> str:
    rules = (
        # espeak reads whole numbers, times and dates itself; these it gets wrong.
        (r"(?<!\w)\+?\d[\d -]{8,}\d(?!\w)", lambda m: ", ".join(re.findall(r"\d", m[0]))),
        (r"\$\s*(\d[\d,]*)\.(\d{2})\b", lambda m: f"{m[1]} dollars and {int(m[2])} cents"),
        (r"\$\s*(\d[\d,]*)", lambda m: f"{m[1]} dollars"),
        (r"(\d)\s*%", lambda m: f"{m[1]} percent"),
        (r"&", lambda m: "and"),
        (r"(?<=\d),(?=\d{3})", lambda m: ""),
    )
    for pattern, spoken in rules:
        text = re.sub(pattern, spoken, text)
    return text
