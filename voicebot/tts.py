# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech synthesis behind one method; pyttsx3 on espeak-ng 1.52 in a process of its own.

libespeak can crash or exit its process, so it never runs in ours: ``python -m voicebot.tts``
reads requests on stdin and answers on stdout. Text goes neither on a command line nor to
disk: the WAV pyttsx3 insists on is a file in memory.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import struct
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterable
from typing import IO, Any, Protocol

from compliance.errors import SpeechError

_LENGTH = struct.Struct("!II")  # sample rate in Hz (0: failed), bytes that follow


class Synthesizer(Protocol):
    """Text to speech. ``id`` names engine and version: it is part of a prompt's cache key."""

    @property
    def id(self) -> str: ...

    def synthesize(self, text: str, voice: str, rate: int) -> Iterable[tuple[bytes, int]]:
        """Chunks of (int16 LE mono PCM, sample rate in Hz); ``rate`` in words a minute.

        Raises:
            SpeechError: no such voice, a crash, or no answer in time.
        """
        ...


class PyttsxSynthesizer:
    """pyttsx3 in a child process, started when first needed and again after a crash."""

    id = "pyttsx3-2.99/espeak-ng-1.52"

    def __init__(self, timeout_s: float = 20.0) -> None:
        self._timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def synthesize(self, text: str, voice: str, rate: int) -> Iterable[tuple[bytes, int]]:
        request = json.dumps({"text": text, "voice": voice, "rate": rate}).encode() + b"\n"
        with self._lock:
            try:
                return [self._ask(request)]
            except (OSError, EOFError, TimeoutError):
                self._kill()
            try:  # libespeak crashes on some inputs by chance: once more in a fresh process
                return [self._ask(request)]
            except (OSError, EOFError, TimeoutError) as e:
                self._kill()
                raise SpeechError(f"speech synthesis failed ({type(e).__name__})") from None

    def close(self) -> None:
        """End the child process."""
        with self._lock:
            self._kill()

    def __enter__(self) -> PyttsxSynthesizer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ask(self, request: bytes) -> tuple[bytes, int]:
        if self._child is None or self._child.poll() is not None:
            self._kill()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "voicebot.tts"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(request)
        sample_rate, size = _LENGTH.unpack(self._read(self._child.stdout, _LENGTH.size))
        body = self._read(self._child.stdout, size)
        if size == 0:
            raise EOFError
        if sample_rate == 0:
            raise SpeechError(body.decode())
        return body, sample_rate

    def _read(self, pipe: IO[bytes], size: int) -> bytes:
        data = bytearray()
        with selectors.DefaultSelector() as ready:
            ready.register(pipe, selectors.EVENT_READ)
            while len(data) < size:
                if not ready.select(self._timeout_s):
                    raise TimeoutError
                chunk = os.read(pipe.fileno(), min(size - len(data), 1 << 16))
                if not chunk:
                    raise EOFError
                data += chunk
        return bytes(data)

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


# ---------------------------------------------------------------- the child process


def _load_espeak() -> None:
    """Load espeak-ng 1.52 of ``espeakng-loader`` and the modules around it; start nothing."""
    import ctypes
    from pathlib import Path

    import espeakng_loader

    # espeak looks its data up while starting and exits the process if it is not found.
    os.environ["ESPEAK_DATA_PATH"] = str(Path(espeakng_loader.get_data_path()).parent)
    ctypes.CDLL(espeakng_loader.get_library_path())
    importlib.import_module("pyttsx3.drivers.espeak")
    # After each utterance the driver cancels espeak if its thread is still at work, which under
    # load it is: the next utterance then comes out some samples longer. Never cancelled, the
    # same words give the same bytes (G5).
    library: Any = importlib.import_module("pyttsx3.drivers._espeak")
    library.IsPlaying = lambda: 0


class _Engine:
    """A started pyttsx3; one a process."""

    def __init__(self) -> None:
        import pyttsx3

        self._engine: Any = pyttsx3.init("espeak")
        self._synchronize: Callable[[], int] = importlib.import_module(
            "pyttsx3.drivers._espeak"
        ).Synchronize
        self._finished = threading.Event()
        self._engine.connect("finished-utterance", lambda name, completed: self._finished.set())
        # The driver applies properties only between utterances and is "busy" until its first
        # one is over: without this the prompt is spoken at the default rate.
        self._speak("a")

    def wav(self, text: str, voice: str, rate: int) -> tuple[bytes, int]:
        self._set("voice", voice)
        self._set("rate", int(rate))
        return self._speak(text)

    def _set(self, name: str, value: str | int) -> None:
        """Wrong values are silently left out by the driver: read them back."""
        self._engine.setProperty(name, value)
        deadline = time.monotonic() + 2
        while self._engine.getProperty(name) != value:
            if time.monotonic() > deadline:
                raise SpeechError(f"the synthesizer does not have the script's {name}")
            time.sleep(0.001)

    def _speak(self, text: str) -> tuple[bytes, int]:
        fd = os.memfd_create("prompt")
        try:
            self._finished.clear()
            self._engine.save_to_file(text, f"/proc/self/fd/{fd}")
            self._engine.runAndWait()  # does not wait
            if not self._finished.wait(15):
                raise SpeechError("speech synthesis did not finish")
            # espeak's thread clears these a moment later; starting again earlier makes the
            # driver cancel the new utterance, which then comes out empty.
            self._synchronize()
            while self._engine.isBusy():
                time.sleep(0.001)
            os.lseek(fd, 0, os.SEEK_SET)
            with os.fdopen(os.dup(fd), "rb") as file, wave.open(file) as wav:
                return wav.readframes(wav.getnframes()), wav.getframerate()
        except (OSError, EOFError, wave.Error) as e:
            raise SpeechError(f"speech synthesis wrote no audio ({type(e).__name__})") from None
        finally:
            os.close(fd)


def _serve() -> None:
    """Answer requests until stdin closes, which it does when the parent dies.

    Each request gets a fork of its own with a fresh engine: espeak carries state from one
    utterance to the next, and the same words must always give the same audio (G5). The fork
    comes before espeak starts its thread; forked later it would hang.
    """
    replies = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # pyttsx3 prints to stdout
    _load_espeak()
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            _answer(json.loads(line), replies)
        _, status = os.waitpid(child, 0)
        if status != 0:  # crashed, perhaps in the middle of its answer: so does this process
            os._exit(1)


def _answer(request: dict[str, Any], replies: int) -> None:
    """Write one reply and leave; exit status 1 after a crash of ours."""
    status = 1
    try:
        try:
            body, rate = _Engine().wav(request["text"], request["voice"], request["rate"])
        except SpeechError as e:
            body, rate = e.detail.encode(), 0
        data = _LENGTH.pack(rate, len(body)) + body
        while data:
            data = data[os.write(replies, data) :]
        status = 0
    finally:
        os._exit(status)  # libespeak asserts when it is torn down


if __name__ == "__main__":
    _serve()
