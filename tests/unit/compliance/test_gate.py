# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate itself: fails closed, keeps everything, and is the only maker of permits."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from compliance import permits
from compliance.clock import VirtualClock
from compliance.errors import BadInput, PermitError
from compliance.facts import DialRequest, HomeKind, InternalLeg, Number
from compliance.gate import authorize, authorize_internal, canonical, earliest, recheck, restore
from compliance.permits import InternalPermit, Permit, Refusal
from compliance.rules import LINE_RULES, RULES, Breach
from compliance.rules.base import LineRule, Rule
from tests.unit.compliance.builders import (
    NOW,
    allowed_request,
    attempt,
    line,
    refusal,
    rulebook_with,
    shipped_rulebook,
)

CN = shipped_rulebook()


def permit(clock: VirtualClock | None = None, **changes: Any) -> Permit:
    given = authorize(allowed_request(**changes), CN, clock or VirtualClock(NOW))
    assert isinstance(given, Permit)
    return given


# ---------------------------------------------------------------- decisions


def test_every_finding_is_kept_not_the_first() -> None:
    request = allowed_request(
        consents=(), script__approved_by="", campaign__state="draft", line__enabled=False
    )
    refused = authorize(request, CN, VirtualClock(NOW))
    assert isinstance(refused, Refusal)
    assert {f.rule for f in refused.decision.refusing} == {
        "no_explicit_consent",
        "unsigned_script",
        "campaign_not_running",
        "disabled_line",
        "no_usable_line",
    }
    assert len(refused.decision.findings) == len(RULES) + len(LINE_RULES) + 1


def test_only_lines_that_pass_are_named_in_their_order() -> None:
    request = allowed_request(
        lines=(line(id="b"), line(id="bad", enabled=False), line(id="a", kind="5g"))
    )
    given = authorize(request, CN, VirtualClock(NOW))
    assert isinstance(given, Permit)
    assert given.decision.lines == ("b", "a")
    assert [f.line for f in given.decision.refusing] == ["bad"]


def test_no_line_at_all_refuses() -> None:
    decision = recheck(allowed_request(lines=()), CN, NOW)
    assert [f.rule for f in decision.refusing] == ["no_usable_line"]


def test_the_same_inputs_give_the_same_decision_again() -> None:
    given = permit()
    request = restore(canonical(allowed_request()))
    assert recheck(request, CN, given.decision.at) == given.decision


def test_the_decision_names_rulebook_and_inputs_and_holds_no_number() -> None:
    request = allowed_request()
    decision = recheck(request, CN, NOW)
    assert decision.rulebook == CN.digest
    assert decision.inputs == hashlib.sha256(canonical(request)).hexdigest()
    assert "13912345678" not in repr(decision)
    for changed in (
        allowed_request(contact__number=Number("+8613912345679")),
        allowed_request(attempts=(attempt(timedelta(days=9)),)),
        allowed_request(line__carrier="mobile"),
        allowed_request(script__disclosure_end_ms=2600.5),
    ):
        assert recheck(changed, CN, NOW).inputs != decision.inputs


def test_the_contacts_name_is_no_input() -> None:
    assert canonical(allowed_request(contact__name="")) == canonical(allowed_request())
    assert "王小明".encode() not in canonical(allowed_request())


def test_canonical_bytes_do_not_depend_on_how_a_time_is_written() -> None:
    shanghai = datetime.fromisoformat("2026-10-01T08:00:00+08:00")
    utc = datetime(2026, 10, 1, 0, 0, tzinfo=UTC)
    assert canonical(allowed_request(consent__given_at=shanghai)) == canonical(
        allowed_request(consent__given_at=utc)
    )


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d.pop("home"), "home"),
        (lambda d: d.update(home="office"), "home"),
        (lambda d: d["contact"].update(number=5), "contact.number"),
        (lambda d: d["contact"].update(nickname="x"), "contact.nickname"),
        (lambda d: d["consents"][0].update(explicit="yes"), "consents[0].explicit"),
        (lambda d: d["consents"][0].update(given_at="2026-01-01T00:00:00"), "consents[0].given_at"),
        (lambda d: d["consents"][0].update(given_at="soon"), "consents[0].given_at"),
        (lambda d: d.update(lines={}), "lines"),
        (lambda d: d.update(script=[]), "script"),
    ],
)
def test_a_described_request_with_a_fault_is_refused_by_name(
    spoil: Callable[[Any], Any], field: str
) -> None:
    described = json.loads(canonical(allowed_request()))
    spoil(described)
    with pytest.raises(BadInput) as caught:
        restore(json.dumps(described))
    assert caught.value.field.rstrip(".") == field


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(BadInput):
        restore(b"{")


# ---------------------------------------------------------------- fails closed


def broken(*_: object) -> Breach | None:
    raise RuntimeError("+8613912345678 in an exception's text")


def lenient(*_: object) -> Breach | None:
    return None


