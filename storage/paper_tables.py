# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of papers, suppliers, data partners, purposes, assessments and processing records."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, UtcDateTime
from storage.models import Id

OwnerId = String(100)


class PaperRow(Base):
    """A licence, contract, proof or report; the file itself lies sealed among the objects."""

    __tablename__ = "papers"
    __table_args__ = (
        CheckConstraint(
            "owner_kind IN ('supplier','line','partner','campaign','purpose','script')",
            name="owner_kind",
        ),
        Index("ix_papers_owner", "owner_kind", "owner"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    owner_kind: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(OwnerId)
    number: Mapped[str] = mapped_column(String(100))
    issuer: Mapped[str] = mapped_column(String(200))
    valid_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    valid_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    details: Mapped[dict[str, str]] = mapped_column(JSON)  # class of a licence, contract's clauses
    sha256: Mapped[str] = mapped_column(String(64))  # of the file as handed in
    size: Mapped[int] = mapped_column(Integer)
    file_name_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    object: Mapped[str] = mapped_column(Id, unique=True)
    wrapped_key: Mapped[bytes] = mapped_column(LargeBinary)
    added_by: Mapped[str] = mapped_column(Id)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    withdrawn_by: Mapped[str | None] = mapped_column(Id)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SupplierRow(Base):
    """Whom lines are bought from (V1-V4)."""

    __tablename__ = "suppliers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    company: Mapped[str] = mapped_column(String(200))
    exemplary: Mapped[int] = mapped_column(Integer)  # exemplary clients known (V3)
    notes: Mapped[dict[str, str]] = mapped_column(JSON)  # by item of the checklist (V2)
    added_by: Mapped[str] = mapped_column(Id)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PartnerRow(Base):
    """Who gave us contacts (D2)."""

    __tablename__ = "partners"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    company: Mapped[str] = mapped_column(String(200))
    added_by: Mapped[str] = mapped_column(Id)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PurposeRow(Base):
    """What people may be called for (D11)."""

    __tablename__ = "purposes"

    code: Mapped[str] = mapped_column(OwnerId, primary_key=True)
    legal_basis: Mapped[str] = mapped_column(String(32))
    description: Mapped[str] = mapped_column(Text)
    declared_by: Mapped[str] = mapped_column(Id)
    declared_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_by: Mapped[str | None] = mapped_column(Id)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CampaignBatch(Base):
    """Which batches a campaign was made of, in their order; outlives its contacts."""

    __tablename__ = "campaign_batches"

    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    batch: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)


class AssessmentRow(Base):
    """A personal-information impact assessment, bound to what was assessed (PIPL 55, 56)."""

    __tablename__ = "assessments"
    __table_args__ = (
        CheckConstraint("(campaign IS NULL) <> (purpose IS NULL)", name="one_subject"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    campaign: Mapped[str | None] = mapped_column(ForeignKey("campaigns.id"), index=True)
    purpose: Mapped[str | None] = mapped_column(ForeignKey("purposes.code"), index=True)
    paper: Mapped[str] = mapped_column(ForeignKey("papers.id"))
    covers: Mapped[str] = mapped_column(String(64))  # digest of what was assessed
    what: Mapped[dict[str, Any]] = mapped_column(JSON)
    by: Mapped[str] = mapped_column(Id)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirms: Mapped[str | None] = mapped_column(Id)  # an earlier one, confirmed for a change


class ProcessingRow(Base):
    """What a campaign processed, as it stood at a start; kept at least three years (PIPL 56)."""

    __tablename__ = "processing_records"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Id)
    what: Mapped[dict[str, Any]] = mapped_column(JSON)
