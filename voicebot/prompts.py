# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompts rendered ahead: trimmed, levelled 8 kHz audio with measured speech bounds.

Files are named by a hash of what they were made from and appear atomically. A prompt with
a contact's values is personal data: it is rendered in memory and never written (D7).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from compliance.errors import ScriptError, SpeechError
from compliance.facts import Evolve
from voicebot.line import RATE_HZ, to_ms, to_samples
from voicebot.normalise import speakable
from voicebot.script import OPENING, SAFE, Prompt, Script, digest, line_id
from voicebot.tts import PyttsxSynthesizer, Synthesizer
from voicebot.words import WordCheck

START_LATENCY_MS = 120
"""Allowance from answer to the first sample on the wire; counted into the disclosure time."""

LEVEL_DBFS = -20.0
PAUSE_MS = 200  # between two prompts, part of the first one's audio
TAIL_MS = 20  # after a prompt that closes the call: the farewell must be short (S11)
_FLOOR_DBFS = -45.0
_FORMAT = "1"  # changes whenever the processing below does

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class RenderedPrompt(Evolve):
    """Audio of one prompt: 8 kHz int16 LE mono; speech lies in samples [audible[0], audible[1])."""

    id: str
    text: str = field(repr=False)
    mark: str
    pcm: bytes = field(repr=False)
    audible: tuple[int, int]
    sha256: str
    flags: tuple[str, ...] = ()  # requirements whose words were to be said here (S9)

    @property
    def samples(self) -> int:
        return len(self.pcm) // 2


@dataclass(frozen=True, slots=True)
class RenderedScript(Evolve):
    """A script with its audio; a prompt that could not be rendered is absent."""

    script: Script
    prompts: Mapping[str, RenderedPrompt] = field(repr=False)
    script_digest: str
    audio_digest: str  # SHA-256 hex over ids and PCM of the prompts that are the same for all
    disclosure_end_ms: int  # end of the robot-and-company words, START_LATENCY_MS included

    def get(self, id: str) -> RenderedPrompt | None:
        return self.prompts.get(id)

    @property
    def opening_ms(self) -> int:
        """Length of the whole opening."""
        return sum(to_ms(self.prompts[name].samples) for name in OPENING)


class PromptCache:
    """Rendered prompts in a folder; ``directory=None`` keeps them in memory only."""

    def __init__(self, directory: Path | None, synthesizer: Synthesizer | None = None) -> None:
        self._directory = directory
        self._synthesizer = synthesizer or PyttsxSynthesizer()
        self._memory: dict[str, bytes] = {}

    def pcm(self, text: str, voice: str, rate: int, *, private: bool = False) -> bytes:
        """Levelled, trimmed speech of ``text`` at 8 kHz, without pauses around it.

        ``private`` audio is made anew each time and kept nowhere.

        Raises:
            SpeechError: the synthesizer failed or returned silence.
        """
        if private:
            return self._render(text, voice, rate)
        key = hashlib.sha256(
            "\0".join((_FORMAT, self._synthesizer.id, voice, str(rate), text)).encode()
        ).hexdigest()
        if key in self._memory:
            return self._memory[key]
        path = self._directory / f"{key}.pcm" if self._directory else None
        pcm = _read(path) if path else None
        if pcm is None:
            pcm = self._render(text, voice, rate)
            if path:
                _write(path, pcm)
        self._memory[key] = pcm
        return pcm

    def _render(self, text: str, voice: str, rate: int) -> bytes:
        return shape(self._synthesizer.synthesize(text, voice, rate))


def render_script(
    script: Script, cache: PromptCache, values: Mapping[str, str] | None = None
) -> RenderedScript:
    """Render every prompt; ``values`` fill the slots of those that name a contact's values.

    Without ``values`` those prompts are left out: :func:`for_contact` adds them for each call.

    Raises:
        ScriptError: a slot has no value.
        SpeechError: the synthesizer failed.
    """
    prompts = {
        p.id: _prompt(script, p, cache, values or {})
        for p in script.prompts
        if values is not None or not p.slots
    }
    audio = hashlib.sha256()
    for prompt in script.prompts:
        shared = prompts[prompt.id].sha256 if not prompt.slots else f"slots:{prompt.text}"
        audio.update(f"{prompt.id}\0{shared}\n".encode())
    return RenderedScript(
        script=script,
        prompts=prompts,
        script_digest=digest(script),
        audio_digest=audio.hexdigest(),
        disclosure_end_ms=START_LATENCY_MS + to_ms(prompts[OPENING[0]].audible[1]),
    )


