# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a model folder with unmodified Vosk on voices it was never trained on.

Imports vosk, so it must never share a process with kaldifst.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import vosk
from numpy.typing import NDArray

from .alignment import segments
from .augment import Audio, Channel, coloured_noise, g711, rms, transmit
from .corpus import Corpus, load
from .espeak import Espeak, Voice
from .features import SAMPLE_RATE
from .nonspeech import TONES, cadence, clicks, dtmf, music, special_information
from .synthesis import at_8khz
from .voices import test_voice

Samples = NDArray[np.int16]
_CHUNK = 160  # samples: 20 ms
_LEAD, _TAIL = 0.3, 0.6  # seconds of line noise around each utterance
_THRESHOLDS = [round(0.3 + 0.05 * step, 2) for step in range(15)]
CONDITIONS = {
    "G.711 clean": ("none", 0.0),
    "white noise 20 dB": ("white", 20.0),
    "white noise 10 dB": ("white", 10.0),
    "babble 15 dB": ("babble", 15.0),
}


@dataclass(frozen=True)
class Word:
    """A recognised word."""

    text: str
    confidence: float  # 0..1


@dataclass(frozen=True)
class Utterance:
    """A text spoken by a held-out voice."""

    text: str
    audio: Audio
    end: float  # seconds from the start of ``audio`` to the end of the last phone
    voice: Voice


def words_of(results: Iterable[dict[str, Any]], key: str) -> list[Word]:
    """Words of Vosk's results, without its mark for unknown words."""
    return [
        Word(word["word"], word["conf"])
        for result in results
        for word in result.get(key, [])
        if word["word"] != "[unk]"
    ]


def listen(model: vosk.Model, samples: Samples) -> list[Word]:
    """All words of a recording fed in chunks of 20 ms."""
    recognizer = vosk.KaldiRecognizer(model, SAMPLE_RATE)
    recognizer.SetWords(True)
    results = []
    data = samples.tobytes()
    for start in range(0, len(data), 2 * _CHUNK):
        if recognizer.AcceptWaveform(data[start : start + 2 * _CHUNK]):
            results.append(json.loads(recognizer.Result()))
    results.append(json.loads(recognizer.FinalResult()))
    return words_of(results, "result")


def refusal_confidence(corpus: Corpus, words: list[Word]) -> float:
    """Highest over all refusal keys of the least confidence of the words a key lies in."""
    owners: list[int] = []
    for index, word in enumerate(words):
        owners.extend([index] * len(word.text + corpus.joiner))
    text = corpus.text([word.text for word in words])
    best = 0.0
    for key in corpus.refusal_keys:
        start = text.find(key)
        while start >= 0:
            touched = set(owners[start : start + len(key)])
            best = max(best, min(words[index].confidence for index in touched))
            start = text.find(key, start + 1)
    return best


class Bench:
    """A model, a corpus and the means to speak to it."""

    def __init__(self, language: str, folder: Path, seed: int) -> None:
        vosk.SetLogLevel(-1)
        self.corpus = load(language)
        self.model = vosk.Model(str(folder))
        self.rng = random.Random(seed)
        self._espeak = Espeak()
        phrases = self.rng.sample(list(self.corpus.phrases), 30)
        self._bank = [self.say(self.corpus.text(words)).audio for words in phrases]

    def say(self, text: str, voice: Voice | None = None) -> Utterance:
        """Speak with a random held-out voice."""
        voice = voice or test_voice(self.corpus, self.rng)
        spoken = self._espeak.speak(text, voice)
        _, end = segments(spoken, self._espeak.sample_rate)
        audio = at_8khz(spoken, self._espeak.sample_rate)
        return Utterance(text, audio / rms(audio), end, voice)

    def send(self, utterance: Utterance, condition: str, tail: float = _TAIL) -> Samples:
        """The utterance as a telephone delivers it."""
        noise, snr = CONDITIONS[condition]
        level = self.rng.choice([-28.0, -22.0, -16.0])
        narrow = self.rng.random() < 0.5
        law = self.rng.choice("ua")
        channel = Channel(_LEAD, tail, noise, snr, level, narrow, law)
        return transmit(utterance.audio, channel, self._bank, self.rng)


