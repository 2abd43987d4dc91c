# SPDX-License-Identifier: GPL-3.0-or-later
"""What each item of the check after a call says of measured evidence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compliance import callcheck
from compliance.callcheck import Evidence, Item, Likeness, RiskWord, Verdict, judge, result
from compliance.facts import Blame, CallRecord, Outcome, Speaker, TranscriptLine

SAID = {
    "disclosure": ("您好，我是机器人，星辰公司的。", 10, 2500),
    "purpose": ("这次来电是介绍会员服务，大约一分钟。", 2700, 5570),
    "recording_notice": ("为保障服务质量，本次通话会录音。", 5770, 8420),
    "way_out": ("不需要请按一，或者直接说不需要；需要人工请说转人工。", 8620, 13120),
}
LINES = tuple(
    TranscriptLine(Speaker.BOT, text, start, end, mark=mark)
    for mark, (text, start, end) in SAID.items()
)


def heard(start: int, end: int) -> Likeness:
    return Likeness(0.9999, start, end, 1.0, 0.9997, 0, 0.0, -20.0)


RECORD = CallRecord(
    "a" * 32,
    Outcome.ACCEPTED,
    Blame.CALLEE,
    "line1",
    ended_by="bot",
    duration_ms=24_000,
    disclosed_ms=2500,
    notice_ms=8420,
)
GOOD = Evidence(
    language="zh",
    company="星辰公司",
    record=RECORD,
    finished=True,
    lines=LINES,
    words=(),
    reference=True,
    opening={mark: heard(start, end) for mark, (_, start, end) in SAID.items()},
    farewell=None,
    robot_heard=True,
    refusal_missed=False,
    track_ms=23_990,
    whole=True,
    callee_kept=True,
    later_attempts=0,
)
WORD = ("保本高收益", "S8")


def opening(mark: str, **changes: float) -> Callable[[Evidence], Evidence]:
    return lambda e: e.evolve(opening={**e.opening, mark: e.opening[mark].evolve(**changes)})


def record(**changes: object) -> Callable[[Evidence], Evidence]:
    return lambda e: e.evolve(record=e.record.evolve(**changes))


def but(**changes: object) -> Callable[[Evidence], Evidence]:
    return lambda e: e.evolve(**changes)


REFUSED = but(
    record=RECORD.evolve(
        outcome=Outcome.REFUSED,
        refused=True,
        refused_ms=3000,
        farewell_ms=3300,
        duration_ms=4200,
        notice_ms=None,
    ),
    lines=(
        LINES[0],
        TranscriptLine(Speaker.BOT, "这次", 3010, 3290, 3290, mark="purpose"),
        TranscriptLine(Speaker.BOT, "好的，再见。", 3300, 4100, mark="farewell"),
    ),
    opening={
        **GOOD.opening,
        "purpose": Likeness(0.13, 3010, 5880, 0.1, 0.99, 0, 0.0, -22.0),
        "recording_notice": Likeness(0.15, 400, 3000, 0.0, 0.0, 0, 0.0, -120.0),
        "way_out": Likeness(0.08, 400, 3000, 0.0, 0.0, 0, 0.0, -120.0),
    },
    farewell=heard(3300, 4100),
    track_ms=4190,
    callee_kept=False,
)


def test_a_call_as_it_should_be_passes_every_item() -> None:
    items = judge(GOOD)
    assert [item.item for item in items] == list(Item)
    assert {item.verdict for item in items if item.item is not Item.REFUSAL} == {Verdict.PASSED}
    assert result(items) is Verdict.PASSED
    assert all(item.findings for item in items)


def test_a_refused_call_passes_without_what_could_not_be_said_any_more() -> None:
    verdicts = {item.item: item.verdict for item in judge(REFUSED(GOOD))}
    assert verdicts[Item.REFUSAL] is verdicts[Item.ORDER] is Verdict.PASSED
    assert verdicts[Item.NOTICE] is Verdict.SKIPPED
    assert Verdict.FAILED not in verdicts.values()


Change = Callable[[Evidence], Evidence]
FAULTS: list[tuple[str, Change, Item, Verdict, str]] = [
    ("late", opening("disclosure", end_ms=3001), Item.DISCLOSURE, Verdict.FAILED, "late"),
    ("hole", opening("disclosure", hole_ms=30), Item.DISCLOSURE, Verdict.FAILED, "hole"),
    ("cut", opening("disclosure", share=0.6, score=0.7), Item.DISCLOSURE, Verdict.FAILED, "cut"),
    ("piece", opening("disclosure", worst=0.4), Item.DISCLOSURE, Verdict.FAILED, "foreign"),
    ("noise", opening("disclosure", score=0.89), Item.DISCLOSURE, Verdict.FAILED, "foreign"),
    ("clip", opening("disclosure", clipped=0.05), Item.DISCLOSURE, Verdict.FAILED, "clipped"),
    ("quiet", opening("disclosure", level_dbfs=-50.0), Item.DISCLOSURE, Verdict.FAILED, "quiet"),
    ("absent", opening("disclosure", share=0.0), Item.DISCLOSURE, Verdict.FAILED, "absent"),
    ("no audio", but(reference=False), Item.DISCLOSURE, Verdict.UNKNOWN, "no_reference"),
    ("deaf", but(robot_heard=False), Item.WITNESS, Verdict.SKIPPED, "deaf"),
    ("no model", but(robot_heard=None), Item.WITNESS, Verdict.SKIPPED, "none"),
    ("swapped", opening("purpose", start_ms=9000), Item.ORDER, Verdict.FAILED, "swapped"),
    ("muted", opening("way_out", share=0.4, score=0.5), Item.ORDER, Verdict.FAILED, "unheard"),
    ("order?", but(reference=False), Item.ORDER, Verdict.UNKNOWN, "unheard"),
    ("risk", but(words=(RiskWord(Speaker.BOT, 9, *WORD),)), Item.WORDS, Verdict.FAILED, "said"),
    ("agent", but(words=(RiskWord(Speaker.AGENT, 9, *WORD),)), Item.WORDS, Verdict.FAILED, "said"),
    (
        "callee",
        but(words=(RiskWord(Speaker.CALLEE, 9, *WORD),)),
        Item.WORDS,
        Verdict.PASSED,
        "callee",
    ),
    ("missed", but(refusal_missed=True), Item.REFUSAL, Verdict.UNKNOWN, "missed"),
    ("unsaid", record(notice_ms=None), Item.NOTICE, Verdict.FAILED, "not_said"),
    ("mute", opening("recording_notice", hole_ms=400), Item.NOTICE, Verdict.FAILED, "not_heard"),
    ("not kept", but(callee_kept=False), Item.NOTICE, Verdict.SKIPPED, "not_kept"),
    ("lied", record(disclosed_ms=2300), Item.RECORD, Verdict.FAILED, "disclosure"),
    ("notice", record(notice_ms=7000), Item.RECORD, Verdict.FAILED, "notice"),
    ("length", but(track_ms=20_000), Item.RECORD, Verdict.FAILED, "length"),
    ("torn", but(whole=False, track_ms=20_000), Item.RECORD, Verdict.UNKNOWN, "torn"),
    ("lost", but(finished=False), Item.RECORD, Verdict.SKIPPED, "lost"),
]
REFUSAL_FAULTS: list[tuple[str, Change, Verdict, str]] = [
    ("late", record(duration_ms=5001), Verdict.FAILED, "late"),
    ("again", but(later_attempts=1), Verdict.FAILED, "dialed_again"),
    ("silent", but(farewell=heard(3300, 4100).evolve(share=0.3)), Verdict.FAILED, "no_farewell"),
    ("early", but(farewell=heard(1000, 1800)), Verdict.FAILED, "no_farewell"),
    ("no time", record(refused_ms=None), Verdict.UNKNOWN, "no_time"),
    (
        "talks on",
        lambda e: e.evolve(
            lines=(*e.lines, TranscriptLine(Speaker.BOT, "会员", 4100, 4800, mark="details"))
        ),
        Verdict.FAILED,
        "talked_on",
    ),
]


@pytest.mark.parametrize(("name", "change", "item", "verdict", "reason"), FAULTS)
def test_each_fault_is_found_by_its_item(
    name: str, change: Change, item: Item, verdict: Verdict, reason: str
) -> None:
    found = next(i for i in judge(change(GOOD)) if i.item is item)
    assert found.verdict is verdict
    assert f"callcheck.{item}.{reason}" in [finding.message for finding in found.findings]


@pytest.mark.parametrize(("name", "change", "verdict", "reason"), REFUSAL_FAULTS)
def test_each_fault_after_a_refusal_is_found(
    name: str, change: Change, verdict: Verdict, reason: str
) -> None:
    found = next(i for i in judge(change(REFUSED(GOOD))) if i.item is Item.REFUSAL)
    assert found.verdict is verdict
    assert f"callcheck.refusal.{reason}" in [finding.message for finding in found.findings]


def test_a_goodbye_that_cannot_be_looked_for_is_not_held_against_the_call() -> None:
    found = next(i for i in judge(REFUSED(GOOD).evolve(farewell=None)) if i.item is Item.REFUSAL)
    assert found.verdict is Verdict.PASSED


def test_the_exact_limits_still_pass() -> None:
    at_limit = opening("disclosure", end_ms=3000, score=0.9, worst=0.5, hole_ms=20, clipped=0.02)
    assert judge(at_limit(GOOD).evolve(record=RECORD.evolve(disclosed_ms=2950)))[0].verdict is (
        Verdict.PASSED
    )
    bye = record(duration_ms=5000)(REFUSED(GOOD))
    refusal = next(i for i in judge(bye) if i.item is Item.REFUSAL)
    assert refusal.verdict is Verdict.PASSED


def test_a_callee_who_leaves_in_the_disclosure_is_no_fault_of_ours() -> None:
    left = opening("disclosure", share=0.58, score=0.76)(GOOD).evolve(
        record=RECORD.evolve(
            outcome=Outcome.HUNG_UP, ended_by="callee", disclosed_ms=None, notice_ms=None
        ),
        lines=(LINES[0].evolve(interrupted_at_ms=1440, end_ms=1440),),
        callee_kept=False,
    )
    assert judge(left)[0].verdict is Verdict.PASSED
    # The same audio where the call then went on with something else is a disclosure skipped.
    went_on = left.evolve(lines=(*left.lines, LINES[1]))
    assert judge(went_on)[0].verdict is Verdict.FAILED
    # Too late to have ended in time, had they stayed.
    late = opening("disclosure", end_ms=3100)(left)
    assert judge(late)[0].verdict is Verdict.FAILED


def test_a_call_that_ended_before_a_word_shows_nothing_about_the_disclosure() -> None:
    unsaid = opening("disclosure", share=0.0)(GOOD).evolve(
        record=RECORD.evolve(outcome=Outcome.HUNG_UP, ended_by="callee"), lines=()
    )
    assert judge(unsaid)[0].verdict is Verdict.SKIPPED
    # Our own silence until the callee had decided is not that.
    assert judge(unsaid.evolve(record=RECORD))[0].verdict is Verdict.FAILED


def test_the_second_witness_neither_saves_a_call_nor_fails_one_alone() -> None:
    absent = opening("disclosure", share=0.0)(GOOD)
    assert result(judge(absent)) is Verdict.FAILED
    denied = judge(absent.evolve(robot_heard=False))
    assert denied[1].verdict is Verdict.FAILED
    assert result(judge(GOOD.evolve(robot_heard=False))) is Verdict.PASSED


def test_one_failed_item_fails_the_call_and_one_unknown_leaves_it_open() -> None:
    assert result(judge(GOOD.evolve(reference=False))) is Verdict.UNKNOWN
    both = GOOD.evolve(reference=False, words=(RiskWord(Speaker.BOT, 9, *WORD),))
    assert result(judge(both)) is Verdict.FAILED
    unreadable = callcheck.unreadable()
    assert [item.item for item in unreadable] == list(Item)
    assert result(unreadable) is Verdict.FAILED
