# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from compliance.facts import Blame, Outcome
from voicebot import dialogue as d
from voicebot.intents import Intent, IntentResult
from voicebot.script import Script, load, parse

EXAMPLES = Path(__file__).parents[3] / "examples" / "demo"
SCRIPT = load(EXAMPLES / "script.zh.yaml")
REFUSAL = d.Heard(IntentResult(Intent.REFUSAL, True, 1.0))


def heard(intent: Intent) -> d.Heard:
    return d.Heard(IntentResult(intent, False, 1.0))


def run(*events: d.Event) -> tuple[d.State, list[d.Action]]:
    state = d.State(SCRIPT)
    actions: list[d.Action] = []
    for event in events:
        state, new = d.step(state, event)
        actions += new
    return state, actions


OPENING = (
    d.Begin(),
    d.PromptEnded("disclosure"),
    d.PromptEnded("purpose"),
    d.PromptEnded("recording_notice"),
    d.PromptEnded("way_out"),
)
ASKED = (*OPENING, d.PromptEnded("node.ask"))

EVERYWHERE: dict[str, tuple[d.Event, ...]] = {
    "disclosure": OPENING[:1],
    "purpose": OPENING[:2],
    "notice": OPENING[:3],
    "way out": OPENING[:4],
    "question": OPENING,
    "listening": ASKED,
    "answering": (*ASKED, heard(Intent.QUESTION)),
    "details": (*ASKED, heard(Intent.YES)),
    "goodbye": (*ASKED, heard(Intent.LATER)),
    "connecting": (*ASKED, heard(Intent.HUMAN)),
    "connecting, said": (*ASKED, heard(Intent.HUMAN), d.PromptEnded("line.connecting")),
    "callback": (*ASKED, heard(Intent.HUMAN), d.NobodyFree()),
    "recognizer lost": (*ASKED, d.SpeechLost()),
    "human asked in the disclosure": (d.Begin(), heard(Intent.HUMAN)),
}


@pytest.mark.parametrize("before", EVERYWHERE.values(), ids=EVERYWHERE.keys())
@pytest.mark.parametrize("no", [REFUSAL, d.Key("1")], ids=["voice", "key"])
def test_refusal_works_in_every_state(before: tuple[d.Event, ...], no: d.Event) -> None:
    state, acted = run(*before)
    state, actions = d.step(state, no)
    how = "key" if isinstance(no, d.Key) else "voice"
    assert [a for a in actions if a != d.Part()] == [
        d.Stop(), d.Refused(how), d.Say(("line.refusal",), interruptible=False)
    ]  # fmt: skip
    assert (d.Part() in actions) == (d.Connect() in acted and d.NobodyFree() not in before)
    state, actions = d.step(state, d.PromptEnded("line.refusal"))
    assert actions == (d.End(Outcome.REFUSED, Blame.CALLEE),)


TALKING = {
    k: v
    for k, v in EVERYWHERE.items()
    if k
    not in ("details", "goodbye", "connecting", "connecting, said", "callback", "recognizer lost",
            "human asked in the disclosure")
}  # fmt: skip


@pytest.mark.parametrize("before", TALKING.values(), ids=TALKING.keys())
def test_a_person_can_be_asked_for_in_every_state(before: tuple[d.Event, ...]) -> None:
    state, _ = run(*before)
    state, actions = d.step(state, heard(Intent.HUMAN))
    if state.phase is d.Phase.DISCLOSURE:  # the robot still says what it is first (S1)
        assert actions == ()
        state, actions = d.step(state, d.PromptEnded("disclosure"))
    saying = d.Say(("line.connecting",), interruptible=False)
    assert actions == (d.Stop(), d.Connect(), saying)
    ready, actions = d.step(state, d.PersonAnswered())
    assert actions == ()  # the bot finishes its sentence first
    joined, actions = d.step(ready, d.PromptEnded("line.connecting"))
    assert actions == (d.Join(),)
    _, actions = d.step(joined, d.PersonGone())
    assert actions == (d.Stop(), d.End(Outcome.TRANSFERRED, Blame.NOBODY))
    state, actions = d.step(state, d.NobodyFree())
    assert d.Ticket("callback") in actions
    assert d.Say(("line.human",), interruptible=False) in actions
    _, actions = d.step(state, d.PromptEnded("line.human"))
    assert actions == (d.End(Outcome.CALLBACK, Blame.CALLEE),)


