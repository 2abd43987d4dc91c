# SPDX-License-Identifier: GPL-3.0-or-later
"""How long what is kept: pure date arithmetic (D13, S6, S12).

A minimum counted in calendar months has two honest readings: in UTC, as every
record here is written, and on the calendar of the company, where a term ends
with its last day (Civil Code of the PRC, art. 201-203). They differ by up to
four days (28 February 20:00 UTC is 1 March in Shanghai), so the later one counts
before anything is destroyed, and the earlier one for the day by which it must be gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from compliance.calendar import add_calendar_months, local_midnight, zone
from compliance.errors import ConfigError
from compliance.facts import Evolve

CONTACT_DAYS_MAX = 30  # D13: the longest that may be set


@dataclass(frozen=True, slots=True)
class Terms(Evolve):
    """The terms in force. All instants in and out are timezone-aware; results are UTC."""

    recording_months: int = 6  # minimum after the end of a call
    recording_days_over: int = 30  # days after the minimum by which it is gone
    contact_days: int = CONTACT_DAYS_MAX  # after a refusal or the end of the cycle: gone
    contact_margin_days: int = 2  # destroyed so much earlier: a failed night does no harm
    timezone: str = "Asia/Shanghai"  # of the company

    def __post_init__(self) -> None:
        if zone(self.timezone) is None:
            raise ConfigError(
                "is not an IANA time zone", field="retention.timezone", remedy="Asia/Shanghai"
            )
        if not 0 <= self.contact_margin_days < self.contact_days <= CONTACT_DAYS_MAX:
            raise ConfigError(
                f"must be at most {CONTACT_DAYS_MAX} and more than the margin (D13)",
                field="retention.contact_days",
            )
        if self.recording_months < 0 or self.recording_days_over < 1:
            raise ConfigError("a term is not negative", field="retention")

    def recording_until(self, over: datetime) -> datetime:
        """Until when the recording of a call that ended at ``over`` must be kept (S6).

        At that very instant it may go. 31 August + 6 months = 28 (29) February.
        """
        return max(self._in_utc(over), self._on_local_calendar(over))

    def recording_gone_by(self, over: datetime) -> datetime:
        """By when it must be gone: counted from the earliest reading of the minimum."""
        earliest = min(self._in_utc(over), self._local_instant(over))
        by = earliest + timedelta(days=self.recording_days_over)
        return max(by, self.recording_until(over))

    def contact_from(self, ended: datetime) -> datetime:
        """From when a contact is destroyed whose refusal or last campaign was at ``ended``."""
        return self.contact_gone_by(ended) - timedelta(days=self.contact_margin_days)

    def contact_gone_by(self, ended: datetime) -> datetime:
        """By when it must be gone (D13)."""
        return _at(ended, UTC) + timedelta(days=self.contact_days)

    # ------------------------------------------------------------ readings of "six months"

    def _in_utc(self, over: datetime) -> datetime:
        return add_calendar_months(_at(over, UTC), self.recording_months)

    def _local_instant(self, over: datetime) -> datetime:
        return add_calendar_months(_at(over, self._place), self.recording_months).astimezone(UTC)

    def _on_local_calendar(self, over: datetime) -> datetime:
        """The end (24:00) of the last day of the term, where the company is."""
        last = add_calendar_months(_at(over, self._place), self.recording_months).date()
        return local_midnight(last + timedelta(days=1), self._place)

    @property
    def _place(self) -> ZoneInfo:
        place = zone(self.timezone)
        assert place is not None  # checked when made
        return place


def _at(at: datetime, place: tzinfo) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time needs a time zone")
    return at.astimezone(place)
