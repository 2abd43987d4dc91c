# SPDX-License-Identifier: GPL-3.0-or-later
"""A store in memory that hands out, authorises and settles as ``storage.store`` does.

What it keeps of the real one: a lease holds a number and not a row; an attempt counts from
its commit, settled or not; the authorising step looks at lease, campaign, stop, clock,
refusal list, withdrawal and caps once more; an expired lease is settled before the number is
handed out again. ``careful=False`` leaves out that second look, and hands out what stopped
campaigns hold: then the gate alone stands between a contact and its INVITE.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from compliance.clock import MOST_AHEAD_S
from compliance.errors import AuthorisationDenied, LeaseLost, PermitError
from compliance.facts import (
    CampaignFacts,
    Claim,
    Consent,
    Contact,
    Decision,
    DialRequest,
    LineFacts,
    Outcome,
    PastAttempt,
    RefusalRecord,
    RefusalScope,
    ScriptFacts,
)
from compliance.permits import Permit
from compliance.standing import Standing
from storage.decisions import retry_at

HISTORY = timedelta(days=32)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(slots=True)
class Lease:
    id: str
    number: str
    campaign: str
    contact: str
    fencing: int
    until: datetime
    authorised: bool = False


@dataclass(slots=True)
class Number:
    """All that is known of one telephone, over all campaigns and spellings."""

    consents: tuple[Consent, ...] = ()
    attempts: list[PastAttempt] = field(default_factory=list)  # newest first
    refusals: tuple[RefusalRecord, ...] = ()
    withdrawn_at: datetime | None = None
    withdrawn_in: dict[str, datetime] = field(default_factory=dict)  # by one campaign's refusal


@dataclass(slots=True)
class CampaignState:
    """The shared facts as they are now, object and all, and whom it has still to call."""

    facts: CampaignFacts
    script: ScriptFacts
    lines: tuple[LineFacts, ...]
    standing: Standing
    due: list[tuple[datetime, int, str]] = field(default_factory=list)


class MemoryStore:
    def __init__(self, blank: DialRequest, *, careful: bool = True) -> None:
        self._blank = blank
        self._careful = careful
        self.numbers: dict[str, Number] = defaultdict(Number)
        self.contacts: dict[str, Contact] = {}
        self.campaigns: dict[str, CampaignState] = {}
        self.stopped_at: datetime | None = None
        self._leases: dict[str, Lease] = {}  # by number
        self._ends: list[tuple[datetime, str, str]] = []  # of leases: until, number, id
        self._serial = 0

    def add_target(self, campaign: str, contact: str, not_before: datetime) -> None:
        self._serial += 1
        heapq.heappush(self.campaigns[campaign].due, (not_before, self._serial, contact))

    # ------------------------------------------------------------ the path of a call

    def claim(
        self, campaign: str, *, now: datetime, ahead_s: float | None, lease_s: float = 60
    ) -> Claim | None:
        """As ``store.claim``; ``ahead_s`` is what comparing the clocks gives."""
        state = self.campaigns[campaign]
        if self._careful and (state.facts.state != "running" or self.stopped_at is not None):
            return None
        held = []
        found = ""
        while state.due and state.due[0][0] <= now:
            target = heapq.heappop(state.due)
            if self.contacts[target[2]].number.e164 not in self._leases:
                found = target[2]
                break
            held.append(target)
        for target in held:
            heapq.heappush(state.due, target)
        if not found:
            return None
        contact = self.contacts[found]
        key = contact.number.e164
        self._serial += 1
        lease = Lease(
            f"a{self._serial}", key, campaign, found, self._serial, now + timedelta(seconds=lease_s)
        )
        self._leases[key] = lease
        heapq.heappush(self._ends, (lease.until, key, lease.id))
        number = self.numbers[key]
        withdrawn = max(
            (at for at in (number.withdrawn_at, number.withdrawn_in.get(campaign)) if at),
            default=None,
        )
        request = self._blank.evolve(
            attempt_id=lease.id,
            contact=contact,
            consents=number.consents,
            attempts=tuple(a for a in number.attempts if a.at > now - HISTORY),
            refusals=number.refusals,
            withdrawn_at=withdrawn,
            script=state.script,
            campaign=state.facts,
            lines=state.lines,
            standing=state.standing,
            stopped_at=self.stopped_at,
            clock_ahead_s=ahead_s,
        )
        return Claim(lease.id, lease.fencing, request, lease.until)

    def authorise(self, permit: Permit, claim: Claim, now: datetime, ahead_s: float | None) -> None:
        """As ``store.authorise``.

        Raises:
            LeaseLost, AuthorisationDenied, PermitError: as there.
        """
        request = claim.request
        if permit.attempt_id != request.attempt_id or permit.number != request.contact.number:
            raise PermitError("the permit was made for another claim")
        lease = self._own(claim)
        if lease is None or lease.until <= now or lease.authorised:
            raise LeaseLost("the lease is over")
        number = self.numbers[lease.number]
        if self._careful:
            denied = self._denial(lease, number, request, now, ahead_s)
            if denied is not None:
                self._drop(lease)
                rule, again = denied
                if again is not None:
                    self.add_target(lease.campaign, lease.contact, again)
                raise AuthorisationDenied(rule)
        lease.authorised = True
        number.attempts.insert(0, PastAttempt(lease.id, now, lease.campaign, None))
        del number.attempts[24:]
        permit.confirm_committed()

    def _denial(
        self,
        lease: Lease,
        number: Number,
        request: DialRequest,
        now: datetime,
        ahead_s: float | None,
    ) -> tuple[str, datetime | None] | None:
        if self.campaigns[lease.campaign].facts.state != "running":
            return "campaign_not_running", now
        if self.stopped_at is not None:
            return "emergency_stop", now
        if ahead_s is None or abs(ahead_s) > MOST_AHEAD_S:
            return "clock_adrift", now + timedelta(minutes=5)
        for refusal in number.refusals:
            elsewhere = refusal.scope is RefusalScope.CAMPAIGN and refusal.campaign not in (
                "",
                lease.campaign,
            )
            if refusal.until > now and not elsewhere:
                return "number_on_refusal_list", None
        for at in (number.withdrawn_at, number.withdrawn_in.get(lease.campaign)):
            if at is not None and (request.withdrawn_at is None or at > request.withdrawn_at):
                return "withdrawn_consent", None
        today = now.astimezone(ZoneInfo(request.contact.timezone))
        midnight = today.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        times = [a.at for a in number.attempts]
        if any(at > now - HOUR for at in times):
            return "over_call_cap", max(times) + HOUR
        if sum(at >= midnight for at in times) >= 3 or sum(at > now - DAY for at in times) >= 3:
            return "over_call_cap", sorted(times)[-3] + DAY
        return None

    def refuse(self, claim: Claim, decision: Decision, now: datetime) -> None:
        """As ``store.refuse``: due again where time alone mends it, else not in this campaign."""
        lease = self._own(claim)
        if lease is None:
            raise LeaseLost("the lease is over")
        self._drop(lease)
        again = retry_at(decision, now)
        if again is not None:
            self.add_target(lease.campaign, lease.contact, again)

    def finish(self, claim: Claim, outcome: Outcome, again: datetime | None) -> None:
        """The call is over; ``again`` is when its campaign calls the contact once more."""
        lease = self._own(claim)
        number = self.numbers[claim.request.contact.number.e164]
        number.attempts = [
            a.evolve(outcome=outcome) if a.id == claim.lease_id else a for a in number.attempts
        ]
        if lease is None:
            return  # settled meanwhile: the journal's late word changes no target
        self._drop(lease)
        if again is not None:
            self.add_target(lease.campaign, lease.contact, again)

    def renew(self, claim: Claim, now: datetime) -> None:
        lease = self._own(claim)
        if lease is not None:
            lease.until = now + timedelta(seconds=60)
            heapq.heappush(self._ends, (lease.until, lease.number, lease.id))

    def settle_expired(self, now: datetime) -> int:
        """As ``store.settle_expired``: how many attempts nobody finished were closed."""
        settled = 0
        while self._ends and self._ends[0][0] <= now:
            until, key, lease_id = heapq.heappop(self._ends)
            lease = self._leases.get(key)
            if lease is None or lease.id != lease_id or lease.until != until:
                continue  # gone, or renewed
            self._drop(lease)
            if lease.authorised:
                settled += 1  # its attempt keeps no outcome, and counts
            else:
                self.add_target(lease.campaign, lease.contact, now)
        return settled

    def _own(self, claim: Claim) -> Lease | None:
        lease = self._leases.get(claim.request.contact.number.e164)
        return lease if lease is not None and lease.id == claim.lease_id else None

    def _drop(self, lease: Lease) -> None:
        del self._leases[lease.number]

    # ------------------------------------------------------------ what people say

    def record_refusal(self, e164: str, record: RefusalRecord) -> None:
        """As ``store.record_refusal``: listed, and the consent withdrawn as far as it reaches."""
        number = self.numbers[e164]
        number.refusals = (record, *number.refusals)
        if record.scope is RefusalScope.CAMPAIGN:
            number.withdrawn_in[record.campaign] = record.at
        else:
            self.withdraw(e164, record.at)

    def withdraw(self, e164: str, at: datetime) -> None:
        number = self.numbers[e164]
        if number.withdrawn_at is None or number.withdrawn_at < at:
            number.withdrawn_at = at
