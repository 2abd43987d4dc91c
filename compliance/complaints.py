# SPDX-License-Identifier: GPL-3.0-or-later
"""Complaints: who handles which, by when, and what must be done before one closes.

Pure: times are passed in. The clock of an answer runs on calendar hours from the receipt,
through nights and holidays (P2); a complaint that was entered late has less time left.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from compliance.facts import Evolve

ESCALATE_AFTER = timedelta(hours=12)
ALARM_AFTER = timedelta(hours=20)
ANSWER_WITHIN = timedelta(hours=24)
REMEDY_WITHIN_MAX = timedelta(days=30)  # the latest deadline a remedy may have


class ComplaintKind(enum.StrEnum):
    """What somebody complains about. A closed list: it decides who handles it (P3)."""

    PRIVACY = "privacy"  # how their data was got, used or kept
    FALSE_ADVERTISING = "false_advertising"
    HARASSMENT = "harassment"  # called at all, too often, at the wrong hour
    WORDING = "wording"  # rude, unclear, no way out
    OTHER = "other"


class Channel(enum.StrEnum):
    """By which way a complaint came, or its answer went."""

    PHONE = "phone"
    EMAIL = "email"
    LETTER = "letter"
    WEB = "web"
    IN_PERSON = "in_person"
    CALL = "call"  # said to the robot or an agent in a call of ours
    AUTHORITY = "authority"  # handed on by a regulator or a consumers' association


class Team(enum.StrEnum):
    """Who has to act."""

    COMPLIANCE = "compliance"
    OPERATORS = "operators"


class Stage(enum.StrEnum):
    """How far the clock of the answer has run."""

    WAITING = "waiting"
    ESCALATED = "escalated"  # the compliance officers have it
    ALARM = "alarm"  # every officer is told, the doctor is red
    BREACHED = "breached"  # not answered within 24 hours
    ANSWERED = "answered"


_COMPLIANCE_ONLY = frozenset({ComplaintKind.PRIVACY, ComplaintKind.FALSE_ADVERTISING})


def for_officers_only(kind: ComplaintKind) -> bool:
    """Whether only the compliance team handles complaints of this kind (P3)."""
    return kind in _COMPLIANCE_ONLY


def team_for(kind: ComplaintKind) -> Team:
    """Who gets a fresh complaint of this kind (P3)."""
    return Team.COMPLIANCE if for_officers_only(kind) else Team.OPERATORS


def answer_due(received: datetime) -> datetime:
    """The last moment for an answer (P2)."""
    return received + ANSWER_WITHIN


def stage(received: datetime, answered: datetime | None, now: datetime) -> Stage:
    """Where the clock stands; a moment that is reached counts as passed.

    An answer in time stops it for good, a late one does not undo the breach.
    """
    until = now if answered is None else min(answered, now)
    for after, reached in (
        (ANSWER_WITHIN, Stage.BREACHED),
        (ALARM_AFTER, Stage.ALARM),
        (ESCALATE_AFTER, Stage.ESCALATED),
    ):
        if until >= received + after and (answered is None or reached is Stage.BREACHED):
            return reached
    return Stage.WAITING if answered is None else Stage.ANSWERED


@dataclass(frozen=True, slots=True)
class Progress(Evolve):
    """What was done about a complaint."""

    answered_at: datetime | None
    remedy_due: datetime | None  # None: no remedy was set
    remedied_at: datetime | None
    training_case: str  # the case it became, or empty
    waived: bool  # an officer accepted that it teaches nothing


def remedy_overdue(progress: Progress, now: datetime) -> bool:
    """Whether the remedy's deadline passed without it (P6)."""
    due = progress.remedy_due
    return due is not None and (progress.remedied_at or now) >= due


def closing_faults(progress: Progress) -> tuple[str, ...]:
    """What is missing before the complaint may close (P6, P7); codes, in their order."""
    missing = (
        ("not_answered", progress.answered_at is None),
        ("no_remedy", progress.remedy_due is None),
        ("remedy_open", progress.remedy_due is not None and progress.remedied_at is None),
        ("no_training", not progress.training_case and not progress.waived),
    )
    return tuple(code for code, is_missing in missing if is_missing)
