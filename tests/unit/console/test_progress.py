# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of a run: one line an event in a pipe, a panel of live calls in a terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from console.progress import Progress


def run(events: list[tuple[str, dict[str, Any]]], *, terminal: bool) -> tuple[str, Progress]:
    out = io.StringIO()
    progress = Progress(Console(file=out, width=120, force_terminal=terminal), "en")
    with progress:
        for event, facts in events:
            progress(event, facts)
        if terminal:
            assert progress._live is not None
            progress._live.refresh()
    return out.getvalue(), progress


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("dialing", {"attempt": "a", "contact": "139****0109"}),
    ("dialing", {"attempt": "b", "contact": "139****0113"}),
    ("answered", {"attempt": "a"}),
    ("announcement", {"attempt": "b", "announcement": "switched_off"}),
    ("transferring", {"attempt": "a", "agent": "agent-1"}),
    ("refused", {"attempt": "c", "contact": "139****0106", "rules": ["no_explicit_consent"]}),
    ("transferred", {"attempt": "a", "agent": "agent-1"}),
    ("ended", {"attempt": "b", "outcome": "unavailable", "duration_ms": 0}),
]


def test_a_pipe_gets_one_line_an_event_with_the_number_of_live_calls() -> None:
    out, _ = run(CALLS, terminal=False)
    lines = out.splitlines()
    assert len(lines) == len(CALLS)
    assert "[2]  139****0113" in lines[1]
    assert "switched off" in lines[3]
    assert "139****0106" in lines[5]
    assert "no_explicit_consent" in lines[5]
    assert "[1]  139****0113" in lines[-1]
    assert "\x1b" not in out


def test_a_terminal_shows_who_is_on_the_line_and_takes_the_panel_away_again() -> None:
    out, progress = run(CALLS, terminal=True)
    assert "1 calls now · 1 ended" in out
    panel = out[out.index("calls now") :]
    assert "139****0109" in panel
    assert "with a person" in panel
    assert progress._live is None


def test_a_panel_stays_small() -> None:
    many = [("dialing", {"attempt": str(i), "contact": f"139****{i:04}"}) for i in range(40)]
    out, _ = run(many, terminal=True)
    assert "40 calls now" in out
    assert "and 28 more" in out


def test_calls_of_a_dead_process_leave_the_panel() -> None:
    _, progress = run([*CALLS, ("settled", {"attempts": ["a"]})], terminal=True)
    assert not progress._calls


def test_a_run_in_which_a_line_led_nowhere_is_remembered() -> None:
    failed = ("ended", {"attempt": "a", "outcome": "line_failed", "duration_ms": 0})
    _, progress = run([CALLS[0], failed, ("unproven", {"line": "l"})], terminal=False)
    assert (progress.got_through, progress.line_failed, progress.unproven) == (False, ["a"], {"l"})
