# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of everything but the ledger, on SQLite and PostgreSQL alike.

``*_sealed`` columns hold what ``storage.pii.seal`` made; ``number_index`` is the
blind index of a number, ``refusal_index`` the one that outlives purges (S12).
Identifiers are 32 random hex digits and say nothing about a person.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, UtcDateTime

Id = String(32)


class Home(Base):
    """The one row that says whose database this is; a trigger refuses any change of it."""

    __tablename__ = "home"
    __table_args__ = (
        CheckConstraint("id = 1", name="single"),
        CheckConstraint("kind IN ('production', 'demo', 'lab')", name="kind"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    tenant: Mapped[str] = mapped_column(String(64))
    company: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


# ---------------------------------------------------------------- people


class Person(Base):
    """Somebody who signs in. ``roles`` are names joined by commas."""

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    roles: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SignedIn(Base):
    """A session token of the command line; only its SHA-256 is kept."""

    __tablename__ = "signed_in"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id"))
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


# ---------------------------------------------------------------- contacts


class Batch(Base):
    """One import: where its contacts come from is declared once, for all (D1, D2).

    ``staged_at`` is set while its rows still come in, to when the last of them came; until it
    is None nothing of the batch may be used, and its name is not yet the one it will have.
    """

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    source: Mapped[str] = mapped_column(String(16))
    imported_by: Mapped[str] = mapped_column(Id)
    imported_at: Mapped[datetime] = mapped_column(UtcDateTime)
    accepted: Mapped[int] = mapped_column(Integer)
    rejected: Mapped[int] = mapped_column(Integer)
    duplicates: Mapped[int] = mapped_column(Integer)
    file_key: Mapped[str] = mapped_column(String(64))  # of the ledger's commitment to the file
    staged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    partner: Mapped[str | None] = mapped_column(String(64))  # who gave it (D2)


class ContactRow(Base):
    """One person of one batch."""

    __tablename__ = "contacts"
    __table_args__ = (UniqueConstraint("batch", "number_index"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    batch: Mapped[str] = mapped_column(ForeignKey("batches.id"))
    row: Mapped[int] = mapped_column(Integer)  # as a spreadsheet counts: the header is row 1
    number_index: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    number_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    name_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    interest_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    notes_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    timezone: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(16))


class ConsentRow(Base):
    """What a person agreed to; found by the number of its contact, over all batches (D3, D4)."""

    __tablename__ = "consents"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    contact: Mapped[str] = mapped_column(ForeignKey("contacts.id"), index=True)
    number_index: Mapped[bytes] = mapped_column(LargeBinary(32))
    company: Mapped[str] = mapped_column(String(200))
    purpose: Mapped[str] = mapped_column(String(100))
    channel: Mapped[str] = mapped_column(String(100))
    given_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    explicit: Mapped[bool]
    preticked: Mapped[bool]
    names_ai_calling: Mapped[bool]
    evidence_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RefusalRow(Base):
    """The refusal list: a keyed hash and dates, nothing that leads to a person (S12)."""

    __tablename__ = "refusals"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    refusal_index: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    scope: Mapped[str] = mapped_column(String(16))
    how: Mapped[str] = mapped_column(String(32))
    campaign: Mapped[str] = mapped_column(Id)
    attempt: Mapped[str | None] = mapped_column(Id, unique=True)


class Withdrawal(Base):
    """The last time consent for a number was withdrawn; outlives contact and refusal (S12)."""

    __tablename__ = "withdrawals"

    refusal_index: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    logged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the ``at`` known outside


# ---------------------------------------------------------------- scripts, lines, campaigns


class ScriptRow(Base):
    """One submitted version; a change is a new version (G5)."""

    __tablename__ = "scripts"
    __table_args__ = (UniqueConstraint("script", "number"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    script: Mapped[str] = mapped_column(String(64))
    number: Mapped[int] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text)
    flow_digest: Mapped[str] = mapped_column(String(64))
    audio_digest: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(16))
    disclosure_end_ms: Mapped[float | None] = mapped_column(Float)
    lint: Mapped[list[str]] = mapped_column(JSON)
    author: Mapped[str] = mapped_column(ForeignKey("people.id"))
    submitted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    approved_by: Mapped[str | None] = mapped_column(ForeignKey("people.id"))
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    approved_digest: Mapped[str] = mapped_column(String(64), default="")


class LineRow(Base):
    """A SIP line and its papers (C5, C6); transport settings may hold a password: sealed."""

    __tablename__ = "lines"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    carrier: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(255))
    caller_id: Mapped[str] = mapped_column(String(64))
    whitelisted_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    registered_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    filed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    plaintext_exception_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    encrypted: Mapped[bool]
    enabled: Mapped[bool]
    transport_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    supplier: Mapped[str | None] = mapped_column(String(64))  # whom it was bought from (V1)


class CampaignRow(Base):
    __tablename__ = "campaigns"
    __table_args__ = (
        CheckConstraint("state IN ('draft','running','paused','stopped','done')", name="state"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    company: Mapped[str] = mapped_column(String(200))
    purpose: Mapped[str] = mapped_column(String(100))
    script: Mapped[str] = mapped_column(ForeignKey("scripts.id"))
    state: Mapped[str] = mapped_column(String(16))
    created_by: Mapped[str] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # stopped or done
    launched_by: Mapped[str] = mapped_column(String(32), default="")
    compliance_officer: Mapped[str] = mapped_column(String(32), default="")
    max_line_concurrency: Mapped[int] = mapped_column(Integer, default=0)


class CampaignLine(Base):
    __tablename__ = "campaign_lines"

    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    line: Mapped[str] = mapped_column(ForeignKey("lines.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)


class Target(Base):
    """A contact in a campaign: due, leased, refused by the gate, or done."""

    __tablename__ = "targets"
    __table_args__ = (
        CheckConstraint("state IN ('due','leased','refused','done')", name="state"),
        # The order in which claims walk: no due row is looked at twice.
        Index("ix_targets_due", "campaign", "state", "not_before", "position"),
    )

    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    contact: Mapped[str] = mapped_column(ForeignKey("contacts.id"), primary_key=True, index=True)
    number_index: Mapped[bytes] = mapped_column(LargeBinary(32))
    position: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
    fencing: Mapped[int] = mapped_column(Integer, default=0)


class Lease(Base):
    """Who holds a number just now. One row a number: two spellings cannot ring at once (C4)."""

    __tablename__ = "leases"

    number_index: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    id: Mapped[str] = mapped_column(Id, unique=True)  # becomes the attempt's id
    campaign: Mapped[str] = mapped_column(Id)
    contact: Mapped[str] = mapped_column(Id)
    fencing: Mapped[int] = mapped_column(Integer)
    worker: Mapped[str] = mapped_column(String(100))
    lease_s: Mapped[float] = mapped_column(Float)
    leased_until: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    authorised: Mapped[bool] = mapped_column(default=False)


# ---------------------------------------------------------------- calls


class GateRefusal(Base):
    """The gate said no to a claim; every finding is kept."""

    __tablename__ = "gate_refusals"

    id: Mapped[str] = mapped_column(Id, primary_key=True)  # the attempt that was not made
    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), index=True)
    contact: Mapped[str] = mapped_column(Id)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    decision: Mapped[dict[str, Any]] = mapped_column(JSON)
    leaf: Mapped[bytes] = mapped_column(LargeBinary(32))


class AttemptRow(Base):
    """One INVITE that may have gone out, and what became of it (C4, T2)."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index("ix_attempts_caps", "number_index", "at"),
        Index("ix_attempts_own_number", "own_number", "at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), index=True)
    contact: Mapped[str] = mapped_column(Id, index=True)
    number_index: Mapped[bytes] = mapped_column(LargeBinary(32))
    number_key: Mapped[str] = mapped_column(String(64))  # of the ledger's commitment
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    worker: Mapped[str] = mapped_column(String(100))
    decision: Mapped[dict[str, Any]] = mapped_column(JSON)
    # The request as decided on, consent and papers in it; lives as long as the recording (P4).
    request_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    leaf: Mapped[bytes] = mapped_column(LargeBinary(32))

    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # after a crash
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_leaf: Mapped[bytes | None] = mapped_column(LargeBinary(32))

    outcome: Mapped[str | None] = mapped_column(String(16))
    blame: Mapped[str] = mapped_column(String(16), default="")
    line: Mapped[str] = mapped_column(String(64), default="")
    own_number: Mapped[str] = mapped_column(String(64), default="")  # shown, in one spelling
    sip_call_id: Mapped[str] = mapped_column(String(255), default="")
    sip_status: Mapped[int] = mapped_column(Integer, default=0)
    sip_reason: Mapped[str] = mapped_column(String(255), default="")
    invited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ringing_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str] = mapped_column(String(16), default="")
    duration_ms: Mapped[int] = mapped_column(Integer, default=0)
    disclosed_ms: Mapped[int | None] = mapped_column(Integer)
    notice_ms: Mapped[int | None] = mapped_column(Integer)
    refused: Mapped[bool] = mapped_column(default=False)
    refused_ms: Mapped[int | None] = mapped_column(Integer)
    farewell_ms: Mapped[int | None] = mapped_column(Integer)
    transferred: Mapped[bool] = mapped_column(default=False)
    transferred_ms: Mapped[int | None] = mapped_column(Integer)
    agent: Mapped[str] = mapped_column(String(64), default="")
    announcement: Mapped[str] = mapped_column(String(16), default="")
    arm: Mapped[str] = mapped_column(String(8), default="")  # of a campaign that compares scripts
    script: Mapped[str] = mapped_column(String(32), default="")  # version; empty: the campaign's
    callback: Mapped[bool] = mapped_column(default=False)
    feedback: Mapped[str] = mapped_column(String(64), default="")
    violations: Mapped[list[str]] = mapped_column(JSON, default=list)
    max_gap_ms: Mapped[int] = mapped_column(Integer, default=0)
    recording: Mapped[str] = mapped_column(String(64), default="")
    transcript_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    keys_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Of the ledger's commitments to transcript, keys pressed and record.
    transcript_key: Mapped[str] = mapped_column(String(64), default="")


class RulebookText(Base):
    """Law as it stood for decisions already made: the text whose hash they name (P4)."""

    __tablename__ = "rulebooks"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    kept_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Callback(Base):
    """Somebody asked for a person and waits to be called back (S10)."""

    __tablename__ = "callbacks"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    attempt: Mapped[str] = mapped_column(ForeignKey("attempts.id"), unique=True)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AgentRow(Base):
    """A person at a telephone of ours whom callers may be connected to (S10)."""

    __tablename__ = "agents"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    uri: Mapped[str] = mapped_column(String(255))  # sip:user@host:port
    enabled: Mapped[bool]
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    busy_with: Mapped[str | None] = mapped_column(Id)  # the attempt on their telephone
    free_from: Mapped[datetime | None] = mapped_column(UtcDateTime)  # end of the wrap-up


class AgentLeg(Base):
    """One INVITE to an agent's telephone, on behalf of a call; here before it is sent."""

    __tablename__ = "agent_legs"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    attempt: Mapped[str] = mapped_column(ForeignKey("attempts.id"), index=True)
    agent: Mapped[str] = mapped_column(ForeignKey("agents.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    connected: Mapped[bool] = mapped_column(default=False)
    sip_call_id: Mapped[str] = mapped_column(String(255), default="")
    sip_status: Mapped[int] = mapped_column(Integer, default=0)


class LabTester(Base):
    """A SIP URI whose owner confirmed being called by the robot; lab homes only (D3)."""

    __tablename__ = "lab_testers"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    number_index: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    uri_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    uri_key: Mapped[str] = mapped_column(String(64))  # of the ledger's commitment to the URI
    confirmed_by: Mapped[str] = mapped_column(Id)
    confirmed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class EmergencyStop(Base):
    """Nothing of this home dials between ``at`` and ``lifted_at``."""

    __tablename__ = "emergency_stops"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    by: Mapped[str] = mapped_column(Id)
    lifted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lifted_by: Mapped[str | None] = mapped_column(Id)


class Destruction(Base):
    """Written record of what was destroyed: when, how, by whom, what by commitment (D14)."""

    __tablename__ = "destructions"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Id)
    method: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(32))
    what: Mapped[dict[str, int]] = mapped_column(JSON)  # rows by table
    commitment: Mapped[str] = mapped_column(String(64))
    commitment_key: Mapped[str] = mapped_column(String(64))
    leaf: Mapped[bytes] = mapped_column(LargeBinary(32))
    attempt: Mapped[str | None] = mapped_column(Id, index=True)  # of one call
    objects: Mapped[list[Any]] = mapped_column(JSON, default=list)  # [name, sealed SHA-256]
    contacts: Mapped[list[str]] = mapped_column(JSON, default=list)  # ids
    logged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # copied outside


class RecordingTrack(Base):
    """One track of one segment: its wrapped key is here before its first chunk is on disk."""

    __tablename__ = "recording_tracks"

    recording: Mapped[str] = mapped_column(String(64), primary_key=True)
    segment: Mapped[int] = mapped_column(Integer, primary_key=True)
    track: Mapped[str] = mapped_column(String(16), primary_key=True)
    attempt: Mapped[str] = mapped_column(ForeignKey("attempts.id"), index=True)
    object: Mapped[str] = mapped_column(String(255))
    wrapped_key: Mapped[bytes] = mapped_column(LargeBinary)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sealed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    samples: Mapped[int] = mapped_column(Integer, default=0)
    chunks: Mapped[int] = mapped_column(Integer, default=0)
    size: Mapped[int] = mapped_column(Integer, default=0)
    sealed_sha256: Mapped[str] = mapped_column(String(64), default="")
    plain_sha256: Mapped[str] = mapped_column(String(64), default="")
    complete: Mapped[bool] = mapped_column(default=False)
    destroyed: Mapped[bool] = mapped_column(default=False)
