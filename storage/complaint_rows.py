# SPDX-License-Identifier: GPL-3.0-or-later
"""A complaint as it is listed: masked, without its words, with where its clock stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from compliance.complaints import (
    Channel,
    ComplaintKind,
    Progress,
    Stage,
    Team,
    answer_due,
    for_officers_only,
    remedy_overdue,
    stage,
)
from compliance.facts import Evolve, Number, Role
from storage.complaint_tables import ComplaintRow
from storage.context import Context


@dataclass(frozen=True, slots=True)
class Complaint(Evolve):
    """One complaint without its words; ``number`` is masked (D8), empty if it is not known."""

    id: str
    kind: ComplaintKind
    channel: Channel
    number: str
    attempt: str
    received_at: datetime
    due: datetime  # of the answer
    stage: Stage
    team: Team
    assigned_to: str  # actor id
    case: str
    do_not_call: bool
    entered_by: str
    entered_at: datetime
    progress: Progress
    remedy_overdue: bool
    answered_by: str
    answer_channel: str
    closed_at: datetime | None
    closed_by: str
    wiped_at: datetime | None

    @property
    def overdue(self) -> bool:
        """Open, and the answer or the remedy is late."""
        late = self.remedy_overdue or self.stage is Stage.BREACHED
        waits = self.progress.answered_at is None or self.progress.remedied_at is None
        return self.closed_at is None and late and waits


def complaint_of(context: Context, row: ComplaintRow, now: datetime) -> Complaint:
    """The row as people may see it in a list."""
    progress = progress_of(row)
    number = ""
    if row.number_sealed:
        sealed = context.unseal(row.number_sealed, "complaints", "number", row.id)
        number = Number(sealed).masked
    return Complaint(
        id=row.id,
        kind=ComplaintKind(row.kind),
        channel=Channel(row.channel),
        number=number,
        attempt=row.attempt or "",
        received_at=row.received_at,
        due=answer_due(row.received_at),
        stage=stage(row.received_at, row.answered_at, now),
        team=Team(row.team),
        assigned_to=row.assigned_to or "",
        case=row.case,
        do_not_call=row.do_not_call,
        entered_by=row.entered_by,
        entered_at=row.entered_at,
        progress=progress,
        remedy_overdue=remedy_overdue(progress, now),
        answered_by=row.answered_by or "",
        answer_channel=row.answer_channel,
        closed_at=row.closed_at,
        closed_by=row.closed_by or "",
        wiped_at=row.wiped_at,
    )


def handlers(kind: ComplaintKind) -> tuple[Role, ...]:
    """Who may work on it (P3). Officers may work on all; so may operators, after an
    escalation too, on what is not for officers only: an answer is never too much."""
    return (Role.COMPLIANCE,) if for_officers_only(kind) else (Role.OPERATOR, Role.COMPLIANCE)


def progress_of(row: ComplaintRow) -> Progress:
    return Progress(
        row.answered_at,
        row.remedy_due,
        row.remedied_at,
        row.training_case,
        row.waived_by is not None,
    )
