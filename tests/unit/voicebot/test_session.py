# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from compliance.facts import Blame, Outcome, Speaker, TranscriptLine
from tests.unit.voicebot.builders import ToneSynthesizer, clock, rendered, words
from voicebot.line import AudioIn, KeyPressed, LineGone, PlayCut, PlayEnded, to_samples
from voicebot.person import PersonSaid
from voicebot.prompts import PromptCache, RenderedScript, for_contact, render_script
from voicebot.session import Conversation, converse
from voicebot.testing import Act, HangsUp, Presses, Says, ScriptedLine, ScriptedSpeech, SpeechDies

SCRIPT = rendered()
FAREWELL_MS = 820  # longest farewell the deadline leaves room for


class Somebody:
    """A person at a telephone; implements ``voicebot.person.Person``."""

    id = "agent1"

    def __init__(self, *, answers_ms: int | None, line: ScriptedLine, talks_ms: int = 0) -> None:
        self.answers_ms = answers_ms  # None: never
        self.log: list[str] = []
        self._line = line
        self._talks_ms = talks_ms  # after being joined; 0: until parted
        self.says: list[tuple[str, bool]] = []  # words, and whether they are surely heard

    async def join(self, said: PersonSaid) -> None:
        self.log.append("joined")
        self._said = said

    async def gone(self) -> None:
        if not self._talks_ms:
            await asyncio.Event().wait()
        until = self._line.position + 8 * self._talks_ms
        while self._line.position < until:
            await asyncio.sleep(0)

    def part(self) -> None:
        if self.log[-1:] != ["parted"]:
            self.log.append("parted")

    async def heard_out(self) -> None:
        at = self._line.position
        for spoken, sure in self.says:
            self._said(spoken, at - 8000, at - 4000, 0.9, sure)


class Call:
    """One conversation on a scripted line."""

    def __init__(self, *acts: Act, script: RenderedScript = SCRIPT, speech: bool = True) -> None:
        self.clock = clock()
        self.line = ScriptedLine(acts, clock=self.clock)
        self.speech = ScriptedSpeech(self.line) if speech else None
        self.script = script
        self.refusals: list[tuple[str, int]] = []
        self.person: Somebody | None = None  # who takes the call when a person is asked for
        self.leave: asyncio.Event | None = None

    def refused(self, how: str, at_ms: int) -> Awaitable[None] | None:
        self.refusals.append((how, at_ms))
        return None

    def run(self) -> Conversation:
        return asyncio.run(
            converse(
                self.line,
                self.script,
                self.speech,
                clock=self.clock,
                on_refusal=self.refused,
                words=words(self.script.script.language),
                call_person=self.call_person,
                leave=self.leave,
            )
        )

    async def call_person(self) -> Somebody | None:
        if self.person is not None and self.person.answers_ms is None:
            try:
                await asyncio.Event().wait()  # rings for ever
            except asyncio.CancelledError:
                self.person.log.append("gave up")
                raise
        while self.person is not None and self.line.position < 8 * (self.person.answers_ms or 0):
            await asyncio.sleep(0)
        return self.person

    @property
    def ended_ms(self) -> int:
        gone = next(e for e in self.line.log if isinstance(e, LineGone))
        return gone.position // 8

    def said(self, talk: Conversation) -> list[str]:
        return [line.mark for line in talk.transcript if line.speaker is Speaker.BOT]


def test_yes_from_answer_to_bye() -> None:
    call = Call(Says("好的 可以", 300, after="node.ask"))
    talk = call.run()
    assert (talk.outcome, talk.blame, talk.ended_by) == (Outcome.ACCEPTED, Blame.CALLEE, "bot")
    assert call.said(talk) == [
        "disclosure", "purpose", "recording_notice", "way_out", "question", "details",
    ]  # fmt: skip
    callee = next(line for line in talk.transcript if line.speaker is Speaker.CALLEE)
    assert callee.text == "好的可以"
    assert talk.feedback == "yes"
    assert call.refusals == []
    assert talk.violations == ()
    assert call.speech is not None
    assert call.speech.closed