def for_contact(
    rendered: RenderedScript, cache: PromptCache, values: Mapping[str, str], words: WordCheck
) -> RenderedScript:
    """The script with the prompts that name the values of one contact, checked first.

    What must not be said is never rendered: the safe line stands in its place, as it does
    where the synthesizer fails. Takes the time of synthesis: call it before the INVITE.

    Raises:
        ScriptError: a slot has no value.
    """
    prompts = dict(rendered.prompts)
    for prompt in rendered.script.prompts:
        if not prompt.slots:
            continue
        found = words.findings(_filled(prompt, values))
        try:
            made = None if found else _prompt(rendered.script, prompt, cache, values)
        except SpeechError:
            made = None
        if made is None:
            flags = tuple(dict.fromkeys(finding.requirement for finding in found))
            made = safely(rendered, prompt.id, flags)
        if made is not None:
            prompts[prompt.id] = made
    return rendered.evolve(prompts=prompts)


def safely(rendered: RenderedScript, id: str, flags: tuple[str, ...]) -> RenderedPrompt | None:
    """The safe line in the place of prompt ``id``; None: there is none, or none may stand there.

    The parts of the opening have no substitute: without them the call may not go on.
    """
    safe = rendered.get(line_id(SAFE))
    return None if safe is None or id in OPENING else safe.evolve(id=id, flags=flags)


def _filled(prompt: Prompt, values: Mapping[str, str]) -> str:
    text = prompt.text
    for slot in prompt.slots:
        if slot not in values:
            raise ScriptError(
                f"no value for {{{slot}}}",
                field=prompt.id,
                remedy="map that column of the contacts",
            )
        text = text.replace(f"{{{slot}}}", values[slot])
    return text


def _prompt(
    script: Script, prompt: Prompt, cache: PromptCache, values: Mapping[str, str]
) -> RenderedPrompt:
    text = _filled(prompt, values)
    spoken = speakable(text, script.language)
    speech = cache.pcm(spoken, script.voice, script.rate, private=bool(prompt.slots))
    tail = TAIL_MS if prompt.closing else PAUSE_MS
    pcm = speech + bytes(2 * to_samples(tail))
    return RenderedPrompt(
        prompt.id, text, prompt.mark, pcm, (0, len(speech) // 2), hashlib.sha256(pcm).hexdigest()
    )


def shape(chunks: Iterable[tuple[bytes, int]]) -> bytes:
    """Synthesizer output -> 8 kHz, silence trimmed, -20 dBFS RMS of speech, never clipped."""
    parts = list(chunks)
    rates = {rate for _, rate in parts}
    if len(rates) != 1:
        raise SpeechError("the synthesizer gave no audio or changed its rate")
    raw = np.frombuffer(b"".join(pcm for pcm, _ in parts), dtype="<i2").astype(np.float32)
    audio = soxr.resample(raw / 32768.0, rates.pop(), RATE_HZ, quality="HQ")
    audio = _trim(audio)
    if audio.size < to_samples(50):
        raise SpeechError("the synthesizer gave silence")
    rms = float(np.sqrt(np.mean(np.square(audio))))
    gain = 10 ** (LEVEL_DBFS / 20) / max(rms, 1e-6)
    gain = min(gain, 0.97 / float(np.max(np.abs(audio))))
    audio = audio * gain
    ramp = np.linspace(0.0, 1.0, to_samples(4), dtype=np.float32)  # no click at either end
    audio[: ramp.size] *= ramp
    audio[-ramp.size :] *= ramp[::-1]
    return np.round(audio * 32767.0).astype("<i2").tobytes()


def _trim(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cut silence at both ends, found in 10 ms blocks below -45 dB of the loudest block."""
    block = to_samples(10)
    count = audio.size // block
    if count == 0:
        return audio[:0]
    energy = np.sqrt(np.mean(np.square(audio[: count * block].reshape(count, block)), axis=1))
    loud = np.flatnonzero(energy > max(float(energy.max()), 1e-9) * 10 ** (_FLOOR_DBFS / 20))
    if float(energy.max()) < 1e-4:
        return audio[:0]
    return audio[int(loud[0]) * block : (int(loud[-1]) + 1) * block].copy()


def _read(path: Path) -> bytes | None:
    """Cached audio, checked against the digest at its head; None: absent or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head, pcm = data[:32], data[32:]
    return pcm if pcm and hashlib.sha256(pcm).digest() == head else None


def _write(path: Path, pcm: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".prompt-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(pcm).digest() + pcm)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
