# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: every call passes here, and only here can a permit come from.

``authorize`` runs every rule and keeps every finding. It fails closed: a rule that
raises, a request or rulebook that cannot be read, a clock without a zone all become
refusing findings. The decision names the rulebook and the request by hash, so that
``recheck`` can compute it again and must come to the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from compliance.canonical import canonical, digest, restore
from compliance.clock import Clock
from compliance.errors import PermitError
from compliance.facts import (
    Decision,
    DialRequest,
    Finding,
    HomeKind,
    InternalLeg,
    LineFacts,
    Number,
)
from compliance.permits import InternalPermit, Permit, Refusal, claim_issuer
from compliance.rulebook import Rulebook
from compliance.rules import LINE_RULES, RULES, LineRule, Rule
from compliance.rules.base import all_passed, all_passed_on
from compliance.rules.number import SIP_URI, is_local_uri

__all__ = [
    "MESSAGE_IDS",
    "authorize",
    "authorize_internal",
    "canonical",
    "earliest",
    "recheck",
    "restore",
]

NO_TIME = datetime.fromtimestamp(0, UTC)  # stands in where the clock cannot be read
MESSAGE_IDS = (
    "rule.unreadable_request",
    "rule.unreadable_request.failed",
    "rule.unreadable_rulebook",
    "rule.unreadable_rulebook.failed",
    "rule.unreadable_clock",
    "rule.unreadable_clock.failed",
    "rule.no_usable_line",
    "rule.no_usable_line.none",
    "rule.failed",
)
_LINE_OK = Finding("no_usable_line", "C5", True, "rule.no_usable_line", source="seed C5")


def _no_line(lines: int) -> Finding:
    params = (("lines", str(lines)),)
    return _LINE_OK.evolve(passed=False, message="rule.no_usable_line.none", params=params)


def _unreadable(what: str) -> Finding:
    return Finding(
        f"unreadable_{what}", "T2", False, f"rule.unreadable_{what}.failed", source="fail closed"
    )


def _failed(rule: Rule | LineRule, line: str = "") -> Finding:
    # The exception's text may quote the request, so it does not enter the finding.
    return Finding(
        rule.name,
        rule.requirement,
        False,
        "rule.failed",
        (("rule", rule.name),),
        rule.source,
        line=line,
    )


def _about_request(
    request: DialRequest, rulebook: Rulebook, now: datetime, rules: tuple[Rule, ...]
) -> tuple[tuple[Finding, ...], bool]:
    """Every rule's finding, and whether all passed."""
    passed = all_passed(rules)
    findings: list[Finding] | None = None
    for place, rule in enumerate(rules):
        try:
            breach = rule.judge(request, rulebook, now)
            if breach is None:
                continue
            finding = rule.finding(breach)
        except Exception:
            finding = _failed(rule)
        if findings is None:
            findings = list(passed)
        findings[place] = finding
    return (passed, True) if findings is None else (tuple(findings), False)


def _about_line(
    request: DialRequest,
    line: LineFacts,
    rulebook: Rulebook,
    now: datetime,
    rules: tuple[LineRule, ...],
) -> tuple[tuple[Finding, ...], bool]:
    """The same of one line."""
    passed = all_passed_on(rules, line.id)
    findings: list[Finding] | None = None
    for place, rule in enumerate(rules):
        try:
            breach = rule.judge(request, line, rulebook, now)
            if breach is None:
                continue
            finding = rule.finding(breach, line.id)
        except Exception:
            finding = _failed(rule, line.id)
        if findings is None:
            findings = list(passed)
        findings[place] = finding
    return (passed, True) if findings is None else (tuple(findings), False)


