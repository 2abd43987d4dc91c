# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor check` on recordings with planted faults, spoken by the demo script's real voice."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Role, Speaker
from console import homes
from dialer.checker import Waiting, is_loaded, work
from dialer.checking import CallChecker, says_robot
from storage import call_keys
from storage.cases import CaseKind
from storage.context import Context
from storage.g711 import Pcm, linear_to_alaw
from storage.models import AttemptRow, ScriptRow
from storage.objects import FolderObjects
from storage.recording_rows import seal_rows
from storage.recordings import RecordingWriter, Track
from storage.scripts import version_digest
from tests.console_home import ConsoleHome
from tests.unit.voicebot.builders import EXAMPLES
from voicebot.prompts import PromptCache, RenderedScript, render_script
from voicebot.script import OPENING, load
from voicebot.tts import PyttsxSynthesizer

SOURCE = (EXAMPLES / "script.zh.yaml").read_text("utf-8")
LEAD = 120  # ms before the first word


@dataclass(frozen=True, slots=True)
class Voice:
    """The demo script in its real voice, and the folder its prompts are cached in."""

    script: RenderedScript
    folder: Path

    def said(self, *names: str, lead_ms: float = LEAD) -> Pcm:
        """Prompts one after another, as the robot sends them."""
        parts = [np.zeros(round(8 * lead_ms), np.int16)]
        parts += [np.frombuffer(self.script.prompts[name].pcm, "<i2") for name in names]
        return np.concatenate([*parts, np.zeros(8000, np.int16)])

    def times(self, *names: str, lead_ms: float = LEAD) -> list[tuple[str, int, int]]:
        """(name, start, end) in ms of the audible words of each."""
        at, found = lead_ms, []
        for name in names:
            prompt = self.script.prompts[name]
            found.append((name, round(at), round(at + prompt.audible[1] / 8)))
            at += prompt.samples / 8
        return found


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voice]:
    folder = tmp_path_factory.mktemp("prompts")
    with PyttsxSynthesizer() as synthesizer:
        yield Voice(render_script(load(SOURCE), PromptCache(folder, synthesizer)), folder)


def retell(
    home: ConsoleHome,
    voice: Voice,
    audio: Pcm,
    names: Sequence[str] = OPENING,
    *,
    words: str = "",
    signed: bool = True,
    refused: bool = False,
) -> None:
    """Let the accepted call, or the ``refused`` one, have spoken the demo script: its sound, its
    words, its record. A refusal ends 300 ms before the last of ``names`` begins."""
    call = home.refused if refused else home.accepted
    shutil.copytree(voice.folder, home.root / "prompts", dirs_exist_ok=True)
    rendered = voice.script
    digest = version_digest(SOURCE, rendered.script_digest, rendered.audio_digest)
    times = {name: (start, end) for name, start, end in voice.times(*names)}
    lines = [
        [
            str(Speaker.BOT),
            words or rendered.prompts[name].text,
            start,
            end,
            None,
            None,
            mark_of(name),
        ]
        for name, (start, end) in times.items()
    ]
    with homes.opened(home.root) as it:
        writer = RecordingWriter.create(
            FolderObjects(it.home.objects),
            it.keyring,
            tenant=it.store.tenant,
            call_id=call,
            recording_id=secrets.token_hex(16),
        )
        it.store.open_recording_row(call, writer.opening)
        alaw = linear_to_alaw(np.clip(audio, -32768, 32767).astype(np.int16))
        writer.write(bytes([0xD5]) * len(alaw), alaw)
        sealed = writer.close(keep_callee=not refused)
        context = Context(it.engine, it.keyring, node="node1", clock=it.clock)
        with Session(it.engine) as session, session.begin():
            seal_rows(session, sealed, it.clock.wall())
            kept = call_keys.seal(context, session, call, "transcript", json.dumps(lines))
            session.execute(
                update(AttemptRow)
                .where(AttemptRow.id == call)
                .values(
                    recording=sealed.id,
                    duration_ms=len(alaw) // 8,
                    disclosed_ms=times["disclosure"][1],
                    notice_ms=times["recording_notice"][1] if not refused else None,
                    farewell_ms=times[names[-1]][0] if refused else None,
                    refused_ms=times[names[-1]][0] - 300 if refused else None,
                    transcript_sealed=kept,
                )
            )
            session.execute(
                update(ScriptRow).values(
                    text=SOURCE,
                    flow_digest=rendered.script_digest,
                    audio_digest=rendered.audio_digest,
                    digest=digest,
                    approved_digest=digest if signed else "0" * 64,
                )
            )