def test_a_rule_that_raises_refuses_by_its_name_and_quotes_nothing() -> None:
    rule = Rule("broken", "T2", "test", (), broken)
    decision = recheck(allowed_request(), CN, NOW, rules=(*RULES, rule))
    assert not decision.permitted
    [finding] = decision.refusing
    assert (finding.rule, finding.message) == ("broken", "rule.failed")
    assert "139" not in repr(decision)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_no_single_broken_rule_lets_a_call_through(rule: Rule) -> None:
    spoilt = tuple(
        Rule(r.name, r.requirement, r.source, r.why, broken) if r is rule else r for r in RULES
    )
    decision = recheck(allowed_request(), CN, NOW, rules=spoilt)
    assert [f.rule for f in decision.refusing] == [rule.name]
    assert not decision.permitted


@pytest.mark.parametrize("rule", LINE_RULES, ids=lambda r: r.name)
def test_no_single_broken_line_rule_lets_a_line_through(rule: LineRule) -> None:
    spoilt = tuple(
        LineRule(r.name, r.requirement, r.source, r.why, broken) if r is rule else r
        for r in LINE_RULES
    )
    decision = recheck(allowed_request(), CN, NOW, line_rules=spoilt)
    assert {f.rule for f in decision.refusing} == {rule.name, "no_usable_line"}


def _say(answer: Any, *_: object) -> Any:
    return answer


def test_a_rule_that_gives_an_undeclared_reason_or_no_breach_refuses() -> None:
    undeclared = Rule("undeclared", "T2", "test", ("a",), lambda *_: Breach("b"))
    assert not recheck(allowed_request(), CN, NOW, rules=(*RULES, undeclared)).permitted
    for answer in (True, False, 0, "passed"):
        said: Any = answer
        rule = Rule("vague", "T2", "test", (), functools.partial(_say, said))
        [finding] = recheck(allowed_request(), CN, NOW, rules=(*RULES, rule)).refusing
        assert finding.message == "rule.failed"


def test_no_rules_permit_nothing() -> None:
    assert not recheck(allowed_request(), CN, NOW, rules=()).permitted
    assert not recheck(allowed_request(), CN, NOW, line_rules=()).permitted


class BrokenClock:
    def wall(self) -> datetime:
        raise OSError("no clock")

    def monotonic(self) -> float:
        return 0.0


class NaiveClock(BrokenClock):
    def wall(self) -> datetime:
        return datetime(2026, 11, 24, 2, 0)


@pytest.mark.parametrize("clock", [BrokenClock(), NaiveClock(), None])
def test_a_clock_that_tells_no_time_refuses(clock: Any) -> None:
    refused = authorize(allowed_request(), CN, clock)
    assert isinstance(refused, Refusal)
    assert [f.rule for f in refused.decision.findings] == ["unreadable_clock"]


@pytest.mark.parametrize("rulebook", [None, "cn_seed", {}])
def test_without_a_rulebook_nothing_is_dialed(rulebook: Any) -> None:
    refused = authorize(allowed_request(), rulebook, VirtualClock(NOW))
    assert isinstance(refused, Refusal)
    assert [f.rule for f in refused.decision.findings] == ["unreadable_rulebook"]
    assert refused.decision.rulebook == ""


