# SPDX-License-Identifier: GPL-3.0-or-later
"""The committed attempt: caps and refusals once more, then one transaction before the INVITE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from compliance.canonical import canonical, digest
from compliance.clock import MOST_AHEAD_S, RINGS_WITHIN_S
from compliance.errors import AuthorisationDenied, BadInput, LeaseLost, PermitError
from compliance.facts import (
    Attempt,
    Blame,
    Claim,
    Decision,
    DialRequest,
    Evolve,
    HomeKind,
    LineFacts,
    Outcome,
    RefusalScope,
)
from compliance.permits import Permit
from storage import call_keys, decisions, ledger, own_numbers
from storage.arms import arm_of, arms_of
from storage.campaigns import CampaignState, TargetState, finish_if_exhausted
from storage.context import SYSTEM, Context
from storage.corrections import correct
from storage.dialects import Guarded, lock, lock_shared
from storage.law import adopted_digest
from storage.leases import drop_lease, own_lease, set_target
from storage.models import AttemptRow, CampaignRow, GateRefusal, Lease
from storage.refusals import refusals_of, withdrawn_at
from storage.registries import look_up
from storage.requests import changed_papers, past_attempts
from storage.stops import stopped_at

_RINGS_WITHIN = timedelta(seconds=RINGS_WITHIN_S)
_HOUR, _DAY = timedelta(hours=1) + _RINGS_WITHIN, timedelta(days=1) + _RINGS_WITHIN


@dataclass(frozen=True, slots=True)
class Caps(Evolve):
    """Calls to one number over all campaigns: in a rolling hour, and in a local day both
    by the calendar and rolling (C4)."""

    per_hour: int = 1
    per_day: int = 3
    own_per_day: int | None = 200  # from one of our own numbers in 24 hours (C4b); None: any


_LAB_CAPS = Caps(60, 24 * 60, None)  # a tester's own telephone: bounds a runaway test


def default_caps(home: HomeKind) -> Caps:
    """One an hour and three a day; in a lab home 60 an hour."""
    return _LAB_CAPS if home is HomeKind.LAB else Caps()


@dataclass(frozen=True, slots=True)
class _Denial:
    rule: str
    retry_at: datetime | None = None  # None: not again in this campaign


class Attempts:
    """From the gate's verdict to a durable attempt, or a durable refusal."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def authorise(
        self, permit: Permit, claim: Claim, now: datetime, caps: Caps | None = None
    ) -> Attempt:
        """Make the attempt durable, then confirm the permit; it counts from here (C4).

        ``caps`` default to :func:`default_caps`. The attempt's line is the first permitted one
        whose own number has room (C4b); no other may carry the call.

        In one transaction: the lease and its fencing token are still ours, the campaign
        still runs, the platform is not stopped, caps, refusal list and registries still allow
        it, attempt row and ledger entry. What could change one of these meanwhile waits for
        this transaction, or this one for it: a refusal, a pause or a stop that was
        committed is seen here, one that was not comes after the attempt.

        Raises:
            LeaseLost: expired, settled, or authorised before; nothing was written.
            AuthorisationDenied: something changed since the gate; names the rule. The
                lease is given up and the denial is in the ledger.
            PermitError: the permit was made for another claim, or for other facts.
        """
        context = self._context
        if caps is None:
            caps = default_caps(context.home)
        request = claim.request
        decision = permit.decision
        if (
            not decision.permitted
            or permit.attempt_id != request.attempt_id
            or permit.number != request.contact.number
        ):
            raise PermitError("the permit was made for another claim")
        decided_on = canonical(request)
        if digest(decided_on) != decision.inputs:
            raise PermitError("the permit was made for other facts than the claim holds")
        denial: _Denial | None = None
        leaf, line = "", ""
        with context.write() as session:
            lease = own_lease(session, claim)
            if lease is None or lease.leased_until <= now or lease.authorised:
                raise LeaseLost("the lease is over", lease=claim.lease_id)
            denial = self._denial(session, lease, request, now, caps)
            shown: LineFacts | None = None
            if denial is None:
                facts = {facts.id: facts for facts in request.lines}
                permitted = [facts[name] for name in decision.lines]
                taken = own_numbers.take(session, permitted, caps.own_per_day, now)
                if isinstance(taken, datetime):
                    denial = _Denial("own_number_over_cap", taken)
                else:
                    shown = taken
            if shown is not None:
                line = shown.id
                leaf = self._commit_attempt(
                    session, lease, decision, request, decided_on, shown, now
                )
            elif denial is not None:
                self._give_up(session, lease, denial, now)
        if denial is not None:
            raise AuthorisationDenied(denial.rule)
        permit.confirm_committed()
        return Attempt(
            id=request.attempt_id,
            campaign=request.campaign.id,
            contact=request.contact.id,
            line=line,
            at=now,
            ledger_leaf=leaf,
        )

    def _denial(
        self, session: Session, lease: Lease, request: DialRequest, now: datetime, caps: Caps
    ) -> _Denial | None:
        state = session.scalar(
            select(CampaignRow.state)
            .where(CampaignRow.id == lease.campaign)
            .with_for_update(read=True)  # who steers the campaign waits
        )
        if state != CampaignState.RUNNING:
            return _Denial("campaign_not_running", now)
        lock_shared(session, Guarded.DIALING)
        if stopped_at(session) is not None:
            return _Denial("emergency_stop", now)  # due again: claims wait until it is lifted
        if abs(self._context.clock_ahead_s(session)) > MOST_AHEAD_S:
            return _Denial("clock_adrift", now)  # it was set while the call was prepared
        if adopted_digest(session) != request.standing.adopted_law:
            return _Denial("rulebook_not_adopted", now)  # another was adopted since the claim
        if changed := changed_papers(session, request, now):
            return _Denial(changed, now)  # due again: the gate looks at them as they are now
        index = self._context.refusal_index(request.contact.number)
        lock(session, Guarded.REFUSAL, index)
        for refusal in refusals_of(session, index):
            elsewhere = refusal.scope is RefusalScope.CAMPAIGN and refusal.campaign not in (
                "",
                lease.campaign,
            )
            if refusal.until > now and not elsewhere:
                return _Denial("number_on_refusal_list")
        withdrawn = withdrawn_at(
            session, index, self._context.campaign_refusal_index(index, lease.campaign)
        )
        if withdrawn is not None and (
            request.withdrawn_at is None or withdrawn > request.withdrawn_at
        ):
            return _Denial("withdrawn_consent")
        if any(found.listed for found in look_up(session, (index,))[index]):
            return _Denial("on_registry")
        return _over_cap(session, lease, request.contact.timezone, now, caps)

    def _commit_attempt(
        self,
        session: Session,
        lease: Lease,
        decision: Decision,
        request: DialRequest,
        decided_on: bytes,
        line: LineFacts,
        now: datetime,
    ) -> str:
        context = self._context
        arms = arms_of(session, lease.campaign)
        arm = arm_of(context, lease.campaign, lease.number_index, arms) if arms else None
        if arm is not None and arm.script != request.script.id:
            raise PermitError("the permit was made for another arm's script")
        commitment, key = ledger.commit_to(request.contact.number.e164.encode())
        leaf = context.log(
            session,
            "attempt.authorise",
            SYSTEM,
            now,
            attempt=lease.id,
            campaign=lease.campaign,
            contact=lease.contact,
            number=commitment,
            script=request.script.digest,
            rulebook=decision.rulebook,
            inputs=decision.inputs,
            decision=digest(decisions.to_bytes(decision)),
            lines=list(decision.lines),
            line=line.id,
            worker=lease.worker,
            fencing=lease.fencing,
            **({"arm": arm.arm} if arm is not None else {}),
        )
        session.execute(
            insert(AttemptRow).values(
                id=lease.id,
                campaign=lease.campaign,
                contact=lease.contact,
                number_index=lease.number_index,
                number_key=context.hide(key, "attempts", "number_key", lease.id),
                at=now,
                worker=lease.worker,
                line=line.id,
                own_number=own_numbers.shown_by(line),
                arm=arm.arm if arm is not None else "",
                script=request.script.id,
                decision=decisions.to_json(decision),
                request_sealed=call_keys.seal(
                    context, session, lease.id, "request", decided_on.decode()
                ),
                leaf=bytes.fromhex(leaf),
            )
        )
        lease.authorised = True
        return leaf

    def _give_up(self, session: Session, lease: Lease, denial: _Denial, now: datetime) -> None:
        context = self._context
        if denial.retry_at is None:
            set_target(session, lease, TargetState.REFUSED)
        else:
            set_target(session, lease, TargetState.DUE, denial.retry_at)
        drop_lease(session, lease)
        context.log(
            session,
            "attempt.deny",
            SYSTEM,
            now,
            attempt=lease.id,
            campaign=lease.campaign,
            rule=denial.rule,
        )
        finish_if_exhausted(context, session, lease.campaign, now)

    # ------------------------------------------------------------ refused by the gate

    def refuse(self, claim: Claim, decision: Decision, now: datetime) -> str:
        """Record the gate's refusal with all its findings; returns the ledger leaf.

        Where time alone mends it the contact is due again then, else it is refused
        for this campaign.

        Raises:
            LeaseLost: somebody else has the contact now.
            BadInput: the decision is about another claim, or permits.
        """
        context = self._context
        if decision.permitted or decision.attempt_id != claim.request.attempt_id:
            raise BadInput("this decision refuses nothing here", field="decision")
        with context.write() as session:
            lease = own_lease(session, claim)
            if lease is None or lease.authorised:
                raise LeaseLost("the lease is over", lease=claim.lease_id)
            leaf = context.log(
                session,
                "gate.refuse",
                SYSTEM,
                now,
                attempt=lease.id,
                campaign=lease.campaign,
                contact=lease.contact,
                rules=sorted({f.rule for f in decision.refusing}),
                rulebook=decision.rulebook,
                inputs=decision.inputs,
            )
            session.execute(
                insert(GateRefusal).values(
                    id=lease.id,
                    campaign=lease.campaign,
                    contact=lease.contact,
                    at=now,
                    decision=decisions.to_json(decision),
                    leaf=bytes.fromhex(leaf),
                )
            )
            again = decisions.retry_at(decision, now)
            if again is None:
                set_target(session, lease, TargetState.REFUSED)
            else:
                set_target(session, lease, TargetState.DUE, again)
            drop_lease(session, lease)
            finish_if_exhausted(context, session, lease.campaign, now)
        return leaf

    def mark_answered(self, attempt_id: str, at: datetime, *, sip_call_id: str = "") -> None:
        """The callee picked up; durable, so that a crash knows it. Repeating changes nothing.

        With ``sip_call_id`` even a call whose process dies can be found in the carrier's records.

        Raises:
            BadInput: no such attempt.
        """
        context = self._context
        with context.write() as session:
            attempt = session.get(AttemptRow, attempt_id, with_for_update=True)
            if attempt is None:
                raise BadInput("there is no such attempt", field="attempt")
            if attempt.answered_at is None:
                attempt.answered_at = at
                attempt.sip_call_id = sip_call_id or attempt.sip_call_id
                context.log(session, "attempt.answer", SYSTEM, at, attempt=attempt_id)
                if attempt.outcome == Outcome.UNKNOWN:
                    now = context.clock.wall()
                    correct(context, session, attempt, Outcome.ABORTED, Blame.US, now)