def test_times_are_those_of_the_samples_sent() -> None:
    call = Call(Says("好的", 300, after="node.ask"))
    talk = call.run()
    ended = {e.tag.split(":")[1]: e.position for e in call.line.log if isinstance(e, PlayEnded)}
    tail = to_samples(200)
    assert talk.disclosed_ms == (ended["disclosure"] - tail) // 8
    assert talk.notice_ms == (ended["recording_notice"] - tail) // 8
    # and they agree with where the tone is in what was really sent
    sent = bytes(call.line.sent[: 2 * ended["disclosure"]])
    assert not any(sent[2 * (ended["disclosure"] - tail) :])
    assert any(sent[2 * (ended["disclosure"] - tail) - 160 : 2 * (ended["disclosure"] - tail)])


def test_opening_is_sent_without_a_gap() -> None:
    call = Call(HangsUp(200, after="way_out"))
    call.run()
    opening = [SCRIPT.prompts[n] for n in ("disclosure", "purpose", "recording_notice", "way_out")]
    whole = b"".join(p.pcm for p in opening)
    assert bytes(call.line.sent[: len(whole)]) == whole


MOMENTS = [
    ("first word", {"at_ms": 100}),
    ("disclosure", {"at_ms": 900}),
    ("purpose", {"during": "purpose", "at_ms": 200}),
    ("notice", {"during": "recording_notice", "at_ms": 200}),
    ("way out", {"during": "way_out", "at_ms": 200}),
    ("question", {"during": "node.ask", "at_ms": 200}),
    ("pause", {"after": "node.ask", "at_ms": 500}),
]


