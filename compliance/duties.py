# SPDX-License-Identifier: GPL-3.0-or-later
"""What is owed regularly, for which period and by when (G2, G6, T5).

Pure: times are passed in. Periods are those of the company's calendar; a duty is overdue from
the first moment after its last day, where the company is. Results are UTC.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from compliance.calendar import local_midnight
from compliance.facts import Evolve

GRACE = timedelta(days=20)  # so long an overdue duty warns before it blocks new campaigns


class DutyKind(enum.StrEnum):
    """What is owed again and again."""

    AUDIT = "audit"  # a compliance audit of each month; done when it is signed (G2)
    SCRIPT_REVIEW = "script_review"  # of each month's scripts and figures (G6)
    SECURITY = "security"  # an assessment of each half-year, with its report (T5)


BLOCKING = frozenset({DutyKind.AUDIT, DutyKind.SECURITY})
"""Without these nobody knows whether the rules hold: no new campaign starts after the grace."""

_MONTHS = {
    DutyKind.AUDIT: 1,
    DutyKind.SCRIPT_REVIEW: 1,
    DutyKind.SECURITY: 6,
}
_DUE_DAY = 10  # of the month after: all of them look back


@dataclass(frozen=True, slots=True)
class Period(Evolve):
    """One period of one duty. ``ends`` is the first day after it; the instants are UTC."""

    kind: DutyKind
    name: str  # 2026-11, 2026-H2
    begins: date
    ends: date
    begun: datetime  # its first moment
    ended: datetime  # the first moment after it
    due: datetime  # the first moment at which it is overdue


@dataclass(frozen=True, slots=True)
class Duty(Evolve):
    """A period and what became of it."""

    period: Period
    done_at: datetime | None = None
    done_by: str = ""  # actor id

    def overdue(self, now: datetime) -> bool:
        return self.done_at is None and now >= self.period.due

    def blocks(self, now: datetime) -> bool:
        """Whether it is overdue for so long that no new campaign may start."""
        late = self.done_at is None and now >= self.period.due + GRACE
        return late and self.period.kind in BLOCKING


def period_of(kind: DutyKind, day: date, place: ZoneInfo) -> Period:
    """The period of this kind that holds ``day``."""
    months = _MONTHS[kind]
    first = day.replace(day=1, month=(day.month - 1) // months * months + 1)
    ends = _month_after(first, months)
    return Period(
        kind,
        _name(first, months),
        first,
        ends,
        local_midnight(first, place),
        local_midnight(ends, place),
        local_midnight(ends.replace(day=_DUE_DAY + 1), place),
    )


def periods(kind: DutyKind, since: datetime, now: datetime, place: ZoneInfo) -> list[Period]:
    """Every period from the one of ``since`` to that of ``now``, oldest first."""
    found: list[Period] = []
    last = now.astimezone(place).date()
    day = since.astimezone(place).date()
    while not found or found[-1].ends <= last:
        found.append(period_of(kind, day, place))
        day = found[-1].ends
    return found


def owed(
    since: datetime,
    now: datetime,
    place: ZoneInfo,
    done: Mapping[tuple[DutyKind, str], tuple[datetime, str]],
) -> list[Duty]:
    """Every duty since ``since``, those due first in front; ``done`` says when and by whom.

    A month is audited when it is over, so an audit of the running month is not owed yet.
    """
    duties = [
        Duty(period, *done.get((kind, period.name), (None, "")))
        for kind in DutyKind
        for period in periods(kind, since, now, place)
        if kind is not DutyKind.AUDIT or period.ended <= now
    ]
    return sorted(duties, key=lambda duty: (duty.period.due, duty.period.kind))


def blocking(duties: Iterable[Duty], now: datetime) -> list[Duty]:
    """Those for which no new campaign may start."""
    return [duty for duty in duties if duty.blocks(now)]


def _name(first: date, months: int) -> str:
    return f"{first:%Y-%m}" if months == 1 else f"{first.year}-H{1 if first.month == 1 else 2}"


def _month_after(first: date, months: int) -> date:
    later = first.month - 1 + months
    return date(first.year + later // 12, later % 12 + 1, 1)
