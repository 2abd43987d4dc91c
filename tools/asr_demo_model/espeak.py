# SPDX-License-Identifier: GPL-3.0-or-later
"""espeak-ng 1.52 through ctypes, with phoneme and word events.

libespeak keeps its state in globals and can crash on odd input, so this module is meant to be
imported by throw-away worker processes only (see ``synthesis.py``).
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

_RETRIEVAL = 1  # AUDIO_OUTPUT_RETRIEVAL: the callback gets audio before the call returns
_PHONEME_EVENTS = 1
_DONT_EXIT = 0x8000  # an initialisation failure must not end the interpreter
_POS_CHARACTER = 1
_CHARS_UTF8 = 1
_RATE, _VOLUME, _PITCH, _RANGE, _WORDGAP = 1, 2, 3, 4, 7
_EVENT_WORD, _EVENT_PHONEME = 1, 7


class _EventId(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Phone:
    """One phoneme as espeak-ng spoke it."""

    name: str
    start: int  # samples at the synthesiser's rate
    position: int  # 1-based character position of the word it belongs to


@dataclass(frozen=True)
class Spoken:
    """Audio of one text with its phonemes in order."""

    pcm: NDArray[np.int16]  # mono, at ``Espeak.sample_rate``
    phones: tuple[Phone, ...]


@dataclass(frozen=True)
class Voice:
    """A voice and the way it speaks."""

    name: str  # for example "sit/cmn+linda"
    rate: int = 160  # words per minute
    pitch: int = 50  # 0..99
    pitch_range: int = 50  # 0..99
    word_gap: int = 0  # tens of milliseconds


def data_path() -> Path:
    """Folder that holds ``espeak-ng-data``."""
    return Path(espeakng_loader.get_data_path()).parent


def variants() -> list[str]:
    """Names of all voice variants of the installed espeak-ng, sorted."""
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    return sorted(path.name for path in folder.iterdir() if path.is_file())


class Espeak:
    """The one espeak-ng instance of this process."""

    def __init__(self) -> None:
        os.environ["ESPEAK_DATA_PATH"] = str(data_path())
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._audio: list[NDArray[np.int16]] = []
        self._phones: list[Phone] = []
        self._position = 0
        self._voice = ""
        self.sample_rate: int = self._library.espeak_Initialize(
            _RETRIEVAL, 400, str(data_path()).encode(), _PHONEME_EVENTS | _DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise RuntimeError(f"espeak-ng does not start: {self.sample_rate}")
        # The reference must outlive the library's use of it.
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def version(self) -> str:
        """Version of the library, for example ``1.52.0``."""
        self._library.espeak_Info.restype = ctypes.c_char_p
        text: bytes = self._library.espeak_Info(None)
        return text.decode()

    def _receive(self, samples, count, events) -> int:  # type: ignore[no-untyped-def]
        if count > 0 and samples:
            self._audio.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != 0:
            event = events[index]
            if event.type == _EVENT_WORD:
                self._position = event.text_position
            elif event.type == _EVENT_PHONEME:
                name = bytes(event.id.string).decode("utf-8", "replace")
                self._phones.append(Phone(name, event.sample, self._position))
            index += 1
        return 0

    def speak(self, text: str, voice: Voice) -> Spoken:
        """Synthesise ``text``; raises ``ValueError`` for a voice espeak-ng does not have."""
        self._audio.clear()
        self._phones.clear()
        self._position = 0
        if voice.name != self._voice:  # loading a voice takes longer than speaking
            if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
                raise ValueError(f"no espeak-ng voice {voice.name!r}")
            self._voice = voice.name
        for parameter, value in (
            (_RATE, voice.rate),
            (_VOLUME, 100),
            (_PITCH, voice.pitch),
            (_RANGE, voice.pitch_range),
            (_WORDGAP, voice.word_gap),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(
            data, len(data) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        self._library.espeak_Synchronize()
        pcm = np.concatenate(self._audio) if self._audio else np.zeros(0, np.int16)
        return Spoken(pcm, tuple(self._phones))
