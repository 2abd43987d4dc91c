# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: every call passes here, and only here can a permit come from.

``authorize`` runs every rule and keeps every finding. It fails closed: a rule that
raises, a request or rulebook that cannot be read, a clock without a zone all become
refusing findings. The decision names the rulebook and the request by hash, so that
``recheck`` can compute it again and must come to the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

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


def _run(rule: Rule, request: DialRequest, rulebook: Rulebook, now: datetime) -> Finding:
    try:
        finding = rule(request, rulebook, now)
    except Exception:
        return _failed(rule)
    return finding if isinstance(finding, Finding) else _failed(rule)


def _run_line(
    rule: LineRule, request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Finding:
    try:
        finding = rule(request, line, rulebook, now)
    except Exception:
        return _failed(rule, line.id)
    return finding if isinstance(finding, Finding) else _failed(rule, line.id)


def _lines(
    request: DialRequest, rulebook: Rulebook, now: datetime, rules: Sequence[LineRule]
) -> tuple[list[Finding], list[str]]:
    findings: list[Finding] = []
    usable: list[str] = []
    for line in request.lines:
        judged = [_run_line(rule, request, line, rulebook, now) for rule in rules]
        findings += judged
        if rules and all(f.passed is True for f in judged):
            usable.append(line.id)
    return findings, usable


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
    if not isinstance(request.lines, tuple) or not all(
        isinstance(line, LineFacts) for line in request.lines
    ):
        return _refuse(request, _unreadable("request"), rulebook, inputs, at)
    findings = [_run(rule, request, rulebook, at) for rule in rules]
    # An empty rule list would otherwise pass everything.
    permitted = bool(rules) and all(f.passed is True for f in findings)
    on_lines, usable = _lines(request, rulebook, at, line_rules)
    findings += on_lines
    if usable:
        findings.append(_LINE_OK)
    else:
        findings.append(
            _LINE_OK.evolve(
                passed=False,
                message="rule.no_usable_line.none",
                params=(("lines", str(len(request.lines))),),
            )
        )
    permitted = permitted and bool(usable)
    return Decision(
        attempt_id=request.attempt_id,
        permitted=permitted,
        findings=tuple(findings),
        rulebook=rulebook.digest,
        inputs=inputs,
        at=at,
        lines=tuple(usable) if permitted else (),
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
        times = [f.earliest for f in about_request if f.earliest is not None]
        if not about_request or len(times) != len(about_request) or max(times) <= at:
            return None
        at = max(times)
    return None


def _make_authorize(
    issue: Callable[[Decision, Number, float], Permit],
) -> Callable[[DialRequest, Rulebook, Clock], Permit | Refusal]:
    # The permit maker lives in this closure alone: no name in the module reaches it.
    def authorize(request: DialRequest, rulebook: Rulebook, clock: Clock) -> Permit | Refusal:
        """Decide on one call now: a single-use permit for five seconds, or a refusal.

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
        return issue(decision, request.contact.number, monotonic)

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
