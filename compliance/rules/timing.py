# SPDX-License-Identifier: GPL-3.0-or-later
"""When a number may be called and how often, in the called party's own time zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from compliance.calendar import UnknownYear, is_workday, local_midnight, zone
from compliance.clock import MOST_AHEAD_S, RINGS_WITHIN_S
from compliance.facts import DialRequest
from compliance.profiles import PERIODS, Cap, DayRule, Window
from compliance.rulebook import Policy, Rulebook
from compliance.rules.base import Breach, forbids, seconds

_LONGEST_HOLIDAY_DAYS = 40


_MINUTE = timedelta(minutes=1)
# A call longer ago is in no window of that period, rolling or calendar, in any zone: a month
# has 31 days, a day 25 hours where the clock goes back.
_REACH = {per: 2 * length for per, length in PERIODS.items()}
_RINGS_WITHIN = timedelta(seconds=RINGS_WITHIN_S)
_MOST_ZONES = 1024


def _unknown_zone() -> Breach:
    return Breach("unknown_zone", requirement="C3")


@dataclass(frozen=True, slots=True)
class _Minute:
    """A minute of the called party's clock: it holds from ``start`` until before ``end``."""

    start: datetime  # UTC
    end: datetime
    place: ZoneInfo
    minute: int  # of the local day
    day: date


# The last minute asked of, by name of the zone: calls come in the order of the clock.
_minutes: dict[str, _Minute] = {}


def _minute_at(name: str, now: datetime) -> _Minute | None:
    """The local minute of ``now`` (UTC); None where the zone is unknown."""
    known = _minutes.get(name)
    if known is not None and known.start <= now < known.end:
        return known
    place = zone(name)
    if place is None:
        return None
    local = now.astimezone(place)
    start = now.replace(second=0, microsecond=0)
    found = _Minute(start, start + _MINUTE, place, local.hour * 60 + local.minute, local.date())
    # Before railways a zone could be seconds off: its minutes are not UTC's.
    if local.second == now.second:
        if len(_minutes) >= _MOST_ZONES:
            _minutes.clear()
        _minutes[name] = found
    return found


def _open_at(minute: int, hours: Sequence[Window]) -> bool:
    # Whole minutes suffice: windows start and end on one and are half-open.
    for window in hours:  # noqa: SIM110 - asked of every call; any() takes four times as long
        if window.start <= minute < window.end:
            return True
    return False


def _next_opening(now: datetime, place: ZoneInfo, hours: Sequence[Window]) -> datetime | None:
    today = now.astimezone(place).date()
    for ahead in range(3):
        day = today + timedelta(days=ahead)
        for window in hours:
            opening = datetime(
                day.year, day.month, day.day, window.start // 60, window.start % 60, tzinfo=place
            ).astimezone(UTC)
            local = opening.astimezone(place)
            if opening > now and _open_at(local.hour * 60 + local.minute, hours):
                return opening
    return None


