# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.errors import BadInput, Corrupt, StorageError
from storage import tracks
from storage.g711 import SILENCE, alaw_to_linear, linear_to_alaw
from storage.keys import FileKeyring
from storage.objects import FolderObjects, Objects
from storage.recordings import (
    RecordingWriter,
    SealedRecording,
    Track,
    TrackSeal,
    TrackWriter,
    open_prefix,
    open_recording,
    open_track,
    read_range,
    recover,
    to_wav,
    track_context,
)

KEY = bytes(range(32))
CONTEXT = track_context("t1", "call-1", "rec-1", Track.BOT, 0)
CHUNK = tracks.CHUNK_BYTES
SEALED = CHUNK + 16
VECTORS = Path(__file__).parents[2] / "vectors" / "recording.json"


def noise(n: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, n, dtype=np.uint8).tobytes()


def sealed_track(path: Path, alaw: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> TrackSeal:
    writer = TrackWriter(path, key, context)
    writer.write(alaw)
    return writer.close()


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> FileKeyring:
    return FileKeyring.create(tmp_path_factory.mktemp("keys") / "keys.json")


def recorder(objects: Objects, ring: FileKeyring) -> RecordingWriter:
    return RecordingWriter.create(
        objects, ring, tenant="t1", call_id="call-1", recording_id="rec-1"
    )


# ---------------------------------------------------------------- container


@pytest.mark.parametrize("n", [0, 1, 160, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 30_000])
def test_round_trip_and_seal(tmp_path: Path, n: int) -> None:
    alaw = noise(n)
    seal = sealed_track(tmp_path / "t", alaw)
    raw = (tmp_path / "t").read_bytes()
    assert open_track(tmp_path / "t", KEY, CONTEXT, seal) == alaw
    assert seal.samples == n
    assert seal.chunks == n // CHUNK + 1
    assert seal.bytes == len(raw) == tracks.HEADER_BYTES + n + 16 * seal.chunks
    assert seal.sealed_sha256 == hashlib.sha256(raw).hexdigest()
    assert seal.plain_sha256 == hashlib.sha256(alaw).hexdigest()
    assert open_prefix(tmp_path / "t", KEY, CONTEXT) == (alaw, True, seal.chunks)


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(0, 5000), max_size=12))
def test_how_the_samples_arrive_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    path = tmp_path_factory.mktemp("t") / "t"
    alaw = noise(sum(sizes))
    writer = TrackWriter(path, KEY, CONTEXT)
    at = 0
    for size in sizes:
        writer.write(alaw[at : at + size])
        at += size
    writer.close()
    assert open_track(path, KEY, CONTEXT) == alaw


@settings(max_examples=60)
@given(start=st.integers(0, 3 * CHUNK + 200), n=st.integers(0, 2 * CHUNK + 5))
def test_random_access(tmp_path_factory: pytest.TempPathFactory, start: int, n: int) -> None:
    path = tmp_path_factory.getbasetemp() / "random-access"
    alaw = noise(3 * CHUNK + 100)
    if not path.exists():
        sealed_track(path, alaw)
    assert read_range(path, KEY, CONTEXT, start, n) == alaw[start : start + n]


def test_negative_range(tmp_path: Path) -> None:
    sealed_track(tmp_path / "t", b"x")
    with pytest.raises(BadInput):
        read_range(tmp_path / "t", KEY, CONTEXT, -1, 5)


def test_every_truncation_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t"
    seal = sealed_track(path, noise(2 * CHUNK + 300))
    whole = path.read_bytes()
    boundaries = [tracks.HEADER_BYTES + k * SEALED for k in range(3)]
    cuts = {0, 1, tracks.HEADER_BYTES - 1, len(whole) - 1, *range(200, len(whole), 997)}
    for cut in sorted(cuts | {b + d for b in boundaries for d in (-1, 0, 1, 15, 16)}):
        path.write_bytes(whole[:cut])
        with pytest.raises(Corrupt, match="truncated"):
            open_track(path, KEY, CONTEXT)
        with pytest.raises(Corrupt, match="truncated at chunk"):
            open_track(path, KEY, CONTEXT, seal)
        if cut >= tracks.HEADER_BYTES:
            kept = (cut - tracks.HEADER_BYTES) // SEALED
            alaw, complete, chunks = open_prefix(path, KEY, CONTEXT)
            assert (len(alaw), complete, chunks) == (kept * CHUNK, False, kept)


