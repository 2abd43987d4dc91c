# SPDX-License-Identifier: GPL-3.0-or-later
"""Completing a call's record when the call is over."""

import asyncio
import time
from typing import Any

from sip_sim import witness
from sip_sim.host import Limits
from sip_sim.media import CallMedia
from sip_sim.record import CallRecord, RecordStore


async def complete(
    store: RecordStore, name: str, record: CallRecord, media: CallMedia | None, limits: Limits
) -> None:
    """Work out what was heard and said, write the audio and then the JSON."""
    if record.answered and record.bye and record.refused_at_ms is not None:
        after = record.ms(record.bye.mono_ns) - record.refused_at_ms
        record.bye_after_refusal_ms = round(after, 3)
    if media is not None:
        # Audio of minutes takes tens of ms: off the loop, so that other calls' media keeps time.
        await asyncio.to_thread(_audio, store, name, record, media, limits)
    record.state = "ended"
    store.write(name, record)
    store.event(
        "call_ended",
        call_id=record.call_id,
        number=record.number,
        why=record.ended,
        violations=record.violations,
    )


def _audio(
    store: RecordStore, name: str, record: CallRecord, media: CallMedia, limits: Limits
) -> None:
    end_ns = record.bye.mono_ns if record.bye else time.monotonic_ns()
    audio: dict[str, Any] = {}
    if record.progress:
        until = record.answered.mono_ns if record.answered else end_ns
        early = media.sent.timeline(record.progress.mono_ns, until)
        audio["early_wav"], audio["early_sha256"] = store.write_wav(name, "early", early)
    if record.answered:
        origin = record.answered.mono_ns
        heard = media.heard.timeline(origin, end_ns)
        audio["heard_wav"], audio["heard_sha256"] = store.write_wav(name, "heard", heard)
        said = media.sent.timeline(origin, end_ns)
        audio["said_wav"], audio["said_sha256"] = store.write_wav(name, "said", said)
        reception = media.heard.reception(origin, end_ns)
        counts = {k: round(v, 3) if isinstance(v, float) else v for k, v in vars(reception).items()}
        record.heard = {"wav": audio["heard_wav"], **counts}
        record.bot_speech = [[start, end] for start, end in witness.speech_intervals(heard)]
        presses = media.heard.digits(origin)
        record.dtmf_received += [
            {
                "digit": digit,
                "start_ms": round(start, 3),
                "end_ms": round(end, 3),
                "method": "rfc4733",
            }
            for digit, start, end in presses
        ]
    if record.bye:
        limit = record.bye.mono_ns + int(limits.in_flight * 1e9)
        late = sum(a.mono_ns > limit for a in media.heard.arrivals)
        if late:
            record.violations.append(f"media after BYE: {late} packets")
    record.audio = audio
