# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech recognition behind a protocol; Vosk as its implementation.

Nothing here knows which model it is: what differs between models stands in the
``calibration.toml`` beside each.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from compliance.errors import ConfigError
from voicebot.hearing import Word
from voicebot.line import RATE_HZ


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds measured for one model; the defaults are safe for an unknown one."""

    language: str = ""
    joiner: str = " "
    ignore: frozenset[str] = frozenset({"[unk]", "<unk>", "<UNK>"})
    min_confidence: float = 0.5
    refusal_confidence: float = 0.7
    partial_confidence: float = 0.8

    @staticmethod
    def read(folder: Path, language: str) -> Calibration:
        """The model's ``calibration.toml``; defaults where there is none.

        Raises:
            ConfigError: the file cannot be read, or is for another language, rate or schema.
        """
        default = Calibration(language, "" if language == "zh" else " ")
        file = folder / "calibration.toml"
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return default
        except (OSError, ValueError) as e:
            raise ConfigError(f"not readable ({type(e).__name__})", field=file.name) from e
        for key, wanted in (("schema", 1), ("language", language), ("sample_rate", RATE_HZ)):
            if table.get(key, wanted) != wanted:
                raise ConfigError(
                    f"does not say {wanted!r}",
                    field=f"{file.name}: {key}",
                    remedy="use a model for this language at 8000 Hz",
                )
        return Calibration(
            language=language,
            joiner=_get(table, "joiner", default.joiner, str),
            ignore=frozenset(_get(table, "ignore", sorted(default.ignore), list)),
            min_confidence=_confidence(table, "min_confidence", default.min_confidence),
            refusal_confidence=_confidence(table, "refusal_confidence", default.refusal_confidence),
            partial_confidence=_confidence(table, "partial_confidence", default.partial_confidence),
        )


def _get(table: dict[str, Any], key: str, default: Any, kind: type) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind):
        raise ConfigError("has the wrong type", field=f"calibration.toml: {key}")
    return value


def _confidence(table: dict[str, Any], key: str, default: float) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError("must be 0 to 1", field=f"calibration.toml: {key}")
    return float(value)


class Recognizer(Protocol):
    """One utterance after another of one call. Not thread-safe."""

    calibration: Calibration

    def start(self, position: int) -> None:
        """Begin an utterance whose first sample is at ``position`` (samples since answer)."""
        ...

    def accept(self, pcm: bytes) -> None:
        """Decode 8 kHz int16 LE mono audio that follows what came before."""
        ...

    def partial(self) -> tuple[Word, ...]:
        """Words so far, ignored tokens left out; times in samples since answer."""
        ...

    def finish(self) -> tuple[Word, ...]:
        """End the utterance; its words, those below ``min_confidence`` left out."""
        ...


class VoskModel:
    """A Vosk model folder, loaded once a process."""

    def __init__(self, folder: Path, language: str) -> None:
        import vosk

        if not (folder / "am" / "final.mdl").is_file() and not (folder / "final.mdl").is_file():
            raise ConfigError(
                "is not a Vosk model folder",
                field=f"model {language}",
                remedy="give a folder with am/final.mdl, conf/ and graph/",
            )
        self.calibration = Calibration.read(folder, language)
        vosk.SetLogLevel(-1)
        self._vosk = vosk
        self._model = vosk.Model(str(folder))

    def recognizer(self) -> VoskRecognizer:
        """A recognizer for one call."""
        return VoskRecognizer(self._kaldi, self.calibration)

    def _kaldi(self) -> Any:
        kaldi = self._vosk.KaldiRecognizer(self._model, float(RATE_HZ))
        kaldi.SetWords(True)
        return kaldi


class VoskRecognizer:
    """Vosk's recognizer with times on the call's sample clock.

    Vosk's own partial word confidences (``SetPartialWords``) lag about a second, because
    they come from a lattice that is determinised in large pieces. Its plain partial text
    does not. So new words of a partial carry confidence 0 at first. Once the text stood for
    two looks (again while the copy is not sure, or its last word touches the cut), and every
    0.6 s while it keeps growing, a second, short-lived decoder finishes a copy of the
    utterance so far and gives its words times and confidences (12-18 ms for a short one).
    The last word of a partial ends at the audio's end until it is known to be over.
    """

    STOOD_LOOKS = 2
    MAX_LOOKS = 30  # confirming again and again ends here: the words will not get better
    OVER = RATE_HZ // 5  # a word that ends less than this before the cut may be going on
    CONFIRM_EVERY = RATE_HZ * 6 // 10
    CONFIRM_LIMIT = 8 * RATE_HZ  # longer speech is no short answer: left unconfirmed

    def __init__(self, make: Callable[[], Any], calibration: Calibration) -> None:
        self.calibration = calibration
        self._make = make
        self._kaldi = make()
        self._fed = 0  # samples Vosk was ever given: its word times count from there
        self._begin = 0  # position of the utterance's first sample
        self._offset = 0  # position of Vosk's sample 0
        self._audio = bytearray()
        self._closed: list[Word] = []  # Vosk's own endpointing may end a part early
        self._text = ""
        self._looks = 0  # at the same text
        self._shown: tuple[Word, ...] = ()
        self._known: tuple[Word, ...] = ()  # as last confirmed
        self._confirmed_at = 0

    def start(self, position: int) -> None:
        self._kaldi.Reset()
        self._begin = position
        self._offset = position - self._fed
        self._audio.clear()
        self._closed = []
        self._text = ""
        self._shown = self._known = ()
        self._confirmed_at = self._fed

    def accept(self, pcm: bytes) -> None:
        ended = self._kaldi.AcceptWaveform(pcm)
        self._fed += len(pcm) // 2
        if len(self._audio) <= 2 * self.CONFIRM_LIMIT:
            self._audio += pcm
        if ended:
            found = json.loads(self._kaldi.Result()).get("result", [])
            self._closed += self._words(found, self._offset)
            self._text = ""
            self._shown = tuple(self._closed)

    def partial(self) -> tuple[Word, ...]:
        text = json.loads(self._kaldi.PartialResult()).get("partial", "")
        if not text:
            return self._shown
        self._looks = self._looks + 1 if text == self._text else 0
        self._text = text
        if self._wants_confirming():
            self._known = self._confirm()
            self._confirmed_at = self._fed
        stands = self._looks >= self.STOOD_LOOKS and self._known
        self._shown = self._known if stands else self._merged(text)
        if not self._over(self._shown):
            now = self._offset + self._fed
            last = self._shown[-1]
            return (*self._shown[:-1], Word(last.text, last.start, now, last.confidence))
        return self._shown

    def _over(self, words: tuple[Word, ...]) -> bool:
        """Did the last word end well before the cut of the copy that timed it?"""
        return not words or words[-1].end <= self._offset + self._confirmed_at - self.OVER

    def finish(self) -> tuple[Word, ...]:
        found = json.loads(self._kaldi.FinalResult()).get("result", [])
        words = (*self._closed, *self._words(found, self._offset))
        self._audio.clear()
        return tuple(w for w in words if w.confidence >= self.calibration.min_confidence)

    def _wants_confirming(self) -> bool:
        if self._looks == 0:
            return self._fed - self._confirmed_at >= self.CONFIRM_EVERY
        if self._looks % self.STOOD_LOOKS or self._looks > self.MAX_LOOKS:
            return False
        # Vosk may write a word before it is over; a copy cut inside it is not sure of it yet.
        sure = all(w.confidence >= self.calibration.partial_confidence for w in self._known)
        return not (self._known and sure and self._over(self._known))

    def _merged(self, text: str) -> tuple[Word, ...]:
        """The text's words, with what is known of those that were confirmed before."""
        now = self._offset + self._fed
        texts = [w.text for w in self._closed]
        texts += [w for w in text.split() if w not in self.calibration.ignore]
        if texts == [w.text for w in self._shown]:
            return self._shown
        words: list[Word] = []
        for i, word in enumerate(texts):
            if i < len(self._known) and self._known[i].text == word:
                words.append(self._known[i])
            else:
                words.append(Word(word, words[-1].end if words else self._begin, now, 0.0))
        return tuple(words)

    def _confirm(self) -> tuple[Word, ...]:
        if len(self._audio) > 2 * self.CONFIRM_LIMIT:
            return self._known
        copy = self._make()
        copy.AcceptWaveform(bytes(self._audio))
        return tuple(self._words(json.loads(copy.FinalResult()).get("result", []), self._begin))

    def _words(self, found: list[dict[str, Any]], offset: int) -> list[Word]:
        return [
            Word(
                w["word"],
                offset + round(w["start"] * RATE_HZ),
                offset + round(w["end"] * RATE_HZ),
                float(w.get("conf", 0.0)),
            )
            for w in found
            if w["word"] not in self.calibration.ignore
        ]
