# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours of calls on screens (Rich style names)."""

from __future__ import annotations

from collections.abc import Mapping

from compliance.facts import Outcome

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.ACCEPTED: "bold green",
    Outcome.TRANSFERRED: "bold cyan",
    Outcome.CALLBACK: "cyan",
    Outcome.REFUSED: "bold yellow",
    Outcome.VOICEMAIL: "magenta",
    Outcome.BUSY: "blue",
    Outcome.NO_ANSWER: "blue",
    Outcome.REJECTED: "blue",
    Outcome.UNAVAILABLE: "blue",
    Outcome.INVALID_NUMBER: "blue",
    Outcome.LINE_FAILED: "red",
    Outcome.ABORTED: "bold red",
    Outcome.UNKNOWN: "bold red",
}
# What a live call is doing: states of ``progress.LiveCall``.
STATES: Mapping[str, str] = {
    "dialing": "blue",
    "announcement": "magenta",
    "answered": "green",
    "transferring": "cyan",
    "transferred": "bold cyan",
    "refusal": "yellow",
}
EVENTS: Mapping[str, str] = {
    **STATES,
    "refused": "red",
    "unproven": "red",
    "call_failed": "red",
    "worker_died": "red",
    "speech_died": "red",
    "orphan_bye": "red",
    "settled": "magenta",
    "no_agent": "cyan",
}
