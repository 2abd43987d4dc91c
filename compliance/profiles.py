# SPDX-License-Identifier: GPL-3.0-or-later
"""One policy profile: what a law or a practice demands, read strictly from data.

Profiles arrive as parsed mappings (``data/policies/*.yaml``, schema beside them). One
that is not fully understood raises :class:`~compliance.errors.PolicyError`, so that
nothing is dialed under it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

from compliance.calendar import add_calendar_months
from compliance.facts import Evolve, HomeKind
from compliance.mapping import Fields
from compliance.paperwork import PARTNER_PAPERS, SUPPLIER_PAPERS

FORMAT = "candor-policy/1"
FOREVER = datetime.max.replace(tzinfo=UTC)
MINUTES_A_DAY = 24 * 60

DAYS = ("all", "weekdays", "workdays")
PERIODS: Mapping[str, timedelta] = MappingProxyType(
    {
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
        "week": timedelta(days=7),
        "month": timedelta(days=30),
    }
)
# From lenient to strict; `tester` is the allow-list of a lab home and nothing else.
CONSENT_LEVELS = ("tester", "explicit")
PAPERS = ("whitelist", "registration", "filing")
SECTIONS = ("disclosure", "purpose", "recording_notice", "way_out")
CITED = (
    "hours",
    "days",
    "caps",
    "refusal",
    "consent",
    "disclosure",
    "recording",
    "lines",
    "numbers",
    "registries",
    "own_numbers",
    "papers",
)

_CLOCK_TIME = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")
_NEVER_DIAL = re.compile(r"\+[1-9][0-9?]{1,14}")


@dataclass(frozen=True, slots=True, order=True)
class Window(Evolve):
    """Minutes of the local day, half-open: at ``end`` it is closed (C1)."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.start // 60:02}:{self.start % 60:02}-{self.end // 60:02}:{self.end % 60:02}"


@dataclass(frozen=True, slots=True, order=True)
class DayRule(Evolve):
    """On which days: ``weekdays`` are Monday to Friday, ``workdays`` follow a calendar."""

    kind: str
    region: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Cap(Evolve):
    """At most ``calls`` to one number per ``per`` (C4).

    ``rolling`` looks back from now (a month is 30 days); ``calendar`` counts the
    called party's local hour, day, ISO week or month.
    """

    per: str
    window: str
    calls: int


@dataclass(frozen=True, slots=True)
class Term(Evolve):
    """How long a refusal is kept (S12)."""

    months: int = 0
    days: int = 0
    forever: bool = False

    def after(self, at: datetime) -> datetime:
        if self.forever:
            return FOREVER
        try:
            return add_calendar_months(at, self.months) + timedelta(days=self.days)
        except (OverflowError, ValueError):
            return FOREVER


@dataclass(frozen=True, slots=True)
class Registry(Evolve):
    """A do-not-call list that must have been looked up within ``max_age_days``."""

    name: str
    max_age_days: int


@dataclass(frozen=True, slots=True)
class OwnNumbers(Evolve):
    """At most ``calls_per_day`` in 24 hours from one number of ours; one that seems blocked
    rests for ``rest_hours`` (C4b)."""

    calls_per_day: int
    rest_hours: int


@dataclass(frozen=True, slots=True)
class Abandonment(Evolve):
    """At most ``percent`` of answered calls abandoned in ``days``; heard within ``seconds``."""

    percent: int
    days: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Profile(Evolve):
    """One policy document, as read."""

    id: str
    title: str
    jurisdiction: str
    homes: tuple[HomeKind, ...]
    verified: bool  # confirmed by counsel
    effective_from: date
    effective_until: date | None
    source: tuple[str, ...]
    hours: tuple[Window, ...]
    days: DayRule
    caps: tuple[Cap, ...]
    own_numbers: OwnNumbers | None
    refusal: Term
    refusal_everything: Term  # of somebody who wants no call of any kind again
    consent: str
    disclosure_within_ms: int
    disclosure_order: tuple[str, ...]
    recording_notice: bool
    keep_min_months: int
    keep_max_days_over: int  # days after the minimum by which a recording is gone
    synthetic_voice_label: bool
    exam: bool  # whoever launches and answers for a call passed the exam (G4)
    adopted_law: bool  # a compliance officer adopted the rulebook in use (T2)
    registries: tuple[Registry, ...]
    abandonment: Abandonment | None
    line_papers: tuple[str, ...]
    supplier_papers: tuple[str, ...]  # V1, V2, V4
    partner_papers: tuple[str, ...]  # D2
    declared_purposes: bool  # D11
    assessment_months: int  # how long an impact assessment stands (PIPL 55); 0: none is asked for
    never_dial: tuple[str, ...]
    citations: tuple[tuple[str, str], ...]