def test_every_flip_names_its_chunk(tmp_path: Path) -> None:
    path = tmp_path / "t"
    seal = sealed_track(path, noise(2 * CHUNK + 300))
    whole = path.read_bytes()
    for at in (*range(tracks.HEADER_BYTES), *range(tracks.HEADER_BYTES, len(whole), 499)):
        altered = bytearray(whole)
        altered[at] ^= 1 << (at % 8)
        path.write_bytes(altered)
        chunk = (at - tracks.HEADER_BYTES) // SEALED
        said = "header|belongs to another" if at < tracks.HEADER_BYTES else f"chunk {chunk}\\b"
        with pytest.raises(Corrupt, match=said):
            open_track(path, KEY, CONTEXT, seal)


def test_reordered_removed_and_added_chunks(tmp_path: Path) -> None:
    path = tmp_path / "t"
    seal = sealed_track(path, noise(3 * CHUNK + 300))
    whole = path.read_bytes()
    head = whole[: tracks.HEADER_BYTES]
    chunks = [whole[i : i + SEALED] for i in range(tracks.HEADER_BYTES, len(whole), SEALED)]
    path.write_bytes(head + chunks[1] + chunks[0] + chunks[2] + chunks[3])
    with pytest.raises(Corrupt, match="reordered: chunk 0 holds chunk 1"):
        open_track(path, KEY, CONTEXT)
    path.write_bytes(head + chunks[0] + chunks[2] + chunks[3])
    with pytest.raises(Corrupt, match="removed or reordered: chunk 1 holds chunk 2"):
        open_track(path, KEY, CONTEXT)
    path.write_bytes(whole + bytes(40))
    with pytest.raises(Corrupt, match="extended"):
        open_track(path, KEY, CONTEXT, seal)
    with pytest.raises(Corrupt, match="chunk 3"):
        open_track(path, KEY, CONTEXT)
    path.unlink()
    with pytest.raises(Corrupt, match="missing"):
        open_track(path, KEY, CONTEXT)


def test_altered_chunk_in_the_middle_is_no_prefix(tmp_path: Path) -> None:
    path = tmp_path / "t"
    sealed_track(path, noise(3 * CHUNK))
    altered = bytearray(path.read_bytes())
    altered[tracks.HEADER_BYTES + SEALED + 5] ^= 1
    path.write_bytes(altered)
    with pytest.raises(Corrupt, match="chunk 1"):
        open_prefix(path, KEY, CONTEXT)


@pytest.mark.parametrize(
    "other",
    [
        track_context("t2", "call-1", "rec-1", Track.BOT, 0),
        track_context("t1", "call-2", "rec-1", Track.BOT, 0),
        track_context("t1", "call-1", "rec-2", Track.BOT, 0),
        track_context("t1", "call-1", "rec-1", Track.CALLEE, 0),
        track_context("t1", "call-1", "rec-1", Track.BOT, 1),
        track_context("t1", "call-1r", "ec-1", Track.BOT, 0),
    ],
)
def test_another_place_does_not_open(tmp_path: Path, other: bytes) -> None:
    sealed_track(tmp_path / "t", b"abc")
    with pytest.raises(Corrupt, match="another recording, track or segment"):
        open_track(tmp_path / "t", KEY, other)


def test_wrong_key_is_named(tmp_path: Path) -> None:
    sealed_track(tmp_path / "t", b"abc")
    with pytest.raises(Corrupt, match="its key is another one"):
        open_track(tmp_path / "t", bytes(32), CONTEXT)


def test_a_file_is_never_continued(tmp_path: Path) -> None:
    sealed_track(tmp_path / "t", b"abc")
    with pytest.raises(StorageError, match="cannot be begun"):
        TrackWriter(tmp_path / "t", KEY, CONTEXT)


