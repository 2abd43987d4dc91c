# SPDX-License-Identifier: GPL-3.0-or-later
"""Was a call what it had to be? Judged afterwards, from its recording and its record. Pure.

Who measures brings an :class:`Evidence` together; :func:`judge` says of each item what it
shows. What could not be measured is *unknown*, never passed.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from compliance.disclosure import WITHIN_MS, check_transcript
from compliance.facts import CallRecord, Evolve, Finding, Outcome, Speaker, TranscriptLine
from compliance.profiles import SECTIONS

VERSION = 1  # of the judgement; raised whenever the same evidence is judged otherwise
DISCLOSURE, NOTICE = SECTIONS[0], SECTIONS[2]


class Verdict(enum.StrEnum):
    """What one item shows."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"  # could not be measured: somebody must look
    SKIPPED = "skipped"  # does not apply to this call


class Item(enum.StrEnum):
    """What is looked at, in the order it is told."""

    DISCLOSURE = "disclosure"  # S1: audible, whole, in time, and the approved sound
    WITNESS = "witness"  # S1: a recognizer hears that it is a robot
    ORDER = "order"  # S3, S4, S10
    WORDS = "words"  # S2, S7, S8, S9, S13, S14
    REFUSAL = "refusal"  # S11, S12
    NOTICE = "notice"  # S4
    RECORD = "record"  # T2: the record agrees with the audio


_REQUIREMENTS: Mapping[Item, str] = {
    Item.DISCLOSURE: "S1",
    Item.WITNESS: "S1",
    Item.ORDER: "S3",
    Item.WORDS: "S9",
    Item.REFUSAL: "S11",
    Item.NOTICE: "S4",
    Item.RECORD: "T2",
}


@dataclass(frozen=True, slots=True)
class Likeness(Evolve):
    """An approved prompt looked for in the bot's channel; times in ms from the answer."""

    score: float  # normalised correlation of the whole prompt at its best place, -1 to 1
    start_ms: int
    end_ms: int  # where it ends, or would end had it not been cut
    share: float  # how much of it was there from its beginning on, 0 to 1
    worst: float  # the least alike piece of that share
    hole_ms: int  # longest silence where the prompt speaks, within that share
    clipped: float  # share of samples piled up at the peak, beyond those of the prompt
    level_dbfs: float  # of what was found


@dataclass(frozen=True, slots=True)
class Limits(Evolve):
    """What counts as heard; measured in docs/decisions/0022-post-call-check.md."""

    score: float = 0.9
    worst: float = 0.5
    hole_ms: int = 30
    clipped: float = 0.02
    level_dbfs: float = -45.0
    within_ms: int = WITHIN_MS
    bye_ms: int = 2000  # from the end of the refusing words (S11)
    apart_ms: int = 100  # record and audio
    length_apart_ms: int = 500  # the recording may run on until the BYE is answered


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class RiskWord(Evolve):
    """A word of the lexicon that was said."""

    speaker: Speaker
    at_ms: int  # where its sentence began
    term: str  # as the lexicon has it, not as it was said
    requirement: str


@dataclass(frozen=True, slots=True)
class Evidence(Evolve):
    """Everything known of one recorded call."""

    language: str
    company: str
    record: CallRecord  # without what was said
    finished: bool  # False: its process died, and nobody wrote the record
    lines: tuple[TranscriptLine, ...] = field(repr=False)
    words: tuple[RiskWord, ...]
    reference: bool  # the approved audio was had again, and is what was signed
    opening: Mapping[str, Likeness]  # by section
    farewell: Likeness | None  # the one after a refusal; None: nothing to look for
    robot_heard: bool | None  # by the recognizer; None: there is none for this language
    refusal_missed: bool  # the callee's words read like a refusal that nobody acted on
    track_ms: int  # of the bot's channel
    whole: bool  # the recording was closed, not torn
    callee_kept: bool
    later_attempts: int  # to this number while its refusal holds


@dataclass(frozen=True, slots=True)
class ItemVerdict(Evolve):
    item: Item
    requirement: str
    verdict: Verdict
    findings: tuple[Finding, ...]  # why


