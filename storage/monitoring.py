# SPDX-License-Identifier: GPL-3.0-or-later
"""The three figures that must always be there: content, frequency, feedback (T1).

Sums of the past days over all campaigns; nothing here opens a sealed column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select

from compliance.facts import Evolve
from storage.case_tables import CaseRow
from storage.cases import CaseKind
from storage.check_tables import CallCheck
from storage.complaint_tables import CallNote, ComplaintRow
from storage.context import Context
from storage.decisions import from_json
from storage.models import AttemptRow, Callback, GateRefusal, RefusalRow


@dataclass(frozen=True, slots=True)
class Content(Evolve):
    """What was said: checks after calls, and marks of calls that broke a rule."""

    checks: Mapping[str, int]  # passed, failed, unknown
    violations: Mapping[str, int]  # requirement -> calls
    open_cases: int


@dataclass(frozen=True, slots=True)
class Frequency(Evolve):
    """How often people were called, and what the gate kept from being called."""

    attempts: int
    numbers: int
    most_per_number: int
    refused: Mapping[str, int]  # rule -> contacts refused


@dataclass(frozen=True, slots=True)
class Feedback(Evolve):
    """What people said to it."""

    spoken: Mapping[str, int]  # the callee's answer or key -> calls
    outcomes: Mapping[str, int]
    refusals: int
    complaints: Mapping[str, int]  # kind -> received
    notes: int
    callbacks_open: int


@dataclass(frozen=True, slots=True)
class Figures(Evolve):
    days: int
    content: Content
    frequency: Frequency
    feedback: Feedback


class Monitoring:
    """Reading the figures."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def figures(self, days: int) -> Figures:
        """Of the past so many days; without anybody's data."""
        since = self._context.clock.wall() - timedelta(days=days)
        return Figures(days, self._content(since), self._frequency(since), self._feedback(since))

    def _content(self, since: datetime) -> Content:
        with self._context.read() as session:
            checks = session.execute(
                select(CallCheck.result, func.count())
                .where(CallCheck.at >= since, ~CallCheck.replaced)
                .group_by(CallCheck.result)
            )
            marks: Counter[str] = Counter()
            for violations in session.scalars(
                select(AttemptRow.violations).where(AttemptRow.at >= since)
            ):
                marks.update(set(violations))
            cases = session.scalar(
                select(func.count())
                .select_from(CaseRow)
                .where(CaseRow.kind == str(CaseKind.POST_CALL_CHECK), CaseRow.closed_at.is_(None))
            )
            return Content(_counts(checks), _sorted(marks), cases or 0)

    def _frequency(self, since: datetime) -> Frequency:
        with self._context.read() as session:
            per_number = (
                select(func.count().label("calls"))
                .where(AttemptRow.at >= since)
                .group_by(AttemptRow.number_index)
                .subquery()
            )
            calls, numbers, most = session.execute(
                select(
                    func.coalesce(func.sum(per_number.c.calls), 0),
                    func.count(),
                    func.coalesce(func.max(per_number.c.calls), 0),
                )
            ).one()
            rules: Counter[str] = Counter()
            for kept in session.scalars(
                select(GateRefusal.decision)
                .where(GateRefusal.at >= since)
                .execution_options(yield_per=1_000)
            ):
                rules.update({finding.rule for finding in from_json(kept).refusing})
            return Frequency(int(calls), int(numbers), int(most), _sorted(rules))

    def _feedback(self, since: datetime) -> Feedback:
        with self._context.read() as session:

            def count(table: Any, *which: ColumnElement[bool]) -> int:
                return session.scalar(select(func.count()).select_from(table).where(*which)) or 0

            spoken = select(AttemptRow.feedback, func.count()).where(
                AttemptRow.at >= since, AttemptRow.feedback != ""
            )
            outcomes = select(AttemptRow.outcome, func.count()).where(
                AttemptRow.at >= since, AttemptRow.outcome.is_not(None)
            )
            complaints = select(ComplaintRow.kind, func.count()).where(
                ComplaintRow.received_at >= since
            )
            return Feedback(
                spoken=_counts(session.execute(spoken.group_by(AttemptRow.feedback))),
                outcomes=_counts(session.execute(outcomes.group_by(AttemptRow.outcome))),
                refusals=count(RefusalRow, RefusalRow.at >= since),
                complaints=_counts(session.execute(complaints.group_by(ComplaintRow.kind))),
                notes=count(CallNote, CallNote.at >= since),
                callbacks_open=count(Callback, Callback.closed_at.is_(None)),
            )


def _counts(rows: Any) -> dict[str, int]:
    return _sorted(Counter({str(name): int(count) for name, count in rows}))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
