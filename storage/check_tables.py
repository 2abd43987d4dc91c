# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the check after a call and of a campaign's arms, on SQLite and PostgreSQL alike.

Neither holds personal data: verdicts, figures in ms, names of words in the lexicon.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, UtcDateTime
from storage.models import Id


class CallCheck(Base):
    """One check of one recorded call. A later one of the same call replaces it, and it stays."""

    __tablename__ = "call_checks"
    __table_args__ = (CheckConstraint("result IN ('passed', 'failed', 'unknown')", name="result"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    attempt: Mapped[str] = mapped_column(ForeignKey("attempts.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Id)  # a person, or the platform
    result: Mapped[str] = mapped_column(String(8))
    items: Mapped[list[Any]] = mapped_column(JSON)  # {item, result, reason, facts} each
    figures: Mapped[dict[str, Any]] = mapped_column(JSON)
    versions: Mapped[dict[str, Any]] = mapped_column(JSON)  # of what judged it
    replaced: Mapped[bool] = mapped_column(default=False)
    opened_case: Mapped[str] = mapped_column(String(32), default="")


class CampaignArm(Base):
    """One of the script versions a campaign compares (G6); none: the campaign's own script."""

    __tablename__ = "campaign_arms"
    __table_args__ = (CheckConstraint("weight > 0", name="weight"),)

    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    arm: Mapped[str] = mapped_column(String(8), primary_key=True)  # A, B, …
    script: Mapped[str] = mapped_column(ForeignKey("scripts.id"))
    weight: Mapped[int] = mapped_column(Integer)
