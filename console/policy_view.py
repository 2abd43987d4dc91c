# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles, the rulebook in use and what changed in it, for a screen and for machines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from compliance.canonical import encode
from compliance.errors import BadInput
from compliance.evolve import Evolve
from compliance.law_diff import Change, Verdict, plain
from compliance.profiles import Profile, parse_profile
from compliance.rulebook import Rulebook
from console.inputs import shown
from console.messages import text
from dialer.policies import known, load_profile
from dialer.settings import Home
from storage.law import Adoption

_STYLES = {Verdict.STRICTER: "green", Verdict.LAXER: "red", Verdict.OTHER: "yellow"}


@dataclass(frozen=True, slots=True)
class Listed(Evolve):
    """One profile that may be named in ``candor.toml``."""

    profile: Profile
    own: bool  # from the home's folder
    in_use: bool


def profiles(home: Home) -> list[Listed]:
    """Those that come with Candor, then the home's own.

    Raises:
        PolicyError: one of them is broken.
    """
    used = home.settings.policy.profiles
    shipped = known()
    own = [path.stem for path in sorted(home.policies.glob("*.yaml"))]
    return [
        Listed(parse_profile(load_profile(name, home.policies)), name in own, name in used)
        for name in dict.fromkeys((*shipped, *own))
    ]


def profile_named(home: Home, name: str) -> Profile:
    """One of them; BadInput where there is none of that name."""
    for listed in profiles(home):
        if listed.profile.id == name:
            return listed.profile
    raise BadInput("there is no profile of this name", field="profile", remedy="candor policy list")


def list_table(found: Sequence[Listed], language: str) -> Table:
    table = Table()
    for column in ("profile", "title", "jurisdiction", "verified", "in_force", "in_use", "source"):
        table.add_column(text(f"column.{column}", language), overflow="fold")
    for one in found:
        profile = one.profile
        ends = f" – {profile.effective_until}" if profile.effective_until else " –"
        origin = text("policy.own" if one.own else "policy.shipped", language)
        table.add_row(
            profile.id,
            profile.title,
            profile.jurisdiction,
            _yes(profile.verified, language),
            f"{profile.effective_from}{ends}",
            _yes(one.in_use, language),
            f"{origin}: {'; '.join(profile.source)}",
        )
    return table


def list_json(found: Sequence[Listed]) -> list[dict[str, Any]]:
    return [
        {
            "profile": one.profile.id,
            "title": one.profile.title,
            "jurisdiction": one.profile.jurisdiction,
            "own": one.own,
            "in_use": one.in_use,
            "verified": one.profile.verified,
            "effective_from": str(one.profile.effective_from),
            "effective_until": one.profile.effective_until and str(one.profile.effective_until),
            "source": list(one.profile.source),
            "citations": dict(one.profile.citations),
        }
        for one in found
    ]


def profile_table(profile: Profile, language: str) -> Table:
    """Every key, with the law behind it where one is cited."""
    cited = dict(profile.citations)
    table = Table()
    for column in ("key", "demand", "citation"):
        table.add_column(text(f"column.{column}", language), overflow="fold")
    for field in dataclasses.fields(profile):
        if field.name == "citations":
            continue
        behind = cited.pop(field.name, "") or cited.pop(_SECTIONS.get(field.name, ""), "")
        table.add_row(field.name, plain(getattr(profile, field.name)), behind)
    for section, law in cited.items():
        table.add_row(section, "", law)
    return table


# The section of citations behind a key of another name.
_SECTIONS = {
    "disclosure_within_ms": "disclosure",
    "keep_min_months": "recording",
    "line_papers": "lines",
    "never_dial": "numbers",
    "supplier_papers": "papers",
}


def profile_json(profile: Profile) -> Any:
    return json.loads(encode(profile))


def diff_table(found: Sequence[Change], language: str) -> Table:
    table = Table()
    for column in ("document", "key", "adopted", "now", "verdict"):
        table.add_column(text(f"column.{column}", language), overflow="fold")
    for change in found:
        verdict = text(f"policy.{change.verdict}", language)
        row = (change.document, change.key, change.before, change.now, verdict)
        table.add_row(*row, style=_STYLES[change.verdict])
    return table


def diff_json(
    law: Rulebook, adopted: Adoption | None, found: Sequence[Change], wording: bool
) -> dict[str, Any]:
    return {
        "in_use": law.digest,
        "adopted": adopted and adopted.rulebook,
        "same": adopted is not None and adopted.rulebook == law.digest and not wording,
        "wording_changed": wording,
        "changes": [dataclasses.asdict(change) for change in found],
    }


def adoption_json(adoption: Adoption, names: dict[str, str]) -> dict[str, Any]:
    return {
        "number": adoption.number,
        "rulebook": adoption.rulebook,
        "wording": adoption.wording,
        "reason": adoption.reason,
        "by": names.get(adoption.by, adoption.by),
        "at": adoption.at.isoformat(),
        "exam_by": adoption.exam_by and adoption.exam_by.isoformat(),
    }


def adopted_line(adoption: Adoption | None, names: dict[str, str], language: str) -> str:
    if adoption is None:
        return text("policy.none_adopted", language)
    return text(
        "policy.adopted",
        language,
        digest=adoption.rulebook[:12],
        by=names.get(adoption.by, adoption.by),
        at=shown(adoption.at, language),
        reason=adoption.reason,
    )


def _yes(value: bool, language: str) -> str:
    return text("word.yes" if value else "word.no", language)
