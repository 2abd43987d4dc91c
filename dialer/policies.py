# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the law that comes as data (YAML) and hands it to the pure rulebook."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from compliance import rulebook, wording
from compliance.calendar import Calendar, parse_calendar
from compliance.errors import ConfigError, PolicyError
from compliance.rulebook import Rulebook
from compliance.wording import Lexicon
from dialer.settings import Home, PolicySettings
from storage.terms import Terms
from voicebot.words import WordCheck

LANGUAGES = ("zh", "en")
# The same safe loader, ten times as fast where libyaml is built in: packs hold many words.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_LARGEST_PROFILE = 64 << 10  # bytes
_CONTACT_MARGIN_DAYS = 2  # contacts go so much earlier than they must: a failed night does no harm


def _read(folder: str, name: str) -> Any:
    path = resources.files("compliance") / "data" / folder / f"{name}.yaml"
    try:
        return yaml.load(path.read_text("utf-8"), Loader=_LOADER)
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


def load_rulebook(
    profiles: Sequence[str], own: Path | None = None, imported: Sequence[Calendar] = ()
) -> Rulebook:
    """The strictest combination of ``profiles`` with every calendar we ship.

    ``own`` is the folder of a home's own profiles, which only add to one of ours: together
    they can but be stricter. An ``imported`` calendar replaces ours of its region and year.

    Raises:
        PolicyError: a profile or calendar is missing or broken; nothing may be dialed.
    """
    if not profiles:
        raise PolicyError("no policy profile is set", field="policy.profiles")
    shipped, homes_own = known(), own_profiles(own)
    named = [name for name in profiles if name in homes_own]
    if named and not any(name in shipped for name in profiles):
        raise PolicyError(
            f"{named[0]} is this home's own and stands alone",
            field="policy.profiles",
            remedy=f"name one that comes with Candor beside it: {', '.join(shipped)}",
        )
    read = rulebook.parse(
        [load_profile(name, own) for name in profiles],
        [_read("calendars", name) for name in known("calendars")],
    )
    return read.with_calendars(imported) if imported else read


def load_calendars() -> list[Calendar]:
    """Every calendar we ship."""
    return [parse_calendar(_read("calendars", name)) for name in known("calendars")]


def own_profiles(folder: Path | None) -> dict[str, Path]:
    """The profiles in a home's folder, by name; there need not be a folder.

    Raises:
        PolicyError: one has the name of a profile that comes with Candor.
    """
    if folder is None or not folder.is_dir():
        return {}
    found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    for name in known():
        if name in found:
            raise PolicyError(
                "is the name of a profile that comes with Candor",
                field=f"policies/{name}.yaml",
                remedy="give the file and its id another name",
            )
    return found


def load_profile(name: str, own: Path | None = None) -> Any:
    """One profile as parsed data, ours or of a home's folder ``own``.

    Raises:
        PolicyError: there is none of this name, or it is broken.
    """
    found = own_profiles(own)
    return _own_profile(found[name]) if name in found else _read("policies", name)


def _own_profile(path: Path) -> Any:
    where = f"policies/{path.name}"
    try:
        if path.stat().st_size > _LARGEST_PROFILE:
            raise PolicyError("is too large for a profile", field=where)
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError("not YAML", field=where, remedy=str(error).splitlines()[0]) from None
    if not isinstance(data, dict) or data.get("id") != path.stem:
        raise PolicyError(f"its id must be {path.stem}, as the file's name", field=where)
    return data


def load_lexicon(language: str, own: Path | None = None) -> Lexicon:
    """The words of a language: what we ship, and the packs in the folder ``own`` of a home.

    Raises:
        PolicyError: unknown language, or a pack that cannot be used; nothing may be said.
    """
    packs = [_read("lexicon", name) for name in known("lexicon") if name.startswith(f"{language}.")]
    return wording.parse_lexicon(_read("lexicon", language), packs + own_packs(own, language))


def shipped_lexicon(name: str) -> Any:
    """One lexicon file we ship, as parsed data."""
    return _read("lexicon", name)


def own_packs(folder: Path | None, language: str) -> list[Any]:
    """The packs of a home in one language, in order of their file names.

    Raises:
        PolicyError: the folder is not there, or a file in it is no pack.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise PolicyError(
            "there is no such folder", field="policy.wording", remedy=f"make {folder.name}/"
        )
    packs = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            data = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            why = str(error).splitlines()[0]
            raise PolicyError("not YAML", field=path.name, remedy=why) from None
        if not isinstance(data, dict) or data.get("language") not in LANGUAGES:
            raise PolicyError(
                "is no wording pack", field=path.name, remedy="see docs/operators.md, Wording"
            )
        if data["language"] == language:
            packs.append(data)
    return packs


def word_check(language: str, policy: PolicySettings, home: Path | None = None) -> WordCheck:
    """The check of everything that is said in ``language`` by a home of this industry.

    Words of the other language count too; only Mandarin ones are also found by their sound.

    Raises:
        PolicyError: a pack cannot be used. ConfigError: no such industry.
    """
    if policy.industry not in wording.INDUSTRIES:
        raise ConfigError(
            f"unknown industry {policy.industry!r}",
            field="policy.industry",
            remedy=f"one of {', '.join(wording.INDUSTRIES)}",
        )
    own = home / policy.wording if home is not None and policy.wording else None
    if language not in LANGUAGES:
        raise PolicyError("there is no such language", field=language)
    both = {name: load_lexicon(name, own) for name in LANGUAGES}
    (other,) = set(LANGUAGES) - {language}
    return WordCheck(wording.beside(both[language], both[other]), policy.industry)


def load_terms(home: Home) -> Terms:
    """How long what a home keeps is kept: the strictest profile's terms on its own calendar.

    Raises:
        PolicyError: a profile cannot be used. ConfigError: an unknown time zone.
    """
    own = home.settings.retention
    policy = load_rulebook(home.settings.policy.profiles, home.policies).policy
    return Terms(
        recording_months=policy.keep_min_months,
        recording_days_over=policy.keep_max_days_over,
        contact_days=own.contact_days,
        contact_margin_days=min(_CONTACT_MARGIN_DAYS, own.contact_days - 1),
        timezone=own.timezone,
    )