def mark_of(name: str) -> str:
    return "farewell" if name.startswith("line.") else name


def checked(home: ConsoleHome, code: int, *words: str) -> dict[str, Any]:
    """The check of the accepted call as JSON; ``items`` by name."""
    home.sign_in(Role.AUDITOR)
    ran = home.candor("check", home.accepted[:8], "--json", *words)
    assert ran.code == code, ran.err
    (found,) = json.loads(ran.out)
    assert found["call"] == home.accepted
    check: dict[str, Any] = found["check"]
    check["items"] = {item["item"]: item for item in check["items"]}
    return check


def reasons(check: dict[str, Any], item: str) -> list[str]:
    return [f["message"].rpartition(".")[2] for f in check["items"][item]["findings"]]


def test_a_call_as_approved_passes_and_is_shown_everywhere(
    calls: ConsoleHome, voice: Voice
) -> None:
    retell(calls, voice, voice.said(*OPENING))
    calls.language("en")
    check = checked(calls, 0)
    assert check["result"] == "passed"
    assert {item["verdict"] for item in check["items"].values()} <= {"passed", "skipped"}
    assert check["figures"]["robot_heard"] is True
    found = check["figures"]["opening"]["disclosure"]
    assert found["score"] > 0.999
    assert found["end_ms"] == pytest.approx(voice.times("disclosure")[0][2], abs=1)
    assert calls.kinds()[-3:] == ["recording.open", "pii.read", "call.check"]
    assert (
        calls.candor("calls", "show", calls.accepted, "--json").data["check"]["id"] == (check["id"])
    )
    assert "check afterwards: passed" in calls.candor("calls", "show", calls.accepted).out
    report = calls.candor("report", calls.accepted, "--json").data
    assert report["check"]["result"] == "passed"
    status = calls.candor("campaign", "status", "autumn", "--json").data
    assert status["checks"] == {
        "recorded": 2, "checked": 1, "passed": 1, "failed": 0, "unknown": 0,
    }  # fmt: skip
    shown = calls.candor("check", "--campaign", "autumn")
    assert shown.code == 1  # the other call's script was never spoken
    assert "2 checked: 1 passed" in shown.out


def swapped(voice: Voice) -> Pcm:
    return voice.said("disclosure", "recording_notice", "purpose", "way_out")


def muted(voice: Voice) -> Pcm:
    audio = voice.said(*OPENING).copy()
    audio[8 * 1000 : 8 * 1120] = 0
    return audio


FAULTS: list[tuple[str, Callable[[Voice], Pcm], str, str]] = [
    ("700 ms late", lambda v: v.said(*OPENING, lead_ms=LEAD + 700), "disclosure", "late"),
    ("another's", lambda v: v.said("line.complaint", *OPENING[1:]), "disclosure", "absent"),
    ("muted hole", muted, "disclosure", "hole"),
    ("swapped", swapped, "order", "swapped"),
    ("no notice", lambda v: v.said(*OPENING[:2], "way_out"), "notice", "not_heard"),
]


@pytest.mark.parametrize(("name", "audio", "item", "reason"), FAULTS)
def test_a_planted_fault_fails_its_item_and_opens_a_case(
    calls: ConsoleHome,
    voice: Voice,
    name: str,
    audio: Callable[[Voice], Pcm],
    item: str,
    reason: str,
) -> None:
    retell(calls, voice, audio(voice))
    check = checked(calls, 1)
    assert check["result"] == "failed"
    assert check["items"][item]["verdict"] == "failed"
    assert reason in reasons(check, item)
    with homes.opened(calls.root) as it:
        (case,) = it.store.cases.cases(kind=CaseKind.POST_CALL_CHECK)
    assert (case.id, case.subject) == (check["case"], calls.accepted)
    assert item in case.findings
    assert "→" in calls.candor("calls", "show", calls.accepted).out


def test_quieter_and_noisier_sound_passes_still(calls: ConsoleHome, voice: Voice) -> None:
    noise = np.random.default_rng(2).normal(0, 30, len(voice.said(*OPENING)))
    retell(calls, voice, voice.said(*OPENING) / 10 + noise / 10)
    assert checked(calls, 0)["result"] == "passed"


