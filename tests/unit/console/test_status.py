# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching a campaign: from any terminal, by anybody signed in, without touching it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from compliance.facts import Outcome, Role
from console import status as statuses
from console.figures import Figures
from console.messages import LANGUAGES
from console.status import EVERY_S, LINGER_S, Status
from storage.campaigns import CampaignCounts, CampaignState, TargetState
from tests.console_home import CAMPAIGN, ConsoleHome

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
RUNNING = Status(
    "c1",
    "autumn",
    CampaignState.RUNNING,
    AT,
    CampaignCounts({TargetState.DUE: 2}),
    Figures(attempts=1, live=1),
    0,
    demo=False,
)
DONE = RUNNING.evolve(state=CampaignState.DONE, figures=Figures(attempts=3))


def followed(looks: list[Status]) -> tuple[list[tuple[Status, bool]], float]:
    """What was shown of ``looks``, the last repeated for ever, and how long it took."""
    shown: list[tuple[Status, bool]] = []
    waited = 0.0
    left = list(looks)

    def wait(seconds: float) -> None:
        nonlocal waited
        waited += seconds

    def look() -> Status:
        seen = left.pop(0) if len(left) > 1 else left[0]
        return seen.evolve(at=AT + timedelta(seconds=waited))

    statuses.follow(look, lambda status, changed: shown.append((status, changed)), wait)
    return shown, waited


def test_following_ends_with_the_campaign_and_tells_changes_apart() -> None:
    shown, waited = followed([RUNNING, RUNNING, DONE])
    assert [changed for _, changed in shown] == [True, False, True]
    assert waited == 2 * EVERY_S
    assert shown[-1][0].state is CampaignState.DONE


def test_a_stopped_run_is_watched_until_its_last_call_is_over() -> None:
    stopping = RUNNING.evolve(state=CampaignState.STOPPED)
    _, waited = followed([stopping, stopping, stopping, DONE])
    assert waited == 3 * EVERY_S


def test_nobody_watches_for_ever_what_a_dead_process_left_open() -> None:
    _, waited = followed([RUNNING.evolve(state=CampaignState.STOPPED)])
    assert waited == LINGER_S


@pytest.mark.parametrize("state", [CampaignState.DRAFT, CampaignState.PAUSED])
def test_a_campaign_that_rests_is_not_over(state: CampaignState) -> None:
    resting = RUNNING.evolve(state=state, figures=Figures())
    shown, _ = followed([resting, resting, DONE])
    assert len(shown) == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_screen_names_things_as_the_field_does_and_fits_a_terminal(language: str) -> None:
    busy = RUNNING.evolve(
        figures=Figures(
            attempts=5, live=1, talking=1, answered=3, asr=0.6, ner=0.8, acd_s=20.06,
            pdd_p50_ms=15, pdd_p95_ms=40, refusals=1, transfers=1, disclosure_p50_ms=2505,
            disclosure_max_ms=2512, outcomes=dict.fromkeys(Outcome, 1), violations={"S1": 2},
        )
    )  # fmt: skip
    screen = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with screen.file:
        screen.print(statuses.screen(busy, language))
    text = screen.export_text()
    for shown in ("ASR", "NER", "ACD", "PDD", "60.0 %", "80.0 %", "20.1 s", "15 / 40 ms", "S1 ×2"):
        assert shown in text, shown
    assert "status." not in text
    assert "target." not in text
    assert "…" not in text
    line = statuses.line(busy, language)
    assert "ASR 60.0 %" in line
    assert "\n" not in line


def test_a_campaign_without_attempts_shows_dashes(calls: ConsoleHome) -> None:
    assert "ASR –  ACD –" in statuses.line(RUNNING, "en")
    assert statuses.as_json(RUNNING)["asr"] is None


