# SPDX-License-Identifier: GPL-3.0-or-later
"""One call's evidence as one file (P4): opened, bound to the ledger, checked, then saved.

``docs/formats/evidence.md`` says what is in it and what binds what.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pyrage

import storage
from compliance.errors import BadInput, Corrupt
from compliance.facts import Actor, Evolve, HomeKind
from console import evidence_stamp, report_page, run, wav
from console.evidence_stamp import PackStamp
from console.homes import Opened
from console.messages import LANGUAGES, text
from dialer.law import rulebook_of
from storage import labels, packs, verify
from storage.evidence import Dossier
from storage.recordings import open_recording
from storage.store import AccessReason

RECORDING, SEALED = "recording.wav", "recording.wav.age"
RULEBOOK = "rulebook.json"


@dataclass(frozen=True, slots=True)
class Written(Evolve):
    """A pack that was written, and what its own verifier said of it."""

    path: Path
    call: str
    size: int  # bytes
    members: tuple[str, ...]
    entries: int
    sealed_to: str
    stamped_at: str  # as its time-stamping authority claims; empty: no stamp in it
    notes: tuple[str, ...]


def write(
    it: Opened,
    actor: Actor,
    call: str,
    reason: AccessReason,
    path: Path,
    *,
    seal_to: str = "",
    with_recording: bool = True,
    force: bool = False,
) -> Written:
    """Write the evidence of ``call`` (its whole id) to ``path``.

    ``seal_to`` is an age public key: then the recording is readable to its holder only.

    Raises:
        NotAllowed: neither auditor nor compliance officer.
        BadInput: no such ended call, an unusable target or public key.
        Corrupt: the recording does not open, or the records are not what the ledger fixed.
    """
    wav.check_target(path, force=force, option="--output")
    recipient = _recipient(seal_to) if seal_to else None
    run.sequence(it)  # so that the call's entries have their places
    dossier = it.store.evidence.gather(actor, call, reason)
    members = dict(dossier.members)
    if RULEBOOK not in members:  # decided before texts were kept: the one in force may be it
        current = rulebook_of(it.home, it.store)
        if current.digest == dossier.report.decision.rulebook:
            members[RULEBOOK] = current.text
    sealed: dict[str, Any] | None = None
    sound = _sound(it, dossier) if with_recording else None
    if sound is not None and recipient is not None:
        sealed = {
            "member": SEALED,
            "to": seal_to,
            "sha256": hashlib.sha256(sound).hexdigest(),
            "size": len(sound),
        }
        members[SEALED] = pyrage.encrypt(sound, [recipient])
    elif sound is not None:
        members[RECORDING] = sound
    stamp, unstamped = evidence_stamp.find(it, dossier.report)
    if stamp is not None:
        members |= stamp.members
    members |= _words(dossier, audio=RECORDING if RECORDING in members else "", stamp=stamp)
    manifest, leaf = it.store.evidence.bind(actor, dossier, members, sealed)
    run.sequence(it)
    it.sequencer().checkpoint(it.clock.wall(), force=True)
    members[packs.MANIFEST] = manifest
    size = stamp.size if stamp is not None else None
    members[packs.LEDGER] = it.store.evidence.prove([*dossier.leaves, leaf], size)
    data = packs.zip_file(members)
    report = _check(data, path, it.keyring.fingerprint())
    wav.save(path, data, force=force, option="--output")
    notes = list(report.notes)
    if unstamped:
        notes.append(text("evidence.unstamped", it.home.settings.language, cause=unstamped))
    return Written(
        path=path,
        call=call,
        size=len(data),
        members=tuple(sorted(members)),
        entries=report.entries,
        sealed_to=seal_to if sealed is not None else "",
        stamped_at=report.stamped_at,
        notes=tuple(notes),
    )


def _recipient(key: str) -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError:
        raise BadInput(
            "this is no age public key (age1…)",
            field="--seal-to",
            remedy="ask the auditor for the line that `age-keygen -y` prints",
        ) from None


def _sound(it: Opened, dossier: Dossier) -> bytes | None:
    """The opened recording; None: nothing was recorded, or it was destroyed."""
    if dossier.recording is None:
        return None
    try:
        callee, bot = open_recording(it.home.open_objects(), it.keyring, dossier.recording)
    except Corrupt as error:
        raise Corrupt(
            error.detail, remedy="give --without-recording for the rest of the evidence"
        ) from None
    demo = "DEMO; " if dossier.report.demo else ""
    comment = f"{demo}call {dossier.attempt}; opened for {dossier.reason}; left: callee, right: bot"
    title = f"{'DEMO ' if demo else ''}{dossier.attempt}"
    label = labels.label_text(dossier.report.company, dossier.attempt)
    return wav.stereo(callee, bot, comment=comment, title=title, label=label)


def _words(dossier: Dossier, *, audio: str, stamp: PackStamp | None) -> Mapping[str, bytes]:
    """What people read, and the program that checks it."""
    readme = (resources.files("console") / "locale" / "evidence_readme.txt").read_text("utf-8")
    mark = f"{text('demo.mark', 'en')}\n{text('demo.mark', 'zh')}\n\n"
    stamped = (stamp.size, stamp.at) if stamp is not None else None
    pages = {
        f"report.{language}.html": report_page.page(
            dossier.report, language, audio=audio, stamped=stamped
        ).encode()
        for language in LANGUAGES
    }
    filled = readme.format(
        call=dossier.attempt,
        company=dossier.report.company,
        made_at=dossier.made_at.isoformat(timespec="seconds"),
        reason=dossier.reason,
    )
    demo = dossier.report.home is HomeKind.DEMO
    return pages | {
        "README.txt": ((mark if demo else "") + filled).encode(),
        "verify.py": (Path(storage.__path__[0]) / "verify.py").read_bytes(),
    }


def _check(data: bytes, path: Path, key: str) -> verify.Report:
    """Nothing leaves this machine that its own verifier would not pass.

    Raises:
        Corrupt: the database holds something else than the ledger fixed; names what.
    """
    with tempfile.TemporaryDirectory(prefix=".candor-", dir=path.parent) as folder:
        draft = Path(folder) / "pack.zip"
        draft.write_bytes(data)
        report = verify.verify_pack(draft, key)
    if report.faults:
        told = "; ".join(fault.message for fault in report.faults)
        raise Corrupt(
            f"the records of this call are not what its ledger entries fixed: {told}",
            remedy="nothing was written; run `candor ledger verify` and look for who changed them",
        )
    return report