BRIDGED = (*ASKED, heard(Intent.HUMAN), d.PromptEnded("line.connecting"), d.PersonAnswered())


def test_a_no_said_to_a_person_is_listed_but_cuts_nobody_off() -> None:
    state, _ = run(*BRIDGED)
    state, actions = d.step(state, REFUSAL)
    assert actions == (d.SaidNo(),)
    assert d.step(state, REFUSAL)[1] == ()
    _, actions = d.step(state, d.Gone("callee"))
    assert actions == (d.Part(), d.End(Outcome.TRANSFERRED, Blame.NOBODY))


def test_key_1_ends_a_call_with_a_person_too() -> None:
    state, _ = run(*BRIDGED)
    _, actions = d.step(state, d.Key("1"))
    assert actions[:3] == (d.Part(), d.Stop(), d.Refused("key"))


@pytest.mark.parametrize(
    "event", [d.Silence(), d.BargeIn(), d.TimeUp(), d.SpeechLost(), d.MachineAnswered(),
              d.StopAsked(), heard(Intent.ROBOT_QUESTION), heard(Intent.YES)]
)  # fmt: skip
def test_the_robot_keeps_out_of_a_talk_between_people(event: d.Event) -> None:
    state, _ = run(*BRIDGED)
    assert d.step(state, event)[1] == ()


def test_whoever_hangs_up_waiting_for_a_person_is_called_back() -> None:
    for before in ((*ASKED, heard(Intent.HUMAN)), (d.Begin(), heard(Intent.HUMAN))):
        state, _ = run(*before)
        _, actions = d.step(state, d.Gone("callee"))
        assert d.Ticket("callback") in actions
        assert actions[-1] == d.End(Outcome.CALLBACK, Blame.CALLEE)


def test_a_person_who_answers_too_late_is_let_go() -> None:
    state, _ = run(*ASKED, heard(Intent.HUMAN), d.Key("1"))
    assert d.step(state, d.PersonAnswered())[1] == (d.Part(),)


def test_a_stopped_run_says_goodbye_after_the_disclosure() -> None:
    state, actions = run(d.Begin(), d.StopAsked())
    assert len(actions) == 1
    state, actions = d.step(state, d.PromptEnded("disclosure"))
    assert d.Say(("line.goodbye",), interruptible=False) in actions
    _, actions = d.step(state, d.PromptEnded("line.goodbye"))
    assert actions == (d.End(Outcome.CANCELLED, Blame.US),)


def test_yes_leads_to_accepted() -> None:
    _, actions = run(*ASKED, heard(Intent.YES), d.PromptEnded("node.explain"))
    assert actions[-1] == d.End(Outcome.ACCEPTED, Blame.CALLEE)


def test_question_is_answered_and_asked_again() -> None:
    _, actions = run(*ASKED, heard(Intent.QUESTION), d.PromptEnded("node.answer"))
    assert [a.prompts for a in actions if isinstance(a, d.Say)][-2:] == [
        ("node.answer",),
        ("node.ask",),
    ]


def test_silence_asks_once_more_then_says_goodbye() -> None:
    _, actions = run(
        *ASKED, d.Silence(), d.PromptEnded("node.ask"), d.Silence(), d.PromptEnded("node.goodbye")
    )
    said = [a.prompts for a in actions if isinstance(a, d.Say)]
    assert said[1:] == [("node.ask",), ("node.ask",), ("node.goodbye",)]
    assert actions[-1] == d.End(Outcome.NO_DECISION, Blame.CALLEE)


def test_robot_question_is_answered_truthfully() -> None:
    _, actions = run(*ASKED, heard(Intent.ROBOT_QUESTION))
    assert actions[-1] == d.Say(("line.robot", "node.ask"), interruptible=True)


def test_robot_question_over_the_opening_is_answered_after_it() -> None:
    _, actions = run(d.Begin(), heard(Intent.ROBOT_QUESTION), *OPENING[1:])
    assert actions[-1] == d.Say(("line.robot", "node.ask"), interruptible=True)
    assert d.Stop() not in actions


