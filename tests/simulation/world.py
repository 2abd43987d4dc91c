# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is called from what, and what changes in the quarter: drawn from one seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

from compliance.facts import Consent, DialRequest, LineFacts, SourceKind
from compliance.rulebook import Rulebook, parse
from storage.numbers import normalise
from tests.unit.compliance.builders import (
    allowed_request,
    calendar_data,
    consent,
    line,
    profile_data,
)

# The fourth quarter: a week of holidays, a make-up Saturday, clocks that go back in Europe and
# America and forward in Australia (by half an hour on Lord Howe), two public holidays in France.
START = datetime(2026, 9, 30, 20, tzinfo=UTC)
END = datetime(2027, 1, 1, 2, tzinfo=UTC)
DAYS = (END - START).days

OURS, OTHER_COMPANY = "星辰公司", "别的公司"
SALES, SURVEY = "member_service", "survey"

# Zone, prefix of its numbers, share in percent.
PLACES = (
    ("Asia/Shanghai", "+86139", 62),
    ("Asia/Urumqi", "+86139", 8),
    ("Asia/Kathmandu", "+97798", 5),
    ("Asia/Kolkata", "+91981", 4),
    ("Australia/Lord_Howe", "+61412", 5),
    ("Australia/Sydney", "+61413", 4),
    ("America/New_York", "+1212555", 4),
    ("Europe/Paris", "+33612", 6),
    ("", "+86139", 1),
    ("Nowhere/Town", "+86139", 1),
)
SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda n: n,
    lambda n: n[3:],
    lambda n: f"0086 {n[3:6]}-{n[6:10]}-{n[10:]}",
    lambda n: f"86{n[3:]}",
    lambda n: f"({n[:3]}) {n[3:7]} {n[7:]}",
)
UNDIALABLE = ("+86110", "+8610086", "+8610010", "+86955885", "13912345678", "+8613")


def law(*names: str) -> Rulebook:
    """The shipped profiles, ``late`` (cn_seed from 1 November to 15 December) among them."""
    return _law(names)


@lru_cache(maxsize=16)
def _law(names: tuple[str, ...]) -> Rulebook:
    late: dict[str, Any] = {"effective_from": "2026-11-01", "effective_until": "2026-12-15"}
    documents = {
        "cn": lambda: profile_data(),
        "fr": lambda: profile_data("fr"),
        "late": lambda: profile_data(id="late", **late),
        "home": lambda: profile_data("demo"),
    }
    return parse([documents[name]() for name in names], calendar_data())


def at(text: str) -> datetime:
    """A day and hour in Shanghai."""
    return datetime.fromisoformat(f"{text}:00+08:00").astimezone(UTC)


# ---------------------------------------------------------------- people


@dataclass(slots=True)
class Drawn:
    """One person as drawn: number, zone, source, what they agreed to and said before."""

    e164: str
    spellings: tuple[str, ...]
    zone: str
    source: SourceKind | None
    consents: tuple[Consent, ...]
    refused: tuple[datetime, str] | None  # before the quarter: when, and to which campaign only
    joins: datetime


def people(rng: Random, count: int, purposes: tuple[str, ...]) -> Iterator[Drawn]:
    """``count`` people; each purpose of ``purposes`` is what one of their campaigns is for."""
    places = [p[:2] for p in PLACES for _ in range(p[2])]
    for serial in range(count):
        zone, prefix = rng.choice(places)
        e164 = f"{prefix}{serial:0{13 - len(prefix) + (prefix[:3] == '+86')}}"
        spellings = (e164, e164)
        if prefix == "+86139":
            spellings = (rng.choice(SPELLINGS)(e164), rng.choice(SPELLINGS)(e164))
            for spelling in spellings:
                assert normalise(spelling).e164 == e164
        if rng.random() < 0.02:
            e164 = rng.choice(UNDIALABLE)
            spellings = (e164, e164)
        refused = None
        if rng.random() < 0.08:
            when = START - timedelta(seconds=rng.randrange(10 * 86400, 230 * 86400))
            refused = (when, "" if rng.random() < 0.7 else f"c{rng.randrange(len(purposes))}")
        joins = START if rng.random() < 0.5 else START + rng.random() * (END - START) * 0.9
        yield Drawn(
            e164,
            spellings,
            zone,
            None if rng.random() < 0.015 else SourceKind.OWN_CRM,
            tuple(_consents(rng, serial, purposes, refused[0] if refused else None)),
            refused,
            joins,
        )