_REASONS: Mapping[Item, tuple[str, ...]] = {
    Item.DISCLOSURE: (
        "heard",
        "nothing_said",
        "left",
        "no_reference",
        "absent",
        "cut",
        "late",
        "hole",
        "foreign",
        "clipped",
        "quiet",
    ),
    Item.WITNESS: ("heard", "deaf", "denies", "none"),
    Item.ORDER: ("kept", "swapped", "unheard", "left"),
    Item.WORDS: ("clean", "said", "callee"),
    Item.REFUSAL: (
        "obeyed",
        "none",
        "missed",
        "no_time",
        "late",
        "talked_on",
        "no_farewell",
        "dialed_again",
    ),
    Item.NOTICE: ("complete", "not_kept", "not_said", "not_heard", "no_reference"),
    Item.RECORD: (
        "agrees",
        "disclosure",
        "notice",
        "farewell",
        "length",
        "torn",
        "lost",
        "corrupt",
    ),
}
MESSAGE_IDS = tuple(
    f"callcheck.{item}.{reason}" for item, reasons in _REASONS.items() for reason in reasons
)

_ENDED_BY_CALLEE = (Outcome.HUNG_UP, Outcome.VOICEMAIL, Outcome.WRONG_NUMBER, Outcome.LATER)
_ENDED_BY_US = (Outcome.ABORTED, Outcome.CANCELLED, Outcome.UNKNOWN)


def judge(evidence: Evidence, limits: Limits = LIMITS) -> tuple[ItemVerdict, ...]:
    """One verdict an item, in the order of :class:`Item`."""
    disclosure = _disclosure(evidence, limits)
    return (
        disclosure,
        _witness(evidence, disclosure.verdict),
        _order(evidence, limits),
        _words(evidence),
        _refusal(evidence, limits),
        _notice(evidence, limits),
        _record(evidence, limits),
    )


def unreadable() -> tuple[ItemVerdict, ...]:
    """What is to be said of a call whose recording does not open: altered, cut or missing."""
    items = [_item(item, Verdict.UNKNOWN) for item in Item if item is not Item.RECORD]
    return (*items, _item(Item.RECORD, Verdict.FAILED, "corrupt"))


def result(items: Iterable[ItemVerdict]) -> Verdict:
    """Of the whole call: one failed item fails it, one unknown item leaves it open."""
    verdicts = {item.verdict for item in items}
    for worst in (Verdict.FAILED, Verdict.UNKNOWN):
        if worst in verdicts:
            return worst
    return Verdict.PASSED


def _item(
    item: Item, verdict: Verdict, *reasons: tuple[str, Mapping[str, object]] | str
) -> ItemVerdict:
    findings = []
    for reason in reasons:
        name, params = (reason, {}) if isinstance(reason, str) else reason
        findings.append(
            Finding(
                rule=f"check_{item}",
                requirement=_REQUIREMENTS[item],
                passed=verdict in (Verdict.PASSED, Verdict.SKIPPED),
                message=f"callcheck.{item}.{name}",
                params=tuple((key, str(value)) for key, value in params.items()),
                source=f"seed {_REQUIREMENTS[item]}",
            )
        )
    return ItemVerdict(item, _REQUIREMENTS[item], verdict, tuple(findings))


def _cut_short(evidence: Evidence) -> bool:
    """Whether somebody but us ended it, or our side fell ill: not all had to be said then."""
    record = evidence.record
    return (
        record.ended_by == "callee"
        or record.refused
        or record.callback
        or record.transferred
        or record.outcome in (*_ENDED_BY_CALLEE, *_ENDED_BY_US)
        or not evidence.finished
    )


def _is_whole(found: Likeness | None, limits: Limits) -> bool:
    return found is not None and found.score >= limits.score and found.share == 1.0


# ---------------------------------------------------------------- S1


