# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook a home is run under: profiles of its settings, its own ones, every calendar."""

from __future__ import annotations

import hashlib
import json

from compliance.errors import PolicyError
from compliance.rulebook import Rulebook
from dialer.policies import LANGUAGES, known, load_rulebook, own_packs, shipped_lexicon
from dialer.settings import Home
from storage.store import Store


def rulebook_of(home: Home, store: Store) -> Rulebook:
    """The strictest combination of what ``candor.toml`` names, with imported calendars.

    Raises:
        PolicyError: something of it is missing or broken; nothing may be dialed.
    """
    imported = [table.calendar for table in store.law.calendars()]
    return load_rulebook(home.settings.policy.profiles, home.policies, imported)


def wording_digest(home: Home) -> str:
    """SHA-256 over every lexicon that words are checked with here, shipped and own.

    Raises:
        PolicyError: one cannot be read.
    """
    named = home.settings.policy.wording
    own = home.root / named if named else None
    packs = [shipped_lexicon(name) for name in known("lexicon")]
    packs += [pack for language in LANGUAGES for pack in own_packs(own, language)]
    text = json.dumps(packs, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_adopted(home: Home, store: Store) -> None:
    """Whether the rulebook in use is the adopted one, where a profile asks for that (T2).

    Raises:
        PolicyError: none was adopted, or another one.
    """
    rulebook = rulebook_of(home, store)
    adopted = store.law.adopted()
    if not rulebook.policy.adopted_law or (adopted and adopted.rulebook == rulebook.digest):
        return
    raise PolicyError(
        "the rulebook changed since it was adopted" if adopted else "no rulebook is adopted yet",
        field="policy.profiles",
        remedy="a compliance officer looks at it with `candor policy diff` and adopts it with "
        "`candor policy adopt --reason WHY`",
    )
