# SPDX-License-Identifier: GPL-3.0-or-later
"""A settled attempt of which more became known: the guess gives way, and the ledger says so."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from compliance.facts import Blame, Outcome
from storage.context import SYSTEM, Context
from storage.models import AttemptRow


def correct(
    context: Context,
    session: Session,
    attempt: AttemptRow,
    outcome: Outcome,
    blame: Blame,
    at: datetime,
) -> None:
    """Put what is known in the place of what settling guessed; else nothing changes."""
    if attempt.settled_at is None or attempt.finished_at is not None:
        return
    if attempt.outcome == outcome:
        return
    leaf = context.log(
        session,
        "attempt.correct",
        SYSTEM,
        at,
        attempt=attempt.id,
        was=attempt.outcome,
        outcome=str(outcome),
    )
    attempt.outcome, attempt.blame = outcome, blame
    attempt.last_leaf = bytes.fromhex(leaf)
