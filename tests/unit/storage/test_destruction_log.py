# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of destructions beside the anchors: its end cannot be cut unnoticed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from compliance.errors import Corrupt
from storage import destruction_log, ledger
from storage.checkpoint import Checkpoint, parse_note, sign_note
from storage.destruction_log import FILE, Length, length_of
from storage.keys import FileKeyring
from storage.ledger import FolderAnchor, Sequencer
from storage.ledger_tables import LedgerCheckpoint

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ORIGIN = "candor.example/ledger"
# Counting is asked of both databases, the rest is about files.
one_database = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)


@pytest.fixture
def anchor(tmp_path: Path) -> FolderAnchor:
    return FolderAnchor(tmp_path / "anchor")


@pytest.fixture
def sequencer(engine: Engine, ring: FileKeyring, anchor: FolderAnchor) -> Sequencer:
    return Sequencer(engine, ring, [anchor], ORIGIN)


def append(engine: Engine, *kinds: str) -> list[bytes]:
    with Session(engine) as session, session.begin():
        return [
            bytes.fromhex(
                ledger.append(session, node="n", kind=kind, actor="a", at=NOW, body={"record": "r"})
            )
            for kind in kinds
        ]


def signed(sequencer: Sequencer, anchor: FolderAnchor) -> Length:
    """Checkpoint what waits; what the note says of the log."""
    while sequencer.run_once(NOW):
        pass
    assert sequencer.checkpoint(NOW, force=True) is not None
    told = length_of(anchor.latest() or "")
    assert told is not None
    return told


def test_a_checkpoint_says_how_long_the_log_is(
    engine: Engine, sequencer: Sequencer, anchor: FolderAnchor, ring: FileKeyring
) -> None:
    append(engine, "test.entry")
    assert signed(sequencer, anchor) == Length()
    first = append(engine, "destruction.begin", "test.entry", "destruction.record")
    assert signed(sequencer, anchor) == Length(2, first[2])
    append(engine, "test.entry")
    assert signed(sequencer, anchor) == Length(2, first[2])
    last = append(engine, "subject.erase")
    assert signed(sequencer, anchor) == Length(3, last[0])
    log = destruction_log.read(ring, anchor.beside)
    assert [(line.index, line.leaf) for line in log] == [(1, first[0]), (3, first[2]), (5, last[0])]


@one_database
@pytest.mark.parametrize("kept", ["", "another's", "another tree's"])
def test_a_note_in_the_database_that_is_not_ours_is_not_believed(
    engine: Engine,
    sequencer: Sequencer,
    anchor: FolderAnchor,
    ring: FileKeyring,
    tmp_path: Path,
    kept: str,
) -> None:
    gone = append(engine, "subject.erase")
    signed(sequencer, anchor)
    note = parse_note(anchor.latest() or "")
    more = [Length(70, bytes(32)).line()]
    forged = {
        "": sign_note(note.checkpoint, ORIGIN, ring),  # as an older version wrote it
        "another's": sign_note(
            note.checkpoint, ORIGIN, FileKeyring.create(tmp_path / "k.json"), more=more
        ),
        "another tree's": sign_note(Checkpoint(ORIGIN, 1, bytes(32)), ORIGIN, ring, more=more),
    }[kept]
    with engine.begin() as connection:
        connection.execute(update(LedgerCheckpoint).values(note=forged))
    append(engine, "test.entry")
    assert signed(sequencer, anchor) == Length(1, gone[0])


@one_database
def test_lines_cut_from_the_end_are_missed(
    engine: Engine, sequencer: Sequencer, anchor: FolderAnchor, ring: FileKeyring
) -> None:
    append(engine, *["destruction.record"] * 3)
    signed(sequencer, anchor)
    path = anchor.beside / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    for left in (2, 1, 0):
        path.write_bytes(b"".join(lines[:left]))
        with pytest.raises(Corrupt, match=f"has {left} lines, .* of 3 entries proves 3: its end"):
            destruction_log.read(ring, anchor.beside)
    path.unlink()
    with pytest.raises(Corrupt, match="has 0 lines"):
        destruction_log.read(ring, anchor.beside)
    path.write_bytes(b"".join(lines))
    assert len(destruction_log.read(ring, anchor.beside)) == 3


@one_database
def test_the_same_number_of_other_lines_is_refused(
    engine: Engine, sequencer: Sequencer, anchor: FolderAnchor, ring: FileKeyring, tmp_path: Path
) -> None:
    append(engine, "destruction.record", "destruction.record")
    signed(sequencer, anchor)
    other = FolderAnchor(tmp_path / "other")
    with Session(engine) as session, session.begin():
        ledger.append(session, node="m", kind="subject.erase", actor="a", at=NOW, body={})
    signed(Sequencer(engine, ring, [other], ORIGIN), other)
    # The note of two entries beside a log whose second line was never there.
    lines = (other.beside / FILE).read_bytes().splitlines(keepends=True)
    path = anchor.beside / FILE
    before = json.loads(lines[0])["mac"]
    entry = json.loads(lines[2])["entry"]
    mac = destruction_log._digest(ring, before, 2, entry.encode())
    forged = json.dumps({"index": 2, "entry": entry, "mac": mac}).encode() + b"\n"
    path.write_bytes(lines[0] + forged)
    with pytest.raises(Corrupt, match="cut or replaced"):
        destruction_log.read(ring, anchor.beside)


@one_database
def test_the_line_is_there_before_its_note(
    engine: Engine, sequencer: Sequencer, anchor: FolderAnchor, ring: FileKeyring
) -> None:
    append(engine, "test.entry")
    signed(sequencer, anchor)
    append(engine, "subject.erase")

    class Died(Exception): ...

    def die(size: int, note: str) -> None:
        raise Died

    anchor.write = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        signed(sequencer, anchor)
    assert [line.kind for line in destruction_log.read(ring, anchor.beside)] == ["subject.erase"]
    del anchor.write  # type: ignore[method-assign]
    assert signed(sequencer, anchor).count == 1
    assert len(destruction_log.read(ring, anchor.beside)) == 1


@one_database
def test_an_altered_log_does_not_stop_the_signing(
    engine: Engine, sequencer: Sequencer, anchor: FolderAnchor, ring: FileKeyring
) -> None:
    append(engine, "subject.erase")
    signed(sequencer, anchor)
    path = anchor.beside / FILE
    path.write_bytes(path.read_bytes().replace(b'"index":0', b'"index":1'))
    append(engine, "subject.erase")
    again = Sequencer(engine, ring, [anchor], ORIGIN)  # another process: it reads the log
    again.run_once(NOW)
    with pytest.raises(Corrupt, match="line 1 of the log of destructions was altered"):
        again.checkpoint(NOW, force=True)
    assert parse_note(anchor.latest() or "").checkpoint.size == 2