def parse_profile(data: Mapping[str, object]) -> Profile:
    """Read one profile strictly; see ``data/policies/profile.schema.json``."""
    fields = Fields(data, "profile")
    fields.choice("format", (FORMAT,))
    fields.where = f"profile {fields.text('id')}"
    windows = fields.section("windows")
    recording = fields.section("recording")
    disclosure = fields.section("disclosure")
    papers = fields.section("papers")
    profile = Profile(
        id=fields.text("id"),
        title=fields.text("title"),
        jurisdiction=fields.text("jurisdiction"),
        homes=tuple(
            HomeKind(home)
            for home in fields.choices("homes", [h.value for h in HomeKind], empty=False)
        ),
        verified=fields.flag("verified"),
        effective_from=fields.day("effective_from"),
        effective_until=fields.day("effective_until") if fields.has("effective_until") else None,
        source=fields.texts("source", empty=False),
        hours=_hours(windows),
        days=_days(windows),
        caps=tuple(_cap(part) for part in fields.sections("caps")),
        own_numbers=(
            _own_numbers(fields.section("own_numbers")) if fields.has("own_numbers") else None
        ),
        refusal=_term(fields.section("refusal")),
        refusal_everything=_term(
            fields.section("refusal_everything" if fields.has("refusal_everything") else "refusal")
        ),
        consent=fields.choice("consent", CONSENT_LEVELS),
        disclosure_within_ms=disclosure.integer("within_ms", low=1, high=60_000),
        disclosure_order=_order(disclosure),
        recording_notice=recording.flag("notice"),
        keep_min_months=recording.integer("keep_min_months", high=1200),
        keep_max_days_over=recording.integer("keep_max_days_over", high=3660),
        synthetic_voice_label=fields.flag("synthetic_voice_label"),
        exam=fields.flag("exam"),
        adopted_law=fields.flag("adopted_law"),
        registries=tuple(_registry(part) for part in fields.sections("registries")),
        abandonment=(
            _abandonment(fields.section("abandonment")) if fields.has("abandonment") else None
        ),
        line_papers=fields.choices("line_papers", PAPERS),
        supplier_papers=papers.choices("supplier", SUPPLIER_PAPERS),
        partner_papers=papers.choices("partner", PARTNER_PAPERS),
        declared_purposes=papers.flag("declared_purposes"),
        assessment_months=papers.integer("assessment_months", high=1200),
        never_dial=_never_dial(fields),
        citations=_citations(fields.section("citations")),
    )
    windows.finish()
    recording.finish()
    disclosure.finish()
    papers.finish()
    fields.finish()
    if profile.consent == "tester" and set(profile.homes) != {HomeKind.LAB}:
        raise fields.error("consent", "tester is for lab homes only")
    if not profile.line_papers and HomeKind.PRODUCTION in profile.homes:
        raise fields.error("line_papers", "a profile for production homes asks for papers (C5, C6)")
    return profile


def _hours(windows: Fields) -> tuple[Window, ...]:
    found: list[Window] = []
    for item in windows.items("hours", empty=False):
        if not isinstance(item, list) or len(item) != 2:
            raise windows.error("hours", 'must hold pairs such as ["09:00", "11:30"]')
        minutes = []
        for text in item:
            match = _CLOCK_TIME.fullmatch(text) if isinstance(text, str) else None
            if match is None:
                raise windows.error("hours", "a time must be a quoted HH:MM")
            minutes.append(int(match[1]) * 60 + int(match[2]))
        if not minutes[0] < minutes[1] <= MINUTES_A_DAY:
            raise windows.error("hours", "a window must end after its start and within the day")
        if found and minutes[0] < found[-1].end:
            raise windows.error("hours", "windows must be in order and not overlap")
        found.append(Window(minutes[0], minutes[1]))
    return tuple(found)


def _days(windows: Fields) -> DayRule:
    kind = windows.choice("days", DAYS)
    region = windows.text("calendar", "")
    if (kind == "workdays") != bool(region):
        raise windows.error("calendar", "goes with `days: workdays`, and only with it")
    return DayRule(kind, region)


def _cap(part: Fields) -> Cap:
    cap = Cap(
        per=part.choice("per", tuple(PERIODS)),
        window=part.choice("window", ("rolling", "calendar")),
        calls=part.integer("calls", low=1, high=10_000),
    )
    part.finish()
    return cap


def _term(part: Fields) -> Term:
    forever = part.flag("forever", False)
    term = Term(
        months=part.integer("months", high=1200, default=0),
        days=part.integer("days", high=36_600, default=0),
        forever=forever,
    )
    part.finish()
    if forever == bool(term.months or term.days):
        raise part.error("months", "give a term in months and days, or `forever: true`")
    return term


def _order(part: Fields) -> tuple[str, ...]:
    order = part.choices("order", SECTIONS, empty=False)
    if order[0] != "disclosure":
        raise part.error("order", "the disclosure comes first (S1)")
    if list(order) != [s for s in SECTIONS if s in order]:
        raise part.error("order", f"must follow {', '.join(SECTIONS)} (S1, S3, S4, S10)")
    return order


def _registry(part: Fields) -> Registry:
    registry = Registry(part.text("name"), part.integer("max_age_days", low=1, high=366))
    part.finish()
    return registry


def _own_numbers(part: Fields) -> OwnNumbers:
    asked = OwnNumbers(
        calls_per_day=part.integer("calls_per_day", low=1, high=100_000),
        rest_hours=part.integer("rest_hours", low=1, high=168),
    )
    part.finish()
    return asked


def _abandonment(part: Fields) -> Abandonment:
    limit = Abandonment(
        percent=part.integer("percent", high=100),
        days=part.integer("days", low=1, high=366),
        seconds=part.integer("seconds", low=1, high=60),
    )
    part.finish()
    return limit


def _never_dial(fields: Fields) -> tuple[str, ...]:
    patterns = fields.texts("never_dial")
    for pattern in patterns:
        if not _NEVER_DIAL.fullmatch(pattern):
            raise fields.error("never_dial", f"{pattern!r} is no +number (? stands for a digit)")
    return patterns


def _citations(part: Fields) -> tuple[tuple[str, str], ...]:
    for key in part.keys():  # noqa: SIM118 - Fields is no mapping
        if key not in CITED:
            raise part.error(key, f"is none of {', '.join(CITED)}")
    return tuple((key, part.text(key)) for key in CITED if part.has(key))