def _disclosure(evidence: Evidence, limits: Limits) -> ItemVerdict:
    item = Item.DISCLOSURE
    if not evidence.reference:
        return _item(item, Verdict.UNKNOWN, "no_reference")
    found = evidence.opening.get(DISCLOSURE)
    if found is None or found.share == 0.0:
        if _cut_short(evidence) and not any(ln.speaker is Speaker.BOT for ln in evidence.lines):
            return _item(item, Verdict.SKIPPED, "nothing_said")
        score = found.score if found is not None else 0.0
        return _item(item, Verdict.FAILED, ("absent", {"score": score}))
    times = {"end_ms": found.end_ms, "within_ms": limits.within_ms, "score": found.score}
    faults: list[tuple[str, Mapping[str, object]]] = []
    if found.end_ms > limits.within_ms:  # where a cut one would have ended
        faults.append(("late", times))
    if found.hole_ms >= limits.hole_ms:
        faults.append(("hole", {"hole_ms": found.hole_ms}))
    if found.clipped > limits.clipped:
        faults.append(("clipped", {"share": f"{100 * found.clipped:.1f}"}))
    if found.level_dbfs < limits.level_dbfs:
        faults.append(("quiet", {"level": found.level_dbfs}))
    left = found.share < 1.0 and _cut_short(evidence) and _ends_with(evidence, found)
    if found.share < 1.0 and not left:
        faults.append(("cut", {"percent": round(100 * found.share)}))
    elif not left and (found.score < limits.score or found.worst < limits.worst):
        faults.append(("foreign", {"score": found.score, "worst": found.worst}))
    if faults:
        return _item(item, Verdict.FAILED, *faults)
    if left:
        return _item(item, Verdict.PASSED, ("left", {"percent": round(100 * found.share)}))
    return _item(item, Verdict.PASSED, ("heard", times))


def _ends_with(evidence: Evidence, found: Likeness) -> bool:
    """Nothing but a farewell followed: the callee ended it, the disclosure was not skipped."""
    return all(
        line.mark in (DISCLOSURE, "farewell")
        for line in evidence.lines
        if line.speaker is Speaker.BOT
    )


def _witness(evidence: Evidence, disclosure: Verdict) -> ItemVerdict:
    """The recognizer misses words: alone it never fails a call, and it never saves one."""
    if evidence.robot_heard is None:
        return _item(Item.WITNESS, Verdict.SKIPPED, "none")
    if evidence.robot_heard:
        return _item(Item.WITNESS, Verdict.PASSED, "heard")
    if disclosure in (Verdict.PASSED, Verdict.SKIPPED):
        return _item(Item.WITNESS, Verdict.SKIPPED, "deaf")
    return _item(Item.WITNESS, Verdict(disclosure), "denies")


# ---------------------------------------------------------------- S3, S4, S10


def _order(evidence: Evidence, limits: Limits) -> ItemVerdict:
    item = Item.ORDER
    cut = _cut_short(evidence)
    told = check_transcript(
        evidence.lines, language=evidence.language, company=evidence.company, cut_short=cut
    )
    wrong = [f for f in told if not f.passed and f.message != "disclosure.late"]
    faults: list[tuple[str, Mapping[str, object]]] = []
    if evidence.reference:
        whole = [s for s in SECTIONS if _is_whole(evidence.opening.get(s), limits)]
        places = [evidence.opening[s].start_ms for s in whole]
        if places != sorted(places):
            faults.append(("swapped", {"sections": " ".join(_by_place(evidence, whole))}))
        if not cut:
            faults += [("unheard", {"section": s}) for s in SECTIONS if s not in whole]
    if faults or wrong:
        verdict = _item(item, Verdict.FAILED, *faults)
        return verdict.evolve(findings=(*verdict.findings, *wrong))
    if not evidence.reference:
        return _item(item, Verdict.UNKNOWN, "unheard")
    return _item(item, Verdict.PASSED, "left" if cut and len(whole) < len(SECTIONS) else "kept")


def _by_place(evidence: Evidence, sections: Sequence[str]) -> list[str]:
    return sorted(sections, key=lambda section: evidence.opening[section].start_ms)


# ---------------------------------------------------------------- S9 and its neighbours


def _words(evidence: Evidence) -> ItemVerdict:
    ours = [said for said in evidence.words if said.speaker is not Speaker.CALLEE]
    if ours:
        return _item(
            Item.WORDS,
            Verdict.FAILED,
            *(
                (
                    "said",
                    {
                        "term": said.term,
                        "requirement": said.requirement,
                        "who": said.speaker,
                        "at_ms": said.at_ms,
                    },
                )
                for said in ours
            ),
        )
    if evidence.words:
        return _item(Item.WORDS, Verdict.PASSED, ("callee", {"count": len(evidence.words)}))
    return _item(Item.WORDS, Verdict.PASSED, "clean")


# ---------------------------------------------------------------- S11, S12