@pytest.mark.parametrize("moment", [m[1] for m in MOMENTS], ids=[m[0] for m in MOMENTS])
def test_key_one_ends_the_call_at_every_moment(moment: dict[str, Any]) -> None:
    call = Call(Presses("1", **moment))
    talk = call.run()
    pressed = next(e.position // 8 for e in call.line.log if isinstance(e, KeyPressed))
    assert talk.outcome is Outcome.REFUSED
    assert call.refusals == [("key", pressed)]
    assert talk.farewell_ms is not None
    assert talk.farewell_ms - pressed <= 40
    assert call.ended_ms - pressed <= 1900
    assert call.said(talk)[-1] == "farewell"


@pytest.mark.parametrize("noisy", [False, True], ids=["quiet", "noise"])
@pytest.mark.parametrize("moment", [m[1] for m in MOMENTS], ids=[m[0] for m in MOMENTS])
def test_spoken_refusal_ends_the_call_at_every_moment(moment: dict[str, Any], noisy: bool) -> None:
    call = Call(Says("不 需要", noisy=noisy, **moment))
    talk = call.run()
    assert talk.outcome is Outcome.REFUSED
    assert talk.refused_ms is not None
    assert talk.farewell_ms is not None
    assert call.refusals == [("voice", talk.refused_ms)]
    assert 0 <= talk.farewell_ms - talk.refused_ms <= 700
    assert call.ended_ms - talk.refused_ms <= 1900
    said = call.said(talk)
    assert said.count("farewell") == 1
    assert said[-1] == "farewell"
    assert "不需要" in [line.text for line in talk.transcript]


def test_refusal_in_the_disclosure_cuts_it_and_records_what_was_heard() -> None:
    call = Call(Says("别 打 了", 300))
    talk = call.run()
    first = talk.transcript[0]
    assert first.mark == "disclosure"
    assert first.interrupted_at_ms is not None
    whole = SCRIPT.prompts["disclosure"]
    assert whole.text.startswith(first.text)
    assert 0 < len(first.text) < len(whole.text)
    cut = next(e for e in call.line.log if isinstance(e, PlayCut))
    assert first.interrupted_at_ms == cut.played // 8
    assert talk.disclosed_ms is None
    assert talk.notice_ms is None
    assert "S1" not in talk.violations


def test_talking_on_after_a_refusal_still_ends_the_call() -> None:
    call = Call(
        Says("不 需要 我 真 的 很 忙 你们 怎么 总 是 这样 的 啊", 300, for_ms=9000, noisy=True)
    )
    talk = call.run()
    assert talk.refused
    assert call.ended_ms < 6000


def test_late_refusal_gets_no_farewell_but_a_bye_at_once() -> None:
    class SlowSpeech(ScriptedSpeech):
        HANG_MS, DECODE_MS, PARTIAL_MS = 290, 900, 100_000

    call = Call(Says("不 需要", 500))
    call.speech = SlowSpeech(call.line)
    talk = call.run()
    assert talk.refused_ms is not None
    assert talk.farewell_ms is None
    assert "farewell" not in call.said(talk)
    assert call.ended_ms - talk.refused_ms <= 1900


def test_farewell_that_cannot_end_in_time_is_cut_at_the_deadline() -> None:
    class StutteringLine(ScriptedLine):
        """Sends nothing for a second after the queue was dropped, as a congested host would."""

        held = 0

        def stop(self) -> None:
            super().stop()
            self.held = 50

        def _send(self) -> None:
            if self.held:
                self.held -= 1
                self.sent += bytes(320)
            else:
                super()._send()

    call = Call()
    call.line = StutteringLine([Presses("1", 500)], clock=call.clock)
    call.speech = ScriptedSpeech(call.line)
    talk = call.run()
    assert talk.outcome is Outcome.REFUSED
    assert 1800 <= call.ended_ms - 520 <= 1900


def test_person_asked_for_in_the_disclosure() -> None:
    call = Call(Says("转 人工", 300))
    talk = call.run()
    assert (talk.outcome, talk.callback) == (Outcome.CALLBACK, True)
    assert talk.disclosed_ms is not None
    assert call.said(talk) == ["disclosure", "farewell"]


def test_hang_up_in_the_disclosure() -> None:
    call = Call(HangsUp(1000))
    talk = call.run()
    assert (talk.outcome, talk.ended_by) == (Outcome.HUNG_UP, "callee")
    assert talk.disclosed_ms is None
    assert talk.transcript[0].interrupted_at_ms == 1020
    assert talk.violations == ()


def test_silence_is_asked_once_more() -> None:
    talk = Call().run()
    assert talk.outcome is Outcome.NO_DECISION
    questions = [line for line in talk.transcript if line.mark == "question"]
    assert len(questions) == 2
    assert questions[1].start_ms - questions[0].end_ms >= 5000


def test_recognizer_lost_in_the_disclosure() -> None:
    call = Call(SpeechDies(500))
    talk = call.run()
    assert (talk.outcome, talk.blame) == (Outcome.ABORTED, Blame.US)
    assert talk.disclosed_ms is not None
    assert call.said(talk) == ["disclosure", "farewell"]


def test_recognizer_lost_and_key_one_during_the_goodbye() -> None:
    call = Call(SpeechDies(500), Presses("1", 100, during="line.lost"))
    talk = call.run()
    assert talk.outcome is Outcome.REFUSED
    assert call.refusals[0][0] == "key"


def test_no_recognizer_from_the_start() -> None:
    call = Call(speech=False)
    talk = call.run()
    assert talk.outcome is Outcome.ABORTED
    assert call.said(talk) == ["disclosure", "farewell"]


def test_missing_disclosure_audio_hangs_up_with_a_violation() -> None:
    prompts = {k: v for k, v in SCRIPT.prompts.items() if k != "disclosure"}
    call = Call(script=SCRIPT.evolve(prompts=prompts))
    talk = call.run()
    assert (talk.outcome, talk.violations) == (Outcome.ABORTED, ("S1",))
    assert not any(call.line.sent)


def test_disclosure_that_ends_late_is_a_violation() -> None:
    slow = SCRIPT.prompts["disclosure"].evolve(
        pcm=bytes(2 * 24400) + SCRIPT.prompts["disclosure"].pcm,
        audible=(24400, 24400 + SCRIPT.prompts["disclosure"].audible[1]),
    )
    call = Call(script=SCRIPT.evolve(prompts={**SCRIPT.prompts, "disclosure": slow}))
    talk = call.run()
    assert talk.disclosed_ms is not None
    assert talk.disclosed_ms > 3000
    assert "S1" in talk.violations


def test_voicemail_is_hung_up_on_silently() -> None:
    call = Call(Says("您 拨打 的 用户 暂时 无法 接听", 200, for_ms=3000))
    talk = call.run()
    assert talk.outcome is Outcome.VOICEMAIL
    assert "farewell" not in call.said(talk)
    assert call.ended_ms < 3500


def test_question_is_interrupted_by_an_early_answer() -> None:
    call = Call(Says("可以 你说", 300, during="node.ask"))
    talk = call.run()
    question = next(line for line in talk.transcript if line.mark == "question")
    assert question.interrupted_at_ms is not None
    assert talk.outcome is Outcome.ACCEPTED


def test_time_limit_ends_politely() -> None:
    acts = [Says("多少 钱", 15_000 + i * 4000) for i in range(60)]
    call = Call(*acts)
    talk = call.run()
    assert talk.outcome is Outcome.NO_DECISION
    assert 180_000 <= talk.duration_ms <= 190_000
    assert call.said(talk)[-1] == "farewell"


def test_refusal_is_written_beside_the_farewell_and_awaited() -> None:
    call = Call(Presses("1", 300))
    seen: list[str] = []

    async def write() -> None:
        await asyncio.sleep(0)
        seen.append("written")

    call.refused = lambda how, at_ms: write()  # type: ignore[method-assign]
    call.run()
    assert seen == ["written"]


@pytest.mark.parametrize("late", [False, True])
def test_failing_refusal_write_does_not_keep_the_callee(late: bool) -> None:
    call = Call(Presses("1", 300))

    async def fail() -> None:
        raise OSError("disk full")

    def fail_now(how: str, at_ms: int) -> Awaitable[None]:
        if not late:
            raise OSError("disk full")
        return fail()

    call.refused = fail_now  # type: ignore[method-assign]
    talk = call.run()
    assert talk.refused
    assert talk.violations == ("S12",)
    assert call.ended_ms - 320 <= 1900


def test_line_that_never_reports_its_end() -> None:
    call = Call(Presses("1", 300))
    call.line = ScriptedLine([Presses("1", 300)], clock=call.clock, deliver_gone=False)
    call.speech = ScriptedSpeech(call.line)
    talk = asyncio.run(_stalling(call))
    assert (talk.outcome, talk.ended_by) == (Outcome.REFUSED, "bot")


async def _stalling(call: Call) -> Conversation:
    async with asyncio.timeout(10):
        return await converse(
            call.line,
            call.script,
            call.speech,
            clock=call.clock,
            on_refusal=call.refused,
            words=words(),
        )


def test_audio_reaches_the_recognizer_in_order() -> None:
    class Listening(ScriptedSpeech):
        positions: list[int]

        def feed(self, position: int, pcm: bytes) -> None:
            self.positions.append(position)
            super().feed(position, pcm)

    call = Call(HangsUp(400))
    speech = Listening(call.line)
    speech.positions = []
    call.speech = speech
    call.run()
    assert speech.positions == [i * 160 for i in range(len(speech.positions))]
    assert len(speech.positions) >= 20


def test_no_task_is_left_behind() -> None:
    async def run() -> int:
        call = Call(Presses("1", 300))
        await converse(
            call.line,
            call.script,
            call.speech,
            clock=call.clock,
            on_refusal=call.refused,
            words=words(),
        )
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


def test_scripted_line_delivers_audio_frames() -> None:
    line = ScriptedLine([Says("", pcm=b"\1\0" * 160)])

    async def first() -> list[AudioIn]:
        frames: list[AudioIn] = []
        while len(frames) < 3:
            event = await line.next_event()
            if isinstance(event, AudioIn):
                frames.append(event)
        return frames

    frames = asyncio.run(first())
    assert [f.position for f in frames] == [0, 160, 320]
    assert frames[1].pcm == b"\1\0" * 160


# ---------------------------------------------------------------- a person


def _asks(*acts: Act, answers_ms: int | None, talks_ms: int = 0) -> tuple[Call, Somebody]:
    call = Call(Says("转 人工", 300, after="node.ask"), *acts)
    call.person = Somebody(answers_ms=answers_ms, line=call.line, talks_ms=talks_ms)
    return call, call.person


def test_a_callee_is_connected_until_the_person_hangs_up() -> None:
    call, person = _asks(answers_ms=0, talks_ms=4000)
    talk = call.run()
    assert (talk.outcome, talk.blame, talk.ended_by) == (Outcome.TRANSFERRED, Blame.NOBODY, "bot")
    assert (talk.agent, talk.callback) == ("agent1", False)
    assert talk.transferred_ms is not None
    assert talk.duration_ms - talk.transferred_ms >= 4000
    assert person.log == ["joined", "parted"]


@pytest.mark.parametrize(
    ("spoken", "sure", "flags", "violations"),
    [
        ("我们的产品宝本高收益", True, {"S8", "S9"}, {"S8", "S9"}),
        ("我们的产品宝本高收益", False, {"S8", "S9"}, set()),  # heard too badly to blame anybody
        ("我们不承诺保本", True, set(), set()),
    ],
)
def test_what_a_person_of_ours_says_is_flagged(
    spoken: str, sure: bool, flags: set[str], violations: set[str]
) -> None:
    call, person = _asks(answers_ms=0, talks_ms=4000)
    person.says = [(spoken, sure)]
    talk = call.run()
    (line,) = [line for line in talk.transcript if line.speaker is Speaker.AGENT]
    assert (line.text, set(line.flags)) == (spoken, flags)
    assert set(talk.violations) == violations
    assert talk.outcome is Outcome.TRANSFERRED


def test_the_call_with_a_person_ends_when_the_callee_leaves() -> None:
    call, person = _asks(HangsUp(6000, after="line.connecting"), answers_ms=0)
    talk = call.run()
    assert (talk.outcome, talk.ended_by) == (Outcome.TRANSFERRED, "callee")
    assert person.log == ["joined", "parted"]


def test_key_1_takes_a_callee_out_of_the_talk_with_a_person() -> None:
    call, person = _asks(Presses("1", 3000, after="line.connecting"), answers_ms=0)
    talk = call.run()
    assert (talk.outcome, talk.refused) == (Outcome.REFUSED, True)
    assert talk.transferred_ms is not None
    assert person.log == ["joined", "parted"]
    assert call.refusals[0][0] == "key"


def test_a_refusal_gives_up_a_person_who_is_being_called() -> None:
    call, person = _asks(Presses("1", 2000, after="line.connecting"), answers_ms=None)
    talk = call.run()
    assert (talk.outcome, talk.transferred_ms, talk.agent) == (Outcome.REFUSED, None, "")
    assert person.log == ["gave up"]


def test_a_no_said_to_a_person_is_recorded_and_the_talk_goes_on() -> None:
    call, person = _asks(
        Says("不 需要 别 打 了", 1000, after="line.connecting"),
        HangsUp(9000, after="line.connecting"),
        answers_ms=0,
    )
    talk = call.run()
    assert (talk.outcome, talk.refused, talk.ended_by) == (Outcome.TRANSFERRED, True, "callee")
    assert [how for how, _ in call.refusals] == ["voice"]
    assert person.log == ["joined", "parted"]


def test_a_stopped_run_takes_leave() -> None:
    call = Call()
    call.leave = asyncio.Event()
    call.leave.set()
    talk = call.run()
    assert (talk.outcome, talk.blame) == (Outcome.CANCELLED, Blame.US)
    assert call.said(talk) == ["disclosure", "farewell"]


# ---------------------------------------------------------------- words


def for_interest(interest: str) -> RenderedScript:
    """The demo's script with a value of the contact in its question, filled for one call."""
    asks = "您对{interest}感兴趣吗？"
    prompts = tuple(p.evolve(text=asks) if p.id == "node.ask" else p for p in SCRIPT.script.prompts)
    cache = PromptCache(None, ToneSynthesizer())
    shared = render_script(SCRIPT.script.evolve(prompts=prompts), cache)
    return for_contact(shared, cache, {"interest": interest}, words())


def said(talk: Conversation, mark: str) -> list[TranscriptLine]:
    return [line for line in talk.transcript if line.mark == mark]


@pytest.mark.parametrize("interest", ["宝本高收益", "無風​險", "荐*股", "高收益", "套现", "CVV"])
def test_words_from_a_contact_are_replaced_by_the_safe_line(interest: str) -> None:
    call = Call(HangsUp(9000, after="way_out"), script=for_interest(interest))
    talk = call.run()
    (safe, *_) = said(talk, "safe")
    (way_out,) = said(talk, "way_out")
    assert safe.text == SCRIPT.script.prompt("line.safe").text
    assert set(safe.flags) <= {"D6", "S8", "S9", "S14"}
    assert safe.flags
    assert 0 <= safe.start_ms - way_out.end_ms <= 1000  # S9; the pause of 200 ms, in truth
    assert not any(interest in line.text for line in talk.transcript)
    assert call.script.prompts["line.safe"].pcm in bytes(call.line.sent)
    assert talk.violations == ()  # it was not said


def test_harmless_words_of_a_contact_are_said() -> None:
    talk = Call(HangsUp(9000, after="way_out"), script=for_interest("咖啡")).run()
    assert said(talk, "question")[0].text == "您对咖啡感兴趣吗？"
    assert not said(talk, "safe")


def changed(id: str, text: str) -> RenderedScript:
    """A rendered prompt whose words nobody checked, as a later source of text could bring."""
    prompts = {**SCRIPT.prompts, id: SCRIPT.prompts[id].evolve(text=text)}
    return SCRIPT.evolve(prompts=prompts)


def test_whatever_is_said_is_checked_when_it_is_said() -> None:
    call = Call(HangsUp(9000, after="way_out"), script=changed("node.ask", "这款产品保本。"))
    talk = call.run()
    assert said(talk, "safe")[0].flags == ("S8",)
    assert SCRIPT.prompts["node.ask"].pcm not in bytes(call.line.sent)


def test_a_farewell_is_replaced_in_time() -> None:
    call = Call(Presses("1", 300), script=changed("line.refusal", "好的，稳赚不赔。"))
    talk = call.run()
    assert talk.outcome is Outcome.REFUSED
    assert call.ended_ms - 320 <= 1900  # S11 comes first: there may be no time for it


@pytest.mark.parametrize("id", ["disclosure", "recording_notice", "line.safe"])
def test_without_words_that_may_be_said_the_call_ends(id: str) -> None:
    script = changed(id, "这款产品保本。")
    if id == "line.safe":
        script = script.evolve(prompts={**script.prompts, **changed("node.ask", "保本").prompts})
        script = script.evolve(prompts={**script.prompts, id: changed(id, "保本").prompts[id]})
    call = Call(HangsUp(30_000), script=script)
    talk = call.run()
    assert (talk.outcome, talk.blame) == (Outcome.ABORTED, Blame.US)
    assert SCRIPT.prompts["node.ask"].pcm not in bytes(call.line.sent)
    assert not any("保本" in line.text for line in talk.transcript)


def test_words_of_the_callee_are_flagged_and_change_nothing() -> None:
    call = Call(Says("你们 是不是 诈骗", 500, after="way_out"), HangsUp(9000, after="way_out"))
    talk = call.run()
    (line,) = [line for line in talk.transcript if line.speaker is Speaker.CALLEE]
    assert line.flags == ("S9",)
    assert talk.violations == ()
