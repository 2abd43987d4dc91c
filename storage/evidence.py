# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dispute about one call needs, brought together and bound to the ledger (P4, P5).

Opening it is a raw read: it asks for a reason and is in the ledger before
anything is returned. Members are the very bytes that the call's own ledger
entries commit to; the manifest that lists them is named by an entry of its own.
Format and what binds what: ``docs/formats/evidence.md``.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput, LedgerError
from compliance.facts import Actor, Evolve, Role
from storage import call_keys, decisions, evidence_papers, ledger, packs
from storage.calls import AccessReason, record_bytes
from storage.checkpoint import verifier_key
from storage.context import Context
from storage.ledger_tables import LedgerCheckpoint, LedgerHead, LedgerLeaf, LedgerOutbox
from storage.models import AttemptRow, Batch, CampaignRow, ContactRow, Person
from storage.recording_rows import load_recording
from storage.recordings import SealedRecording
from storage.report import Report, Reports, as_json, ended, keys_of, words
from storage.rulebooks import Rulebooks
from storage.scripts import ScriptVersion, load_version
from storage.transcripts import lines_of

_SKEW = timedelta(days=1)  # between the clocks of the nodes that wrote a call's entries


@dataclass(frozen=True, slots=True)
class Dossier(Evolve):
    """Everything held of one call, opened. Personal data: for a dispute and nobody else.

    ``members`` are files of the pack by name; ``leaves`` name the ledger entries that
    belong to it, in hex.
    """

    attempt: str
    reason: AccessReason
    made_at: datetime
    made_by: str  # actor id
    report: Report
    members: Mapping[str, bytes] = field(repr=False)
    leaves: tuple[str, ...]
    recording: SealedRecording | None


