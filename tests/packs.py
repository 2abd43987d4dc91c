# SPDX-License-Identifier: GPL-3.0-or-later
"""An evidence pack in the hands of somebody who wants it to say something else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.facts import Role
from console import evidence_pack, homes, run
from storage import merkle, packs
from storage.checkpoint import Checkpoint, sign_note, verifier_key
from storage.evidence import Dossier
from storage.keys import FileKeyring
from storage.store import AccessReason
from tests.console_home import ConsoleHome

Members = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as it was written, its members, and the fingerprint of who signed it."""

    data: bytes
    members: Members
    key: str


def read(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def make(home: ConsoleHome, call: str) -> Pack:
    """The pack an auditor exports."""
    path = home.root.parent / f"{call[:8]}.zip"
    with homes.opened(home.root) as it:
        evidence_pack.write(it, home.people[Role.AUDITOR], call, AccessReason.DISPUTE, path)
        data = path.read_bytes()
        return Pack(data, read(data), it.keyring.fingerprint())


def export(
    home: ConsoleHome, dossier: Dossier, members: Members, stamped: int | None = None
) -> bytes:
    """What a company that holds the signing key can export: any members, any entries."""
    with homes.opened(home.root) as it:
        manifest, leaf = it.store.evidence.bind(home.people[Role.AUDITOR], dossier, members)
        run.sequence(it)
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        proofs = it.store.evidence.prove([*dossier.leaves, leaf], stamped)
    return packs.zip_file({**members, packs.MANIFEST: manifest, packs.LEDGER: proofs})


def dossier_of(home: ConsoleHome, call: str) -> Dossier:
    with homes.opened(home.root) as it:
        return it.store.evidence.gather(home.people[Role.AUDITOR], call, AccessReason.DISPUTE)


def forge(members: Members, forger: FileKeyring, transcript: bytes) -> bytes:
    """Everything remade around another transcript, and signed with the forger's own key."""
    forged = dict(members)
    ledger, manifest = json.loads(members["ledger.json"]), json.loads(members["manifest.json"])
    forged["transcript.json"] = transcript
    for row in manifest["members"]:
        data = forged[row["name"]]
        row |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    entries = [json.loads(base64.b64decode(row["bytes"])) for row in ledger["entries"]]
    key = bytes.fromhex(json.loads(members["commitments.json"])["transcript"])
    for entry in entries:
        if entry["kind"] == "call.finish":
            entry["body"]["transcript"] = hmac.digest(key, transcript, "sha256").hex()
    raw = [packs.canonical(entry) for entry in entries if entry["kind"] != "evidence.export"]
    manifest["entries"] = sorted(merkle.leaf_hash(data).hex() for data in raw)
    forged["manifest.json"] = packs.canonical(manifest)
    (last,) = (entry for entry in entries if entry["kind"] == "evidence.export")
    last["body"]["manifest"] = hashlib.sha256(forged["manifest.json"]).hexdigest()
    raw.append(packs.canonical(last))
    origin = ledger["checkpoint"].split("\n")[0]
    leaves = [merkle.leaf_hash(data) for data in raw]
    note = sign_note(Checkpoint(origin, len(raw), merkle.root(leaves)), origin, forger)
    proven = [
        packs.ProvenEntry(index, data, tuple(merkle.inclusion_proof(leaves, index)))
        for index, data in enumerate(raw)
    ]
    forged["ledger.json"] = packs.ledger_member(
        verifier_key(origin, forger.public_key()), note, proven
    )
    return packs.zip_file(forged)


def save(path: Path, data: bytes | Members) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else packs.zip_file(data))
    return path


def body(members: Members, kind: str) -> dict[str, Any]:
    """The body of the pack's only entry of this kind."""
    rows = json.loads(members["ledger.json"])["entries"]
    entries = [json.loads(base64.b64decode(row["bytes"])) for row in rows]
    (found,) = (entry["body"] for entry in entries if entry["kind"] == kind)
    return dict(found)