def _phrase_report(bench: Bench, texts: list[str], condition: str) -> dict[str, Any]:
    """Exact phrases, and refusals by threshold, among sentences of the domain."""
    corpus = bench.corpus
    exact = refusals = 0
    found: list[float] = []
    wrong: list[list[str]] = []
    right_confidences: list[float] = []
    seconds = busy = 0.0
    for text in texts:
        utterance = bench.say(text)
        samples = bench.send(utterance, condition)
        begun = time.perf_counter()
        words = listen(bench.model, samples)
        busy += time.perf_counter() - begun
        seconds += len(samples) / SAMPLE_RATE
        heard = corpus.text([word.text for word in words])
        if heard == text:
            exact += 1
            right_confidences += [word.confidence for word in words]
        elif len(wrong) < 40:
            wrong.append([text, heard, utterance.voice.name])
        if corpus.is_refusal(text):
            refusals += 1
            found.append(refusal_confidence(corpus, words))
    return {
        "count": len(texts),
        "exact": exact,
        "refusals": refusals,
        "refusals_kept": {str(t): sum(c >= t for c in found) for t in _THRESHOLDS},
        "words_kept": {str(t): sum(c >= t for c in right_confidences) for t in _THRESHOLDS},
        "words_right": len(right_confidences),
        "real_time_factor": busy / seconds,
        "wrong": wrong,
    }


def _foreign_report(bench: Bench, repeats: int, condition: str) -> dict[str, Any]:
    """Refusals heard in sentences that hold none."""
    found: list[float] = []
    wrong = []
    for text in bench.corpus.foreign * repeats:
        words = listen(bench.model, bench.send(bench.say(text), condition))
        found.append(refusal_confidence(bench.corpus, words))
        if found[-1] > 0:
            wrong.append([text, bench.corpus.text([w.text for w in words]), f"{found[-1]:.2f}"])
    return {
        "count": len(found),
        "false_refusals": {str(t): sum(c >= t for c in found) for t in _THRESHOLDS},
        "wrong": wrong,
    }


def _sounds(rng: random.Random) -> dict[str, Audio]:
    """Ten seconds of each kind of sound that is not speech."""
    count = 10 * SAMPLE_RATE
    sounds = {name: cadence(name, count, rng.random()) for name in TONES}
    sounds["special information tones"] = special_information(count)
    for number in range(6):
        sounds[f"DTMF {number}"] = dtmf(12, rng)
        sounds[f"music {number}"] = music(count, rng)
    for kind in ("white", "pink", "brown"):
        sounds[f"{kind} noise"] = coloured_noise(kind, count, rng)
    sounds["clicks"] = clicks(count, rng)
    return sounds


def _sound_report(bench: Bench) -> dict[str, Any]:
    """Words heard where nobody speaks."""
    wrong: list[list[str]] = []
    count = seconds = 0
    silence = np.zeros(10 * SAMPLE_RATE, np.int16)
    wrong += [
        ["digital silence", w.text, f"{w.confidence:.2f}"] for w in listen(bench.model, silence)
    ]
    for name, sound in _sounds(bench.rng).items():
        for level in (-45, -30, -15):
            audio = sound / rms(sound) * 32768 * 10 ** (level / 20)
            audio = audio + bench.rng.choice([0.0, 8.0]) * coloured_noise(
                "white", len(audio), bench.rng
            )
            samples = g711(np.clip(audio, -32767, 32767), bench.rng.choice("ua"))
            heard = listen(bench.model, samples)
            count += 1
            seconds += len(samples) // SAMPLE_RATE
            wrong += [[f"{name} {level} dBFS", w.text, f"{w.confidence:.2f}"] for w in heard]
    return {"count": count + 1, "seconds": seconds + 10, "words": len(wrong), "wrong": wrong}


