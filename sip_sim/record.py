# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's own record of what happened: one JSON per call, its audio, and an event log."""

import hashlib
import json
import os
import re
import time
import wave
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sip_sim.errors import SimulatorError
from sip_sim.rtp import RATE

Pcm = NDArray[np.int16]


@dataclass(frozen=True)
class Stamp:
    """An instant: ISO-8601 UTC with microseconds, and time.monotonic_ns()."""

    wall: str
    mono_ns: int

    @classmethod
    def at(cls, mono_ns: int | None = None) -> "Stamp":
        """The stamp of an instant on the monotonic clock, by default of now."""
        now = time.monotonic_ns()
        mono_ns = now if mono_ns is None else mono_ns
        wall_us = (time.time_ns() - (now - mono_ns)) // 1000
        seconds, micros = divmod(wall_us, 1_000_000)
        wall = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
        return cls(wall.isoformat(timespec="microseconds"), mono_ns)


@dataclass
class CallRecord:
    """All the simulator saw of one call; `_ms` counts from the instant the 200 was sent."""

    call_id: str
    number: str
    behaviour: str
    from_uri: str
    state: str = "open"
    """`open` until the record is complete, then `ended`."""
    invite: Stamp | None = None
    trying: Stamp | None = None
    ringing: Stamp | None = None
    progress: Stamp | None = None
    answered: Stamp | None = None
    ack: Stamp | None = None
    cancel: Stamp | None = None
    bye: Stamp | None = None
    bye_by: str | None = None
    """`callee` or `bot`: whose BYE came first."""
    final_status: int | None = None
    """Final status of the INVITE."""
    ended: str | None = None
    """Why the call is over, in words."""
    said: list[dict[str, Any]] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    """Words sent before the answer."""
    announced: str = ""
    """What those words mean: `switched_off`, `vacant` …"""
    dtmf: list[dict[str, Any]] = field(default_factory=list)
    dtmf_received: list[dict[str, Any]] = field(default_factory=list)
    heard: dict[str, Any] = field(default_factory=dict)
    bot_speech: list[list[float]] = field(default_factory=list)
    refused_at_ms: float | None = None
    bye_after_refusal_ms: float | None = None
    audio: dict[str, Any] = field(default_factory=dict)
    """Names of the audio files and their SHA-256."""
    violations: list[str] = field(default_factory=list)

    def ms(self, mono_ns: int) -> float:
        """Milliseconds from the answer to an instant."""
        assert self.answered is not None
        return round((mono_ns - self.answered.mono_ns) / 1e6, 3)


class RecordStore:
    """The folder of records; every file appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._events: IO[str] = open(  # noqa: SIM115  # open as long as the store is
                folder / "events.jsonl",
                "a",
                encoding="utf-8",
                errors="backslashreplace",
                buffering=1,
            )
        except OSError as error:
            raise SimulatorError(
                f"cannot write records to {folder} ({error.strerror}): choose another --records"
            ) from None

    def close(self) -> None:
        """Close the event log; may be called again."""
        self._events.close()

    def event(self, kind: str, mono_ns: int | None = None, **details: Any) -> None:
        """Append one line to events.jsonl."""
        if not self._events.closed:
            line = {"event": kind, **asdict(Stamp.at(mono_ns)), **details}
            self._events.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")

    def new_name(self, call_id: str) -> str:
        """File name stem for a Call-ID; a Call-ID that was here before gets a number."""
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", call_id)[:120].lstrip(".") or "_"
        if safe != call_id:
            digest = hashlib.sha256(call_id.encode("utf-8", "surrogateescape")).hexdigest()
            safe = f"{safe}-{digest[:8]}"
        name, count = safe, 1
        while (self.folder / f"{name}.json").exists():
            count += 1
            name = f"{safe}-{count}"
        return name

    def write(self, name: str, record: CallRecord) -> None:
        """Write the JSON of a call."""
        text = json.dumps(asdict(record), ensure_ascii=False, indent=1, default=str)
        data = text.encode("utf-8", "backslashreplace")
        partial = self.folder / f".{name}.json.part"
        partial.write_bytes(data + b"\n")
        os.replace(partial, self.folder / f"{name}.json")

    def write_wav(self, name: str, kind: str, samples: Pcm) -> tuple[str, str]:
        """Write 8 kHz mono PCM16; returns the file name and the file's SHA-256."""
        target = self.folder / f"{name}.{kind}.wav"
        partial = target.with_name(f".{target.name}.part")
        with wave.open(str(partial), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(samples.astype("<i2").tobytes())
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
        os.replace(partial, target)
        return target.name, digest


def read_records(folder: Path) -> list[dict[str, Any]]:
    """All call records of a folder, in the order of their INVITEs."""
    records = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
    return sorted(records, key=lambda r: r["invite"]["mono_ns"] if r.get("invite") else 0)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """All lines of the event log; a line still being written is left out."""
    try:
        text = (folder / "events.jsonl").read_text("utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.split("\n")[:-1]]