def _consents(
    rng: Random, serial: int, purposes: tuple[str, ...], refused: datetime | None
) -> Iterator[Consent]:
    for purpose in sorted(set(purposes)):
        given = START - timedelta(days=rng.randrange(1, 300), seconds=rng.randrange(86400))
        if refused is not None and rng.random() < 0.5:
            given = refused + (START - refused) * rng.random()  # they changed their mind
        whole = consent(id=f"k{serial}{purpose}", purpose=purpose, company=OURS, given_at=given)
        draw = rng.random()
        inside = START + (END - START) * rng.random()
        for share, changes in (
            (0.02, {"preticked": True}),
            (0.02, {"names_ai_calling": False}),
            (0.01, {"company": ""}),
            (0.015, {"company": OTHER_COMPANY}),
            (0.015, {"purpose": "another"}),
            (0.02, {"explicit": False}),
            (0.01, {"given_at": None}),
            (0.02, {"expires_at": START - timedelta(days=1)}),
            (0.06, {"expires_at": inside}),
            (0.03, {"given_at": inside}),
        ):
            if draw < share:
                # Beside it, at times, one with another fault: two do not add up to one.
                if rng.random() < 0.3:
                    yield whole.evolve(id=f"{whole.id}b", explicit=False)
                yield whole.evolve(**changes)
                break
            draw -= share
        else:
            if draw > 0.05:
                yield whole


