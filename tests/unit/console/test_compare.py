# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor campaign create --arm` and `campaign compare`: two signed scripts beside each other."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from compliance.arms import ArmCounts, Rate, compare
from compliance.facts import Role
from console import comparison, homes
from tests.console_home import CAMPAIGN, ConsoleHome, Ran

_DIGEST = hashlib.sha256(b"y").hexdigest()


@pytest.fixture
def two(calls: ConsoleHome) -> ConsoleHome:
    """The home with a second approved script, ``benefit``, and one that waits, ``draft``."""
    with homes.opened(calls.root) as it:
        for name in ("benefit", "draft"):
            version = it.store.scripts.submit(
                calls.people[Role.AUTHOR],
                name,
                "您好，我是机器人",
                flow_digest=_DIGEST,
                audio_digest=_DIGEST,
                disclosure_end_ms=2610.0,
            )
            if name == "benefit":
                it.store.scripts.approve(calls.people[Role.COMPLIANCE], version)
    calls.sign_in(Role.OPERATOR)
    return calls


def create(home: ConsoleHome, name: str, *words: str, script: str = "welcome") -> Ran:
    return home.candor(
        "campaign", "create", name, "--purpose", "membership", "--script", script,
        "--batch", "b", "--line", "simulator", *words,
    )  # fmt: skip


def test_a_campaign_with_arms_is_compared(two: ConsoleHome, tmp_path: Path) -> None:
    ran = create(two, "ab", "--arm", "benefit:3")
    assert ran.code == 0, ran.err
    found = two.candor("campaign", "compare", "ab", "--json", "--detect", "10").data
    assert [(arm["arm"], arm["script"], arm["weight"]) for arm in found["arms"]] == [
        ("A", "welcome 1", 1),
        ("B", "benefit 1", 3),
    ]
    assert found["needed_per_arm"] == 388
    assert found["verdicts"] == [{"arm": "B", "verdict": "too_few", "more": 776, "besides": {}}]
    two.language("en")
    page = tmp_path / "ab.html"
    shown = two.candor("campaign", "compare", "ab", "--html", str(page))
    assert shown.code == 0
    assert "not enough calls yet: 3130 more" in " ".join(shown.out.split())
    assert "not enough calls yet" in page.read_text("utf-8")
    assert page.stat().st_mode & 0o777 == 0o600
    assert two.candor("campaign", "compare", "ab", "--html", str(page)).code == 2
    assert two.candor("campaign", "compare", "ab", "--html", str(page), "--force").code == 0


def test_what_cannot_be_compared_makes_no_campaign(two: ConsoleHome) -> None:
    for words, said in (
        (("--arm", "draft"), "no approved version"),
        (("--arm", "nobody"), "no approved version"),
        (("--arm", "welcome"), "own name and script version"),
        (("--arm", "benefit:0"), "weight"),
        (("--arm", "benefit:1001"), "weight"),
        (("--arm", "benefit:x"), "weight"),
        (("--arm", "benefit") * 8, "at most 8"),
    ):
        ran = create(two, "ab", *words)
        assert (ran.code, ran.out) == (2, ""), words
        assert said in ran.err
    with homes.opened(two.root) as it:
        assert [name for _, name, _ in it.store.campaigns.campaigns()] == [CAMPAIGN]


def test_there_is_nothing_to_compare_in_one_script(two: ConsoleHome) -> None:
    for words, said in (
        ((CAMPAIGN,), "one script"),
        (("nobody",), "no campaign"),
        ((CAMPAIGN, "--detect", "0"), "percentage points"),
        ((CAMPAIGN, "--detect", "nan"), "percentage points"),
    ):
        ran = two.candor("campaign", "compare", *words)
        assert ran.code == 2
        assert said in ran.err


# ---------------------------------------------------------------- the picture


def arm(name: str, answered: int, accepted: int, refused: int, complaints: int) -> ArmCounts:
    rates = (accepted, refused, complaints)
    counts = dict(zip(Rate, rates, strict=True))
    return ArmCounts(name, f"<b>{name}</b> 1", 1, answered + 9, answered, counts)


FOUND = compare([arm("A", 2400, 312, 610, 4), arm("B", 2380, 388, 700, 7)])


def test_whiskers_stand_where_the_interval_ends() -> None:
    end = comparison.scale(FOUND, Rate.ACCEPTANCE)
    assert end == 0.2
    for one in FOUND.arms:
        share = one.rates[Rate.ACCEPTANCE]
        assert share is not None
        drawn = comparison.bar(share, end, 60)
        assert len(drawn) == 60
        for sign, value in (("├", share.low), ("┼", share.value), ("┤", share.high)):
            assert drawn.index(sign) == int(value / end * 60)
    assert comparison.bar(None, 1.0, 9) == " " * 9


@pytest.mark.parametrize(("answered", "accepted"), [(0, 0), (1, 0), (1, 1), (3, 3), (400, 400)])
def test_the_ends_of_the_scale_are_drawn_too(answered: int, accepted: int) -> None:
    found = compare([arm("A", answered, accepted, 0, 0), arm("B", answered, 0, 0, 0)])
    for one in found.arms:
        for rate in Rate:
            assert len(comparison.bar(one.rates[rate], comparison.scale(found, rate), 20)) == 20
            assert "<svg" in comparison.svg(found, rate)


def test_the_page_is_whole_and_escapes_names() -> None:
    page = comparison.page('<i>"x"', FOUND, "zh", demo=True)
    assert page.count("<svg") == page.count("</svg>") == 3
    assert "<b>A</b>" not in page
    assert "<i>" not in page
    assert "B 的接受率高于 A；B 被拒绝更多" in page
    assert not re.search(r"(?:src|href)=", page)
    assert "DEMO" in page or "演示" in page
    for line in re.findall(r'x1="([\d.]+)"', page):
        assert 70 <= float(line) <= 590
