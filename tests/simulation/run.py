# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated quarter and its judge: ``python -m tests.simulation.run [ATTEMPTS [SEED]]``.

Two processes take half of the people each. Prints what happened, what was refused for which
reason (in the judge's words) and whatever is wrong; exit code 1 if anything is, or if there
were fewer attempts than asked for.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.queues import Queue
from queue import Empty

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.simulation import world
from tests.simulation.oracle import Oracle
from tests.simulation.simulation import Simulation

PROCESSES = 2
_SHOWN = 10
_MOST_KEPT = 1000  # of what is wrong: enough to see what it is


@dataclass
class Result:
    """What one simulated quarter came to."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)
    groundless: list[str] = field(default_factory=list)

    def add(self, other: Result) -> None:
        self.counts.update(other.counts)  # += would drop what is 0
        self.reasons.update(other.reasons)
        self.violations += other.violations
        self.groundless += other.groundless


def simulate(
    seed: int,
    attempts: int,
    *,
    part: int = 0,
    careful: bool = True,
    at_once: bool = False,
    queue: Queue | None = None,
) -> Result:
    """Simulate and judge; days that are over go to ``queue``."""
    simulation = Simulation(seed, attempts, part=part, careful=careful, at_once=at_once)
    oracle = Oracle()
    for events in simulation.run():
        oracle.read(events)
        if queue is not None:
            queue.put((part, (simulation.now - world.START) / timedelta(days=1)))
    counts = Counter(
        {
            "INVITEs": oracle.invites,
            "attempts": oracle.attempts,
            "refused by gate or store": simulation.refused + simulation.denied,
            "of these denied by the store": simulation.denied,
            "permits that expired first": simulation.expired,
            "processes killed": simulation.crashed,
            "leases settled": simulation.settled,
            "violations": len(oracle.violations),
            "refusals without a reason": len(oracle.groundless),
        }
    )
    return Result(
        counts,
        oracle.refused,
        [(reason, repr(event)) for reason, event in oracle.violations[:_MOST_KEPT]],
        [repr(event) for event in oracle.groundless[:_MOST_KEPT]],
    )


def _work(queue: Queue, seed: int, attempts: int, part: int) -> None:
    queue.put((part, simulate(seed, attempts, part=part, queue=queue)))


def main(attempts: int, seed: int) -> int:
    console = Console(width=None if sys.stdout.isatty() else 110)
    began = time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    queue: Queue = spawn.Queue()
    workers = [
        spawn.Process(target=_work, args=(queue, seed, attempts // PROCESSES, part), daemon=True)
        for part in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    total, done = Result(), 0
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bars = [progress.add_task(f"quarter {part}", total=world.DAYS) for part in range(PROCESSES)]
        while done < PROCESSES:
            try:
                part, told = queue.get(timeout=5)
            except Empty:
                if any(worker.exitcode for worker in workers):
                    console.print("a process died")
                    return 1
                continue
            if isinstance(told, Result):
                total.add(told)
                done += 1
            else:
                progress.update(bars[part], completed=told)
    for worker in workers:
        worker.join()
    _show(console, total, seed, time.monotonic() - began)
    if total.counts["attempts"] < attempts:
        console.print(f"fewer than {attempts:,} attempts")
    wrong = total.counts["violations"] or total.counts["refusals without a reason"]
    return 1 if wrong or total.counts["attempts"] < attempts else 0


def _show(console: Console, total: Result, seed: int, seconds: float) -> None:
    table = Table(title=f"a simulated quarter, seed {seed}, {seconds:,.0f} s")
    table.add_column("what")
    table.add_column("how many", justify="right")
    for what, count in total.counts.items():
        table.add_row(what, f"{count:,}")
    table.add_section()
    for reason, count in total.reasons.most_common():
        table.add_row(f"refused: {reason}", f"{count:,}")
    console.print(table)
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    console.print(f"load {load}")
    for reason, event in total.violations[:_SHOWN]:
        console.print(f"VIOLATION {reason}: {event}", highlight=False)
    for event in total.groundless[:_SHOWN]:
        console.print(f"NO REASON {event}", highlight=False)


if __name__ == "__main__":
    numbers = [int(argument.replace(",", "").replace("_", "")) for argument in sys.argv[1:3]]
    sys.exit(main(*(numbers + [1_000_000, 1][len(numbers) :])))
