# SPDX-License-Identifier: GPL-3.0-or-later
"""Many calls through one dialer process: no crash, no leak, no stuck slot.

``python -m tests.soak.run [CALLS]`` dials that many simulated callees (default
320) four at a time, in mixed behaviours, and exits non-zero unless one and the
same process placed them all, both sides' records agree in number, its memory
stayed level and no slot was left behind. Prints its figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.homes import Run, demo_run

# Key 1 inside the disclosure, hang-up in it, busy, declined, 480, 404, 503, redirect.
_ENDINGS = ("121", "111", "104", "121", "115", "121", "116", "111", "117", "118", "121", "122")
_LEAK_KB = 12_000  # growth after the first quarter; one leaked call is about 250 kB


def _rss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


async def _watch(it: Run, samples: list[tuple[int, int, int]]) -> None:
    while True:
        await asyncio.sleep(1)
        pid = it.supervisor.pids.get("worker1") if it.supervisor else None
        ended = sum(1 for name, _ in it.events if name == "ended")
        if pid and ended:
            try:
                samples.append((ended, pid, _rss_kb(pid)))
            except OSError:
                return


async def soak(calls: int, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Dial ``calls`` callees; returns the figures and what was wrong with them."""
    samples: list[tuple[int, int, int]] = []
    began = time.monotonic()
    async with demo_run(folder, _numbers(calls), max_calls=4) as it:
        watch = asyncio.create_task(_watch(it, samples))
        await it.dial()
        watch.cancel()
        await asyncio.sleep(1)
    took = time.monotonic() - began
    outcomes = Counter(str(row.outcome) for row in it.it.store.calls(it.campaign))
    events = Counter(name for name, _ in it.events)
    quarter = [rss for ended, _, rss in samples if ended >= calls // 4]
    done = [facts for name, facts in it.events if name == "done"]
    records = it.records()
    gaps = sorted(f["max_gap_ms"] for n, f in it.events if n == "ended" and f["duration_ms"])
    figures = {
        "calls": calls,
        "seconds": round(took, 1),
        "outcomes": dict(outcomes),
        "processes": len({pid for _, pid, _ in samples}),
        "rss_kb_first_quarter": quarter[0] if quarter else 0,
        "rss_kb_last": quarter[-1] if quarter else 0,
        "callback_errors": sum(facts["callback_errors"] for facts in done),
        "max_gap_ms_median": gaps[len(gaps) // 2] if gaps else None,
        "max_gap_ms_worst": gaps[-1] if gaps else None,
        "slots_left": done[-1]["slots_left"] if done else None,
    }
    faults = []
    if events["worker_died"] or figures["processes"] != 1:
        faults.append("the dialer process did not live through it")
    if sum(outcomes.values()) != calls or len(records) != calls:
        faults.append(f"{sum(outcomes.values())} calls here, {len(records)} at the callees")
    if {"unknown", "aborted", "cancelled"} & set(outcomes):
        faults.append("some calls ended by our own doing")
    if figures["rss_kb_last"] - figures["rss_kb_first_quarter"] > _LEAK_KB:
        faults.append("memory grew")
    if figures["callback_errors"] or figures["slots_left"]:
        faults.append("callbacks failed or slots stuck")
    return figures, faults


def _numbers(calls: int) -> list[str]:
    """Different numbers whose last three digits go through the behaviours."""
    return [f"{i:03d}{_ENDINGS[i % len(_ENDINGS)]}" for i in range(calls)]


def main() -> int:
    """Run, print the figures, say what was wrong."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 320
    with tempfile.TemporaryDirectory() as folder:
        figures, faults = asyncio.run(soak(calls, Path(folder)))
    print(json.dumps({**figures, "faults": faults}, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
