# SPDX-License-Identifier: GPL-3.0-or-later
"""Message ids to sentences, in Mandarin and English (gettext catalogues).

Rules and records carry ids and parameters; only the console makes words of
them, so that one record reads the same way for an operator in Mandarin and an
auditor in English. A missing entry shows its id: never an empty line.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from importlib import resources

from babel.messages.pofile import read_po

from compliance.facts import Finding

LANGUAGES = ("zh", "en")


@functools.cache
def _catalogue(language: str) -> Mapping[str, str]:
    texts: dict[str, str] = {}
    for package, folder in (("compliance", "data/messages"), ("console", "locale")):
        path = resources.files(package)
        for part in (*folder.split("/"), f"{language}.po"):
            path = path / part
        with path.open("rb") as file:
            for message in read_po(file, locale=language):
                if isinstance(message.id, str) and message.id and message.string:
                    texts[message.id] = str(message.string)
    return texts


def text(message_id: str, language: str, /, **params: object) -> str:
    """The sentence of ``message_id`` with ``{placeholders}`` filled."""
    template = _catalogue(language).get(message_id, message_id)
    try:
        return template.format(**params)
    except (KeyError, IndexError, ValueError):
        return template


def finding_text(finding: Finding, language: str) -> str:
    """What a rule found. Values that are words of the rulebook (``hour``, ``rolling``) are
    translated where the catalogue has them."""
    words = _catalogue(language)
    params = {name: words.get(f"word.{name}.{value}", value) for name, value in finding.params}
    return text(finding.message, language, **params)


def ids(language: str) -> Iterable[str]:
    """Every id the catalogue of ``language`` holds."""
    return _catalogue(language).keys()