@pytest.mark.parametrize(
    "request_",
    [
        None,
        {"attempt_id": "x"},
        allowed_request(lines=None),
        allowed_request(lines=("line-1",)),
        allowed_request(script__disclosure_end_ms=float("nan")),
        allowed_request(consent__given_at=datetime(2026, 1, 1)),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(request_: Any) -> None:
    refused = authorize(request_, CN, VirtualClock(NOW))
    assert isinstance(refused, Refusal)
    assert [f.rule for f in refused.decision.findings] == ["unreadable_request"]


# An empty list of testers decides nothing, nor does a salt.
PARTS = [f for f in DialRequest.__dataclass_fields__ if f not in ("lab_allow", "salt")]


@pytest.mark.parametrize("field", PARTS)
def test_a_missing_part_of_the_request_refuses(field: str) -> None:
    if field in ("withdrawn_at", "stopped_at"):  # None is how "never" is said
        spoilt: Any = allowed_request(**{field: "never"})
    else:
        spoilt = allowed_request(**{field: None})
    assert isinstance(authorize(spoilt, CN, VirtualClock(NOW)), Refusal)


# ---------------------------------------------------------------- the permit


def test_a_permit_is_spent_once_on_a_line_it_names() -> None:
    given = permit()
    given.confirm_committed()
    assert given.redeem("line-1", 4.9) == Number("+8613912345678")
    with pytest.raises(PermitError, match="used"):
        given.redeem("line-1", 4.9)


def test_a_permit_needs_its_commit() -> None:
    with pytest.raises(PermitError, match="committed"):
        permit().redeem("line-1", 0.0)


def test_a_permit_expires_after_five_seconds_of_monotonic_time() -> None:
    clock = VirtualClock(NOW)
    given = permit(clock)
    given.confirm_committed()
    clock.jump_wall(3600)
    clock.advance(5.001)
    with pytest.raises(PermitError, match="expired"):
        given.redeem("line-1", clock.monotonic())


@pytest.mark.parametrize(
    ("second", "late", "in_time"),
    [(57, 2.999, True), (57, 3.0, False), (50, 4.999, True), (50, 5.0, False), (59, 1.0, False)],
)
def test_a_permit_ends_with_the_calling_hours(second: int, late: float, in_time: bool) -> None:
    clock = VirtualClock(datetime(2026, 11, 24, 3, 29, second, tzinfo=UTC))  # 11:29 in Shanghai
    given = permit(clock)
    given.confirm_committed()
    if in_time:
        given.redeem("line-1", late)
    else:
        with pytest.raises(PermitError, match="expired"):
            given.redeem("line-1", late)


def test_a_permit_of_another_minute_holds_its_five_seconds() -> None:
    given = permit(VirtualClock(NOW + timedelta(seconds=59)))
    given.confirm_committed()
    given.redeem("line-1", 4.9)


def test_a_permit_is_for_its_lines_only() -> None:
    given = permit(lines=(line(), line(id="line-2", enabled=False)))
    given.confirm_committed()
    with pytest.raises(PermitError, match="line"):
        given.redeem("line-2", 0.0)


def test_a_permit_cannot_be_forged_copied_or_sent() -> None:
    given = permit()
    with pytest.raises(PermitError):
        Permit(object(), given.decision, given.number, 0.0, 5.0)
    with pytest.raises(PermitError):
        pickle.dumps(given)
    with pytest.raises(PermitError):
        copy.copy(given)
    with pytest.raises(PermitError):
        permits.claim_issuer()


def test_a_recheck_makes_no_permit() -> None:
    assert not isinstance(recheck(allowed_request(), CN, NOW), Permit)


def test_no_name_of_the_gate_reaches_the_permit_maker() -> None:
    from compliance import gate

    named = [v for v in vars(gate).values() if callable(v)]
    assert not [v for v in vars(gate).values() if isinstance(v, permits.Issuer)]
    assert not [f for f in named if getattr(f, "__module__", "") == "compliance.permits"
                and getattr(f, "__name__", "") == "<lambda>"]  # fmt: skip


# ---------------------------------------------------------------- when it would be allowed


def test_earliest_walks_over_lunch_caps_and_the_weekend() -> None:
    friday = datetime(2026, 11, 27, 9, 20, tzinfo=UTC)  # 17:20 in Shanghai
    called = allowed_request(attempts=(attempt(timedelta(minutes=30), now=friday),))
    assert earliest(called, CN, friday) == datetime(2026, 11, 30, 1, 0, tzinfo=UTC)
    assert earliest(allowed_request(), CN, NOW) == NOW
    lunch = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
    assert earliest(allowed_request(), CN, lunch) == datetime(2026, 11, 24, 6, 30, tzinfo=UTC)


def test_earliest_is_none_where_time_does_not_help() -> None:
    assert earliest(allowed_request(consents=()), CN, NOW) is None
    assert earliest(allowed_request(line__enabled=False), CN, NOW) is None
    no_more = rulebook_with(refusal={"forever": True})
    assert earliest(allowed_request(refusals=(refusal(timedelta(days=60)),)), no_more, NOW) is None


def test_earliest_of_a_running_refusal_is_its_last_day_on_a_workday() -> None:
    request = allowed_request(
        refusals=(refusal(timedelta(days=5)),), consent__given_at=NOW - timedelta(days=1)
    )
    # 19 May 2027 has no calendar, so nobody can say.
    assert earliest(request, CN, NOW) is None


# ---------------------------------------------------------------- telephones of ours


def internal(**changes: Any) -> InternalLeg:
    leg = InternalLeg(HomeKind.PRODUCTION, "li", "sip:140@10.0.0.9:5060", True)
    return leg.evolve(**changes)


def test_an_internal_permit_is_spent_once_within_its_time() -> None:
    clock = VirtualClock(NOW)
    given = authorize_internal(internal(), clock)
    assert given.redeem(clock.monotonic()) == "sip:140@10.0.0.9:5060"
    with pytest.raises(PermitError):
        given.redeem(clock.monotonic())
    late = authorize_internal(internal(), clock)
    clock.advance(5.1)
    with pytest.raises(PermitError):
        late.redeem(clock.monotonic())


@pytest.mark.parametrize(
    "changes",
    [
        {"registered": False},
        {"uri": "+8613900000001"},
        {"uri": "sip:140@10.0.0.9:5060;maddr=10.0.0.1"},
        {"home": HomeKind.DEMO},
        {"home": HomeKind.DEMO, "proven": ("10.0.0.8:5060",)},
        {"home": HomeKind.LAB, "uri": "sip:140@8.8.8.8:5060"},
        {"home": HomeKind.LAB, "uri": "sip:140@carrier.example:5060"},
    ],
)
def test_no_internal_permit_reaches_anybody_else(changes: dict[str, Any]) -> None:
    with pytest.raises(PermitError):
        authorize_internal(internal(**changes), VirtualClock(NOW))


def test_a_demo_home_calls_agents_of_the_proven_simulator() -> None:
    leg = internal(home=HomeKind.DEMO, proven=("10.0.0.9:5060",))
    assert authorize_internal(leg, VirtualClock(NOW)).subject == "li"
    with pytest.raises(PermitError):
        InternalPermit(object(), leg, 0.0)
