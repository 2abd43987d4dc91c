# SPDX-License-Identifier: GPL-3.0-or-later
"""The callee's mind without any network, the behaviour file, and the command line."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sip_sim import behaviours
from sip_sim.__main__ import main
from sip_sim.behaviours import Step
from sip_sim.callee import Callee
from sip_sim.errors import BehaviourError
from sip_sim.voices import Utterance

YES = Step("when_bot_quiet_ms", 600, say=(Utterance("yes"),))
STOP = Step("after_bot_words_ms", 300, turn=1, say=(Utterance("stop"),), refuses=True)


def live(callee: Callee, loud: list[tuple[int, int]], until: int, word_ms: int = 400) -> list[int]:
    """Run a callee in 20 ms steps against a bot loud at these times; when it acted."""
    acted, busy_until = [], 0
    for now in range(0, until, 20):
        callee.ear.frame(now, -20 if any(a <= now < b for a, b in loud) else -90)
        if busy_until and now >= busy_until:
            callee.done(busy_until)
            busy_until = 0
        if callee.due(now, busy=now < busy_until):
            acted.append(now)
            busy_until = now + word_ms
    return acted


def test_waits_for_quiet_and_bridges_short_pauses() -> None:
    assert live(Callee((YES,)), [(100, 1000), (1400, 2000)], 4000) == [2580]
    assert live(Callee((YES,)), [], 4000) == []


def test_a_click_is_no_word() -> None:
    assert live(Callee((YES,)), [(100, 120)], 2000) == []


def test_quiet_counts_only_after_enough_words() -> None:
    step = Step("when_bot_quiet_ms", 600, min_bot_ms=1000, say=(Utterance("yes"),))
    assert live(Callee((step,)), [(0, 500), (2000, 3000)], 5000) == [3580]


def test_the_second_turn_begins_after_our_words() -> None:
    bot = [(0, 1000), (2600, 5000)]
    assert live(Callee((YES, STOP)), bot, 6000) == [1580, 2900]
    # a pause in the opening is no new turn
    assert live(Callee((STOP,)), [(0, 1000), (2600, 5000)], 6000) == []


def test_after_previous_and_at() -> None:
    steps = (
        Step("at_ms", 300, say=(Utterance("a"),)),
        Step("after_previous_ms", 500, tone_hz=1000),
    )
    assert live(Callee(steps), [], 3000) == [300, 1200]


def test_repeats_with_a_pause() -> None:
    step = Step("at_ms", 200, say=(Utterance("a"),), repeat=True)
    assert live(Callee((step,)), [], 2000) == [200, 900, 1600]


def test_hanging_up_interrupts() -> None:
    callee = Callee((Step("at_ms", 100, hangup=True),))
    assert callee.due(80, busy=True) is None
    assert callee.due(100, busy=True) is not None


def test_the_shipped_file_has_what_its_users_dial() -> None:
    shipped = behaviours.load()
    assert set(map(str, range(101, 134))) | {"140", "201", "202", "203"} <= set(shipped)
    assert shipped["106"].never_dial
    refusing = {n for n, b in shipped.items() if any(s.refuses for s in b.steps)}
    assert {"102", "103", "108", "121", "127", "128", "202", "203"} <= refusing


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no behaviours"),
        ("a: [", "is no YAML"),
        ('"1": {title: x}', "three digits"),
        ('"101": {}', "title is missing"),
        ('"101": {title: x, colour: red}', "unknown key colour"),
        ('"101": {title: x, rtp: sometimes}', "rtp must be one of"),
        ('"101": {title: x, status: 99}', "final SIP status"),
        ('"101": {title: x, status: 302}', "needs redirect"),
        ('"101": {title: x, loss: 2}', "loss"),
        ('"101": {title: x, rate: 2}', "rate"),
        ('"101": {title: x, ring_ms: [5, 1]}', "ring_ms"),
        ('"101": {title: x, steps: [{say: hi}]}', "exactly one of at_ms"),
        ('"101": {title: x, steps: [{at_ms: 1}]}', "exactly one of say"),
        ('"101": {title: x, steps: [{at_ms: 1, dtmf: "12"}]}', "dtmf"),
        ('"101": {title: x, steps: [{at_ms: 1, say: a, loudly: 1}]}', "unknown key loudly"),
        ('"101": {title: x, early: [{hum_ms: 1}]}', "pause_ms"),
        ('"101": {title: x, early: [{say: a, means: gone}]}', "means must be one of"),
        ('"101": {title: x, steps: [{at_ms: 1, say: a, means: b}]}', "means must be one of"),
    ],
)
def test_mistakes_in_a_behaviour_file_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(text)
    with pytest.raises(BehaviourError, match=says) as caught:
        behaviours.load(path)
    assert "\n" not in str(caught.value)


def test_command_line_errors_are_one_line_with_a_remedy(
    tmp_path: Path,
    voice_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def cli(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["sip_sim", *arguments])
        return main()

    assert cli("keygen", "--out", str(tmp_path)) == 0
    assert (tmp_path / "sim.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "sim.pub").read_text().startswith("-----BEGIN PUBLIC KEY")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        serve = ["serve", "--records", str(tmp_path / "r"), "--voices", str(voice_cache)]
        used = f"127.0.0.1:{taken.getsockname()[1]}"
        cases = {
            "choose another --listen": [*serve, "--listen", used],
            "address of one interface": [*serve, "--listen", "0.0.0.0:0"],
            "sip_sim keygen": [*serve, "--key", str(tmp_path / "sim.pub")],
            "--behaviours": [*serve, "--behaviours", str(tmp_path / "none.yaml")],
            "exists": ["keygen", "--out", str(tmp_path)],
            "--records": ["serve", "--records", "/dev/null/x", "--voices", str(voice_cache)],
        }
        for remedy, arguments in cases.items():
            assert cli(*arguments) == 2, arguments
            errors = capsys.readouterr().err
            assert remedy in errors
            assert errors.count("\n") == 1


def test_the_list_names_every_behaviour() -> None:
    command = [sys.executable, "-m", "sip_sim", "behaviours"]
    lines = subprocess.check_output(command, text=True, timeout=20).splitlines()
    assert len(lines) == len(behaviours.load())
    assert lines[0].startswith("101  says yes")


def test_serves_until_sigterm(tmp_path: Path) -> None:
    """Cold cache to listening in 6 s, SIGTERM to exit within 1 s with an open call recorded."""
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "sip_sim", "serve", "--listen", "127.0.0.1:0"]
    command += ["--records", str(tmp_path / "r"), "--ready-file", str(ready)]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert time.monotonic() - began < 6
        while not ready.exists():
            time.sleep(0.01)
        assert json.loads(ready.read_text()) == line
        host, port = line["sip"].split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.settimeout(3)
            caller.bind(("127.0.0.1", 0))
            own = caller.getsockname()[1]
            caller.sendto(
                (
                    "INVITE sip:+8613900000105@x SIP/2.0\r\n"
                    f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKx\r\n"
                    "From: <sip:b@x>;tag=1\r\nTo: <sip:c@x>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
                ).encode(),
                (host, int(port)),
            )
            assert caller.recv(2000).startswith(b"SIP/2.0 100")
            assert caller.recv(2000).startswith(b"SIP/2.0 180")
        stopped = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(5) == 0
        assert time.monotonic() - stopped < 1
    record = json.loads((tmp_path / "r" / "1.json").read_text())
    assert (record["state"], record["final_status"]) == ("ended", 480)