def _over_cap(
    session: Session, lease: Lease, timezone: str, now: datetime, caps: Caps
) -> _Denial | None:
    """Counts as the gate does: an attempt that rang exactly one period ago is outside."""
    try:
        place = ZoneInfo(timezone) if timezone else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        place = UTC  # the gate let no such contact through; the rolling caps hold anyway
    today = now.astimezone(place).date()
    midnight = datetime.combine(today, time(), place).astimezone(UTC)
    hour_ago, day_ago = now - _HOUR, now - _DAY
    # Inclusive of midnight itself; later than `now` counts too: a clock was wrong.
    recent = past_attempts(
        session, lease.number_index, min(midnight, day_ago) - timedelta(microseconds=1)
    )
    in_hour = [a.at for a in recent if a.at > hour_ago]
    if len(in_hour) >= caps.per_hour:
        return _Denial("over_call_cap", sorted(in_hour, reverse=True)[caps.per_hour - 1] + _HOUR)
    in_day = [a.at for a in recent if a.at >= midnight]
    if len(in_day) >= caps.per_day:
        tomorrow = datetime.combine(today + timedelta(days=1), time(), place)
        return _Denial("over_call_cap", tomorrow.astimezone(UTC))
    rolling = [a.at for a in recent if a.at > day_ago]
    if len(rolling) >= caps.per_day:
        filling = sorted(rolling, reverse=True)[caps.per_day - 1]
        return _Denial("over_call_cap", filling + _DAY)
    return None
