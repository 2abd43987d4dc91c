# SPDX-License-Identifier: GPL-3.0-or-later
"""Arms of a campaign: assignment by hash, intervals against published values, verdicts."""

from __future__ import annotations

import hashlib
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.arms import ArmCounts, Rate, Verdict, assigned, compare
from compliance.proportions import needed, newcombe, shared, wilson

counts = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


# Newcombe, "Two-sided confidence intervals for the single proportion", Stat. Med. 17 (1998),
# table I, method 3.
@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_s_interval_is_the_published_one(
    count: int, total: int, low: float, high: float
) -> None:
    found = wilson(count, total)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson(total - count, total)
    assert mirrored is not None
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((low, high), abs=5e-5)


# Newcombe, "Interval estimation for the difference between independent proportions", Stat.
# Med. 17 (1998), table II, method 10.
@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_newcombe_s_interval_is_the_published_one(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    found = newcombe(first, second)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


# Fleiss, "Statistical Methods for Rates and Proportions": two-sided 5 %, power 80 %.
@pytest.mark.parametrize(
    ("share", "difference", "n"), [(0.5, 0.1, 388), (0.1, 0.05, 686), (0.2, 0.1, 294)]
)
def test_how_many_it_takes_is_the_textbook_s(share: float, difference: float, n: int) -> None:
    assert needed(share, difference) == n
    assert needed(1 - share - difference, difference) == n  # the same seen from the other side


def test_what_makes_no_sense_is_an_error() -> None:
    for bad in (lambda: wilson(2, 1), lambda: wilson(-1, 1), lambda: needed(0.5, 0)):
        with pytest.raises(ValueError, match=r"\d"):
            bad()
    assert wilson(0, 0) is None
    assert newcombe((0, 0), (1, 2)) is None
    assert shared(0.95, 2) == pytest.approx(0.975)


@given(counts, counts)
def test_intervals_hold_their_share_and_turn_round_with_their_groups(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    found = wilson(*one)
    if found is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1
    there, back = newcombe(one, other), newcombe(other, one)
    if there is not None and back is not None:
        assert -1 <= there.low <= there.value <= there.high <= 1
        assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = Random(7)
    truth, total, covered = 0.08, 60, 0
    for _ in range(2000):
        found = wilson(sum(random.random() < truth for _ in range(total)), total)
        assert found is not None
        covered += not found.excludes(truth)
    assert 0.93 <= covered / 2000 <= 0.985


# ---------------------------------------------------------------- assignment


def keyed(number: int) -> bytes:
    return hashlib.sha256(b"key" + number.to_bytes(8, "big")).digest()


def test_arms_come_up_as_their_weights_say() -> None:
    arms = [("A", 1), ("B", 1), ("C", 2)]
    found = Counter(assigned(keyed(n), arms) for n in range(20_000))
    for name, share in (("A", 0.25), ("B", 0.25), ("C", 0.5)):
        interval = wilson(found[name], 20_000, 0.9999)
        assert interval is not None
        assert not interval.excludes(share), found


@given(st.binary(min_size=8, max_size=32), st.lists(st.integers(1, 1000), min_size=1, max_size=8))
def test_every_hash_has_one_arm_and_keeps_it(hashed: bytes, weights: list[int]) -> None:
    arms = [(chr(ord("A") + n), weight) for n, weight in enumerate(weights)]
    assert assigned(hashed, arms) == assigned(hashed, arms) in {name for name, _ in arms}


def test_the_ends_of_the_hash_belong_to_the_outer_arms() -> None:
    arms = [("A", 3), ("B", 1)]
    assert assigned(bytes(8), arms) == "A"
    assert assigned(b"\xbf" + b"\xff" * 7, arms) == "A"
    assert assigned(b"\xc0" + bytes(7), arms) == "B"
    assert assigned(b"\xff" * 8, arms) == "B"
    for bad in ([], [("A", 0)]):
        with pytest.raises(ValueError, match="weights"):
            assigned(bytes(8), bad)
    with pytest.raises(ValueError, match="hash"):
        assigned(bytes(7), arms)


# ---------------------------------------------------------------- verdicts


def arm(name: str, answered: int, accepted: int, refused: int = 0) -> ArmCounts:
    rates = {Rate.ACCEPTANCE: accepted, Rate.REFUSAL: refused}
    return ArmCounts(name, f"{name} 1", 1, answered + 5, answered, rates)


def test_a_great_difference_of_few_calls_is_still_too_few() -> None:
    found = compare([arm("A", 20, 1), arm("B", 20, 15)], 0.1)
    difference = found.arms[1].differences[Rate.ACCEPTANCE]
    assert difference is not None
    assert difference.excludes(0.0)
    (judged,) = found.judged
    assert judged.verdict is Verdict.TOO_FEW
    assert judged.more == 2 * (found.per_arm - 20) > 0


def test_without_any_call_the_most_is_asked_for() -> None:
    found = compare([arm("A", 0, 0), arm("B", 0, 0)], 0.1)
    assert found.per_arm == needed(0.5, 0.1) == 388
    assert found.judged[0].more == 776
    assert set(found.arms[0].rates.values()) == {None}


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [(400, 480, Verdict.BETTER), (480, 400, Verdict.WORSE), (400, 405, Verdict.NO_DIFFERENCE)],
)
def test_enough_calls_bring_a_verdict(a: int, b: int, verdict: Verdict) -> None:
    found = compare([arm("A", 2000, a), arm("B", 2000, b)])
    assert found.per_arm < 2000
    (judged,) = found.judged
    assert (judged.verdict, judged.more) == (verdict, 0)


def test_an_arm_that_is_refused_more_often_is_said_to_be_whatever_its_acceptance() -> None:
    found = compare([arm("A", 2000, 400, 300), arm("B", 2000, 480, 420)])
    assert found.judged[0].besides == ((Rate.REFUSAL, True),)
    calmer = compare([arm("A", 2000, 400, 420), arm("B", 2000, 405, 300)])
    assert calmer.judged[0].verdict is Verdict.NO_DIFFERENCE
    assert calmer.judged[0].besides == ((Rate.REFUSAL, False),)
    few = compare([arm("A", 40, 4, 0), arm("B", 40, 4, 30)])
    assert few.judged[0].besides == ()


def test_more_arms_ask_for_more_certainty_and_more_calls() -> None:
    two = compare([arm("A", 900, 90), arm("B", 900, 90)])
    three = compare([arm("A", 900, 90), arm("B", 900, 90), arm("C", 900, 90)])
    assert (two.confidence, three.confidence) == pytest.approx((0.95, 0.975))
    assert three.per_arm > two.per_arm
    assert [judged.arm for judged in three.judged] == ["B", "C"]
    with pytest.raises(ValueError, match="nothing"):
        compare([arm("A", 1, 1)])