def _judge(
    request: DialRequest,
    rulebook: Rulebook,
    now: datetime,
    rules: tuple[Rule, ...],
    line_rules: tuple[LineRule, ...],
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Every finding, and the lines a permit may name: none where it is refused."""
    findings, passed = _about_request(request, rulebook, now, rules)
    usable: list[str] = []
    for line in request.lines:
        on_line, line_passed = _about_line(request, line, rulebook, now, line_rules)
        findings += on_line
        if line_passed:
            usable.append(line.id)
    # Empty lists of rules would otherwise pass everything.
    if not usable or not line_rules:
        return (*findings, _no_line(len(request.lines))), ()
    return (*findings, _LINE_OK), tuple(usable) if passed and rules else ()


def _refuse(
    request: object, finding: Finding, rulebook: object, inputs: str, at: datetime
) -> Decision:
    return Decision(
        attempt_id=getattr(request, "attempt_id", "") or "",
        permitted=False,
        findings=(finding,),
        rulebook=rulebook.digest if isinstance(rulebook, Rulebook) else "",
        inputs=inputs,
        at=at,
    )


def recheck(
    request: DialRequest,
    rulebook: Rulebook,
    at: datetime,
    *,
    rules: Sequence[Rule] = RULES,
    line_rules: Sequence[LineRule] = LINE_RULES,
) -> Decision:
    """What the gate says of ``request`` at ``at``; pure, and makes no permit.

    Findings come in the order of the rules, those about the request first, then those
    about each line, then ``no_usable_line``. A permit needs every finding about the
    request and every finding about at least one line to pass. Never raises for what
    it is given: what cannot be read is refused.
    """
    if not isinstance(at, datetime) or at.tzinfo is None:
        return _refuse(request, _unreadable("clock"), rulebook, "", NO_TIME)
    at = at.astimezone(UTC)
    if not isinstance(request, DialRequest):
        return _refuse(request, _unreadable("request"), rulebook, "", at)
    try:
        inputs = digest(canonical(request))
    except Exception:
        return _refuse(request, _unreadable("request"), rulebook, "", at)
    if not isinstance(rulebook, Rulebook):
        return _refuse(request, _unreadable("rulebook"), rulebook, inputs, at)
    if type(request.lines) is not tuple or not all(
        isinstance(line, LineFacts) and isinstance(line.id, str) for line in request.lines
    ):
        return _refuse(request, _unreadable("request"), rulebook, "", at)
    findings, lines = _judge(request, rulebook, at, tuple(rules), tuple(line_rules))
    return Decision(
        attempt_id=request.attempt_id,
        permitted=bool(lines),
        findings=findings,
        rulebook=rulebook.digest,
        inputs=inputs,
        at=at,
        lines=lines,
    )


def earliest(request: DialRequest, rulebook: Rulebook, at: datetime) -> datetime | None:
    """The first time from ``at`` on at which the same request would be permitted.

    None where time alone does not mend it, or not within some twenty changes of state.
    """
    for _ in range(20):
        decision = recheck(request, rulebook, at)
        if decision.permitted:
            return at
        about_request = [f for f in decision.refusing if not f.line and f.rule != "no_usable_line"]
        times = [f.earliest for f in about_request]
        if any(f.rule == "no_usable_line" for f in decision.refusing):
            times.append(decision.line_at)
        known = [time for time in times if time is not None]
        if not times or len(known) != len(times) or max(known) <= at:
            return None
        at = max(known)
    return None


def _holds_s(request: DialRequest, rulebook: Rulebook, decision: Decision) -> float:
    """How long the permit may be used: until the next minute begins, if the rules refuse then.

    An INVITE goes out up to five seconds after the decision. Calling hours and days end with
    a minute, and so do papers and consents as a rule.
    """
    at = decision.at
    left = 60 - at.second - at.microsecond / 1e6
    if left > Permit.LIFETIME_S:
        return Permit.LIFETIME_S
    then = at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    _, lines = _judge(request, rulebook, then, RULES, LINE_RULES)
    return Permit.LIFETIME_S if set(decision.lines) <= set(lines) else left


def _make_authorize(
    issue: Callable[[Decision, Number, float, float], Permit],
) -> Callable[[DialRequest, Rulebook, Clock], Permit | Refusal]:
    # The permit maker lives in this closure alone: no name in the module reaches it.
    def authorize(request: DialRequest, rulebook: Rulebook, clock: Clock) -> Permit | Refusal:
        """Decide on one call now: a single-use permit for five seconds at most, or a refusal.

        Both carry the :class:`~compliance.facts.Decision` with every finding. The permit
        is issued uncommitted: ``store.authorise`` confirms it (C4). Never raises for
        what it is given; a clock that fails is a refusal too.
        """
        try:
            at, monotonic = clock.wall(), clock.monotonic()
            if not isinstance(monotonic, float | int):
                raise TypeError("monotonic time must be a number")
        except Exception:
            return Refusal(_refuse(request, _unreadable("clock"), rulebook, "", NO_TIME))
        decision = recheck(request, rulebook, at)
        if not decision.permitted:
            return Refusal(decision)
        holds = _holds_s(request, rulebook, decision)
        return issue(decision, request.contact.number, monotonic, holds)

    return authorize


def _make_authorize_internal(
    issue: Callable[[InternalLeg, float], InternalPermit],
) -> Callable[[InternalLeg, Clock], InternalPermit]:
    def authorize_internal(leg: InternalLeg, clock: Clock) -> InternalPermit:
        """Leave to call a registered telephone of ours: an agent's, never a customer's.

        A demo home reaches only addresses that proved the simulator's key a moment ago, a
        lab home only addresses on this machine or network.

        Raises:
            PermitError: says why not.
        """
        match = SIP_URI.fullmatch(leg.uri)
        if not leg.registered:
            raise PermitError("this telephone is not registered, or switched off")
        if match is None:
            raise PermitError("a telephone of ours is named by a plain SIP URI")
        if leg.home is HomeKind.DEMO and leg.uri.rpartition("@")[2] not in leg.proven:
            raise PermitError("a demo home calls telephones of the proven simulator only")
        if leg.home is HomeKind.LAB and not is_local_uri(leg.uri):
            raise PermitError("a lab home calls this machine or network only")
        return issue(leg, clock.monotonic())

    return authorize_internal


_issuer = claim_issuer()
authorize = _make_authorize(_issuer.permit)
authorize_internal = _make_authorize_internal(_issuer.internal)
del _issuer
