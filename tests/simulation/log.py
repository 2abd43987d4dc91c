# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated quarter leaves for its judge: events in the order they happened.

Plain values only: the judge shares no word with the rules it judges. ``at`` is the true
time (UTC), ``said`` what the acting machine's clock showed.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Person(NamedTuple):
    """A contact as imported: the number as it was ``written``, and as it would be ``dialed``."""

    at: datetime
    contact: str
    written: str
    dialed: str
    zone: str
    source: str


class Consent(NamedTuple):
    at: datetime
    dialed: str
    company: str
    purpose: str
    given: datetime | None
    expires: datetime | None
    by_hand: bool
    ticked_before: bool
    names_robot: bool


class Refused(NamedTuple):
    """The person said no; ``campaign`` is empty where it is said to the whole company."""

    at: datetime
    dialed: str
    campaign: str


class Withdrawn(NamedTuple):
    at: datetime
    dialed: str


class Law(NamedTuple):
    at: datetime
    campaign: str
    places: tuple[str, ...]


class Campaign(NamedTuple):
    """How a campaign stands from now on; ``fault`` is empty where nothing is wrong with it."""

    at: datetime
    campaign: str
    company: str
    purpose: str
    fault: str
    lines: tuple[str, ...]


class Line(NamedTuple):
    at: datetime
    line: str
    kind: str
    on: bool
    encrypted: bool
    listed_until: datetime | None
    registered_until: datetime | None
    filed_until: datetime | None
    plain_until: datetime | None
    licensed_until: datetime | None
    checked_until: datetime | None
    contract_until: datetime | None


class Stop(NamedTuple):
    at: datetime
    on: bool


class Attempt(NamedTuple):
    """Committed: it counts from here, dialed or not. ``off_s``: the clock's error; None: it was
    not compared with anything."""

    at: datetime
    said: datetime
    id: str
    contact: str
    campaign: str
    off_s: float | None


class Invite(NamedTuple):
    at: datetime
    said: datetime
    attempt: str
    dialed: str
    line: str


class NoCall(NamedTuple):
    """Refused by the gate or by the authorising step; ``rules`` are told to the reader only."""

    at: datetime
    said: datetime
    contact: str
    campaign: str
    off_s: float | None
    rules: tuple[str, ...]


Event = (
    Person
    | Consent
    | Refused
    | Withdrawn
    | Law
    | Campaign
    | Line
    | Stop
    | Attempt
    | Invite
    | NoCall
)
