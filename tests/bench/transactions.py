# SPDX-License-Identifier: GPL-3.0-or-later
"""Claiming and authorising calls among few and among many contacts, on both databases."""

from __future__ import annotations

import tempfile
from pathlib import Path

from compliance.facts import SourceKind
from tests.bench.figures import Figure, Sizes, timed
from tests.bench.imports import write_people
from tests.databases import Databases, PostgresDatabases, SqliteDatabases
from tests.postgres import PostgresServer
from tests.storage_home import LINE, TestHome, build, open_home

_A_DAY = 190  # calls of one number


def measure(folder: Path, sizes: Sizes) -> list[Figure]:
    server = PostgresServer()
    server.start()
    try:
        return [
            *_on(SqliteDatabases(folder), folder / "sqlite", sizes),
            *_on(PostgresDatabases(server), folder / "postgresql", sizes),
        ]
    finally:
        server.remove()


def _on(databases: Databases, folder: Path, sizes: Sizes) -> list[Figure]:
    figures, costs = [], []
    for people in (sizes.few, sizes.many):
        home = _home(databases, folder / str(people), people)
        seconds = _authorise(home, sizes.calls)
        costs.append(seconds)
        figures.append(
            Figure(
                f"{databases.kind}: authorised calls, {people:,} contacts",
                sizes.calls / seconds,
                "calls/s",
                sizes.calls,
            )
        )
        home.close()
    growth = costs[1] / costs[0]
    times = f"{sizes.many // sizes.few}× the contacts"
    what = f"{databases.kind}: cost of a call, {times}"
    return [*figures, Figure(what, growth, "×", sizes.calls, "at most 1.3 × is asked for")]


def _home(databases: Databases, path: Path, people: int) -> TestHome:
    build(path, databases)
    home = open_home(path)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "people.csv"
        write_people(file, people)
        home.store.contacts.import_file(
            file, actor=home.actors["operator"], source=SourceKind.OWN_CRM, batch="all"
        )
    return home


def _authorise(home: TestHome, calls: int) -> float:
    """Seconds from claim to committed attempt, of all calls one after the other."""
    # Each number of ours has its daily cap (C4b).
    lines = [
        LINE.evolve(id=f"line-{n}", caller_id=f"01055{n:06}") for n in range(calls // _A_DAY + 1)
    ]
    campaign = home.campaign(batches=["all"], lines=lines)
    warm = home.claim(campaign)
    home.store.authorise(home.permit(warm), warm, home.clock.wall())
    with timed() as lap:
        for _ in range(calls):
            claim = home.claim(campaign)
            home.store.authorise(home.permit(claim), claim, home.clock.wall())
    return lap.seconds
