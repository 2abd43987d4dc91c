# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a model's card, its calibration and where it came from."""

from __future__ import annotations

import hashlib
import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .corpus import Corpus

_LIBRARIES = ("torch", "numpy", "soxr", "kaldifst", "vosk", "espeakng-loader")
_NAMES = {"zh": "Mandarin", "en": "English"}
_WEAK = {
    "zh": """\
espeak-ng's speech carries tones, but its phoneme events do not, so homophones are told apart by
the bigram alone: 是 may become 事, and a string of digits that ends in 八 may end in 吧 (of 12
strings of four digits, 8 were right). 她 is always written 他. Words with the suffix 儿 are
unknown, since espeak-ng spells it in English. Faint busy tones and music may be heard as a lone 嗯,
even with high confidence: do not take 嗯 for consent where no voice was detected. Single partial
results may show a refusal that the next one takes back (1 of 50 foreign sentences): ask for two in
a row.""",
    "en": """\
Contractions and their long forms (it's, it is) and words that sound alike (all right, alright;
any more, anymore) may be taken for each other. Very short replies (no no) are the weakest.""",
}


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion."""
    z = 1.959964
    share = hits / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def share(hits: int, count: int) -> str:
    """A proportion with counts and interval, for people."""
    low, high = wilson(hits, count)
    percent = 100 * hits / count
    return f"{hits}/{count} = {percent:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def write_calibration(
    folder: Path, corpus: Corpus, minimum: float, refusal: float, partial: float
) -> None:
    """Write ``calibration.toml``."""
    (folder / "calibration.toml").write_text(
        f"""\
schema = 1
language = "{corpus.language}"  # BCP 47 primary subtag
sample_rate = 8000  # Hz
joiner = "{corpus.joiner}"  # between words
ignore = ["[unk]"]  # tokens that are not words
min_confidence = {minimum}  # below this a word counts as not heard
refusal_confidence = {refusal}  # least word confidence before a refusal is acted on
partial_confidence = {partial}  # the same for partial results (SetPartialWords(True))
""",
        encoding="utf-8",
    )


def write_provenance(folder: Path, facts: dict[str, Any]) -> None:
    """Write ``provenance.json``; versions and the files' digests are added."""
    facts = {
        **facts,
        "versions": {name: version(name) for name in _LIBRARIES},
        "sha256": {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for name in ("am", "conf", "graph")
            for path in sorted((folder / name).rglob("*"))
            if path.is_file()
        },
    }
    text = json.dumps(facts, ensure_ascii=False, indent=1)
    (folder / "provenance.json").write_text(text + "\n", encoding="utf-8")


def _rows(report: dict[str, Any], refusal: str) -> list[str]:
    rows = []
    for condition, parts in report["conditions"].items():
        phrases, novel = parts["phrases"], parts["novel"]
        refusals, foreign = parts["refusals"], parts["foreign"]
        rows.append(
            f"| {condition} | {share(phrases['exact'], phrases['count'])} "
            f"| {share(novel['exact'], novel['count'])} "
            f"| {share(refusals['refusals_kept'][refusal], refusals['refusals'])} "
            f"| {share(foreign['false_refusals'][refusal], foreign['count'])} |"
        )
    return rows


def _partial_rows(report: dict[str, Any]) -> list[str]:
    rows = []
    for key, part in report.items():
        if key.startswith("partial "):
            times = part["seconds"]
            rows.append(
                f"| {part['threshold']} | {part['count'] - part['never']}/{part['count']} "
                f"| {times['p10']} | {times['p50']} | {times['p90']} "
                f"| {part['exact_300_ms_after_the_end']}/{part['count']} |"
            )
    return rows


def write_card(
    folder: Path, corpus: Corpus, words: list[str], report: dict[str, Any], refusal: float
) -> None:
    """Write ``MODEL_CARD.md`` from the measurements of ``evaluate``."""
    sounds = report["non-speech"]
    factor = report["conditions"]["G.711 clean"]["phrases"]["real_time_factor"]
    name = _NAMES[corpus.language]
    rows = "\n".join(_rows(report, str(refusal)))
    partial = "\n".join(_partial_rows(report))
    (folder / "MODEL_CARD.md").write_text(
        f"""\
# {name} demonstration model for Vosk

**Trained on synthetic espeak-ng speech only. It says nothing about human speech** and must not
be used with real callees. It exists so that the whole chain of a call can be tested with the real
recogniser, offline. For real calls install an official Vosk model:
`candor models install FOLDER_OR_URL`.

Licence: GPL-3.0-or-later, as espeak-ng, whose speech it was trained on. Built by
`python -m tools.asr_demo_model.build {corpus.language}`; see `provenance.json`.

## Vocabulary

{len(corpus.vocabulary)} words of the demonstration (its own lines, answers of callees, carriers'
announcements, voicemail, numbers and times) and {len(words) - len(corpus.vocabulary)} background
words that catch other speech. All are in `graph/words.txt`.

## Measured

Twelve voice variants never trained on, 8 kHz, G.711, fed in 20 ms chunks; counts with 95 % Wilson
intervals. *Phrases*: one variant of each template. *New orders*: sentences of known words never
trained on. *Refusals*: those heard at the calibrated confidence {refusal}. *False refusals*:
sentences of other words in which a refusal was heard at that confidence.

| Condition | Phrases exact | New orders exact | Refusals heard | False refusals |
|-|-|-|-|-|
{rows}

Sounds that are not speech (call progress tones, DTMF, fax, information tones, clicks, noise,
synthetic music; {sounds["seconds"]} s): {sounds["words"]} words.

Real-time factor: {factor:.3f} of wall clock on a busy, shared core.

## Latency

When a refusal is stable in `PartialResult()` with `SetPartialWords(True)`, in seconds after the end
of the last word of the utterance (negative: words followed the refusal), by the least confidence
asked for. Last column: whole text right when `FinalResult()` is called 300 ms after the last word.

| Confidence | Stable in partials | 10 % | 50 % | 90 % | Right after 300 ms |
|-|-|-|-|-|-|
{partial}

## Weak points

{_WEAK[corpus.language]}
""",
        encoding="utf-8",
    )