def _partial_report(bench: Bench, texts: list[str], threshold: float) -> dict[str, Any]:
    """When a refusal is stable in the partial results, relative to the end of its words."""
    delays: list[float] = []
    missed = 0
    in_time = 0
    for text in texts:
        utterance = bench.say(text)
        samples = bench.send(utterance, "G.711 clean", tail=1.2)
        recognizer = vosk.KaldiRecognizer(bench.model, SAMPLE_RATE)
        recognizer.SetPartialWords(True)
        since: float | None = None
        for start in range(0, len(samples), _CHUNK):
            chunk = samples[start : start + _CHUNK].tobytes()
            if recognizer.AcceptWaveform(chunk):
                break
            words = words_of([json.loads(recognizer.PartialResult())], "partial_result")
            if refusal_confidence(bench.corpus, words) < threshold:
                since = None
            elif since is None:
                since = (start + _CHUNK) / SAMPLE_RATE
        if since is None:
            missed += 1
        else:
            delays.append(since - _LEAD - utterance.end)
        early = samples[: int((_LEAD + utterance.end + 0.3) * SAMPLE_RATE)]
        heard = bench.corpus.text([word.text for word in listen(bench.model, early)])
        in_time += heard == text
    quantiles = np.quantile(delays, [0.1, 0.5, 0.9, 1.0]) if delays else np.zeros(4)
    return {
        "count": len(texts),
        "threshold": threshold,
        "never": missed,
        "seconds": dict(
            zip(("p10", "p50", "p90", "max"), quantiles.round(3).tolist(), strict=True)
        ),
        "exact_300_ms_after_the_end": in_time,
    }


def _false_partials(bench: Bench, condition: str) -> dict[str, Any]:
    """Highest refusal confidence any partial result shows in foreign sentences."""
    found: list[float] = []
    for text in bench.corpus.foreign:
        samples = bench.send(bench.say(text), condition)
        recognizer = vosk.KaldiRecognizer(bench.model, SAMPLE_RATE)
        recognizer.SetPartialWords(True)
        highest = 0.0
        for start in range(0, len(samples), 2 * _CHUNK):
            if recognizer.AcceptWaveform(samples[start : start + 2 * _CHUNK].tobytes()):
                continue
            words = words_of([json.loads(recognizer.PartialResult())], "partial_result")
            highest = max(highest, refusal_confidence(bench.corpus, words))
        found.append(highest)
    return {
        "count": len(found),
        "false_refusals": {str(t): sum(c >= t for c in found) for t in _THRESHOLDS},
    }


def _one_of_each(corpus: Corpus, rng: random.Random) -> list[str]:
    """A random variant of every template."""
    return [corpus.text(rng.choice(variants)) for _, variants in corpus.groups]


def evaluate(language: str, folder: Path, seed: int = 7, quick: bool = False) -> dict[str, Any]:
    """All measurements of a model folder."""
    bench = Bench(language, folder, seed)
    corpus, rng = bench.corpus, bench.rng
    refusals = [
        corpus.text(words)
        for words, intent in corpus.phrases.items()
        if intent == "refusal" and corpus.is_refusal(corpus.text(words))
    ]
    report: dict[str, Any] = {"seed": seed, "conditions": {}}
    for condition in list(CONDITIONS)[: 2 if quick else None]:
        report["conditions"][condition] = {
            "phrases": _phrase_report(bench, _one_of_each(corpus, rng), condition),
            "refusals": _phrase_report(
                bench, rng.sample(refusals, 120 if quick else 200), condition
            ),
            "novel": _phrase_report(bench, list(corpus.novel) * (1 if quick else 4), condition),
            "foreign": _foreign_report(bench, 2 if quick else 5, condition),
        }
    report["non-speech"] = _sound_report(bench)
    short = [text for text in refusals if len(corpus.split(text)) <= 4]
    for threshold in (0.7,) if quick else (0.5, 0.7, 0.9):
        chosen = rng.sample(short, 40 if quick else 100)
        report[f"partial {threshold}"] = _partial_report(bench, chosen, threshold)
    report["false partials"] = _false_partials(bench, "G.711 clean")
    return report


def main() -> None:
    """Command line: measure a folder and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", choices=["zh", "en"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    report = evaluate(arguments.language, arguments.folder, quick=arguments.quick)
    text = json.dumps(report, ensure_ascii=False, indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
