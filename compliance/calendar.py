# SPDX-License-Identifier: GPL-3.0-or-later
"""Workdays, holidays and make-up days (C1, C2), and arithmetic in calendar months (S12, S6).

Tables are per region and year, as published; a year without a table is not
guessed: it raises :class:`UnknownYear`, and the gate refuses.
"""

from __future__ import annotations

import calendar as _calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from compliance.errors import PolicyError
from compliance.facts import Evolve
from compliance.mapping import Fields

FORMAT = "candor-calendar/1"

# These names mean "whatever this machine is set to", which is not the called party's zone.
_NO_PLACE = frozenset({"localtime", "posixrules", "Factory"})


class UnknownYear(PolicyError):
    """No calendar table for this region and year: calls are refused (C2)."""

    message_id = "error.unknown_year"


@dataclass(frozen=True, slots=True)
class Calendar(Evolve):
    """The official days of one region and year."""

    region: str
    year: int
    holidays: frozenset[date]
    working_days: frozenset[date]  # weekend days worked in exchange (调休)
    weekend: frozenset[int]  # ISO weekdays, 1 = Monday
    official: bool
    source: str


Calendars = Mapping[tuple[str, int], Calendar]


def parse_calendar(data: Mapping[str, object]) -> Calendar:
    """Read one table.

    Raises:
        PolicyError: unknown or missing key, wrong type, a day outside its year,
            a day twice, a make-up day that is no weekend day or is a holiday as well.
    """
    fields = Fields(data, "calendar")
    fields.choice("format", (FORMAT,))
    region = fields.text("region")
    year = fields.integer("year", low=1900, high=9998)
    fields.where = f"calendar {region} {year}"
    official = fields.flag("official")
    source = fields.text("source")
    weekend = fields.items("weekend")
    if not all(isinstance(d, int) and not isinstance(d, bool) and 1 <= d <= 7 for d in weekend):
        raise fields.error("weekend", "must hold ISO weekdays, 1 (Monday) to 7")
    holidays: set[date] = set()
    for part in fields.sections("holidays"):
        part.text("name")
        first, last = part.day("from"), part.day("to")
        part.finish()
        if last < first or first.year != year or last.year != year:
            raise part.error("to", f"must not be before its start nor outside {year}")
        days = {first + timedelta(days=n) for n in range((last - first).days + 1)}
        if days & holidays:
            raise part.error("from", f"{min(days & holidays)} is a holiday twice")
        holidays |= days
    listed = [fields.as_day("working_days", d) for d in fields.items("working_days")]
    working = set(listed)
    if len(working) != len(listed):
        raise fields.error("working_days", "names a day twice")
    for day in sorted(working):
        if day.year != year or day.isoweekday() not in weekend or day in holidays:
            raise fields.error("working_days", f"{day} is no weekend day of {year}, or a holiday")
    fields.finish()
    return Calendar(
        region=region,
        year=year,
        holidays=frozenset(holidays),
        working_days=frozenset(working),
        weekend=frozenset(d for d in weekend if isinstance(d, int)),
        official=official,
        source=source,
    )


def is_workday(day: date, region: str, calendars: Calendars) -> bool:
    """Whether ``day`` is worked in ``region``: make-up days are, holidays are not (C2).

    Raises:
        UnknownYear: there is no table for that region and year.
    """
    table = calendars.get((region, day.year))
    if table is None:
        raise UnknownYear(f"no calendar for {region} {day.year}", region=region, year=day.year)
    if day in table.working_days:
        return True
    return day not in table.holidays and day.isoweekday() not in table.weekend


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """The IANA time zone, or None where it is unknown (which refuses, C3)."""
    if not name or name in _NO_PLACE:
        return None
    try:
        return ZoneInfo(name)
    except Exception:  # a bad key raises half a dozen kinds, from ValueError to OSError
        return None


def local_midnight(day: date, place: ZoneInfo) -> datetime:
    """The first instant of ``day`` at ``place``, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=place).astimezone(UTC)


def add_calendar_months(at: datetime, months: int) -> datetime:
    """``at`` moved by whole calendar months, same time of day in its own zone.

    A day the target month lacks becomes its last: 31 August + 6 = 28 (29) February
    (Civil Code of the PRC, art. 202).

    Raises:
        ValueError: ``at`` has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("a time needs a time zone")
    index = at.year * 12 + at.month - 1 + months
    year, month = divmod(index, 12)
    last = _calendar.monthrange(year, month + 1)[1]
    return at.replace(year=year, month=month + 1, day=min(at.day, last))


def refusal_until(at: datetime, months: int = 6) -> datetime:
    """When a refusal given at ``at`` ends (S12); the instant itself is free again."""
    if months < 1:
        raise ValueError("a refusal lasts at least a month")
    return add_calendar_months(at, months)
