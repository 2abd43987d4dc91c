# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demonstration models are taught to hear: ``zh.txt`` and ``en.txt``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from .base import Corpus, expand

LANGUAGES = ("zh", "en")
_LISTS = ("words", "fillers")  # many a line; the other sections have one entry a line
_VOICES = {
    "zh": ("sit/cmn",),
    "en": ("gmw/en-us", "gmw/en-us", "gmw/en-us", "gmw/en", "gmw/en-gb-x-rp"),
}


def _sections(text: str) -> dict[str, list[str]]:
    """Lines by section; a line ``[name]`` begins one."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], [])
        elif line.strip() and not line.startswith("#"):
            current.append(line.strip())
    return sections


@cache
def load(language: str) -> Corpus:
    """The corpus of ``zh`` or ``en``."""
    if language not in LANGUAGES:
        raise ValueError(f"no corpus for language {language!r}")
    path = Path(__file__).with_name(f"{language}.txt")
    sections = _sections(path.read_text(encoding="utf-8"))
    lists = {
        name[1:]: tuple(" ".join(lines).split() if name[1:] in _LISTS else lines)
        for name, lines in sections.items()
        if name.startswith(":")
    }
    return Corpus(
        language=language,
        joiner="" if language == "zh" else " ",
        voices=_VOICES[language],
        plain_voice=_VOICES[language][0],
        templates={
            name: "\n".join(lines) for name, lines in sections.items() if not name.startswith(":")
        },
        words=lists["words"],
        fillers=lists["fillers"],
        foreign=lists["foreign"],
        novel=lists["novel"],
        refusal_keys=lists["refusal_keys"],
    )


__all__ = ["LANGUAGES", "Corpus", "expand", "load"]
