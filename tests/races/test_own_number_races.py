# SPDX-License-Identifier: GPL-3.0-or-later
"""Racing workers of two nodes and three lines that show two numbers: no number passes its cap."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import AuthorisationDenied, LeaseLost
from compliance.facts import LineFacts
from compliance.own_numbers import OwnNumber
from storage.store import Caps
from tests.storage_home import LINE, TestHome, open_home, permit_for

WORKERS, PEOPLE, CAP = 12, 40, 7


def test_no_number_passes_its_daily_cap(home: TestHome) -> None:
    campaign = _campaign(home)
    # A second node opens the same database, as another machine would.
    homes = [home, open_home(home.path, node="node2")]
    barrier, results = threading.Barrier(WORKERS), []
    threads = [
        threading.Thread(target=_work, args=(homes[n % 2], campaign, n, barrier, results))
        for n in range(WORKERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    homes[1].close()
    assert [r for r in results if isinstance(r, BaseException)] == []
    assert len(results) == WORKERS
    with home.engine.connect() as connection:
        shown: Any = connection.execute(
            text("SELECT own_number, count(*) AS calls FROM attempts GROUP BY own_number")
        ).all()
    # Two lines show one number: seven calls of it, not fourteen. And none is left unused.
    assert {row.own_number: row.calls for row in shown} == {
        "+864008887686": CAP,
        "+861055550000": CAP,
    }
    told = sum((r for r in results if isinstance(r, Counter)), Counter())
    assert told["dialed"] == 2 * CAP
    with pytest.raises(AuthorisationDenied, match="own_number_over_cap"):
        _late(home, campaign)


def _campaign(home: TestHome) -> str:
    shown = {"a": "400-888-7686", "b": "+864008887686", "c": "010 55550000"}
    lines = [LINE.evolve(id=name, caller_id=number) for name, number in shown.items()]
    return home.campaign([f"1390000{n:04d}" for n in range(PEOPLE)], lines=lines)


def _blind(line: LineFacts) -> LineFacts:
    """The gate is told of no earlier call: only the authorising transaction can stop it."""
    assert line.own_number is not None
    return line.evolve(own_number=OwnNumber(line.own_number.number, calls=0))


def _work(
    home: TestHome, campaign: str, n: int, barrier: threading.Barrier, results: list[object]
) -> None:
    told: Counter[str] = Counter()
    try:
        barrier.wait(60)
        for _ in range(PEOPLE):
            now = home.clock.wall()
            claim = home.store.claim(campaign, worker=f"w{n}", now=now)
            if claim is None:
                break
            lines = tuple(_blind(line) for line in claim.request.lines)
            if n % 3 == 0:
                lines = lines[::-1]  # some want the numbers in the other order
            claim = claim.evolve(request=claim.request.evolve(lines=lines))
            permit = permit_for(claim, home.clock)
            try:
                home.store.authorise(permit, claim, now, Caps(own_per_day=CAP))
                told["dialed"] += 1
            except (AuthorisationDenied, LeaseLost):
                told["denied"] += 1
        results.append(told)
    except BaseException as error:
        results.append(error)


def _late(home: TestHome, campaign: str) -> None:
    home.clock.advance(24 * 3600 - 60)
    home.store.settle_expired(home.clock.wall())
    with home.engine.begin() as connection:
        connection.execute(text("UPDATE targets SET not_before = '2026-01-01 00:00:00.000000'"))
    claim = home.claim(campaign)
    lines = tuple(_blind(line) for line in claim.request.lines)
    claim = claim.evolve(request=claim.request.evolve(lines=lines))
    home.store.authorise(
        permit_for(claim, home.clock), claim, home.clock.wall(), Caps(own_per_day=CAP)
    )
