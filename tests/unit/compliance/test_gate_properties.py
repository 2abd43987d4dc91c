# SPDX-License-Identifier: GPL-3.0-or-later
"""For any combination of facts: a restriction added never turns a refusal into a permit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.facts import (
    Contact,
    DialRequest,
    HomeKind,
    LineFacts,
    Number,
    PastAttempt,
    RefusalRecord,
    RefusalScope,
    SourceKind,
)
from compliance.gate import canonical, earliest, recheck, restore
from compliance.rulebook import Rulebook, parse
from tests.unit.compliance.builders import (
    NOW,
    allowed_request,
    calendar_data,
    consent,
    line,
    profile_data,
    shipped_rulebook,
)

# A fortnight that holds workdays, weekends, lunch and night.
times = st.datetimes(
    datetime(2026, 11, 16), datetime(2026, 11, 30), timezones=st.just(UTC)
) | st.sampled_from([NOW, NOW + timedelta(hours=1, minutes=29), NOW + timedelta(minutes=90)])
maybe_time = st.none() | times | st.just(NOW + timedelta(days=90))
zones = st.sampled_from(["Asia/Shanghai", "Asia/Urumqi", "Europe/Paris", "Nowhere/None", ""])
homes = st.sampled_from(list(HomeKind))
often = st.sampled_from([True, True, True, False])  # most facts are in order: permits do occur

consents = st.builds(
    consent,
    company=st.sampled_from(["星辰公司", "星辰公司", "别的公司", ""]),
    purpose=st.sampled_from(["member_service", "member_service", "survey"]),
    given_at=st.sampled_from([NOW - timedelta(days=40), NOW - timedelta(days=2), None]),
    explicit=often,
    preticked=often.map(lambda ok: not ok),
    names_ai_calling=often,
    expires_at=st.none() | times,
)
attempts = st.builds(
    PastAttempt, id=st.just("past"), at=times, campaign=st.just("campaign-2"), outcome=st.none()
)
refusals = st.builds(
    RefusalRecord,
    at=st.datetimes(datetime(2025, 1, 1), datetime(2026, 11, 24), timezones=st.just(UTC)),
    until=times,
    scope=st.sampled_from(list(RefusalScope)),
    how=st.just("key"),
    campaign=st.sampled_from(["campaign-1", "campaign-2", ""]),
)
lines = st.builds(
    line,
    id=st.sampled_from(["line-1", "line-2", "line-3"]),
    kind=st.sampled_from(["ai_line", "ai_line", "5g", "ordinary", "simulator", "lab"]),
    whitelisted_until=maybe_time,
    registered_until=maybe_time,
    filed_until=maybe_time,
    encrypted=often,
    simulator_proven=st.booleans(),
    enabled=often,
    address=st.sampled_from(["127.0.0.1:5060", "198.51.100.9:5060"]),
)


@st.composite
def requests(draw: st.DrawFn) -> DialRequest:
    approved = draw(often)
    return allowed_request(
        home=draw(st.just(HomeKind.PRODUCTION) | homes),
        contact__timezone=draw(st.just("Asia/Shanghai") | zones),
        contact__source=draw(st.sampled_from([SourceKind.OWN_CRM, SourceKind.WEB_FORM, None])),
        consents=tuple(draw(st.lists(consents, max_size=3))),
        attempts=tuple(draw(st.lists(attempts, max_size=4))),
        refusals=tuple(draw(st.lists(refusals, max_size=2))),
        withdrawn_at=draw(st.none() | st.just(NOW - timedelta(days=20))),
        script__approved_by="officer-1" if approved else "",
        lines=(*draw(st.lists(lines, max_size=3)), line(id="good")),
    )


def _each_line(**changes: Any) -> Callable[[DialRequest], DialRequest]:
    return lambda r: r.evolve(lines=tuple(one.evolve(**changes) for one in r.lines))


def _each_consent(**changes: Any) -> Callable[[DialRequest], DialRequest]:
    return lambda r: r.evolve(consents=tuple(c.evolve(**changes) for c in r.consents))


def _inside(part: str, **changes: Any) -> Callable[[DialRequest], DialRequest]:
    return lambda r: r.evolve(**{part: getattr(r, part).evolve(**changes)})


fixed_restrictions = st.sampled_from(
    [
        lambda r: r.evolve(consents=()),
        lambda r: r.evolve(consents=r.consents[1:]),
        lambda r: r.evolve(lines=r.lines[1:]),
        lambda r: r.evolve(lines=()),
        lambda r: r.evolve(withdrawn_at=NOW),
        lambda r: r.evolve(stopped_at=NOW),
        _each_consent(preticked=True),
        _each_consent(explicit=False),
        _each_consent(names_ai_calling=False),
        _each_consent(purpose="survey"),
        _each_consent(given_at=None),
        _each_consent(expires_at=NOW - timedelta(days=10)),
        _each_line(enabled=False),
        _each_line(whitelisted_until=None),
        _each_line(filed_until=None),
        _each_line(encrypted=False),
        _inside("script", approved_by=""),
        _inside("script", digest="00" * 32),
        _inside("script", disclosure_end_ms=3001.0),
        _inside("campaign", state="paused"),
        _inside("campaign", compliance_officer=""),
        _inside("contact", source=None),
        _inside("contact", timezone=""),
        _inside("contact", number=Number("+86110")),
    ]
)
restrictions = (
    fixed_restrictions
    | attempts.map(lambda a: lambda r: r.evolve(attempts=(a, *r.attempts)))
    | refusals.map(lambda x: lambda r: r.evolve(refusals=(*r.refusals, x)))
)
rulebooks = st.sampled_from([("cn_seed",), ("cn_seed", "fr"), ("demo",), ("lab",)]).map(
    lambda names: shipped_rulebook(*names)
)


@settings(max_examples=400)
@given(requests(), rulebooks, times, st.lists(restrictions, min_size=1, max_size=3))
def test_adding_restrictions_never_turns_a_refusal_into_a_permit(
    request: DialRequest,
    rulebook: Rulebook,
    at: datetime,
    added: list[Callable[[DialRequest], DialRequest]],
) -> None:
    before = recheck(request, rulebook, at)
    for restrict in added:
        request = restrict(request)
    after = recheck(request, rulebook, at)
    assert before.permitted or not after.permitted
    # A permit that survives names no line it did not name before.
    assert set(after.lines) <= set(before.lines)


@settings(max_examples=200)
@given(requests(), rulebooks, times, times)
def test_nothing_is_permitted_while_the_platform_is_stopped(
    request: DialRequest, rulebook: Rulebook, at: datetime, stopped: datetime
) -> None:
    request = request.evolve(stopped_at=stopped)
    assert not recheck(request, rulebook, at).permitted
    assert earliest(request, rulebook, at) is None  # time alone does not lift a stop


@settings(max_examples=300)
@given(requests(), times, st.permutations(["cn_seed", "fr", "uk", "us_fl", "demo", "lab"]))
def test_together_profiles_permit_nothing_one_of_them_refuses(
    request: DialRequest, at: datetime, names: list[str]
) -> None:
    for count in (2, 3):
        together = recheck(request, shipped_rulebook(*names[:count]), at)
        if together.permitted:
            for name in names[:count]:
                assert recheck(request, shipped_rulebook(name), at).permitted


_hours = st.lists(
    st.integers(0, 48), min_size=2, max_size=4, unique=True
).filter(lambda xs: len(xs) % 2 == 0).map(sorted).map(
    lambda xs: [[_half(a), _half(b)] for a, b in zip(xs[::2], xs[1::2], strict=True)]
)  # fmt: skip
_caps = st.lists(
    st.builds(
        lambda calls, per, window: {"calls": calls, "per": per, "window": window},
        st.integers(1, 3),
        st.sampled_from(["hour", "day", "week", "month"]),
        st.sampled_from(["rolling", "calendar"]),
    ),
    max_size=2,
)


def _half(halves: int) -> str:
    return f"{halves // 2:02}:{halves % 2 * 30:02}"


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    days = draw(st.sampled_from(["all", "weekdays", "workdays"]))
    windows = {"hours": draw(_hours), "days": days}
    if days == "workdays":
        windows["calendar"] = draw(st.sampled_from(["CN", "FR"]))
    return profile_data(
        windows=windows,
        caps=draw(_caps),
        refusal=draw(st.sampled_from([{"months": 6}, {"days": 60}, {"months": 24}])),
        disclosure={"within_ms": draw(st.integers(2000, 4000)), "order": ["disclosure"]},
        line_papers=draw(st.sampled_from([["whitelist"], ["whitelist", "filing"]])),
    )


@settings(max_examples=300)
@given(requests(), times, profiles(), profiles())
def test_of_two_profiles_the_strictest_wins(
    request: DialRequest, at: datetime, first: dict[str, Any], second: dict[str, Any]
) -> None:
    first, second = {**first, "id": "first"}, {**second, "id": "second"}
    both = recheck(request, parse([first, second], calendar_data_once), at)
    each = [recheck(request, parse([p], calendar_data_once), at) for p in (first, second)]
    # Exactly as strict as the stricter of the two: neither laxer nor harsher.
    assert both.permitted is all(decision.permitted for decision in each)
    assert set(both.lines) == (set(each[0].lines) & set(each[1].lines) if both.permitted else set())


calendar_data_once = calendar_data()


@settings(max_examples=200)
@given(requests(), rulebooks, times)
def test_a_decision_can_be_computed_again_from_what_was_stored(
    request: DialRequest, rulebook: Rulebook, at: datetime
) -> None:
    stored = canonical(request)
    again = restore(stored)
    assert canonical(again) == stored
    assert recheck(again, rulebook, at) == recheck(request, rulebook, at)


@settings(max_examples=200)
@given(requests(), rulebooks, times)
def test_the_earliest_time_named_is_permitted_and_none_is_earlier(
    request: DialRequest, rulebook: Rulebook, at: datetime
) -> None:
    when = earliest(request, rulebook, at)
    if when is None:
        assert not recheck(request, rulebook, at).permitted
        return
    assert when >= at
    assert recheck(request, rulebook, when).permitted
    if when > at:
        assert not recheck(request, rulebook, when - timedelta(microseconds=1)).permitted


def _as_json(value: Any) -> Any:
    """A value of a request as the standard library writes it; says again what
    ``compliance.canonical`` says, by other means."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Number):
        return value.e164
    if dataclasses.is_dataclass(value):
        names = [f.name for f in dataclasses.fields(value)]
        if isinstance(value, Contact):
            names.remove("name")
        return {name: _as_json(getattr(value, name)) for name in names}
    if isinstance(value, frozenset):
        return sorted(value)
    return [_as_json(v) for v in value] if isinstance(value, tuple) else value


