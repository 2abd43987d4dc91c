# SPDX-License-Identifier: GPL-3.0-or-later
"""The law in force and the exams of those behind a campaign, as the gate sees them (G1, G4)."""

from __future__ import annotations

from sqlalchemy.orm import Session

from compliance.facts import CampaignFacts
from compliance.standing import Standing
from storage.exam_rows import valid_until
from storage.law import adopted_digest


def standing_of(session: Session, campaign: CampaignFacts) -> Standing:
    """Of a campaign as launched, or as somebody would launch it."""
    ends = valid_until(session, (campaign.launched_by, campaign.compliance_officer))
    return Standing(
        adopted_law=adopted_digest(session),
        launcher_exam_until=ends.get(campaign.launched_by),
        officer_exam_until=ends.get(campaign.compliance_officer),
    )
