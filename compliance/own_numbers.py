# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own numbers: how much they were used, and when one seems to be blocked (C4b). Pure.

A carrier that blocks a number seldom says so. Its calls are suddenly declined by the network,
engaged at once, or answered by an announcement. So a number is judged by its last calls
against what is usual for that very number.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from compliance.evolve import Evolve

DAY = timedelta(hours=24)
LONGEST_REST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class OwnNumber(Evolve):
    """One of our numbers as the gate sees it. Several lines may show the same one."""

    number: str  # one spelling
    calls: int  # INVITEs of the last 24 hours, over all lines, campaigns and machines
    oldest: datetime | None = None  # the first of these
    day_cap: int | None = None  # its own limit, where somebody set one
    rest_until: datetime | None = None

    def cap(self, asked: int | None) -> int | None:
        """The stricter of its own limit and the profile's; None: neither is set."""
        if self.day_cap is None:
            return asked
        return self.day_cap if asked is None else min(self.day_cap, asked)

    def used(self, now: datetime) -> int:
        """Calls that still count at ``now``, as far as is known: the oldest may be over."""
        return self.calls - (self.oldest is not None and self.oldest + DAY <= now)

    def room_at(self) -> datetime | None:
        """When the first call leaves the 24 hours."""
        return None if self.oldest is None else self.oldest + DAY


@dataclass(frozen=True, slots=True)
class NumberCall(Evolve):
    """How one call that showed the number ended."""

    at: datetime
    outcome: str  # of Outcome; empty: not over
    sip_status: int = 0
    announcement: str = ""  # of Announcement: what the carrier said before any answer
    rang: bool = False
    answered: bool = False
    waited_ms: int | None = None  # from the INVITE to the end, where nobody answered


class State(enum.StrEnum):
    SUSPECTED = "suspected"  # it fails as a blocked number does
    WELL = "well"
    UNSURE = "unsure"  # too few calls, or neither


@dataclass(frozen=True, slots=True)
class Judgement(Evolve):
    """What the last calls say. ``figures`` hold no personal data."""

    state: State
    calls: int = 0  # in the window
    failures: int = 0
    in_a_row: int = 0
    baseline: float = 0.0  # usual share of such failures, 0-1
    limit: float = 1.0  # share from which it is suspected

    @property
    def share(self) -> float:
        return self.failures / self.calls if self.calls else 0.0

    @property
    def figures(self) -> Mapping[str, int]:
        """Whole numbers, shares in per cent: for the case and the ledger."""
        return MappingProxyType(
            {
                "calls": self.calls,
                "failures": self.failures,
                "in_a_row": self.in_a_row,
                "baseline_percent": round(self.baseline * 100),
                "limit_percent": round(self.limit * 100),
            }
        )


@dataclass(frozen=True, slots=True)
class Pattern(Evolve):
    """When a number is suspected, and when it is well again: far apart, so that it does not
    flicker between the two. Shares are 0-1."""

    window: int = 30  # last calls that say something
    minimum: int = 20  # fewer say nothing
    on_trial: int = 10  # enough to suspect a number again that has just rested
    row: int = 10  # so many failures without one success are enough
    history: int = 200  # calls before the window: what is usual
    history_minimum: int = 50
    assumed: float = 0.15  # what is usual for a number without history
    trip: float = 0.5  # suspected from this share on, at least
    times: float = 2.0  # and from so many times the usual share
    ceiling: float = 0.9  # a number that nearly always fails is suspected however usual that is
    clear: float = 0.25  # well again up to this share, or up to the usual one


PATTERN = Pattern()
CALLS_NEEDED = PATTERN.window + PATTERN.history

_IMMEDIATE_MS = 3_000  # no person is so quick, and no telephone has rung
_BY_NETWORK = frozenset({403, 607, 608})  # forbidden; unwanted (RFC 8197); rejected (RFC 8688)
_DECLINED = frozenset({603})
_AT_ONCE = frozenset({480, 486, 600})
# What is said of the caller's side or of a network; "vacant" and "suspended" are about the callee.
_SAID = frozenset({"engaged", "unreachable", "switched_off", "out_of_area"})
_ABOUT_CALLEE = frozenset({"vacant", "suspended"})
# These say nothing about our number: our doing, the line's, or a number that does not exist.
_SILENT = frozenset({"", "cancelled", "aborted", "unknown", "line_failed", "invalid_number"})


def looks_blocked(call: NumberCall) -> bool | None:
    """Whether a call failed as calls of a blocked number do; None: it says nothing of that."""
    if call.sip_status in _BY_NETWORK:
        return True
    if call.outcome in _SILENT or call.announcement in _ABOUT_CALLEE:
        return None
    if call.announcement in _SAID:
        return True
    quick = not call.rang or (call.waited_ms is not None and call.waited_ms < _IMMEDIATE_MS)
    if call.sip_status in _DECLINED:
        return quick  # a person declines after it has rung
    if call.sip_status in _AT_ONCE:
        return call.waited_ms is not None and call.waited_ms < _IMMEDIATE_MS
    return False


def judge(
    calls: Sequence[NumberCall],
    *,
    since: datetime | None = None,
    on_trial: bool = False,
    pattern: Pattern = PATTERN,
) -> Judgement:
    """What the last calls of one number say, newest first.

    Only calls from ``since`` on (the end of its last rest) are in the window; earlier ones
    tell what is usual. ``on_trial``: it has just rested, so fewer calls are enough.
    """
    signs = [(c.at, sign) for c in calls if (sign := looks_blocked(c)) is not None]
    recent = [s for at, s in signs[: pattern.window] if since is None or at >= since]
    before = [s for _, s in signs[len(recent) : len(recent) + pattern.history]]
    usual = pattern.assumed
    if len(before) >= pattern.history_minimum:
        usual = sum(before) / len(before)
    limit = max(pattern.trip, min(usual * pattern.times, pattern.ceiling))
    row = next((i for i, failed in enumerate(recent) if not failed), len(recent))
    found = Judgement(State.UNSURE, len(recent), sum(recent), row, usual, limit)
    enough = pattern.on_trial if on_trial else pattern.minimum
    by_share = len(recent) >= enough and found.share >= limit
    by_row = row >= pattern.row and usual < pattern.trip
    if by_share or by_row:
        return found.evolve(state=State.SUSPECTED)
    if len(recent) >= pattern.minimum and found.share <= max(pattern.clear, usual):
        return found.evolve(state=State.WELL)
    return found


def rest(hours: int, rests: int) -> timedelta:
    """How long a suspected number rests; twice as long for each rest that did not help."""
    return min(timedelta(hours=hours * (1 << min(rests, 10))), LONGEST_REST)
