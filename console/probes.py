# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries one part of this machine, in a process of its own: native code may take it down.

``python -m console.probes endpoint|voice|vad|model …`` prints one JSON object
and leaves with 0, or dies. :func:`run` starts that and reads it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from compliance.errors import CandorError

# A large model takes half a minute on a slow disk.
_TIMEOUT_S = 120.0
_SAMPLE = "您好"


def run(name: str, *arguments: str) -> tuple[dict[str, Any], str]:
    """What the probe found, and why it failed; exactly one of the two is empty."""
    command = [sys.executable, "-m", "console.probes", name, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {}, f"no answer within {_TIMEOUT_S:.0f} s"
    except OSError as error:
        return {}, error.strerror or type(error).__name__
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    try:
        found = dict(json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        return {}, _last_words(done)
    error_text = str(found.pop("error", ""))
    return ({}, error_text) if error_text else (found, "")


def _last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1] if said else f"exit code {done.returncode}"


# ---------------------------------------------------------------- in the child


async def _endpoint() -> dict[str, Any]:
    from compliance.clock import SystemClock
    from dialer.sip import EndpointConfig, SipEndpoint

    endpoint = SipEndpoint(EndpointConfig(), SystemClock())
    await endpoint.start()
    capacity = endpoint.capacity
    await endpoint.close()
    try:
        version = metadata.version("pjsua2-python")
    except metadata.PackageNotFoundError:
        version = "?"  # a build of one's own
    return {"version": version, "capacity": capacity}


def _voice() -> dict[str, Any]:
    from voicebot.script import DEFAULT_VOICE
    from voicebot.tts import PyttsxSynthesizer

    with PyttsxSynthesizer() as synthesizer:
        chunks = list(synthesizer.synthesize(_SAMPLE, DEFAULT_VOICE["zh"], 200))
        samples = sum(len(pcm) // 2 / rate for pcm, rate in chunks)
        return {"engine": synthesizer.id, "ms": round(samples * 1000)}


def _vad() -> dict[str, Any]:
    import numpy as np
    import onnxruntime

    from voicebot.vad import WINDOW, SileroModel

    silence = SileroModel().detector().probability(np.zeros(WINDOW, np.int16))
    return {"version": str(onnxruntime.__version__), "silence": round(silence, 3)}


def _model(folder: str, language: str) -> dict[str, Any]:
    from voicebot.asr import VoskModel

    began = time.monotonic()
    model = VoskModel(Path(folder), language)
    recognizer = model.recognizer()
    recognizer.start(0)
    recognizer.accept(bytes(2 * 8000))
    recognizer.finish()
    return {"ms": round((time.monotonic() - began) * 1000)}


def main(arguments: list[str]) -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # native libraries print as they like
    name, *rest = arguments
    try:
        match name:
            case "endpoint":
                found = asyncio.run(_endpoint())
            case "voice":
                found = _voice()
            case "vad":
                found = _vad()
            case "model":
                found = _model(*rest)
            case _:
                found = {"error": f"no probe {name}"}
    except (CandorError, ImportError) as error:
        found = {"error": str(error)}
    out.write(json.dumps(found) + "\n")
    out.flush()
    # pjsua2 and vosk may abort while the interpreter takes itself apart.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
