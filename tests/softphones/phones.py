# SPDX-License-Identifier: GPL-3.0-or-later
"""Real softphones without screen or sound card: baresip and linphonec of Debian.

Each answers by itself, speaks what a WAV file says and records what it hears; its
recording is the witness. Both are driven the way a person at a keyboard would.
"""

from __future__ import annotations

import abc
import contextlib
import os
import shutil
import socket
import subprocess
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, ClassVar

import numpy as np
from numpy.typing import NDArray

from sip_sim.rtp import RATE
from sip_sim.voices import Utterance, load
from tests.wire.peers import free_port

Pcm = NDArray[np.int16]
START_S = 60.0  # a machine that does other things as well


def speech(path: Path, words: str, at_s: float, voices: Path) -> Pcm:
    """A WAV of a person who is silent, says ``words`` ``at_s`` after the answer, and listens."""
    utterance = Utterance(words)
    spoken = load({utterance}, voices)[utterance]
    silence = np.zeros(int(at_s * RATE), np.int16)
    samples = np.concatenate([silence, spoken, np.zeros(90 * RATE, np.int16)])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return spoken


def read(path: Path) -> Pcm:
    """Samples of a mono 8 kHz WAV a softphone wrote, whatever its header says of the length."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
    data = path.read_bytes()[44:]
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2")


class Softphone(abc.ABC):
    """What both have in common: a process, its log, its place on the wire."""

    package: ClassVar[str]
    program: ClassVar[str]
    talking: ClassVar[str]  # in its log once sound flows
    over: ClassVar[str]  # in its log when the call has ended

    def __init__(self, folder: Path, user: str, words: Path, spoken_s: float) -> None:
        assert shutil.which(self.program), f"apt install {self.package}"
        self.folder = folder
        self.user = user
        self.words = words
        self.spoken_s = spoken_s
        self.port = free_port()
        self.uri = f"sip:{user}@127.0.0.1:{self.port}"
        self.log = folder / "phone.log"
        self._process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and end it whatever happens."""
        with self.log.open("wb") as log:
            self._process = self._start(log)
            try:
                self._wait(self._ready, "does not start")
                yield
            finally:
                self._stop(self._process)

    def wait_for(self, sign: str, timeout_s: float = START_S) -> float:
        """Wait until ``sign`` is in the log; monotonic seconds."""
        return self._wait(lambda: sign in self._said(), f"never said {sign!r}", timeout_s)

    @abc.abstractmethod
    def press(self, digit: str) -> None:
        """Press a key of the telephone during the call."""

    @abc.abstractmethod
    def heard(self) -> Pcm:
        """What its owner heard, from the answer on."""

    @abc.abstractmethod
    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Its process, which writes to ``log``."""

    def _ready(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind(("127.0.0.1", self.port))
            except OSError:
                return True
        return False

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def _wait(self, happened: Callable[[], bool], fault: str, timeout_s: float = START_S) -> float:
        until = time.monotonic() + timeout_s
        while not happened():
            assert self._process is not None
            assert self._process.poll() is None, f"{self.program} ended:\n{self._said()[-2000:]}"
            assert time.monotonic() < until, f"{self.program} {fault}:\n{self._said()[-2000:]}"
            time.sleep(0.02)
        return time.monotonic()

    def _env(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.folder), "TERM": "dumb"}


_BARESIP = """\
sip_listen 127.0.0.1:{port}
net_interface 127.0.0.1
audio_source aufile,{words}
audio_player aubridge,sink
audio_alert aubridge,alert
cons_listen 127.0.0.1:{keys}
module_path {modules}
module cons.so
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
"""


class Baresip(Softphone):
    """baresip: sound from a file into a bridge nobody listens at; keys over its UDP console."""

    package = "baresip"
    program = "baresip"
    talking = "incoming rtp for 'audio' established"
    over = "terminated (duration"

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        self._keys = free_port()
        modules = next(Path("/usr/lib").glob("**/baresip/modules/g711.so")).parent
        (self.folder / "config").write_text(
            _BARESIP.format(port=self.port, words=self.words, keys=self._keys, modules=modules)
        )
        (self.folder / "accounts").write_text(
            f"<sip:{self.user}@127.0.0.1>;answermode=auto;regint=0\n"
        )
        return subprocess.Popen(
            [self.program, "-4", "-f", str(self.folder)],
            cwd=self.folder,  # where its sndfile module writes
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._env(),
        )

    def press(self, digit: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(digit.encode(), ("127.0.0.1", self._keys))

    def heard(self) -> Pcm:
        (recording,) = self.folder.glob("dump-*-dec.wav")
        return read(recording)


_LINPHONE = """\
[sip]
sip_port={port}
sip_tcp_port=0
sip_tls_port=0
guess_hostname=0
contact="{user}" <sip:{user}@127.0.0.1>
bind_address=127.0.0.1

[rtp]
audio_rtp_port={rtp}

[net]
dns_srv_enabled=0
"""


class Linphone(Softphone):
    """linphonec: files instead of a sound card, commands and keys on its standard input."""

    package = "linphone-cli"
    program = "linphonec"
    talking = "Media streams established"
    over = "ended (No error)"

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        (self.folder / ".local" / "share" / "linphone").mkdir(parents=True, exist_ok=True)
        settings = self.folder / "linphonerc"
        rtp = 2 * (free_port() // 2)
        settings.write_text(_LINPHONE.format(port=self.port, user=self.user, rtp=rtp))
        process = subprocess.Popen(
            [self.program, "-c", str(settings), "-a"],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._env(),
            bufsize=0,
        )
        self._type(process, "soundcard use files")
        self._type(process, f"play {self.words}")
        self._type(process, f"record {self.folder / 'heard.wav'}")
        return process

    def _ready(self) -> bool:
        return super()._ready() and "record " in self._said()

    def press(self, digit: str) -> None:
        assert self._process is not None
        self._type(self._process, digit)

    def heard(self) -> Pcm:
        return read(self.folder / "heard.wav")

    @staticmethod
    def _type(process: subprocess.Popen[bytes], line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(line.encode() + b"\n")


PHONES: dict[str, type[Softphone]] = {"baresip": Baresip, "linphonec": Linphone}
