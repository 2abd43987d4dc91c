# SPDX-License-Identifier: GPL-3.0-or-later
"""libvosk reads the model as it was meant: its score equals that of a decoder of our own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import vosk

from tests.asr.reference import Graph, Network, best_score

ROOT = Path(__file__).parents[2]
TEXTS = {
    "zh": ["我不需要谢谢", "您拨打的电话已关机"],
    "en": ["i am not interested", "stop calling me"],
}
SPEAK = """
import sys, numpy
from tools.asr_demo_model.augment import g711
from tools.asr_demo_model.espeak import Espeak, Voice
from tools.asr_demo_model.synthesis import at_8khz
from tools.asr_demo_model.corpus import load
espeak = Espeak()
voice = Voice(load(sys.argv[1]).plain_voice + "+linda")
quiet = numpy.zeros(3200)
for number, text in enumerate(sys.argv[3:]):
    audio = at_8khz(espeak.speak(text, voice), espeak.sample_rate) * 12000
    samples = g711(numpy.concatenate([quiet, audio, quiet]), "u")
    numpy.save(f"{sys.argv[2]}/{number}.npy", samples)
"""


@pytest.mark.parametrize("language", ["zh", "en"])
def test_scores_agree(language: str, tmp_path: Path) -> None:
    folder = ROOT / "voicebot" / "models" / f"{language}-demo"
    command = [sys.executable, "-c", SPEAK, language, str(tmp_path), *TEXTS[language]]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    vosk.SetLogLevel(-1)
    model = vosk.Model(str(folder))
    network = Network.read(folder / "am" / "final.mdl")
    graph = Graph.read(folder / "graph" / "HCLG.fst")
    settings = dict(
        line.lstrip("-").split("=")
        for line in (folder / "conf" / "model.conf").read_text().splitlines()
    )
    for number, _ in enumerate(TEXTS[language]):
        samples = np.load(tmp_path / f"{number}.npy")
        recognizer = vosk.KaldiRecognizer(model, 8000)
        recognizer.SetMaxAlternatives(1)
        recognizer.AcceptWaveform(samples.tobytes())
        theirs = json.loads(recognizer.FinalResult())["alternatives"][0]["confidence"]
        ours = best_score(network, graph, samples, float(settings["acoustic-scale"]))
        assert ours == pytest.approx(theirs, abs=0.01)
