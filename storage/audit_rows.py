# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit as it is read: sample, answers, result, and the digest that is signed (G2)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from compliance.audits import Answer, Checklist, Question, Stratum
from compliance.errors import BadInput
from compliance.facts import Consent, Evolve
from storage.case_tables import AuditAnswer, AuditItem, AuditNote, AuditRow


@dataclass(frozen=True, slots=True)
class Answered(Evolve):
    """One answer; its note, if there is one, is read with :meth:`Audits.notes` by its id."""

    answer: Answer
    by: str
    at: datetime
    id: str
    has_note: bool


@dataclass(frozen=True, slots=True)
class Item(Evolve):
    """One thing drawn; ``subject`` is an id, the month's name at position 0."""

    position: int
    stratum: Stratum
    subject: str
    answers: dict[str, Answered]  # by question


@dataclass(frozen=True, slots=True)
class Audit(Evolve):
    """The audit of one month."""

    month: str
    drawn_by: str
    drawn_at: datetime
    size: int
    root: str
    seed: str
    checklist: str
    population: dict[str, int]
    items: tuple[Item, ...]
    digest: str
    result: str  # passed, findings; empty until it is signed
    signed_by: str
    signed_at: datetime | None

    def open(self, checklist: Checklist) -> list[tuple[Item, Question]]:
        """What is not answered yet, in its order."""
        return [
            (item, question)
            for item in self.items
            for question in checklist.about(item.stratum)
            if question.id not in item.answers
        ]

    def found(self) -> list[tuple[Item, str]]:
        """Every *no*: item and question."""
        return [
            (item, question)
            for item in self.items
            for question, answered in sorted(item.answers.items())
            if answered.answer is Answer.NO
        ]


@dataclass(frozen=True, slots=True)
class DrawnContact(Evolve):
    """What the questions about a drawn contact are answered from; ``number`` is masked."""

    number: str
    batch: str
    source: str
    imported_at: datetime
    consents: tuple[Consent, ...]
    called_at: tuple[datetime, ...]


def audit_of(session: Session, month: str) -> Audit:
    """Raises BadInput: it was not drawn."""
    row = session.get(AuditRow, month, populate_existing=True)
    if row is None:
        raise BadInput("was not drawn", field="month", remedy=f"candor audit draw --month {month}")
    noted = set(
        session.scalars(
            select(AuditNote.id)
            .join(AuditAnswer, AuditAnswer.id == AuditNote.id)
            .where(AuditAnswer.month == month)
        )
    )
    answers: dict[int, dict[str, Answered]] = {}
    for a in session.scalars(select(AuditAnswer).where(AuditAnswer.month == month)):
        answered = Answered(Answer(a.answer), a.by, a.at, a.id, a.id in noted)
        answers.setdefault(a.position, {})[a.question] = answered
    items = session.scalars(
        select(AuditItem).where(AuditItem.month == month).order_by(AuditItem.position)
    )
    return Audit(
        month=row.month,
        drawn_by=row.drawn_by,
        drawn_at=row.drawn_at,
        size=row.size,
        root=row.root,
        seed=row.seed,
        checklist=row.checklist,
        population=dict(row.population),
        items=tuple(
            Item(i.position, Stratum(i.stratum), i.subject, answers.get(i.position, {}))
            for i in items
        ),
        digest=row.digest,
        result=row.result,
        signed_by=row.signed_by or "",
        signed_at=row.signed_at,
    )


def digest_of(audit: Audit) -> str:
    """What is signed: month, seed, sample and answers, each with its id, which the ledger's
    entries bind to the words of its note."""
    return digest(
        [
            audit.month,
            audit.seed,
            audit.checklist,
            [
                [
                    item.position,
                    str(item.stratum),
                    item.subject,
                    [[q, str(a.answer), a.id] for q, a in sorted(item.answers.items())],
                ]
                for item in audit.items
            ],
        ]
    )


def digest(value: object) -> str:
    """SHA-256 of the value as JSON without spaces."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
