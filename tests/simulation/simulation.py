# SPDX-License-Identifier: GPL-3.0-or-later
"""A quarter of calling in virtual time: several machines, one store, the real gate.

Every event happens at a true time; each machine sees it by its own clock. Between claim and
commit, and between commit and INVITE, time passes and other things happen. Nothing here
judges: what happened goes into the log (``tests.simulation.log``).
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from compliance.errors import AuthorisationDenied, LeaseLost, PermitError
from compliance.facts import (
    CampaignFacts,
    Claim,
    Contact,
    LineFacts,
    Number,
    Outcome,
    RefusalRecord,
    RefusalScope,
)
from compliance.gate import authorize
from compliance.permits import Permit, Refusal
from tests.simulation import log, world
from tests.simulation.memory_store import CampaignState, MemoryStore

SECOND = timedelta(seconds=1)
# Minutes until a campaign wants to try a contact again: a third of them too soon.
_AGAIN = (10, 59, 60, 61, 150, 720, 1440, 1440, 2880, 4320, 7200, 10080, 10080)
_BATCH = 5000  # events of the log handed on at once


@dataclass(slots=True)
class Node:
    """A machine and its clock, by which everything on it goes."""

    name: str
    since: list[datetime]
    ahead: list[float | None]
    now: datetime = world.START  # true time

    def error(self) -> float | None:
        return self.ahead[bisect_right(self.since, self.now) - 1]

    def wall(self) -> datetime:
        return self.now + timedelta(seconds=self.error() or 0.0)

    def monotonic(self) -> float:
        return (self.now - world.START).total_seconds()

    def ahead_of(self, other: Callable[[], datetime]) -> float:
        raise NotImplementedError("the store is told")


class Simulation:
    """``attempts`` is about how many INVITEs the quarter has; ``part`` draws other people.

    ``careful=False`` leaves out the store's second look; ``at_once`` lets no time pass between
    claim, commit and INVITE, so that the gate alone is enough.
    """

    def __init__(
        self,
        seed: int,
        attempts: int,
        *,
        part: int = 0,
        careful: bool = True,
        at_once: bool = False,
    ) -> None:
        self.rng = Random(f"{seed}/{part}")
        self.at_once = at_once
        self.now = world.START
        self.store = MemoryStore(world.blank(), careful=careful)
        self.log: list[log.Event] = []
        self.refused = self.denied = self.crashed = self.expired = self.settled = 0
        self._heap: list[tuple[datetime, int, Callable[..., None], tuple[object, ...]]] = []
        self._serial = 0
        self._lines = world.lines()
        self._laws = {plan.id: plan.places for plan in world.PLANS}
        self._nodes = [
            Node(name, [world.at(when) for when, _ in steps], [ahead for _, ahead in steps])
            for name, steps in world.CLOCKS.items()
        ]
        self._campaigns()
        self._timetable()
        self._people(max(60, attempts // 5))
        for worker in range(max(10, attempts // 400)):
            node = self._nodes[worker % len(self._nodes)]
            self._later(worker * SECOND, self._work, node, self.rng.choice(world.PLANS).id)
        for node in self._nodes:
            self._later(10 * SECOND, self._settle, node)

    def run(self) -> Iterator[list[log.Event]]:
        """The log, piece by piece."""
        while self._heap and self._heap[0][0] < world.END:
            self.now, _, act, told = heapq.heappop(self._heap)
            act(*told)
            if len(self.log) >= _BATCH:
                yield self.log
                self.log = []
        yield self.log

    # ------------------------------------------------------------ the beginning

    def _at(self, when: datetime, act: Callable[..., None], *told: object) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (when, self._serial, act, told))

    def _later(self, after: timedelta, act: Callable[..., None], *told: object) -> None:
        self._at(self.now + after, act, *told)

    def _campaigns(self) -> None:
        blank = world.blank()
        for name in self._lines:
            self._log_line(name)
        for plan in world.PLANS:
            facts = blank.campaign.evolve(
                id=plan.id, company=world.OURS, purpose=plan.purpose, state="running"
            )
            lines = tuple(self._lines[name] for name in plan.lines)
            self.store.campaigns[plan.id] = CampaignState(
                facts, blank.script, lines, blank.standing
            )
            self.log.append(log.Law(self.now, plan.id, plan.places))
            self._log_campaign(plan.id, "")

    def _timetable(self) -> None:
        for begin, end, part, fault, changes in world.FAULTS:
            self._at(world.at(begin), self._spoil, part, fault, changes)
            self._at(world.at(end), self._mend)
        for begin, end in world.STOPS:
            self._at(world.at(begin), self._stop, True)
            self._at(world.at(end), self._stop, False)
        for when, campaign, places in world.LAWS:
            self._at(world.at(when), self._change_law, campaign, places)
        for when, name, changes in world.PAPERS:
            self._at(world.at(when), self._change_line, name, changes)

    def _people(self, count: int) -> None:
        plans = [plan for plan in world.PLANS for _ in range(plan.share)]
        chosen = []
        for _ in range(count):
            one = self.rng.choice(plans)
            both = (one, self.rng.choice(plans)) if self.rng.random() < 0.3 else (one,)
            chosen.append(both if len({p.id for p in both}) == len(both) else both[:1])
        purposes = tuple(plan.purpose for plan in world.PLANS)
        for serial, (drawn, plans_) in enumerate(
            zip(world.people(self.rng, count, purposes), chosen, strict=True)
        ):
            self._at(drawn.joins, self._join, serial, drawn, plans_)

    def _join(self, serial: int, drawn: world.Drawn, plans: tuple[world.Plan, ...]) -> None:
        number = self.store.numbers[drawn.e164]
        number.consents += drawn.consents
        for c in drawn.consents:
            self._log_consent(drawn.e164, c)
        if drawn.refused is not None and not number.refusals:
            self._say_no(drawn.e164, drawn.refused[0], drawn.refused[1], "written")
        for plan, spelling in zip(plans, drawn.spellings, strict=False):
            contact = f"p{serial}-{plan.id}"
            self.store.contacts[contact] = Contact(
                contact, Number(drawn.e164), timezone=drawn.zone, source=drawn.source
            )
            self.log.append(
                log.Person(
                    self.now, contact, spelling, drawn.e164, drawn.zone, str(drawn.source or "")
                )
            )
            self.store.add_target(plan.id, contact, self.now + self.rng.random() * 3600 * SECOND)

    # ------------------------------------------------------------ what changes

    def _spoil(self, part: str, fault: str, changes: dict[str, object]) -> None:
        state = self.store.campaigns["c5"]
        if part == "script":
            state.script = state.script.evolve(**changes)
        elif part == "standing":
            state.standing = state.standing.evolve(**changes)
        elif part == "papers":
            state.facts = state.facts.evolve(papers=state.facts.papers.evolve(**changes))
        else:
            state.facts = state.facts.evolve(**changes)
        self._log_campaign("c5", fault)

    def _mend(self) -> None:
        state, blank = self.store.campaigns["c5"], world.blank()
        state.script, state.standing = blank.script, blank.standing
        state.facts = blank.campaign.evolve(id="c5", company=world.OURS, purpose=world.SALES)
        self._log_campaign("c5", "")

    def _stop(self, on: bool) -> None:
        self.store.stopped_at = self.now if on else None
        self.log.append(log.Stop(self.now, on))

    def _change_law(self, campaign: str, places: tuple[str, ...]) -> None:
        self._laws[campaign] = places
        self.log.append(log.Law(self.now, campaign, places))

    def _change_line(self, name: str, changes: dict[str, object]) -> None:
        self._lines[name] = self._lines[name].evolve(**changes)
        self._log_line(name)
        for state in self.store.campaigns.values():
            state.lines = tuple(self._lines[one.id] for one in state.lines)

    def _say_no(self, e164: str, at: datetime, campaign: str, how: str) -> None:
        laws = self._laws[campaign or "c0"]
        until = world.law(*laws).policy.refusal_until(at)
        scope = RefusalScope.CAMPAIGN if campaign else RefusalScope.COMPANY
        self.store.record_refusal(e164, RefusalRecord(at, until, scope, how, campaign))
        self.log.append(log.Refused(at, e164, campaign))

    # ------------------------------------------------------------ a worker

    def _work(self, node: Node, campaign: str) -> None:
        node.now = self.now
        rng = self.rng
        said, off = node.wall(), node.error()
        claim = self.store.claim(campaign, now=said, ahead_s=off)
        if claim is None:
            due = self.store.campaigns[campaign].due
            wait = max((due[0][0] - said).total_seconds(), 1.0) if due else 3600.0
            pause = min(wait, 3600.0) + rng.random() * 30
            self._later(pause * SECOND, self._work, node, rng.choice(world.PLANS).id)
            return
        verdict = authorize(claim.request, world.law(*self._laws[campaign]), node)
        if isinstance(verdict, Refusal):
            self.refused += 1
            rules = tuple(sorted({f.rule for f in verdict.decision.refusing}))
            self._log_no_call(claim, said, off, rules)
            self.store.refuse(claim, verdict.decision, said)
            # Whoever's clock is off may as well wait until somebody set it.
            wait = 300.0 if "clock_adrift" in rules else rng.random() * 2
            self._later(wait * SECOND, self._work, node, campaign)
            return
        if self.at_once:
            self._commit(node, claim, verdict)
            return
        wait = rng.expovariate(8) if rng.random() < 0.97 else rng.random() * 6
        if rng.random() < 0.004:  # the letter comes in while the call is prepared
            self._later(SECOND, self._refuse_in_call, claim.request.contact.number.e164, "")
            wait = 2.0
        self._later(wait * SECOND, self._commit, node, claim, verdict)

    def _commit(self, node: Node, claim: Claim, permit: Permit) -> None:
        node.now = self.now
        rng, campaign = self.rng, claim.request.campaign.id
        said, off = node.wall(), node.error()
        try:
            self.store.authorise(permit, claim, said, off)
        except AuthorisationDenied as denied:
            self.denied += 1
            self._log_no_call(claim, said, off, (str(denied),))
            self._later(SECOND, self._work, node, campaign)
            return
        except LeaseLost:
            self._later(SECOND, self._work, node, campaign)
            return
        contact = claim.request.contact.id
        self.log.append(log.Attempt(self.now, said, claim.lease_id, contact, campaign, off))
        if rng.random() < 0.002:  # killed before it could dial
            self._crash(node, campaign)
            return
        wait = rng.expovariate(20) if rng.random() < 0.97 else rng.random() * 6
        if said.second >= 55 and not self.at_once:  # the hour ends while the line is taken
            wait = rng.random() * 6
        self._later((0.0 if self.at_once else wait) * SECOND, self._invite, node, claim, permit)

    def _invite(self, node: Node, claim: Claim, permit: Permit) -> None:
        node.now = self.now
        rng, campaign = self.rng, claim.request.campaign.id
        name = rng.choice(permit.decision.lines)
        try:
            number = permit.redeem(name, node.monotonic())
        except PermitError:
            self.expired += 1
            self._end(node, claim, Outcome.LINE_FAILED)
            return
        self.log.append(log.Invite(self.now, node.wall(), claim.lease_id, number.e164, name))
        draw = rng.random()
        if draw < 0.003:  # killed in mid-call
            self._crash(node, campaign)
            return
        outcome = Outcome.NO_ANSWER
        if draw < 0.018:
            outcome = Outcome.REFUSED
            only = rng.random() < 0.25
            self._later(
                rng.random() * 30 * SECOND,
                self._refuse_in_call,
                number.e164,
                campaign if only else "",
            )
        elif draw < 0.022:
            self._later(rng.random() * 86400 * SECOND, self._withdraw, number.e164)
        elif draw < 0.026:
            self._later(rng.random() * 864000 * SECOND, self._refuse_in_call, number.e164, "")
        elif draw < 0.03:
            self._later(rng.random() * 864000 * SECOND, self._consent_anew, claim.request)
        self._later((5 + rng.random() * 40) * SECOND, self._end, node, claim, outcome)

    def _end(self, node: Node, claim: Claim, outcome: Outcome) -> None:
        node.now = self.now
        again = None
        if self.rng.random() < 0.9:
            minutes = self.rng.choice(_AGAIN) + self.rng.random() - 0.5
            again = node.wall() + timedelta(minutes=minutes)
            if self.rng.random() < 0.06:  # just before the hours end in Shanghai
                again = again.replace(hour=3, minute=29, second=40, microsecond=0)
                again += timedelta(days=1)
        self.store.finish(claim, outcome, again)
        self._later(SECOND, self._work, node, self.rng.choice(world.PLANS).id)

    def _crash(self, node: Node, campaign: str) -> None:
        """The process is gone, its lease and attempt stay as they are."""
        self.crashed += 1
        self._later(20 * SECOND, self._work, node, campaign)

    def _settle(self, node: Node) -> None:
        node.now = self.now
        self.settled += self.store.settle_expired(node.wall())
        self._later(300 * SECOND, self._settle, node)

    # ------------------------------------------------------------ what people do

    def _refuse_in_call(self, e164: str, campaign: str) -> None:
        self._say_no(e164, self.now, campaign, "voice" if campaign else "key")

    def _withdraw(self, e164: str) -> None:
        self.store.withdraw(e164, self.now)
        self.log.append(log.Withdrawn(self.now, e164))

    def _consent_anew(self, request: object) -> None:
        number = self.store.numbers[request.contact.number.e164]  # type: ignore[attr-defined]
        for old in number.consents[:1]:
            fresh = old.evolve(id=f"{old.id}+", given_at=self.now, expires_at=None)
            number.consents = (fresh, *number.consents)
            self._log_consent(request.contact.number.e164, fresh)  # type: ignore[attr-defined]

    # ------------------------------------------------------------ into the log

    def _log_no_call(
        self, claim: Claim, said: datetime, off: float | None, rules: tuple[str, ...]
    ) -> None:
        request = claim.request
        self.log.append(
            log.NoCall(self.now, said, request.contact.id, request.campaign.id, off, rules)
        )

    def _log_consent(self, e164: str, c: object) -> None:
        self.log.append(
            log.Consent(
                self.now, e164, c.company, c.purpose, c.given_at, c.expires_at,  # type: ignore[attr-defined]
                c.explicit, c.preticked, c.names_ai_calling,  # type: ignore[attr-defined]
            )
        )  # fmt: skip

    def _log_campaign(self, name: str, fault: str) -> None:
        state = self.store.campaigns[name]
        facts: CampaignFacts = state.facts
        self.log.append(
            log.Campaign(
                self.now,
                name,
                facts.company,
                facts.purpose,
                fault,
                tuple(one.id for one in state.lines),
            )
        )

    def _log_line(self, name: str) -> None:
        one: LineFacts = self._lines[name]
        self.log.append(
            log.Line(
                self.now,
                name,
                one.kind,
                one.enabled,
                one.encrypted,
                one.whitelisted_until,
                one.registered_until,
                one.filed_until,
                one.plaintext_exception_until,
                min(filter(None, (one.supplier.licence_until, one.supplier.certificate_until))),
                one.supplier.checklist_until or world.END,
                one.supplier.contract_until,
            )
        )