@pytest.mark.parametrize("intent", [Intent.YES, Intent.GREETING, Intent.UNKNOWN, Intent.LATER])
def test_ordinary_speech_does_not_cut_the_opening(intent: Intent) -> None:
    state, actions = run(d.Begin(), heard(intent), d.BargeIn(), OPENING[1], heard(intent))
    assert len(actions) == 1
    assert state.phase is d.Phase.OPENING


def test_misunderstanding_apologises_once() -> None:
    _, actions = run(
        *ASKED,
        heard(Intent.UNKNOWN),
        d.PromptEnded("node.ask"),
        heard(Intent.UNKNOWN),
    )
    said = [a.prompts for a in actions if isinstance(a, d.Say)]
    assert said[-2:] == [("line.unclear", "node.ask"), ("node.goodbye",)]


def test_repeat_is_free_but_bounded() -> None:
    state, _ = run(*ASKED)
    said = []
    for _ in range(6):
        state, actions = d.step(state, heard(Intent.REPEAT))
        said += [a.prompts for a in actions if isinstance(a, d.Say)]
        state, _ = d.step(state, d.PromptEnded("node.ask"))
    assert ("node.goodbye",) in said


def test_barge_in_stops_a_question_and_listens() -> None:
    _, actions = run(*OPENING, d.BargeIn())
    assert actions[-2:] == [d.Stop(), d.Listen(5000)]


def test_lost_recognizer_ends_safely_after_the_disclosure() -> None:
    _, actions = run(
        d.Begin(), d.SpeechLost(), d.PromptEnded("disclosure"), d.PromptEnded("line.lost")
    )
    assert actions[1:] == [
        d.Stop(),
        d.Say(("line.lost",), interruptible=False),
        d.End(Outcome.ABORTED, Blame.US),
    ]


def test_missing_audio_before_the_disclosure_is_a_violation() -> None:
    _, actions = run(d.Begin(), d.AudioMissing("disclosure"))
    assert actions[1:] == [d.Violation("S1"), d.Stop(), d.End(Outcome.ABORTED, Blame.US)]
    _, actions = run(*ASKED, heard(Intent.YES), d.AudioMissing("node.explain"))
    assert d.Violation("S1") not in actions


def test_hang_up_after_yes_is_still_a_yes() -> None:
    _, actions = run(*ASKED, heard(Intent.YES), d.Gone("callee"))
    assert actions[-1] == d.End(Outcome.ACCEPTED, Blame.CALLEE)


@pytest.mark.parametrize(
    ("by", "outcome", "blame"),
    [
        ("callee", Outcome.HUNG_UP, Blame.CALLEE),
        ("bot", Outcome.CANCELLED, Blame.US),
        ("nobody", Outcome.LINE_FAILED, Blame.CARRIER),
    ],
)
def test_end_of_the_line(by: str, outcome: Outcome, blame: Blame) -> None:
    _, actions = run(d.Begin(), d.Gone(by))
    assert actions[-1] == d.End(outcome, blame)


def test_complaint_opens_a_ticket_and_machine_is_hung_up_on() -> None:
    _, actions = run(*ASKED, heard(Intent.COMPLAINT))
    assert d.Ticket("complaint") in actions
    _, actions = run(d.Begin(), d.MachineAnswered())
    assert actions[-1] == d.End(Outcome.VOICEMAIL, Blame.NOBODY)


# ---------------------------------------------------------------- any sequence of events

PROMPTS = st.sampled_from([p.id for p in SCRIPT.prompts])
EVENTS: st.SearchStrategy[d.Event] = st.one_of(
    PROMPTS.map(d.PromptEnded),
    st.sampled_from(list(Intent)).flatmap(
        lambda i: st.booleans().map(lambda r: d.Heard(IntentResult(i, r, 1.0)))
    ),
    st.sampled_from("0123456789*#").map(d.Key),
    st.sampled_from(
        [d.Begin(), d.BargeIn(), d.Silence(), d.SpeechLost(), d.MachineAnswered(), d.TimeUp()]
    ),
    st.sampled_from([d.PersonAnswered(), d.NobodyFree(), d.PersonGone(), d.StopAsked()]),
    PROMPTS.map(d.AudioMissing),
    st.sampled_from(["callee", "bot", "nobody"]).map(d.Gone),
)


