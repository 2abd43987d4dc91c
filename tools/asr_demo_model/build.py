# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds one model from nothing: ``python -m tools.asr_demo_model.build zh --out FOLDER``."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .card import write_calibration, write_card, write_provenance
from .corpus import Corpus, load
from .espeak import Espeak, Voice
from .export import write_folder
from .lexicon import build_lexicon
from .recipes import Job, training_jobs
from .synthesis import make_dataset
from .train import Acoustics, restore, train
from .voices import EXCLUDED, HELD_OUT, trained

_SEEDS = {"zh": 1, "en": 2}
_SOUND_SEED = 99
_MINIMUM = 0.5  # word confidence below which a word counts as not heard


@dataclass(frozen=True)
class Plan:
    """How much is made and how long it is trained on."""

    utterances: int = 12_000  # before copies through other channels
    sounds: int = 2_400  # more sounds that are not speech, for the second training
    width: int = 224
    minutes: float = 30.0
    more_minutes: float = 7.0


def _threshold(report: dict[str, Any]) -> float:
    """Least confidence that lets through at most 1 % false refusals, never under 0.7."""
    parts = [report["conditions"][c] for c in ("G.711 clean", "white noise 20 dB")]
    for text in sorted(parts[0]["foreign"]["false_refusals"], key=float):
        count = sum(part["foreign"]["count"] for part in parts)
        false = sum(part["foreign"]["false_refusals"][text] for part in parts)
        if float(text) >= 0.7 and false <= 0.01 * count:
            return float(text)
    raise ValueError("no confidence keeps false refusals under 1 %")


def measure(corpus: Corpus, folder: Path, words: list[str], result: Path, quick: bool) -> None:
    """Evaluate in a process of its own, then write calibration and card."""
    command = [sys.executable, "-m", f"{__package__}.evaluate", corpus.language, str(folder)]
    command += ["--out", str(result), *(["--quick"] if quick else [])]
    subprocess.run(command, check=True)
    report = json.loads(result.read_text(encoding="utf-8"))
    refusal = _threshold(report)
    write_calibration(folder, corpus, _MINIMUM, refusal, refusal)
    write_card(folder, corpus, words, report, refusal)


def finish(
    corpus: Corpus,
    plan: Plan,
    acoustics: Acoustics,
    pronunciations: Any,
    amounts: dict[str, Any],
    out: Path,
    result: Path,
    quick: bool = False,
) -> None:
    """Everything after training: lexicon, model folder, provenance, measurements, card."""
    lexicon = build_lexicon(corpus, pronunciations, acoustics.phones)
    print(f"graph: {len(lexicon.words)} words, {len(lexicon.fillers)} of them background")
    write_folder(out, corpus, lexicon, acoustics)
    write_provenance(
        out,
        {
            "language": corpus.language,
            "licence": "GPL-3.0-or-later",
            "seeds": {"speech": _SEEDS[corpus.language], "sounds": _SOUND_SEED, "network": 1},
            "corpus_sha256": corpus.digest(),
            "espeak_ng": Espeak().version(),
            "base_voices": sorted({*corpus.voices, corpus.plain_voice}),
            "voices_trained_on": trained(),
            "voices_held_out": sorted(HELD_OUT),
            "voices_excluded": sorted(EXCLUDED),
            "plan": vars(plan),
            "frame_accuracy": round(acoustics.frame_accuracy, 4),
            **amounts,
        },
    )
    measure(corpus, out, list(lexicon.words), result, quick)


def build(language: str, out: Path, work: Path, plan: Plan) -> None:
    """All steps; finished ones found in ``work`` are not repeated."""
    corpus = load(language)
    dataset = make_dataset(
        language, training_jobs(corpus, plan.utterances, _SEEDS[language]), work / language
    )
    first, second = work / f"{language}-1.pt", work / f"{language}-2.pt"
    if not first.exists():
        train(dataset, plan.minutes, plan.width, 1, first)
    before = restore(first)
    rng = random.Random(_SOUND_SEED)
    silent = Voice(corpus.plain_voice)
    sounds = [Job(rng.randrange(1 << 32), (), "", silent) for _ in range(plan.sounds)]
    dataset.extend(make_dataset(language, sounds, work / "sounds"))
    after = train(dataset, plan.more_minutes, plan.width, 2, second, start=before)
    amounts = {
        "utterances": len(dataset.labels),
        "utterances_dropped": dataset.dropped,
        "hours": round(dataset.hours, 2),
        "training_minutes": round(before.minutes + after.minutes, 1),
        "training_epochs": round(before.epochs + after.epochs, 2),
    }
    result = work / f"{language}.json"
    finish(corpus, plan, after, dataset.pronunciations, amounts, out, result)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", choices=sorted(_SEEDS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="folder for intermediate files, kept")
    arguments = parser.parse_args()
    if arguments.work:
        build(arguments.language, arguments.out, arguments.work, Plan())
        return
    with tempfile.TemporaryDirectory() as folder:
        build(arguments.language, arguments.out, Path(folder), Plan())


if __name__ == "__main__":
    main()