# ---------------------------------------------------------------- campaigns, lines, their papers


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign: what it is for, under which law, on which lines."""

    id: str
    purpose: str
    places: tuple[str, ...]
    lines: tuple[str, ...]
    share: int  # of the people


BOUGHT = ("licensed", "checked", "contracted")  # from suppliers whose papers run out
PLANS = (
    Plan("c0", SALES, ("cn",), ("good", "listed", "off"), 30),
    Plan("c1", SURVEY, ("cn",), ("registered", "good", "plain"), 20),
    Plan("c2", SALES, ("cn", "fr"), ("filed", "good"), 12),
    Plan("c3", SALES, ("cn",), ("listed", "registered"), 10),  # the law changes on the way
    Plan("c4", SURVEY, ("cn",), ("good", "ordinary", "simulator", "lab", "5g", *BOUGHT), 12),
    Plan("c5", SALES, ("cn",), ("good",), 10),  # something is wrong with it now and then
    Plan("c6", SALES, ("cn", "late"), ("good",), 4),
    Plan("c7", SURVEY, ("cn", "home"), ("good",), 2),
)


def lines() -> dict[str, LineFacts]:
    supplier = line().supplier
    plain = {"encrypted": False, "plaintext_exception_until": at("2026-11-05T10:00")}
    return {
        "good": line(id="good"),
        "5g": line(id="5g", kind="5g"),
        "listed": line(id="listed", whitelisted_until=at("2026-11-02T09:05")),
        "registered": line(id="registered", registered_until=at("2026-10-20T15:00")),
        "filed": line(id="filed", filed_until=at("2026-12-01T00:00")),
        "off": line(id="off", enabled=False),
        "licensed": line(
            id="licensed", supplier=supplier.evolve(certificate_until=at("2026-11-12T10:00"))
        ),
        "checked": line(
            id="checked", supplier=supplier.evolve(checklist_until=at("2026-11-19T15:00"))
        ),
        "contracted": line(
            id="contracted", supplier=supplier.evolve(contract_until=at("2026-11-26T00:00"))
        ),
        "plain": line(id="plain", **plain),
        "ordinary": line(id="ordinary", kind="ordinary"),
        "simulator": line(id="simulator", kind="simulator", simulator_proven=True),
        "lab": line(id="lab", kind="lab", address="127.0.0.1:5080"),
    }


# From, until: what is wrong with campaign c5 meanwhile, and what that is called by the judge.
FAULTS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("2026-10-09T09:00", "2026-10-10T12:00", "script", "unsigned", {"approved_by": ""}),
    ("2026-10-13T08:00", "2026-10-13T16:00", "script", "self-signed", {"author": "officer-1"}),
    ("2026-10-15T08:00", "2026-10-15T16:00", "script", "changed", {"digest": "bb" * 32}),
    ("2026-10-20T08:00", "2026-10-20T16:00", "script", "late", {"disclosure_end_ms": 3000.5}),
    ("2026-10-22T08:00", "2026-10-22T16:00", "script", "unmeasured", {"disclosure_end_ms": None}),
    ("2026-10-27T08:00", "2026-10-27T16:00", "campaign", "no officer", {"compliance_officer": ""}),
    ("2026-10-29T08:00", "2026-10-29T16:00", "campaign", "nobody's", {"launched_by": ""}),
    ("2026-11-03T10:00", "2026-11-03T15:00", "campaign", "paused", {"state": "paused"}),
    ("2026-11-10T11:00", "2026-11-12T15:00", "campaign", "stopped", {"state": "stopped"}),
    ("2026-11-17T08:00", "2026-11-17T16:00", "script", "nameless", {"id": ""}),
    ("2026-11-24T08:00", "2026-11-24T16:00", "papers", "undeclared", {"purpose_declared": False}),
    ("2026-11-26T08:00", "2026-11-26T16:00", "papers", "unassessed", {"assessed_at": None}),
    ("2026-12-01T08:00", "2026-12-01T16:00", "standing", "no exam", {"officer_exam_until": START}),
)
STOPS = (
    ("2026-10-14T10:07", "2026-10-14T15:00"),
    ("2026-11-18T15:00", "2026-11-19T09:30"),
    ("2026-12-09T09:00", "2026-12-09T09:45"),
)
LAWS = (
    ("2026-11-09T11:00", "c3", ("cn", "fr")),
    ("2026-12-07T15:00", "c3", ("cn",)),
    ("2026-12-14T10:00", "c2", ("fr", "cn", "late")),
)
PAPERS = (
    ("2026-11-02T09:20", "registered", {"registered_until": at("2027-06-30T00:00")}),
    ("2026-11-20T09:00", "off", {"enabled": True}),
    ("2026-12-02T10:00", "off", {"enabled": False}),
)

# Seconds by which each node's clock is ahead, from the given time on. None: nobody compared it.
CLOCKS: dict[str, tuple[tuple[str, float | None], ...]] = {
    "n0": (("2026-09-01T00:00", 0.0),),
    "n1": (("2026-09-01T00:00", 1.4),),
    "n2": (("2026-09-01T00:00", -1.7),),
    "n3": (
        ("2026-09-01T00:00", 0.2),
        ("2026-10-12T06:00", 3600.0),
        ("2026-10-14T16:00", -0.3),
        ("2026-10-26T14:00", -2700.0),
        ("2026-10-29T09:00", 0.0),
        ("2026-11-11T10:30", 5.0),
        ("2026-11-13T06:00", 86400.0),
        ("2026-11-14T20:00", -0.1),
        ("2026-12-03T10:00", -3.0),
        ("2026-12-04T10:00", 0.1),
    ),
    "n4": (
        ("2026-09-01T00:00", 0.6),
        ("2026-11-24T06:00", None),
        ("2026-11-25T06:00", -0.6),
        ("2026-12-16T11:00", 10800.0),
        ("2026-12-17T20:00", 0.0),
    ),
}


def blank(**changes: Any) -> DialRequest:
    """A request in order in everything that is not simulated."""
    request = allowed_request(**changes)
    papers = request.campaign.papers.evolve(assessed_at=START - timedelta(days=30))
    return request.evolve(campaign=request.campaign.evolve(papers=papers))