@forbids(
    "C1",
    source="seed C1, C3",
    why=("closed", "never", "unknown_zone"),
)
def outside_calling_hours(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """Early, late and at meal times: 11:29:59.999 is inside, 11:30:00 is not."""
    there = _minute_at(request.contact.timezone, now)
    if there is None:
        return _unknown_zone()
    hours = rulebook.policy.hours
    if _open_at(there.minute, hours):
        return None
    source = rulebook.policy.cite("hours")
    if not hours:
        return Breach("never", source=source)
    params = (
        ("local", now.astimezone(there.place).strftime("%H:%M:%S")),
        ("hours", ", ".join(str(window) for window in hours)),
    )
    return Breach("closed", params, _next_opening(now, there.place, hours), source=source)


def _works(day: date, rules: Sequence[DayRule], rulebook: Rulebook) -> bool:
    """Raises UnknownYear where a calendar is asked for and missing."""
    for rule in rules:
        if rule.kind == "workdays":
            if not is_workday(day, rule.region, rulebook.calendars):
                return False
        elif day.isoweekday() > 5:
            return False
    return True


def _next_workday(day: date, policy: Policy, rulebook: Rulebook) -> date | None:
    try:
        for ahead in range(1, _LONGEST_HOLIDAY_DAYS):
            if _works(day + timedelta(days=ahead), policy.days, rulebook):
                return day + timedelta(days=ahead)
    except UnknownYear:
        pass
    return None


@forbids(
    "C2",
    source="seed C1, C2",
    why=("day_off", "unknown_year", "unknown_zone"),
)
def on_a_day_off(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """Weekends and holidays; make-up workdays count as workdays; unknown years refuse."""
    there = _minute_at(request.contact.timezone, now)
    if there is None:
        return _unknown_zone()
    policy = rulebook.policy
    if not policy.days:
        return None
    day = there.day
    try:
        if _works(day, policy.days, rulebook):
            return None
    except UnknownYear:
        regions = ", ".join(rule.region for rule in policy.days if rule.region)
        return Breach("unknown_year", (("year", str(day.year)), ("region", regions)))
    following = _next_workday(day, policy, rulebook)
    return Breach(
        "day_off",
        (("day", day.isoformat()),),
        None if following is None else local_midnight(following, there.place),
        source=policy.cite("days"),
    )


def _period_start(local: datetime, per: str) -> datetime:
    """The local hour, day, ISO week or month that ``local`` lies in."""
    if per == "hour":
        # Hours are taken in UTC steps off the local minute, so a repeated hour stays two.
        back = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return (local.astimezone(UTC) - back).astimezone(local.tzinfo)
    start = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if per == "week":
        return start - timedelta(days=local.isoweekday() - 1)
    return start.replace(day=1) if per == "month" else start


def _next_period(local: datetime, per: str) -> datetime:
    start = _period_start(local, per)
    if per == "hour":
        return start.astimezone(UTC) + timedelta(hours=1)
    if per == "month":
        return (start + timedelta(days=32)).replace(day=1).astimezone(UTC)
    return (start + timedelta(days=7 if per == "week" else 1)).astimezone(UTC)


def _window_start(cap: Cap, now: datetime, place: ZoneInfo) -> datetime:
    """Attempts after this instant count (rolling), or from it on (calendar)."""
    if cap.window == "rolling":
        # An attempt that rang exactly one period ago is outside: the period is over.
        return now - PERIODS[cap.per] - _RINGS_WITHIN + timedelta(microseconds=1)
    return _period_start(now.astimezone(place), cap.per).astimezone(UTC)


def _free_again(cap: Cap, filling: datetime, place: ZoneInfo) -> datetime:
    """When the call that fills the cap leaves its window: then fewer than the cap are left."""
    if cap.window == "rolling":
        return filling + PERIODS[cap.per] + _RINGS_WITHIN
    return _next_period(filling.astimezone(place), cap.per)


@forbids("C4", source="seed C4", why=("reached", "unknown_zone"))
def over_call_cap(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """More calls to one number than a profile allows, over all campaigns.

    Unsettled attempts count. So do attempts dated in the future: a skewed clock
    must not make room.
    """
    there = _minute_at(request.contact.timezone, now)
    if there is None:
        return _unknown_zone()
    place, calls = there.place, len(request.attempts)
    if not calls:
        return None
    worst: tuple[datetime, Cap] | None = None
    times = sorted([a.at for a in request.attempts], reverse=True)
    for cap in rulebook.policy.caps:
        # The call that fills the cap: with fewer in the window there is room.
        if calls < cap.calls or now - times[cap.calls - 1] > _REACH[cap.per]:
            continue
        filling = times[cap.calls - 1]
        if filling >= _window_start(cap, now, place):
            free = _free_again(cap, filling, place)
            if worst is None or free > worst[0]:
                worst = (free, cap)
    if worst is None:
        return None
    free, cap = worst
    params = (
        ("cap", str(cap.calls)),
        ("per", cap.per),
        ("window", cap.window),
        ("free", seconds(free)),
    )
    return Breach("reached", params, free, source=rulebook.policy.cite("caps"))


@forbids("C1", source="seed C1, C4", why=("unmeasured", "adrift"))
def clock_adrift(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """Dialing by a clock that is off the database's: hours, days and caps would be judged at
    a time that it is not, and would not agree with what other machines wrote."""
    ahead = request.clock_ahead_s
    if ahead is None:
        return Breach("unmeasured")
    if -MOST_AHEAD_S <= ahead <= MOST_AHEAD_S:
        return None
    return Breach("adrift", (("seconds", f"{ahead:+.1f}"), ("most", f"{MOST_AHEAD_S:.0f}")))


TIMING_RULES = (outside_calling_hours, on_a_day_off, over_call_cap, clock_adrift)