class Evidence:
    """Gathering, binding and proving the evidence of one call."""

    def __init__(self, context: Context) -> None:
        self._context = context

    # ------------------------------------------------------------ opening

    def gather(self, actor: Actor, attempt_id: str, reason: AccessReason) -> Dossier:
        """Everything of an ended call; a raw read.

        Raises:
            NotAllowed: neither auditor nor compliance officer.
            BadInput: no such call, still going on, or no proper reason.
        """
        context = self._context
        try:
            reason = AccessReason(reason)
        except ValueError:
            raise BadInput(
                "raw data is opened for quality, dispute or audit only (S5)", field="reason"
            ) from None
        context.require(actor, "evidence.open", Role.AUDITOR, Role.COMPLIANCE)
        now = context.clock.wall()
        with context.write() as session:
            ended(session, attempt_id)
            context.log(
                session,
                "evidence.open",
                actor.id,
                now,
                attempt=attempt_id,
                reason=str(reason),
            )
        report = Reports(context).masked(attempt_id)
        with context.read() as session:
            row = ended(session, attempt_id)
            script = _script_of(session, row)
            transcript, keys = words(context, session, row)
            report = report.evolve(said=lines_of(transcript), keys=keys_of(keys))
            request = self._request(session, row)
            contact = self._contact(session, row, request)
            line = _line_of(row, request)
            filed = evidence_papers.filed(session, row, line, contact["batch"], script.script)
            known = [paper.id for paper in filed]
            entries = _entries(session, row, script.id, contact["batch"].get("id", ""), known)
            members = {
                "call.json": record_bytes(row),
                "transcript.json": transcript.encode(),
                "keys.json": keys.encode(),
                "request.json": request,
                "decision.json": decisions.to_bytes(decisions.from_json(row.decision)),
                "rulebook.json": Rulebooks(context).text(report.decision.rulebook) or b"",
                "script.yaml": script.text.encode(),
                "script.json": packs.canonical(_sign_off(script)),
                "consent.json": packs.canonical(contact),
                "line.json": line,
                "papers.json": evidence_papers.member(filed),
                "commitments.json": packs.canonical(_keys_of(context, session, row, contact)),
                "people.json": packs.canonical(_people(session, entries, script)),
                "report.json": packs.canonical(as_json(report)),
            }
            recording = _recording_of(context, session, row)
        return Dossier(
            attempt=attempt_id,
            reason=reason,
            made_at=now,
            made_by=actor.id,
            report=report,
            members={name: data for name, data in members.items() if data},
            leaves=tuple(entry.leaf for entry in entries),
            recording=recording,
        )

    def _request(self, session: Session, row: AttemptRow) -> bytes:
        """What the gate decided on, as hashed then; empty once it was destroyed."""
        if row.request_sealed is None:
            return b""
        context = self._context
        return call_keys.unseal(context, session, row.id, "request", row.request_sealed).encode()

    def _contact(self, session: Session, row: AttemptRow, request: bytes) -> dict[str, Any]:
        """The person, where their data came from, and what they agreed to (D2, D3)."""
        decided = json.loads(request or b"{}")
        person = decided.get("contact", {})
        held = session.get(ContactRow, row.contact)
        by_name = Batch.name == person.get("batch", "")
        batch = session.scalar(select(Batch).where(Batch.id == held.batch if held else by_name))
        name = number = ""
        if held is not None:  # else purged: the request alone still knows the number
            context = self._context
            name = context.unseal(held.name_sealed, "contacts", "name", held.id)
            number = context.unseal(held.number_sealed, "contacts", "number", held.id)
        return {
            "contact": row.contact,
            "name": name,
            "number": person.get("number", number),
            "timezone": person.get("timezone", ""),
            "row": held.row if held else None,
            "batch": {}
            if batch is None
            else {
                "id": batch.id,
                "name": batch.name,
                "source": batch.source,
                "imported_at": batch.imported_at.isoformat(),
                "imported_by": batch.imported_by,
            },
            "consents": decided.get("consents", []),
        }

    # ------------------------------------------------------------ binding

    def bind(
        self, actor: Actor, dossier: Dossier, members: Mapping[str, bytes], sealed: object = None
    ) -> tuple[bytes, str]:
        """The manifest of these members and the leaf of the ledger entry that names it.

        ``sealed`` says what was sealed to whom: member, to, sha256 and size once opened.

        Raises:
            NotAllowed: neither auditor nor compliance officer.
        """
        context = self._context
        context.require(actor, "evidence.export", Role.AUDITOR, Role.COMPLIANCE)
        manifest = packs.canonical(
            {
                "format": packs.MANIFEST_FORMAT,
                "attempt": dossier.attempt,
                "tenant": context.tenant,
                "company": context.company,
                "home": str(context.home),
                "reason": str(dossier.reason),
                "made_at": dossier.made_at.isoformat(),
                "made_by": dossier.made_by,
                "salt": secrets.token_hex(32),  # the entry's digest tells nothing of the members
                "sealed": sealed,
                "entries": sorted(dossier.leaves),
                "members": [
                    {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                    for name, data in sorted(members.items())
                ],
            }
        )
        with context.write() as session:
            leaf = context.log(
                session,
                "evidence.export",
                actor.id,
                context.clock.wall(),
                attempt=dossier.attempt,
                reason=str(dossier.reason),
                manifest=hashlib.sha256(manifest).hexdigest(),
                sealed=sealed is not None,
            )
        return manifest, leaf

    def prove(self, leaves: Iterable[str], stamped: int | None = None) -> bytes:
        """``ledger.json``: these entries in the tree of the first checkpoint that holds all.

        ``stamped``: size of the tree of the pack's time stamp; the proof that it grew is added.

        Raises:
            LedgerError: one of them waits for the sequencer, or for a checkpoint.
        """
        with self._context.read() as session:
            indexes = {leaf: ledger.index_of(session, leaf) for leaf in leaves}
            placed = [index for index in indexes.values() if index is not None]
            signed = session.execute(
                select(LedgerCheckpoint.size, LedgerCheckpoint.note)
                .where(LedgerCheckpoint.size > max(placed, default=0))
                .order_by(LedgerCheckpoint.size)
                .limit(1)
            ).one_or_none()
            if len(placed) < len(indexes) or signed is None:
                raise LedgerError(
                    "an entry of this call has no place in a signed tree yet",
                    remedy="try again in a moment; `candor ledger checkpoint` signs at once",
                )
            head = session.execute(select(LedgerHead.origin, LedgerHead.public_key)).one()
            entries = []
            for index in placed:
                data = session.scalars(
                    select(LedgerOutbox.body)
                    .join(LedgerLeaf, LedgerLeaf.outbox_id == LedgerOutbox.id)
                    .where(LedgerLeaf.index == index)
                ).one()
                proof = ledger.inclusion(session, index, signed.size).proof
                entries.append(packs.ProvenEntry(index, data, proof))
            grown = None
            if stamped is not None:
                grown = ledger.consistency(session, stamped, signed.size)
        key = verifier_key(head.origin, head.public_key)
        return packs.ledger_member(key, signed.note, entries, grown)


# ---------------------------------------------------------------- the call's entries


@dataclass(frozen=True, slots=True)
class _Entry:
    leaf: str
    actor: str


def _entries(
    session: Session, row: AttemptRow, script: str, batch: str, papers: Sequence[str]
) -> list[_Entry]:
    """Entries that name the call or its recording, and those that its permission rests on."""
    kinds = {
        "home.": b"",
        "script.": _mark(script),
        "contacts.": _mark(batch),
        "consent.": _mark(batch),
        "campaign.": _mark(row.campaign),
        "line.": _mark(row.line),
        "rulebook.": _mark(str(row.decision["rulebook"])),
        **dict.fromkeys(evidence_papers.ENTRIES, b"\0"),  # found by the papers' ids below
    }
    filed = [_mark(paper) for paper in papers]
    rows = session.execute(
        select(LedgerOutbox.kind, LedgerOutbox.leaf_hash, LedgerOutbox.body)
        .where(
            or_(
                LedgerOutbox.at >= row.at - _SKEW,
                *(LedgerOutbox.kind.startswith(kind) for kind in kinds),
            )
        )
        .order_by(LedgerOutbox.id)
        .execution_options(yield_per=5_000)
    )
    call = _mark(row.id)
    found: list[_Entry] = []
    objects: set[bytes] = set()  # sealed files of the call: their destruction names them only
    # The bytes are searched before they are parsed: a ledger is long, a call's part short.
    for kind, leaf, body in rows:
        mark = next((m for prefix, m in kinds.items() if kind.startswith(prefix)), None)
        about = call in body or any(name in body for name in objects)
        proof = kind in evidence_papers.ENTRIES and any(paper in body for paper in filed)
        if about or proof or (mark is not None and mark in body):
            entry = json.loads(body)
            found.append(_Entry(leaf.hex(), entry["actor"]))
            if about:
                objects |= {_mark(str(o[0])) for o in entry["body"].get("objects") or ()}
    return found


def _mark(value: str) -> bytes:
    """How the bytes of an entry hold an identifier; one that is empty is in no entry."""
    return f'"{value}"'.encode() if value else b"\0"


# ---------------------------------------------------------------- members


def _script_of(session: Session, row: AttemptRow) -> ScriptVersion:
    campaign = session.get(CampaignRow, row.campaign)
    assert campaign is not None
    return load_version(session, row.script or campaign.script)


def _sign_off(script: ScriptVersion) -> dict[str, Any]:
    approved = script.approved_at
    return {
        "version": script.id,
        "script": script.script,
        "number": script.number,
        "language": script.language,
        "flow_digest": script.flow_digest,
        "audio_digest": script.audio_digest,
        "digest": script.digest,
        "disclosure_end_ms": script.disclosure_end_ms,
        "author": script.author,
        "submitted_at": script.submitted_at.isoformat(),
        "approved_by": script.approved_by,
        "approved_at": approved.isoformat() if approved else "",
        "approved_digest": script.approved_digest,
    }


def _line_of(row: AttemptRow, request: bytes) -> bytes:
    """The line that was dialed with its papers, as the gate saw them (C5, C6)."""
    lines = json.loads(request or b"{}").get("lines", [])
    dialed = [line for line in lines if line["id"] == row.line]
    return packs.canonical(dialed[0]) if dialed else b""


def _keys_of(
    context: Context, session: Session, row: AttemptRow, contact: Mapping[str, Any]
) -> dict[str, str]:
    """Keys of the commitments in the call's entries; what was destroyed has none any more."""
    batch = session.get(Batch, contact["batch"].get("id", ""))
    found = {
        "number": context.reveal(row.number_key, "attempts", "number_key", row.id),
        "transcript": context.reveal(row.transcript_key, "attempts", "transcript_key", row.id),
    }
    if batch is not None:
        found["file"] = context.reveal(batch.file_key, "batches", "file_key", batch.id)
    return {name: key for name, key in found.items() if key}


def _people(
    session: Session, entries: Iterable[_Entry], script: ScriptVersion
) -> dict[str, dict[str, str]]:
    """Who the actors of the entries are: staff, never the callee."""
    ids = {entry.actor for entry in entries} | {script.author, script.approved_by}
    people = session.scalars(select(Person).where(Person.id.in_(ids)).order_by(Person.id))
    return {person.id: {"name": person.name, "roles": person.roles} for person in people}


def _recording_of(context: Context, session: Session, row: AttemptRow) -> SealedRecording | None:
    if not row.recording:
        return None
    try:
        sealed = load_recording(session, row.recording, context.tenant)
    except BadInput:  # never closed, or destroyed
        return None
    return None if all(track.destroyed for track in sealed.tracks) else sealed