odd_text = st.text(max_size=6)
odd_values = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | odd_text
)


@settings(max_examples=200)
@given(requests(), odd_values, odd_values, odd_text)
def test_canonical_bytes_are_those_of_the_standard_encoder(
    request: DialRequest, first: Any, second: Any, text: str
) -> None:
    for value in (first, second):  # 1, 1.0 and True are equal, and written otherwise
        odd = request.evolve(
            salt=text,
            script=request.script.evolve(id=text, disclosure_end_ms=value),
            campaign=request.campaign.evolve(max_line_concurrency=value),
            lines=tuple(one.evolve(enabled=value) for one in request.lines),
        )
        plain = json.dumps(
            _as_json(odd), ensure_ascii=False, sort_keys=True, separators=(",", ":")
        ).encode()
        for _ in range(3):  # and again, when parts of it are known already
            assert canonical(odd) == plain


def test_what_may_still_change_is_written_anew_each_time() -> None:
    names: Any = ["a"]
    request = allowed_request(script__id=names)
    for name in "bcd":
        before = canonical(request)
        names.append(name)
        assert canonical(request) != before


@settings(max_examples=200)
@given(st.lists(lines, max_size=4), times)
def test_a_permit_names_only_enabled_lines_with_papers_in_date(
    many: list[LineFacts], at: datetime
) -> None:
    decision = recheck(allowed_request(lines=tuple(many)), shipped_rulebook(), at)
    for name in decision.lines:
        [chosen] = [one for one in many if one.id == name]
        assert chosen.enabled
        for until in (chosen.whitelisted_until, chosen.registered_until, chosen.filed_until):
            assert until is not None
            assert until > at
        assert chosen.kind in {"ai_line", "5g"}
