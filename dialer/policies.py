# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the law that comes as data (YAML) and hands it to the pure rulebook."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import yaml

from compliance import rulebook
from compliance.errors import PolicyError
from compliance.rulebook import Rulebook
from dialer.settings import Settings
from storage.terms import Terms

_CONTACT_MARGIN_DAYS = 2  # contacts go so much earlier than they must: a failed night does no harm


def _read(folder: str, name: str) -> Any:
    path = resources.files("compliance") / "data" / folder / f"{name}.yaml"
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise PolicyError(
            f"there is no {folder} file of that name",
            field=name,
            remedy=f"known: {', '.join(known(folder))}",
        ) from None
    except yaml.YAMLError as error:
        raise PolicyError("not YAML", field=name, remedy=str(error).splitlines()[0]) from None


def known(folder: str = "policies") -> list[str]:
    """Names of the data files shipped in ``folder``."""
    files = (resources.files("compliance") / "data" / folder).iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def load_rulebook(profiles: Sequence[str]) -> Rulebook:
    """The strictest combination of ``profiles`` with every calendar we ship.

    Raises:
        PolicyError: a profile or calendar is missing or broken; nothing may be dialed.
    """
    if not profiles:
        raise PolicyError("no policy profile is set", field="policy.profiles")
    return rulebook.parse(
        [_read("policies", name) for name in profiles],
        [_read("calendars", name) for name in known("calendars")],
    )


def load_lexicon(language: str) -> Any:
    """The wording pack of a language, as parsed data."""
    return _read("lexicon", language)


def load_terms(settings: Settings) -> Terms:
    """How long what a home keeps is kept: the strictest profile's terms on its own calendar.

    Raises:
        PolicyError: a profile cannot be used. ConfigError: an unknown time zone.
    """
    policy, own = load_rulebook(settings.policy.profiles).policy, settings.retention
    return Terms(
        recording_months=policy.keep_min_months,
        recording_days_over=policy.keep_max_days_over,
        contact_days=own.contact_days,
        contact_margin_days=min(_CONTACT_MARGIN_DAYS, own.contact_days - 1),
        timezone=own.timezone,
    )
