# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor says of complaints, cases and periodic duties. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from compliance.clock import Clock
from compliance.complaints import Stage
from console.diagnosis import Diagnosis, fail, ok, warn
from dialer.settings import Home
from storage.store import Store


def complaints(clock: Clock, store: Store) -> Iterator[Diagnosis]:
    """Red from 20 hours on, which is before the deadline (P2)."""
    found = store.complaints.complaints()
    waiting = [c for c in found if c.progress.answered_at is None]
    stages = [c.stage for c in waiting]
    breached, alarm = stages.count(Stage.BREACHED), stages.count(Stage.ALARM)
    remedies = sum(c.remedy_overdue and c.progress.remedied_at is None for c in found)
    if breached:
        yield fail("complaints", "breached", count=breached)
    if alarm:
        yield fail("complaints", "alarm", count=alarm)
    if remedies:
        yield fail("complaints", "remedies", count=remedies)
    if breached or alarm or remedies:
        return
    if Stage.ESCALATED in stages:
        yield warn("complaints", "escalated", count=stages.count(Stage.ESCALATED))
    else:
        yield ok("complaints", count=len(found))


def cases(clock: Clock, store: Store) -> Iterator[Diagnosis]:
    now, found = clock.wall(), store.cases.cases()
    late = sum(case.overdue(now) for case in found)
    if late:
        yield warn("cases", "overdue", count=late)
    else:
        yield ok("cases", count=len(found))


def duties(home: Home, clock: Clock, store: Store) -> Iterator[Diagnosis]:
    """An overdue duty is red: nobody knows whether the rules still hold (G2, T5)."""
    now = clock.wall()
    found = store.duties.duties(home.settings.retention.timezone)
    late = [duty for duty in found if duty.overdue(now)]
    for duty in late:
        case = "blocks" if duty.blocks(now) else "overdue"
        yield fail("duties", case, kind=duty.period.kind, period=duty.period.name)
    if not late:
        ahead = [duty for duty in found if duty.done_at is None]
        if ahead:
            first = ahead[0].period
            yield ok("duties", kind=first.kind, period=first.name, due=f"{first.due:%Y-%m-%d}")
        else:
            yield ok("duties", "none")
