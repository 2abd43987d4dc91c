# SPDX-License-Identifier: GPL-3.0-or-later
"""Live progress of a dial run.

In a pipe: one line an event, with the number of live calls. In a terminal the
same lines scroll by above a panel of the live calls, while used as a context.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from compliance.facts import Outcome
from console.messages import text
from console.styles import EVENTS, OUTCOMES, STATES

_BAR_WIDTH = 60  # one second a column
_PANEL_ROWS = 12


@dataclass(slots=True)
class LiveCall:
    """One call on the line: its masked number and the states it went through."""

    number: str
    states: list[tuple[str, float]] = field(default_factory=list)  # (state, since monotonic)

    def bar(self, now: float) -> Text:
        """A column for each second, coloured by what the call did then."""
        bar = Text()
        ends = [since for _, since in self.states[1:]] + [now]
        began = self.states[0][1]
        for (state, _), end in zip(self.states, ends, strict=True):
            columns = min(round(end - began), _BAR_WIDTH) - len(bar)
            bar.append("━" * max(0, columns), STATES[state])
        return bar


class Progress:
    """Shows what the supervisor reports; numbers arrive masked (D8)."""

    def __init__(self, console: Console, language: str) -> None:
        self._console = console
        self._language = language
        self._began = time.monotonic()
        self._labels: dict[str, str] = {}  # attempt id -> masked contact
        self._calls: dict[str, LiveCall] = {}  # attempt id -> call on the line
        self._ended = 0
        self._live: Live | None = None
        self.unproven: set[str] = set()  # lines that did not prove to be a simulator
        self.line_failed: list[str] = []  # attempts that no line brought anywhere
        self.got_through = False  # some call reached a callee, or the network behind the line

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._panel,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        attempt = str(facts.get("attempt", ""))
        if "contact" in facts:
            self._labels[attempt] = str(facts["contact"])
        if event == "unproven":
            self.unproven.add(str(facts["line"]))
        elif event == "ended" and facts["outcome"] == Outcome.LINE_FAILED:
            self.line_failed.append(attempt)
        elif event == "ended":
            self.got_through = True
        self._follow(event, attempt, facts)
        line = self._line(event, facts)
        if line:
            elapsed = time.monotonic() - self._began
            live = f"[{len(self._calls)}]"
            self._console.print(
                f"{elapsed:6.1f} s {live:>5}  {self._labels.get(attempt, ''):<13} {line}",
                style=self._style(event, facts),
                highlight=False,
                markup=False,
            )

    def _follow(self, event: str, attempt: str, facts: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if event == "dialing":
            self._calls[attempt] = LiveCall(self._labels.get(attempt, ""), [(event, now)])
        elif event == "ended":
            self._calls.pop(attempt, None)
            self._ended += 1
        elif event == "settled":
            for lost in facts["attempts"]:  # a process died with them
                self._calls.pop(lost, None)
        elif attempt in self._calls:
            state = "answered" if event == "no_agent" else event
            if state in STATES:
                self._calls[attempt].states.append((state, now))

    def _style(self, event: str, facts: Mapping[str, Any]) -> str:
        if event == "ended":
            return OUTCOMES.get(Outcome(facts["outcome"]), "")
        return EVENTS.get(event, "")

    def _line(self, event: str, facts: Mapping[str, Any]) -> str:
        say = self._language
        match event:
            case (
                "dialing"
                | "answered"
                | "transferring"
                | "transferred"
                | "no_agent"
                | "orphan_bye"
                | "worker_died"
                | "speech_died"
            ):
                return text(f"progress.{event}", say)
            case "announcement":
                what = text(f"announcement.{facts['announcement']}", say)
                return text("progress.announcement", say, what=what)
            case "refusal":
                how = text(f"refusal.{facts['how']}", say)
                return text("progress.refusal", say, how=how)
            case "refused":
                return text("progress.refused", say, rules=", ".join(facts["rules"]))
            case "unproven":
                return text("progress.unproven", say, line=facts["line"])
            case "blocked":
                return text("progress.blocked", say, rules=", ".join(facts["requirements"]))
            case "number_rests":
                return text("progress.number_rests", say, number=facts["number"])
            case "held":
                return text(f"progress.held.{facts['why'] or 'on'}", say)
            case "settled":
                return text("progress.settled", say, count=len(facts["attempts"]))
            case "ended":
                outcome = text(f"outcome.{facts['outcome']}", say)
                if not facts["duration_ms"]:
                    return outcome
                seconds = facts["duration_ms"] / 1000
                return text("progress.ended", say, outcome=outcome, seconds=seconds)
            case _:
                return ""

    def _panel(self) -> RenderableType:
        """The live calls with their states; drawn by Rich's own thread."""
        calls, now = list(self._calls.values()), time.monotonic()
        if not calls:
            return Text()
        grid = Table.grid(padding=(0, 1))
        for call in calls[:_PANEL_ROWS]:
            state = call.states[-1][0]
            grid.add_row(
                call.number,
                Text(text(f"live.{state}", self._language), STATES[state]),
                Text(f"{now - call.states[0][1]:5.1f} s", "dim"),
                call.bar(now),
            )
        if len(calls) > _PANEL_ROWS:
            grid.add_row("", text("live.more", self._language, count=len(calls) - _PANEL_ROWS))
        title = text("live.title", self._language, live=len(calls), ended=self._ended)
        return Panel(grid, title=title, title_align="left", border_style="dim")
