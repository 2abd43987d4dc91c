# SPDX-License-Identifier: GPL-3.0-or-later
"""Phrases written as small templates, and how they become word lists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


def expand(template: str) -> list[str]:
    """All texts of a template: ``(a|b|)c`` gives ``ac``, ``bc`` and ``c``.

    Alternatives do not nest.
    """
    opening = template.find("(")
    if opening < 0:
        return [" ".join(template.split())]
    closing = template.index(")", opening)
    head, tail = template[:opening], template[closing + 1 :]
    texts: list[str] = []
    for option in template[opening + 1 : closing].split("|"):
        texts.extend(expand(head + option + tail))
    return list(dict.fromkeys(text for text in texts if text))


@dataclass(frozen=True)
class Corpus:
    """Phrases of one language by intent, and what surrounds them."""

    language: str
    joiner: str  # between words
    voices: tuple[str, ...]  # espeak-ng base voices, repeated by weight
    plain_voice: str  # the voice the platform speaks with
    templates: Mapping[str, str]  # intent -> templates, one a line or split by "/"
    words: tuple[str, ...]  # words of more than one character; Mandarin only
    fillers: tuple[str, ...]  # background words outside the domain
    foreign: tuple[str, ...]  # test sentences never trained on
    novel: tuple[str, ...]  # test sentences: known words in orders never trained on
    refusal_keys: tuple[str, ...]  # a text holding one of these is a refusal

    def split(self, text: str) -> list[str]:
        """Words of a text; Mandarin by longest match from the left."""
        if self.joiner:
            return text.split()
        known = self._word_set
        words: list[str] = []
        position = 0
        text = text.replace(" ", "")
        while position < len(text):
            for length in range(min(6, len(text) - position), 0, -1):
                piece = text[position : position + length]
                if length == 1 or piece in known:
                    words.append(piece)
                    position += length
                    break
        return words

    @cached_property
    def _word_set(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def groups(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """(intent, variants of one template as words) for every template."""
        groups = []
        for intent, block in self.templates.items():
            for template in block.replace("\n", "/").split("/"):
                if template.strip():
                    variants = [tuple(self.split(text)) for text in expand(template.strip())]
                    groups.append((intent, list(dict.fromkeys(variants))))
        return groups

    @cached_property
    def phrases(self) -> dict[tuple[str, ...], str]:
        """Every phrase as words -> its intent (the first one that lists it)."""
        found: dict[tuple[str, ...], str] = {}
        for intent, variants in self.groups:
            for words in variants:
                found.setdefault(words, intent)
        return found

    @cached_property
    def vocabulary(self) -> list[str]:
        """Words of the domain, sorted, fillers not included."""
        novel = {word for text in self.novel for word in self.split(text)}
        return sorted({word for words in self.phrases for word in words} | novel)

    def text(self, words: tuple[str, ...] | list[str]) -> str:
        """Words joined the way the language is written."""
        return self.joiner.join(words)

    def is_refusal(self, text: str) -> bool:
        """Whether a text tells the caller to stop or that nothing is wanted."""
        plain = text if self.joiner else text.replace(" ", "")
        return any(key in plain for key in self.refusal_keys)

    def digest(self) -> str:
        """SHA-256 of everything that is trained on."""
        content = [sorted("|".join(p) for p in self.phrases), self.words, self.fillers]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