def test_equal_audio_under_equal_keys_seals_differently(tmp_path: Path) -> None:
    sealed_track(tmp_path / "a", bytes(5000))
    sealed_track(tmp_path / "b", bytes(5000))
    a, b = (tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()
    assert a[tracks.HEADER_BYTES :] != b[tracks.HEADER_BYTES :]


@pytest.mark.parametrize("failing", ["fsync", "write"])
def test_a_failed_disk_stops_and_keeps_the_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    writer = TrackWriter(tmp_path / "t", KEY, CONTEXT)
    writer.write(noise(CHUNK))

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(os, failing, fail)
        with pytest.raises(StorageError, match="No space left"):
            writer.write(noise(CHUNK))
    with pytest.raises(StorageError, match="failed before"):
        writer.write(b"x")
    with pytest.raises(StorageError, match="failed before"):
        writer.close()
    alaw, _, chunks = open_prefix(tmp_path / "t", KEY, CONTEXT)
    assert chunks >= 1
    assert alaw[:CHUNK] == noise(CHUNK)


def test_vectors(tmp_path: Path) -> None:
    for vector in json.loads(VECTORS.read_text())["containers"]:
        alaw = bytes.fromhex(vector["alaw_byte"]) * vector["alaw_count"]
        context = track_context(
            vector["tenant"],
            vector["call"],
            vector["recording"],
            Track(vector["track"]),
            vector["segment"],
        )
        assert context.hex() == vector["context"]
        path = tmp_path / vector["name"]
        key, salt = bytes.fromhex(vector["key"]), bytes.fromhex(vector["salt"])
        writer = TrackWriter(path, key, context, salt=salt)
        writer.write(alaw)
        seal = writer.close()
        raw = path.read_bytes()
        assert raw[: tracks.HEADER_BYTES].hex() == vector["header"]
        assert raw[-len(vector["tail"]) // 2 :].hex() == vector["tail"]
        assert seal.sealed_sha256 == vector["sealed_sha256"]
        assert open_track(path, key, context) == alaw


# ---------------------------------------------------------------- recordings


def test_stereo_round_trip(objects: Objects, ring: FileKeyring, tmp_path: Path) -> None:
    writer = recorder(objects, ring)
    callee, bot = noise(20_000, 1), noise(20_000, 2)
    for at in range(0, 20_000, 160):
        writer.write(callee[at : at + 160], bot[at : at + 160])
    assert len(list(objects.unfinished())) == 2
    sealed = writer.close(keep_callee=True)
    assert list(objects.unfinished()) == []
    left, right = open_recording(objects, ring, sealed)
    assert left is not None
    assert np.array_equal(left, alaw_to_linear(callee))
    assert np.array_equal(right, alaw_to_linear(bot))
    names = {t.object for t in sealed.tracks}
    assert set(objects.names()) == names
    assert len({t.wrapped_key for t in sealed.tracks}) == 2
    rows = sealed.ledger_objects()
    assert [r[3] for r in rows] == ["callee", "bot"]
    assert {r[0] for r in rows} == names


def test_tracks_of_unequal_length_are_refused(objects: Objects, ring: FileKeyring) -> None:
    writer = recorder(objects, ring)
    with pytest.raises(BadInput, match="differ in length"):
        writer.write(b"12", b"123")
    writer.abandon()


def test_without_notice_the_callee_is_shredded(objects: Objects, ring: FileKeyring) -> None:
    writer = recorder(objects, ring)
    callee, bot = writer.opening.tracks
    writer.write(noise(9000), noise(9000, 2))
    sealed = writer.close(keep_callee=False)
    track = sealed.track(Track.CALLEE)
    assert track.destroyed
    assert (track.object, track.wrapped_key, track.seal.plain_sha256) == ("", b"", "")
    assert not objects.exists(callee.object)
    assert list(objects.names()) == [bot.object]
    assert list(objects.unfinished()) == []
    left, right = open_recording(objects, ring, sealed)
    assert left is None
    assert len(right) == 9000
    assert [row[3] for row in sealed.ledger_objects()] == ["bot"]


def test_swapped_objects_do_not_open(objects: Objects, ring: FileKeyring) -> None:
    def one(call: str) -> SealedRecording:
        writer = RecordingWriter.create(
            objects, ring, tenant="t", call_id=call, recording_id="rec-" + call
        )
        writer.write(noise(100), noise(100))
        return writer.close(keep_callee=True)

    first, second = one("1"), one("2")
    swapped = first.evolve(tracks=second.tracks)
    with pytest.raises(Corrupt):
        open_recording(objects, ring, swapped)
    across = first.evolve(
        tracks=tuple(
            t.evolve(object=o.object) for t, o in zip(first.tracks, first.tracks[::-1], strict=True)
        )
    )
    with pytest.raises(Corrupt, match="another recording, track or segment"):
        open_recording(objects, ring, across)


KILLED = """
import os, sys
from pathlib import Path
from storage.keys import FileKeyring
from storage.recordings import RecordingWriter
ring = FileKeyring.open(sys.argv[1])
writer = RecordingWriter.create(Path(sys.argv[2]), ring, tenant="t", call_id="c", recording_id="r")
for track in writer.opening.tracks:
    print(track.track, track.object, track.wrapped_key.hex(), flush=True)
for n in range(int(sys.argv[3])):
    writer.write(bytes([n % 256]) * 160, bytes([255 - n % 256]) * 160)
print("killed", flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("frames", [0, 10, 52, 110])
def test_killed_process_leaves_a_prefix(tmp_path: Path, frames: int) -> None:
    from storage.recordings import RecordingOpening, TrackOpening

    ring = FileKeyring.create(tmp_path / "keys.json")
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "keys.json", tmp_path / "objects", str(frames)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    rows = [line.split() for line in ran.stdout.splitlines()[:2]]
    opening = RecordingOpening(
        "r", "t", "c", 0, tuple(TrackOpening(Track(t), o, bytes.fromhex(k)) for t, o, k in rows)
    )
    objects = FolderObjects(tmp_path / "objects")
    sealed = recover(objects, ring, opening, keep_callee=True)
    again = recover(objects, ring, opening, keep_callee=True)
    assert again == sealed
    left, right = open_recording(objects, ring, sealed)
    written = b"".join(bytes([n % 256]) * 160 for n in range(frames))
    whole = frames * 160 // CHUNK * CHUNK  # less than one chunk is lost
    assert left is not None
    assert np.array_equal(left, alaw_to_linear(written[:whole]))
    assert len(right) == whole
    assert all(not t.seal.complete for t in sealed.tracks)
    assert all(row[7] is False for row in sealed.ledger_objects())
    assert list(objects.unfinished()) == []


def test_recovery_without_notice_shreds_the_callee(objects: Objects, ring: FileKeyring) -> None:
    writer = recorder(objects, ring)
    writer.write(noise(CHUNK), noise(CHUNK, 2))
    writer.abandon()
    sealed = recover(objects, ring, writer.opening, keep_callee=False)
    left, right = open_recording(objects, ring, sealed)
    assert left is None
    assert len(right) == CHUNK


def test_recovery_of_tracks_that_never_reached_the_disk(
    objects: Objects, ring: FileKeyring
) -> None:
    writer = recorder(objects, ring)
    writer.abandon()
    for track in writer.opening.tracks:
        objects.part_path(track.object).write_bytes(b"CANDO")
    sealed = recover(objects, ring, writer.opening, keep_callee=True)
    assert all(t.destroyed and t.seal.samples == 0 for t in sealed.tracks)
    assert list(objects.unfinished()) == []
    with pytest.raises(Corrupt, match="bot's track is gone"):
        open_recording(objects, ring, sealed)


def test_wav(tmp_path: Path) -> None:
    left = linear_to_alaw(np.full(100, 1000, np.int16))
    right = linear_to_alaw(np.full(50, -1000, np.int16))
    to_wav(left, right, tmp_path / "stereo.wav")
    with wave.open(str(tmp_path / "stereo.wav")) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getnframes()) == (2, 8000, 100)
        frames = np.frombuffer(wav.readframes(100), "<i2").reshape(-1, 2)
    assert np.array_equal(frames[:, 0], alaw_to_linear(left))
    assert np.array_equal(frames[:50, 1], alaw_to_linear(right))
    assert set(frames[50:, 1].tolist()) == {int(alaw_to_linear(bytes([SILENCE]))[0])}
    to_wav(None, right, tmp_path / "mono.wav")
    with wave.open(str(tmp_path / "mono.wav")) as wav:
        assert (wav.getnchannels(), wav.getnframes()) == (1, 50)
    with pytest.raises(BadInput):
        to_wav(None, None, tmp_path / "none.wav")


# ---------------------------------------------------------------- G.711


@pytest.mark.parametrize(
    ("sample", "code", "back"),
    [
        (0, 0xD5, 8), (-1, 0x55, -8), (15, 0xD5, 8), (16, 0xD4, 24), (-17, 0x54, -24),
        (511, 0xCA, 504), (512, 0xF5, 528), (1024, 0xE5, 1056), (32767, 0xAA, 32256),
        (-32768, 0x2A, -32256), (-32255, 0x2A, -32256), (8159, 0x8A, 8064),
    ],
)  # fmt: skip
def test_known_alaw_values(sample: int, code: int, back: int) -> None:
    assert linear_to_alaw(np.array([sample], np.int16)) == bytes([code])
    assert alaw_to_linear(bytes([code])).tolist() == [back]


def test_every_code_survives_both_ways() -> None:
    codes = bytes(range(256))
    assert linear_to_alaw(alaw_to_linear(codes)) == codes


def test_every_sample_stays_within_half_a_quantising_step() -> None:
    samples = np.arange(-32768, 32768, dtype=np.int32)
    back = alaw_to_linear(linear_to_alaw(samples.astype(np.int16))).astype(np.int32)
    step = np.maximum(16, 2.0 ** (np.floor(np.log2(np.maximum(np.abs(back), 1))) - 4))
    assert np.all(np.abs(back - samples) <= step / 2)
    assert np.all(np.diff(back) >= 0)


def test_only_int16_is_companded() -> None:
    with pytest.raises(TypeError, match="int16"):
        linear_to_alaw(np.zeros(3, np.float32))
