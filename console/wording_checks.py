# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor says of words that must not be said; reads only (S7-S9, S13, S14)."""

from __future__ import annotations

from collections.abc import Iterator

from compliance.errors import ScriptError
from console.diagnosis import Diagnosis, fail, ok
from dialer.policies import LANGUAGES, word_check
from dialer.settings import Home
from storage.store import Store
from voicebot import script as scripts


def wording(home: Home, store: Store) -> Iterator[Diagnosis]:
    """Whether the packs can be used, and what they forbid of scripts that were approved."""
    checks = {name: word_check(name, home.settings.policy, home.root) for name in LANGUAGES}
    newest = {v.script: v for v in store.scripts.versions() if v.is_approved}
    clean = True
    for version in newest.values():
        try:
            script = scripts.load(version.text)
        except ScriptError:
            continue  # of an older format: it cannot be dialed anyhow
        words = checks[script.language]
        found = {f.requirement for prompt in script.prompts for f in words.findings(prompt.text)}
        if found:
            clean = False
            named = {"script": f"{version.script} {version.number}"}
            yield fail("wording", "script", requirements=", ".join(sorted(found)), **named)
    if clean:
        industry, lexicon = home.settings.policy.industry, checks["zh"].lexicon
        terms = sum(term.holds_in(industry) for term in lexicon.terms)  # of both languages
        own = sum("." not in pack.name for pack in lexicon.packs)
        yield ok("wording", industry=industry, count=terms, own=own)
