# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of a simulated quarter: what the law asks, read anew and computed by other means.

It imports nothing of the rules. Hours, days, caps and terms are written down here from the
requirements (C1 to C6, D1 to D12, S1, S11, S12, G1, G4, G5, V1, V2, V4), the holidays from
the published tables. It reads the log in order and says two things: which INVITEs should not
have been sent, and which refusals had no reason.

Two clocks, two judgements. By what the acting machine's clock showed an INVITE must be right
to the microsecond. By true time it may be off by what clocks may differ (``SLACK``) at the edge
of hours and papers; two calls to one number may not be closer than a cap says by any clock, and
a refusal is groundless only if they could not have been.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.simulation import log

SLACK = timedelta(seconds=2)
NONE = timedelta(0)
PERMIT = timedelta(seconds=5)  # from decision to INVITE
HOUR, DAY, MONTH = timedelta(hours=1), timedelta(days=1), timedelta(days=30)

# Minutes of the called party's day, half-open.
HOURS = {
    "cn": ((9 * 60, 11 * 60 + 30), (14 * 60 + 30, 17 * 60 + 30)),
    "fr": ((10 * 60, 13 * 60), (14 * 60, 20 * 60)),
}
# From, until (the day after the last); None: no end.
IN_FORCE = {"cn": (None, None), "fr": (date(2026, 8, 11), None),
            "late": (date(2026, 11, 1), date(2026, 12, 16))}  # fmt: skip


def _days(*spans: str) -> frozenset[date]:
    found = set()
    for span in spans:
        first, _, last = span.partition("/")
        day, end = date.fromisoformat(first), date.fromisoformat(last or first)
        while day <= end:
            found.add(day)
            day += DAY
    return frozenset(found)


CN_OFF = _days("2026-09-25/2026-09-27", "2026-10-01/2026-10-07")
CN_WORKED = _days("2026-09-20", "2026-10-10")
FR_OFF = _days("2026-11-01", "2026-11-11", "2026-12-25")
SERVICES = ("110", "119", "120", "122", "10010", "10086")


def one_spelling(dialed: str) -> str:
    """The digits with country code: two people have the same where their telephone is one."""
    digits = "".join(c for c in dialed if c in "0123456789")
    if dialed.startswith("+"):
        return digits
    if digits.startswith("00"):
        return digits[2:]
    return "86" + digits if len(digits) == 11 and digits[0] == "1" else digits


def half_a_year_after(at: datetime) -> datetime:
    """Six calendar months; a day that the month lacks becomes its last."""
    month = at.month + 6
    year, month = (at.year + 1, month - 12) if month > 12 else (at.year, month)
    for day in range(at.day, 27, -1):
        try:
            return at.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    return at.replace(year=year, month=month)


