# SPDX-License-Identifier: GPL-3.0-or-later
"""Do-not-call lists on a screen: what is here, how old, and what the profiles ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from compliance.facts import Evolve
from compliance.rulebook import Rulebook
from console.diagnosis import Diagnosis, fail, ok, warn
from console.messages import text
from storage.registries import Edition
from storage.store import Store

_SOON = 0.8  # of the allowed age


@dataclass(frozen=True, slots=True)
class Standing(Evolve):
    """One list: the edition here, and who asks for it."""

    name: str
    edition: Edition | None  # None: asked for and not here
    asked_by: tuple[str, ...]  # ids of profiles
    max_age_days: int | None

    def state(self, now: datetime) -> str:
        """``missing``, ``stale``, ``soon`` or ``ok``; the first two refuse every call."""
        if self.edition is None:
            return "missing"
        if self.max_age_days is None:
            return "ok"
        age = now - self.edition.as_of
        if age > timedelta(days=self.max_age_days):
            return "stale"
        return "soon" if age > timedelta(days=self.max_age_days) * _SOON else "ok"


def standings(editions: Sequence[Edition], rulebook: Rulebook) -> list[Standing]:
    """Every list that is here or asked for, by name."""
    here = {edition.name: edition for edition in editions}
    ages = {r.name: r.max_age_days for r in rulebook.policy.registries}
    asking: Mapping[str, list[str]] = {name: [] for name in ages}
    for profile in rulebook.profiles:
        for registry in profile.registries:
            asking[registry.name].append(profile.id)
    return [
        Standing(name, here.get(name), tuple(asking.get(name, ())), ages.get(name))
        for name in sorted({*here, *ages})
    ]


def table(found: Sequence[Standing], now: datetime, language: str) -> Table:
    grid = Table()
    grid.add_column(text("column.registry", language), overflow="fold")
    grid.add_column(text("column.edition", language))
    for column in ("age_days", "entries"):
        grid.add_column(text(f"column.{column}", language), justify="right")
    for column in ("asked_by", "state"):
        grid.add_column(text(f"column.{column}", language), overflow="fold")
    for each in found:
        state, edition = each.state(now), each.edition
        limit = f" / {each.max_age_days}" if each.max_age_days is not None else ""
        bad = state in ("missing", "stale")
        grid.add_row(
            each.name,
            f"{edition.as_of:%Y-%m-%d}" if edition else "",
            f"{edition.age_days(now)}{limit}" if edition else limit.removeprefix(" / "),
            f"{edition.entries:,}" if edition else "",
            ", ".join(each.asked_by),
            Text(text(f"registry_state.{state}", language), "red" if bad else ""),
        )
    return grid


def as_json(each: Standing, now: datetime) -> dict[str, Any]:
    edition = each.edition
    return {
        "registry": each.name,
        "as_of": edition.as_of.date().isoformat() if edition else None,
        "age_days": edition.age_days(now) if edition else None,
        "max_age_days": each.max_age_days,
        "entries": edition.entries if edition else None,
        "rejected": edition.rejected if edition else None,
        "imported_at": edition.imported_at.isoformat() if edition else None,
        "asked_by": list(each.asked_by),
        "state": each.state(now),
    }


def diagnose(store: Store, rulebook: Rulebook, now: datetime) -> Iterator[Diagnosis]:
    """Lists that are asked for and missing or too old: every call is refused."""
    found = standings(store.registries.editions(), rulebook)
    for each in found:
        state = each.state(now)
        age = each.edition.age_days(now) if each.edition else 0
        if state == "missing":
            yield fail("registry", "missing", name=each.name)
        elif state == "stale":
            yield fail("registry", "stale", name=each.name, age=age, most=each.max_age_days)
        elif state == "soon":
            yield warn("registry", "soon", name=each.name, age=age, most=each.max_age_days)
    if all(each.state(now) == "ok" for each in found):
        yield ok("registry", count=len(found)) if found else ok("registry", "none")
