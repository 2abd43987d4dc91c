# SPDX-License-Identifier: GPL-3.0-or-later
"""What was said in a call, as the JSON that is sealed and that the ledger commits to."""

from __future__ import annotations

import json
from collections.abc import Iterable

from compliance.facts import Speaker, TranscriptLine


def as_text(lines: Iterable[TranscriptLine]) -> str:
    """One array a line, without names; flags last, where there are any."""
    rows = [
        [
            str(line.speaker),
            line.text,
            line.start_ms,
            line.end_ms,
            line.interrupted_at_ms,
            line.confidence,
            line.mark,
            *([list(line.flags)] if line.flags else []),
        ]
        for line in lines
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def lines_of(text: str) -> tuple[TranscriptLine, ...]:
    """The lines of :func:`as_text`; empty: nothing was said."""
    lines = []
    for speaker, *rest in json.loads(text or "[]"):
        said, flags = rest[:6], rest[6:]
        lines.append(TranscriptLine(Speaker(speaker), *said, *(tuple(f) for f in flags)))
    return tuple(lines)


def flagged(lines: Iterable[TranscriptLine]) -> list[str]:
    """Whose words touched which requirement, without the words: ``agent:S8`` (S9)."""
    return list(dict.fromkeys(f"{line.speaker}:{flag}" for line in lines for flag in line.flags))
