# SPDX-License-Identifier: GPL-3.0-or-later
"""The call journal's file: what was written is found whole, whatever was cut or damaged."""

from __future__ import annotations

import errno
import os
import secrets
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.errors import Corrupt, StorageError
from compliance.facts import Blame, CallRecord, KeyPress, Outcome, Speaker, TranscriptLine
from storage.call_entries import (
    Answered,
    Ended,
    Entry,
    Opened,
    Refused,
    from_text,
    kind_of,
    to_text,
)
from storage.call_journal import CallJournal, Kind, Seal, Waiting, read, refusal_waits, waiting
from storage.keys import FileKeyring
from storage.recordings import (
    RecordingOpening,
    SealedRecording,
    SealedTrack,
    Track,
    TrackOpening,
    TrackSeal,
)

AT = datetime(2026, 11, 26, 2, 0, 0, 123456, tzinfo=UTC)
ATTEMPT = "0123456789abcdef" * 2
TEXTS = ("", "一个字", "+8613900000001 不需要" * 40)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> FileKeyring:
    return FileKeyring.create(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture
def journal(tmp_path: Path, keyring: FileKeyring) -> CallJournal:
    return CallJournal.create(tmp_path / "journal", "node1/ab/worker1.cd", keyring, "test")


def _written(keyring: FileKeyring) -> tuple[Seal, bytes, list[int]]:
    """A file of three records, and where each ends."""
    seal = Seal(keyring, "test", "w")
    frames = [seal.close(n, Kind.REFUSED, ATTEMPT, text) for n, text in enumerate(TEXTS)]
    ends = [sum(len(f.raw) for f in frames[: n + 1]) for n in range(len(frames))]
    return seal, b"".join(f.raw for f in frames), ends


def test_every_cut_keeps_every_whole_record_and_makes_up_none(keyring: FileKeyring) -> None:
    seal, data, ends = _written(keyring)
    for cut in range(len(data) + 1):
        reading = read(data[:cut])
        whole = sum(end <= cut for end in ends)
        assert [seal.open(frame) for frame in reading.frames] == list(TEXTS[:whole])
        assert not reading.damaged


@given(st.data())
def test_a_damaged_file_loses_what_was_touched_and_no_more(
    keyring: FileKeyring, data: st.DataObject
) -> None:
    seal, good, ends = _written(keyring)
    at = data.draw(st.integers(0, len(good) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=300))
    bad = good[:at] + junk + good[at + data.draw(st.integers(0, 300)) :]
    begins = [0, *ends[:-1]]
    untouched = [t for t, end in zip(TEXTS, ends, strict=True) if end <= at]
    for frame in read(bad).frames:
        try:
            opened = seal.open(frame)
        except Corrupt:
            continue
        assert opened in TEXTS
        untouched = [text for text in untouched if text != opened]
    assert not untouched
    flipped = bytearray(good)
    flipped[at] ^= data.draw(st.integers(1, 255))
    hit = max(n for n, begin in enumerate(begins) if begin <= at)
    reading = read(bytes(flipped))
    left = [text for n, text in enumerate(TEXTS) if n != hit]
    assert [seal.open(frame) for frame in reading.frames] == left
    assert reading.damaged == (hit < len(TEXTS) - 1)  # at the end it looks like a torn tail


def test_a_record_opens_in_its_own_place_only(keyring: FileKeyring) -> None:
    seal, data, _ = _written(keyring)
    frame = read(data).frames[1]
    for other in (Seal(keyring, "test", "x"), Seal(keyring, "else", "w")):
        with pytest.raises(Corrupt):
            other.open(frame)
    for moved in (
        frame.evolve(seq=2),
        frame.evolve(kind=Kind.ENDED),
        frame.evolve(attempt=secrets.token_hex(16)),
    ):
        with pytest.raises(Corrupt):
            seal.open(moved)


def test_a_file_is_private_holds_nothing_in_the_clear_and_goes_when_it_is_empty(
    journal: CallJournal, tmp_path: Path
) -> None:
    for text in TEXTS:
        journal.append(Kind.ENDED, ATTEMPT, text)
    journal.append(Kind.REFUSED, ATTEMPT, "x")
    data = journal.path.read_bytes()
    assert b"139" not in data
    assert "不需要".encode() not in data
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert waiting(tmp_path / "journal") == Waiting(4, 1, 0)
    assert refusal_waits(tmp_path / "journal", tmp_path / "other.journal")
    assert not refusal_waits(tmp_path / "journal", journal.path)
    journal.empty()
    assert waiting(tmp_path / "journal") == Waiting()
    journal.append(Kind.ENDED, ATTEMPT, "later")
    (frame,) = read(journal.path.read_bytes()).frames
    assert frame.seq == 5
    journal.set_aside(frame)
    assert refusal_waits(tmp_path / "journal", journal.path)  # nobody knows whom it was about
    journal.empty()
    journal.close()
    assert waiting(tmp_path / "journal") == Waiting(0, 0, 1)
    assert not journal.path.exists()


def test_no_folder_waits_for_nothing(tmp_path: Path) -> None:
    assert waiting(tmp_path / "none") == Waiting()


def test_a_record_that_found_no_room_leaves_no_trace(
    journal: CallJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(Kind.ENDED, ATTEMPT, "before")
    real = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "no space left on device")
        return real(descriptor, data[: len(data) - 50], offset)

    monkeypatch.setattr("storage.call_journal.os.pwrite", full)
    with pytest.raises(StorageError):
        journal.append(Kind.ENDED, ATTEMPT, "x" * 200)
    monkeypatch.undo()
    journal.append(Kind.ENDED, ATTEMPT, "after")
    reading = read(journal.path.read_bytes())
    assert len(reading.frames) == 2
    assert not reading.damaged


def test_after_a_failing_fsync_nothing_counts_as_written(
    journal: CallJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("storage.call_journal.os.fsync", broken)
    with pytest.raises(StorageError) as caught:
        journal.append(Kind.ENDED, ATTEMPT, "x")
    assert isinstance(caught.value.__cause__, OSError)
    monkeypatch.undo()
    with pytest.raises(StorageError, match="failed before"):
        journal.append(Kind.ENDED, ATTEMPT, "x")


# ---------------------------------------------------------------- what a record says

TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
MILLISECONDS = st.none() | st.integers(0, 10**7)
RECORDS = st.builds(
    CallRecord,
    attempt_id=st.just(ATTEMPT),
    outcome=st.sampled_from(Outcome),
    blame=st.sampled_from(Blame),
    line=WORDS,
    sip_call_id=WORDS,
    sip_status=st.integers(0, 699),
    sip_reason=WORDS,
    invited_at=TIMES,
    ringing_at=TIMES,
    answered_at=TIMES,
    ended_at=TIMES,
    ended_by=WORDS,
    duration_ms=st.integers(0, 10**7),
    disclosed_ms=MILLISECONDS,
    notice_ms=MILLISECONDS,
    refused=st.booleans(),
    refused_ms=MILLISECONDS,
    farewell_ms=MILLISECONDS,
    transferred=st.booleans(),
    transferred_ms=MILLISECONDS,
    agent=WORDS,
    announcement=WORDS,
    callback=st.booleans(),
    feedback=WORDS,
    transcript=st.lists(
        st.builds(
            TranscriptLine,
            speaker=st.sampled_from(Speaker),
            text=WORDS,
            start_ms=st.integers(0, 10**7),
            end_ms=st.integers(0, 10**7),
            interrupted_at_ms=MILLISECONDS,
            confidence=st.none() | st.floats(0, 1),
            mark=WORDS,
        ),
        max_size=3,
    ).map(tuple),
    keys=st.lists(st.builds(KeyPress, digit=WORDS, at_ms=st.integers(0, 10**7)), max_size=2).map(
        tuple
    ),
    recording=WORDS,
    violations=st.lists(WORDS, max_size=2).map(tuple),
    max_gap_ms=st.integers(0, 10**7),
)
OPENING = RecordingOpening(
    "r", "test", ATTEMPT, 0, tuple(TrackOpening(t, f"o{t}", b"key\xff") for t in Track)
)
SEALED = SealedRecording(
    "r",
    "test",
    ATTEMPT,
    0,
    tuple(
        SealedTrack(t, f"o{t}", b"\x00k", TrackSeal(8000, 1, "aa", "bb", 9000, False), gone)
        for t, gone in zip(Track, (True, False), strict=True)
    ),
)


def test_every_field_of_a_record_is_tried() -> None:
    built = {f.name for f in fields(CallRecord)}
    assert built == set(RECORDS.wrapped_strategy.kwargs)  # type: ignore[attr-defined]


@settings(max_examples=60)
@given(RECORDS, st.sampled_from([None, SEALED]))
def test_what_a_call_leaves_comes_back_as_it_was(
    record: CallRecord, sealed: SealedRecording | None
) -> None:
    entries: list[Entry] = [
        Ended(ATTEMPT, 3, record, sealed),
        Answered(ATTEMPT, AT, "x@y"),
        Opened(ATTEMPT, OPENING),
        Refused(ATTEMPT, "voice", AT, AT + timedelta(days=180), b"\x01" * 32, b"\x02" * 32),
    ]
    for entry in entries:
        assert from_text(kind_of(entry), to_text(entry)) == entry


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"attempt":"x","news":1}', "null"])
@pytest.mark.parametrize("kind", Kind)
def test_a_record_of_another_version_is_told_apart(kind: Kind, text: str) -> None:
    with pytest.raises(Corrupt):
        from_text(kind, text)
