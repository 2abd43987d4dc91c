# SPDX-License-Identifier: GPL-3.0-or-later
"""Live progress of a dial run: one line an event, readable in a pipe and in a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from compliance.facts import Outcome
from console.messages import text

_STYLE = {
    "refused": "yellow",
    "refusal": "yellow",
    "unproven": "red",
    "worker_died": "red",
    "speech_died": "red",
    "orphan_bye": "red",
    "settled": "magenta",
}


class Progress:
    """Prints what the supervisor reports; numbers arrive masked (D8)."""

    def __init__(self, console: Console, language: str) -> None:
        self._console = console
        self._language = language
        self._began = time.monotonic()
        self._labels: dict[str, str] = {}  # attempt id -> masked contact
        self.unproven: set[str] = set()  # lines that did not prove to be a simulator
        self.line_failed: list[str] = []  # attempts that no line brought anywhere
        self.got_through = False  # some call reached a callee, or the network behind the line

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        attempt = str(facts.get("attempt", ""))
        if event == "dialing":
            self._labels[attempt] = str(facts.get("contact", ""))
        elif event == "unproven":
            self.unproven.add(str(facts["line"]))
        elif event == "ended" and facts["outcome"] == Outcome.LINE_FAILED:
            self.line_failed.append(attempt)
        elif event == "ended":
            self.got_through = True
        label = self._labels.get(attempt, "")
        line = self._line(event, facts, label)
        if line:
            elapsed = time.monotonic() - self._began
            self._console.print(
                f"{elapsed:6.1f} s  {label:<13} {line}",
                style=_STYLE.get(event, ""),
                highlight=False,
                markup=False,
            )

    def _line(self, event: str, facts: Mapping[str, Any], contact: str) -> str:
        say = self._language
        match event:
            case "dialing":
                return text("progress.dialing", say, contact=contact)
            case "answered" | "orphan_bye" | "worker_died" | "speech_died":
                return text(f"progress.{event}", say)
            case "refusal":
                return text("progress.refusal", say, how=facts["how"])
            case "refused":
                return text("progress.refused", say, rules=", ".join(facts["rules"]))
            case "unproven":
                return text("progress.unproven", say, line=facts["line"])
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