@given(st.lists(EVENTS, max_size=40))
def test_whatever_happens(events: list[d.Event]) -> None:
    """After a refusal only the farewell; one End and nothing after it; the end always comes."""
    state, actions = run(d.Begin(), *events)
    for _ in range(60):  # from here on the prompts simply play and the callee stays silent
        if state.phase is d.Phase.OVER:
            break
        for event in (
            d.PromptEnded("disclosure"),
            d.PromptEnded(state.last_prompt),
            d.NobodyFree(),
            d.PersonGone(),
            d.Silence(),
        ):
            state, new = d.step(state, event)
            actions += new
    assert state.phase is d.Phase.OVER
    ends = [i for i, a in enumerate(actions) if isinstance(a, d.End)]
    assert ends == [len(actions) - 1]
    refused = [i for i, a in enumerate(actions) if isinstance(a, d.Refused)]
    assert len(refused) <= 1
    if refused:
        after = [a for a in actions[refused[0] :] if isinstance(a, d.Say)]
        assert after == [d.Say(("line.refusal",), interruptible=False)]
        end = actions[-1]
        assert isinstance(end, d.End)
        assert end.outcome is Outcome.REFUSED


@given(st.lists(EVENTS, max_size=25), st.sampled_from([REFUSAL, d.Key("1")]))
def test_the_way_out_works_wherever_the_call_is(events: list[d.Event], no: d.Event) -> None:
    state, _ = run(d.Begin(), *events)
    over = state.phase is d.Phase.OVER
    after, _ = d.step(state, no)
    assert after.refused or over


# ---------------------------------------------------------------- any valid script


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """The demo's opening and lines with a random graph: node i falls back to later nodes only."""
    count = draw(st.integers(1, 5))
    nodes: dict[str, dict[str, object]] = {}
    for i in range(count):
        anywhere = st.integers(0, count).map(lambda n: f"n{n}")
        nodes[f"n{i}"] = {
            "say": f"第{i}句",
            "interruptible": draw(st.booleans()),
            "expect": {
                "yes": f"n{i + 1}",
                **draw(st.dictionaries(st.sampled_from(["question", "2", "later"]), anywhere)),
            },
            "on_silence": {"repeat": draw(st.integers(0, 2)), "then": f"n{i + 1}"},
            "on_unknown": {"repeat": draw(st.integers(0, 2)), "then": f"n{count}"},
        }
    nodes[f"n{count}"] = {"say": "再见", "end": "no_decision"}
    document = yaml.safe_load((EXAMPLES / "script.zh.yaml").read_text(encoding="utf-8"))
    return parse({**document, "start": "n0", "nodes": nodes})


@given(scripts(), st.lists(EVENTS, max_size=30), st.sampled_from([REFUSAL, d.Key("1")]))
def test_the_way_out_works_in_every_state_of_any_script(
    script: Script, events: list[d.Event], no: d.Event
) -> None:
    state = d.State(script)
    for event in (d.Begin(), *OPENING[1:], *events):
        state, _ = d.step(state, event)
    if state.phase is d.Phase.OVER or state.refused:
        return
    state, actions = d.step(state, no)
    if actions[0] == d.Part():  # an agent is being called: the callee is taken back first
        actions = actions[1:]
    assert actions[0] == d.Stop()
    assert isinstance(actions[1], d.Refused)
    _, actions = d.step(state, d.PromptEnded("line.refusal"))
    assert actions == (d.End(Outcome.REFUSED, Blame.CALLEE),)


@given(scripts())
def test_any_script_ends_by_itself_when_nobody_answers(script: Script) -> None:
    state, _ = d.step(d.State(script), d.Begin())
    for _ in range(100):
        for event in (d.PromptEnded("disclosure"), d.PromptEnded(state.last_prompt), d.Silence()):
            state, _ = d.step(state, event)
    assert state.phase is d.Phase.OVER
