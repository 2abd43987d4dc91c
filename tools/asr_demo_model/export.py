# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a model folder that unmodified Vosk loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .corpus import Corpus
from .features import DIMENSION, MFCC_CONF
from .grammar import build_grammar
from .graph import SELF_LOOP, PhoneTable, write_graph
from .kaldi_format import write_model
from .lexicon import Lexicon
from .network import OFFSETS, SUBSAMPLING
from .train import Acoustics

ACOUSTIC_SCALE = 0.5
_LEAST_PRIOR = 2e-4  # a phone hardly ever seen must not win by its tiny prior

# Small chunks, and a lattice brought up to date every 180 ms: with Kaldi's defaults the words of
# partial results come up to 0.7 s late.
_MODEL_CONF = f"""\
--min-active=20
--max-active=3000
--beam=10
--lattice-beam=4
--acoustic-scale={ACOUSTIC_SCALE}
--frame-subsampling-factor={SUBSAMPLING}
--frames-per-chunk=9
--determinize-max-delay=20
--determinize-min-chunk-size=6
--endpoint.silence-phones=1
--endpoint.rule2.min-trailing-silence=0.5
--endpoint.rule3.min-trailing-silence=1.0
--endpoint.rule4.min-trailing-silence=2.0
"""


def write_folder(folder: Path, corpus: Corpus, lexicon: Lexicon, acoustics: Acoustics) -> None:
    """Write ``am``, ``conf`` and ``graph``."""
    table = PhoneTable.of(acoustics.phones)
    priors = np.maximum(acoustics.priors, _LEAST_PRIOR)
    write_model(
        folder / "am" / "final.mdl",
        pdfs=table.pdfs[1:],
        layers=[(matrix, bias) for matrix, bias in acoustics.network.folded()],
        offsets=[*OFFSETS, (0,)],
        inputs=DIMENSION,
        priors=priors / priors.sum(),
        self_loop=SELF_LOOP,
    )
    (folder / "conf").mkdir(exist_ok=True)
    (folder / "conf" / "mfcc.conf").write_text(MFCC_CONF)
    (folder / "conf" / "model.conf").write_text(_MODEL_CONF)
    write_graph(folder / "graph", table, lexicon, build_grammar(corpus, lexicon))
