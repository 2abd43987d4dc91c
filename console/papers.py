# SPDX-License-Identifier: GPL-3.0-or-later
"""A line's papers and how long each is still good (C5, C6, D7); pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from compliance.facts import LineFacts

PAPERS = ("whitelist", "registration", "filing", "plaintext")
WARN_DAYS = 30

_FIELDS = {
    "whitelist": "whitelisted_until",
    "registration": "registered_until",
    "filing": "filed_until",
    "plaintext": "plaintext_exception_until",
}


def until(line: LineFacts, paper: str) -> datetime | None:
    """The end of one of :data:`PAPERS`; None: there is none."""
    found = getattr(line, _FIELDS[paper])
    return found if isinstance(found, datetime) else None


def days_left(line: LineFacts, paper: str, now: datetime) -> int | None:
    """Whole days until a paper ends; negative once it has; None: there is none."""
    end = until(line, paper)
    return None if end is None else (end - now).days


def asked_for(line: LineFacts, policy_papers: Collection[str]) -> tuple[str, ...]:
    """Which papers this line needs: those of the policy, and the exception for plain sound."""
    asked = tuple(paper for paper in PAPERS if paper in policy_papers)
    return asked if line.encrypted else (*asked, "plaintext")


def missing(line: LineFacts, policy_papers: Collection[str], now: datetime) -> tuple[str, ...]:
    """Papers this line needs and lacks, or that have ended."""
    return tuple(
        paper
        for paper in asked_for(line, policy_papers)
        if (end := until(line, paper)) is None or end <= now
    )