def test_a_refusal_is_obeyed_by_whatever_goodbye_was_said(calls: ConsoleHome, voice: Voice) -> None:
    """A complaint refuses as well, and ends with words of its own."""
    names = ("disclosure", "line.refusal")
    calls.sign_in(Role.AUDITOR)
    retell(calls, voice, voice.said(*names)[: -8 * 900], names, refused=True)
    (found,) = json.loads(calls.candor("check", calls.refused, "--json").out)
    items = {item["item"]: item for item in found["check"]["items"]}
    assert items["refusal"]["verdict"] == "passed", items["refusal"]
    assert items["notice"]["verdict"] == "skipped"
    names = ("disclosure", "line.complaint")
    retell(calls, voice, voice.said(*names)[: -8 * 900], names, refused=True)
    (found,) = json.loads(calls.candor("check", calls.refused, "--json").out)
    items = {item["item"]: item for item in found["check"]["items"]}
    messages = [f["message"] for f in items["refusal"]["findings"]]
    assert "callcheck.refusal.no_farewell" not in messages
    retell(calls, voice, voice.said("disclosure"), names, refused=True)  # nothing was said
    (found,) = json.loads(calls.candor("check", calls.refused, "--json").out)
    items = {item["item"]: item for item in found["check"]["items"]}
    messages = [f["message"] for f in items["refusal"]["findings"]]
    assert "callcheck.refusal.no_farewell" in messages


def test_a_risk_word_of_ours_fails_and_is_named_by_the_lexicon(
    calls: ConsoleHome, voice: Voice
) -> None:
    retell(calls, voice, voice.said(*OPENING), words="这是保本高收益的机器人，大约一分钟")
    check = checked(calls, 1)
    assert check["items"]["words"]["verdict"] == "failed"
    assert check["items"]["words"]["findings"][0]["params"]["who"] == "bot"


def test_without_the_approved_audio_nothing_is_said_to_have_passed(
    calls: ConsoleHome, voice: Voice
) -> None:
    retell(calls, voice, voice.said(*OPENING), signed=False)
    check = checked(calls, 1)
    assert check["result"] == "unknown"
    assert reasons(check, "disclosure") == ["no_reference"]
    assert check["case"] == ""


def test_an_altered_recording_fails(calls: ConsoleHome, voice: Voice) -> None:
    retell(calls, voice, voice.said(*OPENING))
    with homes.opened(calls.root) as it:
        sealed = it.store.checks.open(calls.accepted).sealed
        path = it.home.objects / sealed.track(Track.BOT).object
        path = path if path.exists() else next(it.home.objects.rglob(path.name))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(bytes(data))
    check = checked(calls, 1)
    assert reasons(check, "record") == ["corrupt"]
    assert check["items"]["disclosure"]["verdict"] == "unknown"


def test_who_may_not_and_what_cannot_be_checked(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    assert calls.candor("check", calls.accepted).code == 3
    calls.sign_in(Role.AUDITOR)
    for words in (
        ("check", calls.accepted, "--campaign", "autumn"),
        ("check", "--campaign", "nobody"),
        ("check", "--since", "soon"),
        ("check", "abcdef"),
        ("check", calls.live),
        ("check", calls.stopped),
    ):
        ran = calls.candor(*words)
        assert ran.code == 2, words
        assert "->" in ran.err or ":" in ran.err
    assert "call.check" not in calls.kinds()


def test_the_checker_waits_for_live_calls_on_a_loaded_machine(calls: ConsoleHome) -> None:
    paused: list[float] = []
    loads = [9.0, 9.0] + [0.0] * 99
    with homes.opened(calls.root) as it:
        assert it.store.checks.calls_up() == 1
        waiting = Waiting()
        waiting.put(calls.live)  # not over: left alone
        waiting.ending.set()
        done = work(
            it.store,
            CallChecker(it.home, it.store),
            waiting,
            load=lambda: loads.pop(0),
            pause=paused.append,
        )
        assert done == 2
        assert len(paused) == 2
        assert it.store.checks.due() == []
        kept = it.store.checks.check(calls.accepted)
        assert kept is not None
        assert kept.by == "system"
        with pytest.raises(BadInput):
            it.store.checks.open(calls.live)
    assert calls.kinds().count("call.check") == 2


def test_load_is_judged_by_core() -> None:
    assert is_loaded(1.8, 2)
    assert not is_loaded(1.7, 2)


def test_robot_words_are_found_in_what_a_recognizer_writes() -> None:
    assert says_robot("您好我是机器人星辰公司的", "zh")
    assert says_robot("hello i am a robot", "en")
    assert not says_robot("您好这里是星辰公司", "zh")
    assert not says_robot("", "zh")
    assert not says_robot("机器人", "xx")
