# SPDX-License-Identifier: GPL-3.0-or-later
"""The time stamp in an evidence pack: somebody else says when the call's entries were there.

The pack's own checkpoint is made last, so no stamp of it can be named in the manifest. The pack
holds a stamp of an earlier one, the first that covers the call, and the proof that its own tree
grew from that one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from compliance.errors import CandorError
from compliance.facts import Evolve
from console.homes import Opened
from storage import packs, verify
from storage.anchors import FolderAnchor
from storage.database import READ_ONLY
from storage.ledger_tables import LedgerCheckpoint
from storage.report import Report

_OWN = ("attempt.", "call.")  # entries of the call itself; others speak of it later


@dataclass(frozen=True, slots=True)
class PackStamp(Evolve):
    """A stamped checkpoint: size of its tree, the time as claimed, and the pack's members."""

    size: int
    at: str
    members: Mapping[str, bytes]


def find(it: Opened, report: Report) -> tuple[PackStamp | None, str]:
    """The first stamp that covers the call; the authority is asked if there is none yet.

    Without one, says why; "" where no authority is configured.
    """
    placed = [e.index for e in report.entries if e.kind.startswith(_OWN) and e.index is not None]
    if not placed:
        return None, ""
    covers = max(placed) + 1
    stamp = _kept(it, covers)
    if stamp is not None:
        return stamp, ""
    try:
        authority = it.home.open_timestamps()
        if authority is None:
            return None, ""
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        authority.stamp_newest()
    except CandorError as error:  # evidence waits for no authority
        return None, error.detail
    return _kept(it, covers), ""


def _kept(it: Opened, covers: int) -> PackStamp | None:
    """The first usable stamp in the anchor folder of a tree of ``covers`` entries or more."""
    folder = FolderAnchor(it.home.anchors).beside
    query = (
        select(LedgerCheckpoint.size, LedgerCheckpoint.note)
        .where(LedgerCheckpoint.size >= covers)
        .order_by(LedgerCheckpoint.size)
    )
    with it.engine.connect().execution_options(**READ_ONLY) as connection:
        for size, text in connection.execute(query):
            try:
                reply = (folder / f"checkpoint-{size:020d}.tsr").read_bytes()
                imprint, at = verify.read_stamp(reply)
            except (OSError, ValueError, IndexError):
                continue
            note = text.encode()
            if imprint == hashlib.sha256(note).digest():
                members = {packs.STAMP: reply, packs.STAMPED_NOTE: note, **_certificate(it)}
                return PackStamp(size, at, members)
    return None


def _certificate(it: Opened) -> dict[str, bytes]:
    """The authority's root certificate, as the settings name it."""
    name = it.home.settings.timestamps.certificate
    try:
        return {packs.STAMP_CERTIFICATE: Path(it.home.root / name).read_bytes()} if name else {}
    except OSError:
        return {}
