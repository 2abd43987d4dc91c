# SPDX-License-Identifier: GPL-3.0-or-later
"""The callees' voices: espeak-ng in a throw-away subprocess, rendered ahead and cached.

`python -m sip_sim.voices CACHE_DIR` is that subprocess; it reads its jobs as JSON on stdin.
"""

import ctypes
import hashlib
import json
import os
import re
import subprocess
import sys
import wave
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sip_sim.errors import VoiceError
from sip_sim.rtp import RATE

Pcm = NDArray[np.int16]

LEVEL_DBFS: Final = -20.0
_VERSION: Final = "2"  # part of the cache key: raise it when the rendering changes
_CHINESE: Final = re.compile(r"[㐀-鿿]")
_REMEDY: Final = "install the packages espeakng-loader and soxr"


@dataclass(frozen=True)
class Utterance:
    """Words to render: a voice variant of espeak-ng and a rate in words a minute."""

    text: str
    voice: str = "linda"
    rate: int = 165

    @property
    def voice_name(self) -> str:
        """espeak-ng voice: Mandarin when the text has Chinese characters, else English."""
        base = "sit/cmn" if _CHINESE.search(self.text) else "gmw/en-us"
        return f"{base}+{self.voice}"

    @property
    def file_name(self) -> str:
        """Cache file, named by what went into it."""
        key = "\n".join([_VERSION, self.voice_name, str(self.rate), self.text])
        return hashlib.sha256(key.encode()).hexdigest()[:32] + ".wav"


def load(utterances: set[Utterance], cache: Path) -> dict[Utterance, Pcm]:
    """Samples of every utterance at 8 kHz, without silence around them, at -20 dBFS RMS.

    What the cache lacks is rendered first, in one subprocess.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VoiceError(
            f"cannot use {cache} ({error.strerror}): choose another --voices"
        ) from None
    found = {u: _read(cache / u.file_name) for u in utterances}
    missing = sorted((u for u, s in found.items() if s is None), key=lambda u: u.file_name)
    if missing:
        _render_in_subprocess(missing, cache)
        found.update({u: _read(cache / u.file_name) for u in missing})
    result = {u: s for u, s in found.items() if s is not None}
    if len(result) < len(found):
        lost = next(u for u in found if u not in result)
        raise VoiceError(f"voice {lost.voice_name!r} gave no audio: use one espeak-ng 1.52 has")
    return result


def _render_in_subprocess(utterances: list[Utterance], cache: Path) -> None:
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    done = subprocess.run(
        [sys.executable, "-m", "sip_sim.voices", str(cache)],
        input=json.dumps([asdict(u) for u in utterances]),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise VoiceError(f"cannot synthesise voices ({last}): {_REMEDY}")


def _read(path: Path) -> Pcm | None:
    try:
        with wave.open(str(path), "rb") as file:
            if file.getframerate() != RATE or not file.getnframes():
                return None
            return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)
    except (OSError, EOFError, wave.Error):
        return None


def finish(samples: NDArray[np.float64]) -> Pcm:
    """Trim the silence around words (below -40 dB of the peak level) and set their level."""
    block = RATE // 200
    count = len(samples) // block
    if not count:
        return np.zeros(0, dtype=np.int16)
    rms = np.sqrt(np.mean(samples[: count * block].reshape(count, block) ** 2, axis=1))
    loud = np.flatnonzero(rms > rms.max() * 0.01) if rms.max() else np.zeros(0, dtype=np.int64)
    if not len(loud):
        return np.zeros(0, dtype=np.int16)
    words = samples[loud[0] * block : (loud[-1] + 1) * block]
    gain = 32768 * 10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(words**2))
    gain = min(gain, 32000 / np.max(np.abs(words)))
    scaled: Pcm = np.rint(words * gain).astype(np.int16)
    return scaled


class _Espeak:
    """espeak-ng through ctypes (speak_lib.h); one per process."""

    _CALLBACK = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
    )

    def __init__(self) -> None:
        import espeakng_loader  # only the subprocess needs it

        data = Path(espeakng_loader.get_data_path()).parent
        os.environ["ESPEAK_DATA_PATH"] = str(data)
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        synchronous = 2
        self._rate = self._library.espeak_Initialize(synchronous, 0, str(data).encode(), 0)
        if self._rate <= 0:
            raise VoiceError("espeak-ng does not start")
        self._chunks: list[bytes] = []
        self._keep = self._CALLBACK(self._collect)
        self._library.espeak_SetSynthCallback(self._keep)

    def _collect(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def render(self, utterance: Utterance) -> Pcm:
        """Synthesise and resample to 8 kHz."""
        import soxr  # only the subprocess needs it

        if self._library.espeak_SetVoiceByName(utterance.voice_name.encode()):
            raise VoiceError(f"espeak-ng has no voice {utterance.voice_name!r}")
        rate_parameter, utf8, by_character = 1, 1, 1
        self._library.espeak_SetParameter(rate_parameter, utterance.rate, 0)
        self._chunks.clear()
        text = re.sub(r"[<>]", " ", utterance.text).encode() + b"\0"
        self._library.espeak_Synth(text, len(text), 0, by_character, 0, utf8, None, None)
        self._library.espeak_Synchronize()
        samples = np.frombuffer(b"".join(self._chunks), dtype=np.int16).astype(np.float64)
        return finish(np.asarray(soxr.resample(samples, self._rate, RATE), dtype=np.float64))


def _main() -> int:
    cache = Path(sys.argv[1])
    espeak = _Espeak()
    for job in json.load(sys.stdin):
        utterance = Utterance(**job)
        samples = espeak.render(utterance)
        target = cache / utterance.file_name
        partial = target.with_suffix(f".{os.getpid()}.part")
        with wave.open(str(partial), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(samples.astype("<i2").tobytes())
        os.replace(partial, target)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
