# SPDX-License-Identifier: GPL-3.0-or-later
"""Law as data: profiles and calendars in force, versioned by hash, combined by the strictest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from compliance.calendar import Calendar, parse_calendar
from compliance.canonical import digest, encode, read
from compliance.errors import BadInput, PolicyError
from compliance.profiles import (
    CITED,
    CONSENT_LEVELS,
    MINUTES_A_DAY,
    SECTIONS,
    Abandonment,
    Cap,
    DayRule,
    OwnNumbers,
    Profile,
    Registry,
    Term,
    Window,
    parse_profile,
)


@dataclass(frozen=True, slots=True)
class Policy:
    """Several profiles read as one: of every two demands, the stricter (``combine``)."""

    hours: tuple[Window, ...]
    days: tuple[DayRule, ...]
    caps: tuple[Cap, ...]
    own_numbers: OwnNumbers | None
    refusal: tuple[Term, ...]
    refusal_everything: tuple[Term, ...]
    consent: str
    disclosure_within_ms: int
    disclosure_order: tuple[str, ...]
    recording_notice: bool
    keep_min_months: int
    keep_max_days_over: int
    synthetic_voice_label: bool
    exam: bool
    adopted_law: bool
    registries: tuple[Registry, ...]
    abandonment: Abandonment | None
    line_papers: frozenset[str]
    supplier_papers: frozenset[str]
    partner_papers: frozenset[str]
    declared_purposes: bool
    assessment_months: int  # 0: no impact assessment is asked for
    never_dial: re.Pattern[str] | None
    citations: Mapping[str, str]

    def refusal_until(self, at: datetime, *, everything: bool = False) -> datetime:
        """The latest end any profile asks for; :data:`FOREVER` where one never ends.

        ``everything``: the callee wants no call of any kind, which never ends earlier.
        """
        terms = self.refusal + self.refusal_everything if everything else self.refusal
        return max(term.after(at) for term in terms)

    def cite(self, key: str) -> str:
        """Law and article behind one section, each with its profile's name."""
        return self.citations.get(key, "")


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Profiles and calendars in force, their combination and their hash."""

    profiles: tuple[Profile, ...]
    calendars: Mapping[tuple[str, int], Calendar]
    policy: Policy = field(init=False)
    text: bytes = field(init=False, repr=False)  # canonical JSON of what was read
    digest: str = field(init=False)  # its SHA-256 in hex

    def __post_init__(self) -> None:
        profiles = tuple(sorted(self.profiles, key=lambda p: p.id))
        calendars = MappingProxyType(dict(sorted(self.calendars.items())))
        content = {"profiles": profiles, "calendars": list(calendars.values())}
        object.__setattr__(self, "profiles", profiles)
        object.__setattr__(self, "calendars", calendars)
        object.__setattr__(self, "policy", combine(profiles))
        object.__setattr__(self, "text", encode(content))
        object.__setattr__(self, "digest", digest(self.text))

    def with_calendars(self, tables: Sequence[Calendar]) -> Rulebook:
        """The same profiles; each of ``tables`` replaces the one of its region and year."""
        more = {(table.region, table.year): table for table in tables}
        return Rulebook(self.profiles, {**self.calendars, **more})


def parse(
    profiles: Sequence[Mapping[str, object]], calendars: Sequence[Mapping[str, object]]
) -> Rulebook:
    """Read profiles and calendars into one rulebook.

    Raises:
        PolicyError: naming the key and the document; one broken document refuses all.
    """
    read = tuple(parse_profile(p) for p in profiles)
    if len({p.id for p in read}) != len(read):
        raise PolicyError("two profiles have the same id", field="id")
    tables: dict[tuple[str, int], Calendar] = {}
    for data in calendars:
        table = parse_calendar(data)
        key = (table.region, table.year)
        if key in tables:
            raise PolicyError(f"two calendars for {table.region} {table.year}", field="year")
        tables[key] = table
    return Rulebook(read, tables)


def from_text(text: bytes) -> Rulebook:
    """The rulebook whose ``text`` was kept beside a decision: what was law then (T2).

    Raises:
        PolicyError: not such a text, or one this version reads otherwise.
    """
    try:
        content = json.loads(text)
        kept = Rulebook(
            tuple(read(Profile, item) for item in content["profiles"]),
            {(c.region, c.year): c for c in (read(Calendar, i) for i in content["calendars"])},
        )
    except (ValueError, TypeError, KeyError, BadInput):
        raise PolicyError("not the text of a rulebook", field="rulebook") from None
    if kept.text != text:
        raise PolicyError(
            "this rulebook was written by another version of Candor, which reads it otherwise",
            field="rulebook",
            remedy="use that version",
        )
    return kept


# ---------------------------------------------------------------- the strictest of several


def intersect(left: Sequence[Window], right: Sequence[Window]) -> tuple[Window, ...]:
    """The minutes that lie in both."""
    both = (Window(max(a.start, b.start), min(a.end, b.end)) for a in left for b in right)
    return tuple(sorted(w for w in both if w.start < w.end))


def combine(profiles: Sequence[Profile]) -> Policy:
    """Of every two demands the stricter: hours and days intersect, caps take the minimum,
    terms of refusal and of keeping the maximum, lists and papers are joined.

    Raises:
        PolicyError: no profile at all.
    """
    if not profiles:
        raise PolicyError("no policy profile: nothing may be dialed", field="profiles")
    hours: tuple[Window, ...] = (Window(0, MINUTES_A_DAY),)
    caps: dict[tuple[str, str], Cap] = {}
    registries: dict[str, Registry] = {}
    for profile in profiles:
        hours = intersect(hours, profile.hours)
        for cap in profile.caps:
            key = (cap.per, cap.window)
            caps[key] = min(caps.get(key, cap), cap, key=lambda c: c.calls)
        for reg in profile.registries:
            known = registries.get(reg.name, reg)
            registries[reg.name] = min(known, reg, key=lambda r: r.max_age_days)
    own = [p.own_numbers for p in profiles if p.own_numbers is not None]
    limits = [p.abandonment for p in profiles if p.abandonment is not None]
    patterns = sorted({pattern for p in profiles for pattern in p.never_dial})
    asked = {section for p in profiles for section in p.disclosure_order}
    return Policy(
        hours=hours,
        days=tuple(sorted({p.days for p in profiles if p.days.kind != "all"})),
        caps=tuple(sorted(caps.values())),
        own_numbers=(
            OwnNumbers(min(o.calls_per_day for o in own), max(o.rest_hours for o in own))
            if own
            else None
        ),
        refusal=tuple(p.refusal for p in profiles),
        refusal_everything=tuple(p.refusal_everything for p in profiles),
        consent=_top(CONSENT_LEVELS, (p.consent for p in profiles)),
        disclosure_within_ms=min(p.disclosure_within_ms for p in profiles),
        disclosure_order=tuple(s for s in SECTIONS if s in asked),
        recording_notice=any(p.recording_notice for p in profiles),
        keep_min_months=max(p.keep_min_months for p in profiles),
        keep_max_days_over=min(p.keep_max_days_over for p in profiles),
        synthetic_voice_label=any(p.synthetic_voice_label for p in profiles),
        exam=any(p.exam for p in profiles),
        adopted_law=any(p.adopted_law for p in profiles),
        registries=tuple(registries[name] for name in sorted(registries)),
        abandonment=(
            Abandonment(
                percent=_least(limits, lambda a: a.percent),
                days=max(a.days for a in limits),
                seconds=_least(limits, lambda a: a.seconds),
            )
            if limits
            else None
        ),
        line_papers=frozenset(paper for p in profiles for paper in p.line_papers),
        supplier_papers=frozenset(paper for p in profiles for paper in p.supplier_papers),
        partner_papers=frozenset(paper for p in profiles for paper in p.partner_papers),
        declared_purposes=any(p.declared_purposes for p in profiles),
        assessment_months=min(
            (p.assessment_months for p in profiles if p.assessment_months), default=0
        ),
        never_dial=(
            re.compile("|".join(re.escape(p).replace(r"\?", r"\d") for p in patterns))
            if patterns
            else None
        ),
        citations=MappingProxyType(
            {
                key: "; ".join(
                    f"{p.id}: {dict(p.citations)[key]}"
                    for p in profiles
                    if key in dict(p.citations)
                )
                for key in CITED
            }
        ),
    )


def _least(limits: Iterable[Abandonment], of: Callable[[Abandonment], int]) -> int:
    return min(of(limit) for limit in limits)


def _top(levels: Sequence[str], values: Iterable[str]) -> str:
    return max(values, key=levels.index)
