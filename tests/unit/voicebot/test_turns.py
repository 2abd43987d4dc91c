# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebot import hearing as h
from voicebot import turns
from voicebot.hearing import Word
from voicebot.intents import Intent
from voicebot.line import to_samples

ZH = turns.Turns("zh")


def words(text: str, confidence: float = 1.0, start: int = 8000) -> tuple[Word, ...]:
    return tuple(
        Word(w, start + i * 1600, start + (i + 1) * 1600, confidence)
        for i, w in enumerate(text.split())
    )


def feed(*events: h.SpeechEvent, state: turns.Turns = ZH) -> tuple[turns.Turns, list[turns.Turn]]:
    found: list[turns.Turn] = []
    for event in events:
        state, new = turns.hear(state, event)
        found += new
    return state, found


def utterances(found: list[turns.Turn]) -> list[turns.Utterance]:
    return [t for t in found if isinstance(t, turns.Utterance)]


def test_final_becomes_an_utterance_ending_with_its_last_word() -> None:
    _, found = feed(
        h.SpeechStarted(8000), h.SpeechEnded(11600, 14000), h.Final(11600, words("不 需要"))
    )
    (said,) = utterances(found)
    assert (said.text, said.end, said.result.refused) == ("不需要", 11200, True)


def test_badly_heard_refusal_is_not_acted_upon() -> None:
    _, found = feed(h.Final(11600, words("不 需要", confidence=0.55)))
    assert utterances(found)[0].result.intent is Intent.UNKNOWN


def test_thresholds_come_from_the_model() -> None:
    _, found = feed(h.SpeechReady("zh", "", 0.5, 0.9), h.Final(11600, words("不 需要", 0.55)))
    assert utterances(found)[0].result.refused


def test_refusing_partial_must_stand_still_for_300_ms() -> None:
    begin = (h.SpeechStarted(8000), h.Partial(12000, words("不 需要")))
    _, found = feed(*begin, h.Partial(12000 + to_samples(299), words("不 需要")))
    assert not utterances(found)
    _, found = feed(*begin, h.Partial(12000 + to_samples(300), words("不 需要")))
    (said,) = utterances(found)
    assert said.early
    assert said.end == 11200


def test_word_that_may_still_be_going_on_is_waited_for() -> None:
    events: list[h.SpeechEvent] = [h.SpeechStarted(8000)]
    for position in (12000, 13600, 15200):  # the recognizer moves the end of the word along
        events.append(h.Partial(position, (Word("不感兴趣", 8000, position, 1.0),)))
    assert not utterances(feed(*events)[1])
    events.append(h.Partial(16800, (Word("不感兴趣", 8000, 15000, 1.0),)))
    assert utterances(feed(*events)[1])[0].end == 15000


def test_partial_that_goes_on_harmlessly_is_no_refusal() -> None:
    _, found = feed(
        h.SpeechStarted(8000),
        h.Partial(12000, words("不要")),
        h.Partial(13600, words("不要 紧")),
        h.Partial(17600, words("不要 紧")),
        h.SpeechEnded(15000, 17300),
        h.Final(15000, words("不要 紧")),
    )
    (said,) = utterances(found)
    assert said.result.intent is Intent.YES
    assert not said.early


def test_voice_ending_on_a_refusing_partial_acts_at_once() -> None:
    _, found = feed(
        h.SpeechStarted(8000), h.Partial(12000, words("别 打 了")), h.SpeechEnded(12500, 14800)
    )
    assert utterances(found)[0].early


def test_talking_on_after_an_unmistakable_refusal_acts() -> None:
    texts = [
        "不 需要",
        "不 需要 我",
        "不 需要 我 很 忙",
        "不 需要 我 很 忙 真 的",
        "不 需要 我 很 忙 真 的 不要",
    ]
    events = [h.Partial(12000 + i * to_samples(300), words(t)) for i, t in enumerate(texts)]
    _, found = feed(h.SpeechStarted(8000), *events)
    (said,) = utterances(found)
    assert said.early
    assert said.end == 12000 + 4 * to_samples(300)


def test_unconfirmed_partial_words_do_not_refuse() -> None:
    _, found = feed(
        h.SpeechStarted(8000),
        h.Partial(12000, words("不 需要", 0.0)),
        h.Partial(20000, words("不 需要", 0.0)),
    )
    assert not utterances(found)


def test_final_after_an_early_refusal_is_marked_as_acted() -> None:
    _, found = feed(
        h.SpeechStarted(8000),
        h.Partial(12000, words("不 需要")),
        h.SpeechEnded(12000, 14300),
        h.Final(12000, words("不 需要 谢谢")),
    )
    early, final = utterances(found)
    assert early.early
    assert final.acted
    assert final.text == "不需要谢谢"


def test_barge_in_after_400_ms_or_a_real_word() -> None:
    state, _ = feed(h.SpeechStarted(8000))
    assert turns.tick(state, 8000 + to_samples(399))[1] == ()
    state, found = turns.tick(state, 8000 + to_samples(400))
    assert found == (turns.BargeIn(8000 + to_samples(400)),)
    assert turns.tick(state, 20000)[1] == ()
    _, turned = feed(h.SpeechStarted(8000), h.Partial(9600, words("多少")))
    assert turned == [turns.BargeIn(9600)]
    _, turned = feed(h.SpeechStarted(8000), h.Partial(9600, words("哦")))
    assert turned == []


def test_voicemail_greeting_is_a_machine_even_if_it_says_no() -> None:
    _, found = feed(h.SpeechStarted(8000), h.Partial(20000, words("您 拨打 的 用户 不 需要")))
    assert [type(t) for t in found] == [turns.Machine]


def test_machine_words_late_in_the_call_are_somebody_talking() -> None:
    late = words("请 留言", start=to_samples(turns.ANSWER_MS) + 1)
    _, found = feed(h.Final(late[-1].end, late))
    assert [type(t) for t in found] == [turns.Utterance]


WORDS = st.lists(st.sampled_from(["不", "需要", "好", "别", "打", "了", "谢谢"]), max_size=5)
EVENTS = st.one_of(
    st.integers(0, 99999).map(h.SpeechStarted),
    st.integers(0, 99999).map(lambda p: h.SpeechEnded(p, p + 2300)),
    st.tuples(st.integers(0, 99999), WORDS, st.floats(0, 1)).map(
        lambda a: h.Partial(a[0], words(" ".join(a[1]), a[2]))
    ),
    st.tuples(st.integers(0, 99999), WORDS, st.floats(0, 1)).map(
        lambda a: h.Final(a[0], words(" ".join(a[1]), a[2]))
    ),
)


@given(st.lists(EVENTS, max_size=30))
def test_low_confidence_never_refuses(events: list[h.SpeechEvent]) -> None:
    _, found = feed(*events)
    for event in events:
        if isinstance(event, h.Partial | h.Final) and any(w.confidence >= 0.7 for w in event.words):
            return
    assert not any(u.result.refused for u in utterances(found))