def _refusal(evidence: Evidence, limits: Limits) -> ItemVerdict:
    item, record = Item.REFUSAL, evidence.record
    if not record.refused:
        if evidence.refusal_missed:
            return _item(item, Verdict.UNKNOWN, "missed")
        return _item(item, Verdict.SKIPPED, "none")
    faults: list[tuple[str, Mapping[str, object]]] = []
    if evidence.later_attempts:
        faults.append(("dialed_again", {"count": evidence.later_attempts}))
    if record.refused_ms is None:
        return _item(item, Verdict.FAILED if faults else Verdict.UNKNOWN, *faults, "no_time")
    bye_ms = record.duration_ms - record.refused_ms
    if bye_ms > limits.bye_ms:
        faults.append(("late", {"bye_ms": bye_ms, "limit_ms": limits.bye_ms}))
    if any(_talks_on(line, record) for line in evidence.lines):
        faults.append(("talked_on", {}))
    farewell = evidence.farewell
    if record.ended_by != "callee" and farewell is not None:
        early = farewell.start_ms + limits.apart_ms < record.refused_ms
        if early or not _is_whole(farewell, limits):
            faults.append(("no_farewell", {}))
    if faults:
        return _item(item, Verdict.FAILED, *faults)
    return _item(item, Verdict.PASSED, ("obeyed", {"bye_ms": bye_ms}))


def _talks_on(line: TranscriptLine, record: CallRecord) -> bool:
    """Whether something but the farewell was said to who had refused. A sentence that began
    before the refusal was understood is cut off: that is no talking on."""
    if line.speaker is not Speaker.BOT or line.mark == "farewell":
        return False
    if record.refused_ms is None or line.start_ms <= record.refused_ms:
        return False
    after = record.farewell_ms is not None and line.start_ms > record.farewell_ms
    return line.interrupted_at_ms is None or after


# ---------------------------------------------------------------- S4


def _notice(evidence: Evidence, limits: Limits) -> ItemVerdict:
    item = Item.NOTICE
    if not evidence.callee_kept:
        return _item(item, Verdict.SKIPPED, "not_kept")
    if evidence.record.notice_ms is None:
        return _item(item, Verdict.FAILED, "not_said")
    if not evidence.reference:
        return _item(item, Verdict.UNKNOWN, "no_reference")
    found = evidence.opening.get(NOTICE)
    if found is None or not _is_whole(found, limits) or found.hole_ms >= limits.hole_ms:
        return _item(item, Verdict.FAILED, "not_heard")
    return _item(item, Verdict.PASSED, ("complete", {"end_ms": found.end_ms}))


# ---------------------------------------------------------------- T2


def _record(evidence: Evidence, limits: Limits) -> ItemVerdict:
    item, record = Item.RECORD, evidence.record
    if not evidence.finished:
        return _item(item, Verdict.SKIPPED, "lost")
    faults: list[tuple[str, Mapping[str, object]]] = []
    pairs = [
        ("disclosure", record.disclosed_ms, evidence.opening.get(DISCLOSURE)),
        ("notice", record.notice_ms, evidence.opening.get(NOTICE)),
    ]
    for reason, told, found in pairs:
        heard = found.end_ms if found is not None and _is_whole(found, limits) else None
        if evidence.reference and not _agree(told, heard, limits.apart_ms):
            faults.append((reason, {"told": _ms(told), "heard": _ms(heard)}))
    farewell = evidence.farewell
    if record.farewell_ms is not None and farewell is not None and _is_whole(farewell, limits):
        heard = farewell.start_ms
        if not _agree(record.farewell_ms, heard, limits.apart_ms):
            faults.append(("farewell", {"told": _ms(record.farewell_ms), "heard": _ms(heard)}))
    lengths = {"told": _ms(record.duration_ms), "heard": _ms(evidence.track_ms)}
    if evidence.whole and not _agree(record.duration_ms, evidence.track_ms, limits.length_apart_ms):
        faults.append(("length", lengths))
    if faults:
        return _item(item, Verdict.FAILED, *faults)
    if not evidence.whole:
        return _item(item, Verdict.UNKNOWN, ("torn", lengths))
    return _item(item, Verdict.PASSED, ("agrees", lengths))


def _agree(told: int | None, heard: int | None, apart_ms: int) -> bool:
    if told is None or heard is None:
        return told is heard
    return abs(told - heard) <= apart_ms


def _ms(value: int | None) -> str:
    return "–" if value is None else str(value)
