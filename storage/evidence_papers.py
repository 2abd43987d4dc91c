# SPDX-License-Identifier: GPL-3.0-or-later
"""The papers a call rested on, for its evidence pack: all but the files (P4, V1-V4, D2)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from storage import packs
from storage.models import AttemptRow, Batch, CampaignRow
from storage.paper_tables import PaperRow

ENTRIES = ("paper.add", "paper.withdraw")


def filed(
    session: Session, row: AttemptRow, line: bytes, batch: Mapping[str, Any], script: str
) -> list[PaperRow]:
    """Papers of the line that was dialed and its supplier, of who gave the contact, and of the
    campaign, its purpose and its script; those filed until the call."""
    campaign = session.get(CampaignRow, row.campaign)
    assert campaign is not None
    known = session.get(Batch, batch.get("id", ""))
    supplier = json.loads(line or b"{}").get("supplier", {}).get("id", "")
    owners = {
        "supplier": supplier,
        "line": row.line,
        "partner": "" if known is None else known.partner or "",
        "campaign": row.campaign,
        "purpose": campaign.purpose,
        "script": script,
    }
    theirs = [
        and_(PaperRow.owner_kind == kind, PaperRow.owner == owner)
        for kind, owner in owners.items()
        if owner
    ]
    query = select(PaperRow).where(or_(*theirs), PaperRow.added_at <= row.at)
    return list(session.scalars(query.order_by(PaperRow.added_at, PaperRow.id)))


def member(filed: Sequence[PaperRow]) -> bytes:
    """``papers.json``; empty where nothing was filed. The names of files stay in the home."""
    rows = [
        {
            "id": row.id,
            "kind": row.kind,
            "owner_kind": row.owner_kind,
            "owner": row.owner,
            "number": row.number,
            "issuer": row.issuer,
            "valid_from": row.valid_from.isoformat() if row.valid_from else "",
            "valid_until": row.valid_until.isoformat() if row.valid_until else "",
            "details": row.details,
            "sha256": row.sha256,
            "size": row.size,
        }
        for row in filed
    ]
    return packs.canonical(rows) if rows else b""