class Oracle:
    """Reads events one after another; ``violations`` and ``groundless`` are what it found."""

    def __init__(self) -> None:
        self.invites = 0
        self.attempts = 0
        self.refused: Counter[str] = Counter()  # by its own reasons
        self.violations: list[tuple[str, log.Invite | log.Attempt]] = []
        self.groundless: list[log.NoCall] = []
        self._people: dict[str, log.Person] = {}
        self._consents: dict[str, list[log.Consent]] = defaultdict(list)
        self._no: dict[str, list[log.Refused]] = defaultdict(list)
        self._withdrawn: dict[str, datetime] = {}
        self._law: dict[str, tuple[str, ...]] = {}
        self._campaigns: dict[str, log.Campaign] = {}
        self._lines: dict[str, log.Line] = {}
        self._stopped = False
        self._open: dict[str, log.Attempt] = {}
        self._said: dict[str, list[datetime]] = defaultdict(list)  # attempts, by number
        self._rang: dict[str, list[datetime]] = defaultdict(list)  # INVITEs, in true time
        self._zones: dict[str, ZoneInfo | None] = {}

    def read(self, events: Iterable[log.Event]) -> None:
        for event in events:
            match event:
                case log.Invite():
                    self._invite(event)
                case log.Attempt():
                    self._attempt(event)
                case log.NoCall():
                    self._no_call(event)
                case log.Person():
                    self._people[event.contact] = event
                case log.Consent():
                    self._consents[one_spelling(event.dialed)].append(event)
                case log.Refused():
                    self._no[one_spelling(event.dialed)].append(event)
                case log.Withdrawn():
                    self._withdrawn[one_spelling(event.dialed)] = event.at
                case log.Law():
                    self._law[event.campaign] = event.places
                case log.Campaign():
                    self._campaigns[event.campaign] = event
                case log.Line():
                    self._lines[event.line] = event
                case log.Stop():
                    self._stopped = event.on

    # ------------------------------------------------------------ what happened

    def _attempt(self, event: log.Attempt) -> None:
        self.attempts += 1
        person = self._people[event.contact]
        number = one_spelling(person.written)
        for reason in self._standing(event.contact, event.campaign, event.said):
            self.violations.append((reason, event))
        if event.off_s is None or abs(event.off_s) > SLACK.total_seconds():
            self.violations.append(("clock", event))
        # Hours and days are those of the INVITE: an attempt may be committed in time and not
        # be dialed any more.
        caps = self._timing(person.zone, event.campaign, self._said[number], event.said)
        for reason in sorted(caps - {"hours", "day off"}):
            self.violations.append((reason, event))
        self._keep(self._said[number], event.said)
        self._open[event.id] = event

    def _invite(self, event: log.Invite) -> None:
        self.invites += 1
        attempt = self._open.pop(event.attempt, None)
        if attempt is None:
            self.violations.append(("no attempt, or dialed twice", event))
            return
        person = self._people[attempt.contact]
        number = one_spelling(person.written)
        if one_spelling(event.dialed) != number:
            self.violations.append(("another number", event))
        if not timedelta(0) <= event.at - attempt.at <= PERMIT:
            self.violations.append(("late", event))
        campaign = attempt.campaign
        wrong = self._closed(person.zone, campaign, event.said, NONE)
        wrong |= self._timing(person.zone, campaign, self._rang[number], event.at, SLACK)
        if event.line not in self._campaigns[campaign].lines:
            wrong.add("another campaign's line")
        wrong |= self._bad_line(event.line, event.said, NONE)
        wrong |= self._bad_line(event.line, event.at, SLACK)
        for reason in sorted(wrong):
            self.violations.append((reason, event))
        self._keep(self._rang[number], event.at)

    def _no_call(self, event: log.NoCall) -> None:
        person = self._people[event.contact]
        reasons = set(self._standing(event.contact, event.campaign, event.said))
        if event.off_s is None or abs(event.off_s) > SLACK.total_seconds():
            reasons.add("clock")
        number = one_spelling(person.written)
        reasons |= self._timing(
            person.zone, event.campaign, self._said[number], event.said, closer=2 * SLACK + PERMIT
        )
        lines = self._campaigns[event.campaign].lines
        if all(self._bad_line(line, event.said, NONE) for line in lines):
            reasons.add("no line")
        self.refused.update(reasons)
        if not reasons:
            self.groundless.append(event)

    @staticmethod
    def _keep(times: list[datetime], at: datetime) -> None:
        times.append(at)
        if len(times) > 24:  # more than any cap looks back on
            del times[:-16]

    # ------------------------------------------------------------ the law

    def _standing(self, contact: str, campaign: str, at: datetime) -> list[str]:
        """What is wrong with person, consent, campaign or platform, whatever the hour."""
        person, its = self._people[contact], self._campaigns[campaign]
        number, wrong = one_spelling(person.written), []
        if self._stopped:
            wrong.append("stopped")
        if its.fault:
            wrong.append(its.fault)
        if not person.source:
            wrong.append("source")
        if not person.dialed.startswith("+") or not 7 <= len(number) <= 15:
            wrong.append("no telephone number")
        if number.removeprefix("86") in SERVICES or number.startswith("8695588"):
            wrong.append("service")
        wrong += self._unwanted(number, campaign, at)
        for place in self._law[campaign]:
            if place == "home":
                wrong.append("law of another home")
                continue
            first, after = IN_FORCE[place]
            today = at.astimezone(UTC).date()
            if (first and today < first) or (after and today >= after):
                wrong.append("law not in force")
        return wrong

    def _unwanted(self, number: str, campaign: str, at: datetime) -> list[str]:
        """Refusal and consent (D3, D4, D11, D12, S12)."""
        said_no = [r.at for r in self._no[number] if r.campaign in ("", campaign)]
        wrong = ["refusal" for no in said_no if at < self._refusal_ends(no, campaign)]
        ended = max([*said_no, *filter(None, [self._withdrawn.get(number)])], default=None)
        its = self._campaigns[campaign]
        for consent in self._consents[number]:
            if (
                consent.by_hand
                and not consent.ticked_before
                and consent.names_robot
                and consent.company == its.company
                and consent.purpose == its.purpose
                and consent.given is not None
                and consent.given <= at
                and (consent.expires is None or at < consent.expires)
                and (ended is None or consent.given > ended)
            ):
                return wrong
        return [*wrong, "consent"]

    def _refusal_ends(self, at: datetime, campaign: str) -> datetime:
        terms = {"fr": at + 60 * DAY}
        return max(terms.get(law, half_a_year_after(at)) for law in self._law[campaign])

    def _cn(self, campaign: str) -> bool:
        return any(place != "fr" for place in self._law[campaign])

    def _timing(
        self,
        zone: str,
        campaign: str,
        before: list[datetime],
        at: datetime,
        slack: timedelta = NONE,
        closer: timedelta = NONE,
    ) -> set[str]:
        """Hours, days and caps; ``before`` are the earlier calls to this number, which may have
        come as much as ``closer`` after what is known of them."""
        wrong = self._closed(zone, campaign, at, slack)
        place = self._zone(zone)
        if place is None or not before:
            return wrong
        local = at.astimezone(place)
        midnight = datetime(local.year, local.month, local.day, tzinfo=place).astimezone(UTC)
        if self._cn(campaign):
            since = at - HOUR - closer
            if any(call > since for call in before):
                wrong.add("an hour")
            since = at - DAY - closer
            if sum(call > since for call in before) >= 3:
                wrong.add("three a day")
            if sum(call >= midnight for call in before) >= 3:
                wrong.add("three a day")
        if "fr" in self._law[campaign]:
            since = at - MONTH - closer
            first = datetime(local.year, local.month, 1, tzinfo=place).astimezone(UTC)
            within = sum(call > since for call in before)
            if within >= 4 or sum(call >= first for call in before) >= 4:
                wrong.add("four a month")
        return wrong

    def _closed(self, zone: str, campaign: str, at: datetime, slack: timedelta) -> set[str]:
        place = self._zone(zone)
        if place is None:
            return {"zone"}
        wrong: set[str] = set()
        for law in self._law[campaign]:
            law = "fr" if law == "fr" else "cn"
            times = (at,) if not slack else (at, at - slack, at + slack)
            locals_ = [t.astimezone(place) for t in times]
            if not any(
                start <= t.hour * 60 + t.minute < end for t in locals_ for start, end in HOURS[law]
            ):
                wrong.add("hours")
            if not any(self._worked(law, t.date()) for t in locals_):
                wrong.add("day off")
        return wrong

    @staticmethod
    def _worked(law: str, day: date) -> bool:
        if day.year != 2026:
            return False  # no table: nobody can say
        if law == "fr":
            return day.weekday() < 5 and day not in FR_OFF
        return day in CN_WORKED or (day.weekday() < 5 and day not in CN_OFF)

    def _bad_line(self, name: str, at: datetime, slack: timedelta) -> set[str]:
        line = self._lines[name]
        wrong = set()
        for paper, until in (
            ("white list", line.listed_until),
            ("registration", line.registered_until),
            ("filing", line.filed_until),
            ("supplier's licence", line.licensed_until),
            ("supplier's checklist", line.checked_until),
            ("supplier's contract", line.contract_until),
        ):
            if until is None or until <= at - slack:
                wrong.add(paper)
        if line.kind not in ("ai_line", "5g"):
            wrong.add("kind of line")
        if not line.on:
            wrong.add("line off")
        plain = line.plain_until
        if not line.encrypted and (plain is None or plain <= at - slack):
            wrong.add("plain text")
        return wrong

    def _zone(self, name: str) -> ZoneInfo | None:
        if name not in self._zones:
            try:
                self._zones[name] = ZoneInfo(name) if name else None
            except (KeyError, OSError, ValueError):  # not found is a KeyError
                self._zones[name] = None
        return self._zones[name]
