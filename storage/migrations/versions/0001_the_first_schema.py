# SPDX-License-Identifier: GPL-3.0-or-later
"""The first schema: home, people, contacts, campaigns, calls, recordings, ledger.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import storage.base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# A demo home is a demo for ever: its row is refused any change by the database itself.
_FIXED_SQLITE = [
    f"""CREATE TRIGGER home_no_{change} BEFORE {change.upper()} ON home
    {"WHEN EXISTS (SELECT 1 FROM home)" if change == "insert" else ""}
    BEGIN SELECT RAISE(ABORT, 'the home is fixed for ever'); END"""
    for change in ("insert", "update", "delete")
]
_FIXED_POSTGRESQL = [
    """CREATE FUNCTION home_is_fixed() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the home is fixed for ever'; END $$""",
    """CREATE TRIGGER home_no_change BEFORE UPDATE OR DELETE ON home
    FOR EACH ROW EXECUTE FUNCTION home_is_fixed()""",
    """CREATE TRIGGER home_no_truncate BEFORE TRUNCATE ON home
    FOR EACH STATEMENT EXECUTE FUNCTION home_is_fixed()""",
]


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("imported_by", sa.String(length=32), nullable=False),
        sa.Column("imported_at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("file_key", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("name", name=op.f("uq_batches_name")),
    )
    op.create_table(
        "home",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("company", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("created_at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('production', 'demo', 'lab')", name=op.f("ck_home_kind")),
        sa.CheckConstraint("id = 1", name=op.f("ck_home_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_home")),
    )
    op.create_table(
        "leases",
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("campaign", sa.String(length=32), nullable=False),
        sa.Column("contact", sa.String(length=32), nullable=False),
        sa.Column("fencing", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=False),
        sa.Column("lease_s", sa.Float(), nullable=False),
        sa.Column("leased_until", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("authorised", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number_index", name=op.f("pk_leases")),
        sa.UniqueConstraint("id", name=op.f("uq_leases_id")),
    )
    op.create_index(op.f("ix_leases_leased_until"), "leases", ["leased_until"], unique=False)

    op.create_table(
        "ledger_chain",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_ledger_chain")),
    )
    op.create_table(
        "ledger_checkpoint",
        sa.Column(
            "size",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_ledger_checkpoint")),
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.String(length=255), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
    )
    op.create_table(
        "ledger_leaf",
        sa.Column(
            "index",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("index", name=op.f("pk_ledger_leaf")),
        sa.UniqueConstraint("leaf_hash", name=op.f("uq_ledger_leaf_leaf_hash")),
        sa.UniqueConstraint("outbox_id", name=op.f("uq_ledger_leaf_outbox_id")),
    )
    op.create_table(
        "ledger_outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("node_seq", sa.BigInteger(), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_outbox")),
        sa.UniqueConstraint("node", "node_seq", name=op.f("uq_ledger_outbox_node")),
    )
    op.create_table(
        "ledger_sequenced",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_ledger_sequenced")),
    )
    op.create_table(
        "ledger_subtree",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("level", "index", name=op.f("pk_ledger_subtree")),
    )
    op.create_table(
        "lines",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("carrier", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=255), nullable=False),
        sa.Column("caller_id", sa.String(length=64), nullable=False),
        sa.Column("whitelisted_until", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("registered_until", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("filed_until", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column(
            "plaintext_exception_until", storage.base.UtcDateTime(timezone=True), nullable=True
        ),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("transport_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lines")),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("roles", sa.String(length=200), nullable=False),
        sa.Column("created_at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("name", name=op.f("uq_people_name")),
    )
    op.create_table(
        "refusals",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("refusal_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("until", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("how", sa.String(length=32), nullable=False),
        sa.Column("campaign", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusals")),
        sa.UniqueConstraint("attempt", name=op.f("uq_refusals_attempt")),
    )
    op.create_index(op.f("ix_refusals_refusal_index"), "refusals", ["refusal_index"], unique=False)

    op.create_table(
        "withdrawals",
        sa.Column("refusal_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("refusal_index", name=op.f("pk_withdrawals")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("batch", sa.String(length=32), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("interest_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("notes_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["batch"], ["batches.id"], name=op.f("fk_contacts_batch_batches")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("batch", "number_index", name=op.f("uq_contacts_batch")),
    )
    op.create_index(op.f("ix_contacts_number_index"), "contacts", ["number_index"], unique=False)

    op.create_table(
        "scripts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("script", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("flow_digest", sa.String(length=64), nullable=False),
        sa.Column("audio_digest", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("disclosure_end_ms", sa.Float(), nullable=True),
        sa.Column("lint", sa.JSON(), nullable=False),
        sa.Column("author", sa.String(length=32), nullable=False),
        sa.Column("submitted_at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.String(length=32), nullable=True),
        sa.Column("approved_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("approved_digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["approved_by"], ["people.id"], name=op.f("fk_scripts_approved_by_people")
        ),
        sa.ForeignKeyConstraint(["author"], ["people.id"], name=op.f("fk_scripts_author_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scripts")),
        sa.UniqueConstraint("script", "number", name=op.f("uq_scripts_script")),
    )
    op.create_table(
        "signed_in",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person", sa.String(length=32), nullable=False),
        sa.Column("issued_at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_signed_in_person_people")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_signed_in")),
    )
    op.create_table(
        "campaigns",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("company", sa.String(length=200), nullable=False),
        sa.Column("purpose", sa.String(length=100), nullable=False),
        sa.Column("script", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_by", sa.String(length=32), nullable=False),
        sa.Column("created_at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("launched_by", sa.String(length=32), nullable=False),
        sa.Column("compliance_officer", sa.String(length=32), nullable=False),
        sa.Column("max_line_concurrency", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('draft','running','paused','stopped','done')",
            name=op.f("ck_campaigns_state"),
        ),
        sa.ForeignKeyConstraint(
            ["script"], ["scripts.id"], name=op.f("fk_campaigns_script_scripts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("name", name=op.f("uq_campaigns_name")),
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("contact", sa.String(length=32), nullable=False),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("company", sa.String(length=200), nullable=False),
        sa.Column("purpose", sa.String(length=100), nullable=False),
        sa.Column("channel", sa.String(length=100), nullable=False),
        sa.Column("given_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("explicit", sa.Boolean(), nullable=False),
        sa.Column("preticked", sa.Boolean(), nullable=False),
        sa.Column("names_ai_calling", sa.Boolean(), nullable=False),
        sa.Column("evidence_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact"], ["contacts.id"], name=op.f("fk_consents_contact_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index(op.f("ix_consents_number_index"), "consents", ["number_index"], unique=False)

    op.create_table(
        "attempts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("campaign", sa.String(length=32), nullable=False),
        sa.Column("contact", sa.String(length=32), nullable=False),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number_key", sa.String(length=64), nullable=False),
        sa.Column("at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=False),
        sa.Column("decision", sa.JSON(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.Column("answered_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("settled_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_leaf", sa.LargeBinary(length=32), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("blame", sa.String(length=16), nullable=False),
        sa.Column("line", sa.String(length=64), nullable=False),
        sa.Column("sip_call_id", sa.String(length=255), nullable=False),
        sa.Column("sip_status", sa.Integer(), nullable=False),
        sa.Column("sip_reason", sa.String(length=255), nullable=False),
        sa.Column("invited_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ringing_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(length=16), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("disclosed_ms", sa.Integer(), nullable=True),
        sa.Column("notice_ms", sa.Integer(), nullable=True),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("refused_ms", sa.Integer(), nullable=True),
        sa.Column("farewell_ms", sa.Integer(), nullable=True),
        sa.Column("transferred", sa.Boolean(), nullable=False),
        sa.Column("callback", sa.Boolean(), nullable=False),
        sa.Column("feedback", sa.String(length=64), nullable=False),
        sa.Column("violations", sa.JSON(), nullable=False),
        sa.Column("max_gap_ms", sa.Integer(), nullable=False),
        sa.Column("recording", sa.String(length=64), nullable=False),
        sa.Column("transcript_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("keys_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("transcript_key", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_attempts_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    op.create_index(op.f("ix_attempts_campaign"), "attempts", ["campaign"], unique=False)
    op.create_index("ix_attempts_caps", "attempts", ["number_index", "at"], unique=False)

    op.create_table(
        "campaign_lines",
        sa.Column("campaign", sa.String(length=32), nullable=False),
        sa.Column("line", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_campaign_lines_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(["line"], ["lines.id"], name=op.f("fk_campaign_lines_line_lines")),
        sa.PrimaryKeyConstraint("campaign", "line", name=op.f("pk_campaign_lines")),
    )
    op.create_table(
        "gate_refusals",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("campaign", sa.String(length=32), nullable=False),
        sa.Column("contact", sa.String(length=32), nullable=False),
        sa.Column("at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("decision", sa.JSON(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_gate_refusals_campaign_campaigns")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_refusals")),
    )
    op.create_index(op.f("ix_gate_refusals_campaign"), "gate_refusals", ["campaign"], unique=False)

    op.create_table(
        "targets",
        sa.Column("campaign", sa.String(length=32), nullable=False),
        sa.Column("contact", sa.String(length=32), nullable=False),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("not_before", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("fencing", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('due','leased','refused','done')", name=op.f("ck_targets_state")
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaigns.id"], name=op.f("fk_targets_campaign_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["contact"], ["contacts.id"], name=op.f("fk_targets_contact_contacts")
        ),
        sa.PrimaryKeyConstraint("campaign", "contact", name=op.f("pk_targets")),
    )
    op.create_index(
        "ix_targets_due", "targets", ["campaign", "state", "not_before", "position"], unique=False
    )

    op.create_table(
        "callbacks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("opened_at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("closed_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["attempt"], ["attempts.id"], name=op.f("fk_callbacks_attempt_attempts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callbacks")),
        sa.UniqueConstraint("attempt", name=op.f("uq_callbacks_attempt")),
    )
    op.create_table(
        "recording_tracks",
        sa.Column("recording", sa.String(length=64), nullable=False),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("track", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("object", sa.String(length=255), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at", storage.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("sealed_at", storage.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sealed_sha256", sa.String(length=64), nullable=False),
        sa.Column("plain_sha256", sa.String(length=64), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("destroyed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt"], ["attempts.id"], name=op.f("fk_recording_tracks_attempt_attempts")
        ),
        sa.PrimaryKeyConstraint("recording", "segment", "track", name=op.f("pk_recording_tracks")),
    )
    op.create_index(
        op.f("ix_recording_tracks_attempt"), "recording_tracks", ["attempt"], unique=False
    )

    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _FIXED_SQLITE if on_sqlite else _FIXED_POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore a backup: records are never dropped by a downgrade")