def test_status_as_json_and_as_a_table(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    data = calls.candor("campaign", "status", CAMPAIGN, "--json").data
    assert data["state"] == "running"
    assert data["demo"] is True
    assert data["targets"] == {"due": 0, "leased": 1, "refused": 1, "done": 2}
    assert (data["attempts"], data["live"], data["talking"], data["answered"]) == (3, 1, 1, 3)
    assert (data["asr"], data["ner"], data["acd_s"]) == (1.0, 1.0, 20.0)
    assert (data["pdd_p50_ms"], data["pdd_p95_ms"]) == (40, 40)
    assert (data["refusals"], data["transfers"], data["callbacks_open"]) == (1, 0, 0)
    assert data["outcomes"] == {"accepted": 1, "refused": 1}
    assert data["violations"] == {"S6": 1}
    assert (data["disclosure_p50_ms"], data["disclosure_max_ms"]) == (2505, 2505)
    zh = calls.candor("campaign", "status", CAMPAIGN).out
    calls.language("en")
    en = calls.candor("campaign", "status", CAMPAIGN).out
    assert "应答率 ASR" in zh
    assert "callbacks open" in en
    for out in (zh, en):
        assert "王小明" not in out
        assert "13900000" not in out
    (listed,) = calls.candor("campaign", "list", "--json").data
    assert listed["campaign"] == CAMPAIGN
    assert listed["targets"] == data["targets"]
    assert CAMPAIGN in calls.candor("campaign", "list").out


def test_pause_start_and_stop_need_the_right_people_and_states(calls: ConsoleHome) -> None:
    calls.sign_in(Role.AUDITOR)
    for word in ("pause", "start", "stop"):
        assert calls.candor("campaign", word, CAMPAIGN).code == 3
    calls.sign_in(Role.OPERATOR)
    assert "candor campaign start" in calls.candor("campaign", "pause", CAMPAIGN).out
    assert calls.candor("campaign", "pause", CAMPAIGN).code == 2
    assert calls.candor("campaign", "status", CAMPAIGN, "--json").data["state"] == "paused"
    assert f"candor dial {CAMPAIGN}" in calls.candor("campaign", "start", CAMPAIGN).out
    assert calls.candor("campaign", "status", CAMPAIGN, "--json").data["state"] == "running"
    assert calls.candor("campaign", "stop", CAMPAIGN).code == 0
    assert calls.candor("campaign", "start", CAMPAIGN).code == 2
    steered = [kind for kind in calls.kinds() if kind.startswith("campaign.")]
    assert steered[-3:] == ["campaign.pause", "campaign.start", "campaign.stop"]


def _follow(calls: ConsoleHome, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "console.cli", "campaign", "status", CAMPAIGN, "--follow", *words,
         "--home", str(calls.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_a_pipe_gets_a_line_a_change_and_ctrl_c_is_no_failure(calls: ConsoleHome) -> None:
    calls.language("en")
    calls.sign_in(Role.OPERATOR)
    with _follow(calls) as following:
        assert following.stdout is not None
        assert "running" in following.stdout.readline()
        calls.candor("campaign", "pause", CAMPAIGN)
        assert "paused" in following.stdout.readline()  # nothing in between
        following.send_signal(signal.SIGINT)
        out, err = following.communicate(timeout=30)
    assert (following.returncode, out, err) == (0, "", "")


def test_json_is_an_object_a_line_and_ends_with_the_campaign(
    calls: ConsoleHome, tmp_path: Path
) -> None:
    calls.sign_in(Role.OPERATOR)
    with _follow(calls, "--json") as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["live"] == 1
        calls.candor("campaign", "stop", CAMPAIGN)
        assert json.loads(following.stdout.readline())["state"] == "stopped"
        following.send_signal(signal.SIGINT)  # the live call would be waited for
        following.communicate(timeout=30)
    assert following.returncode == 0


def test_a_name_nobody_knows(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    ran = calls.candor("campaign", "status", "winter", "--follow")
    assert (ran.code, ran.out) == (2, "")
    assert "no campaign" in ran.err
