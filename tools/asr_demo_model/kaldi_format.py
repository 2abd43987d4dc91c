# SPDX-License-Identifier: GPL-3.0-or-later
"""Kaldi's binary model file: a transition model followed by an nnet3 network."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating]


class _Writer:
    """Kaldi's basic types in binary."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._file.write(b"\0B")

    def text(self, text: str) -> None:
        self._file.write(text.encode())

    def token(self, name: str) -> None:
        self._file.write(name.encode() + b" ")

    def integer(self, value: int) -> None:
        self._file.write(b"\x04" + struct.pack("<i", value))

    def single(self, value: float) -> None:
        self._file.write(b"\x04" + struct.pack("<f", value))

    def double(self, value: float) -> None:
        self._file.write(b"\x08" + struct.pack("<d", value))

    def integers(self, values: list[int]) -> None:
        self.integer(len(values))
        self._file.write(np.asarray(values, "<i4").tobytes())

    def vector(self, values: Matrix) -> None:
        self.token("FV")
        self.integer(len(values))
        self._file.write(np.asarray(values, "<f4").tobytes())

    def matrix(self, values: Matrix) -> None:
        self.token("FM")
        self.integer(values.shape[0])
        self.integer(values.shape[1])
        self._file.write(np.ascontiguousarray(values, "<f4").tobytes())


def _transition_model(out: _Writer, pdfs: list[int], self_loop: float) -> None:
    """One emitting state a phone. ``pdfs[k]`` is the output of phone ``k + 1``."""
    count = len(pdfs)
    phones = list(range(1, count + 1))
    out.token("<TransitionModel>")
    out.token("<Topology>")
    out.integers(phones)
    out.integers([-1] + [0] * count)  # every phone uses topology entry 0
    out.integer(1)  # entries
    out.integer(2)  # states of the entry
    out.integer(0)  # state 0: pdf class 0 and two transitions
    out.integer(2)
    out.integer(0)
    out.single(self_loop)
    out.integer(1)
    out.single(1 - self_loop)
    out.integer(-1)  # state 1: final, emits nothing
    out.integer(0)
    out.token("</Topology>")
    out.token("<Triples>")
    out.integer(count)
    for phone, pdf in zip(phones, pdfs, strict=True):
        out.integer(phone)
        out.integer(0)
        out.integer(pdf)
    out.token("</Triples>")
    logs = np.zeros(2 * count + 1)
    logs[1::2] = np.log(self_loop)
    logs[2::2] = np.log(1 - self_loop)
    out.token("<LogProbs>")
    out.vector(logs)
    out.token("</LogProbs>")
    out.token("</TransitionModel>")


def _affine(out: _Writer, matrix: Matrix, bias: Matrix) -> None:
    out.token("<AffineComponent>")
    out.token("<LearningRate>")
    out.single(0.001)
    out.token("<LinearParams>")
    out.matrix(matrix)
    out.token("<BiasParams>")
    out.vector(bias)
    out.token("</AffineComponent>")


def _elementwise(out: _Writer, kind: str, dimension: int) -> None:
    nothing = np.zeros(0)
    out.token(f"<{kind}>")
    out.token("<Dim>")
    out.integer(dimension)
    for statistic in ("<ValueAvg>", "<DerivAvg>"):
        out.token(statistic)
        out.vector(nothing)
    out.token("<Count>")
    out.double(0.0)
    out.token("<OderivRms>")
    out.vector(nothing)
    for statistic in ("<OderivCount>", "<NumDimsSelfRepaired>", "<NumDimsProcessed>"):
        out.token(statistic)
        out.double(0.0)
    out.token(f"</{kind}>")


def _network(
    out: _Writer, layers: list[tuple[Matrix, Matrix]], offsets: list[tuple[int, ...]], inputs: int
) -> None:
    config = [f"input-node name=input dim={inputs}"]
    previous = "input"
    names = [f"tdnn{k}" for k in range(1, len(layers))] + ["output"]
    kinds = ["RectifiedLinearComponent"] * (len(layers) - 1) + ["LogSoftmaxComponent"]
    for name, around in zip(names, offsets, strict=True):
        pieces = [previous if o == 0 else f"Offset({previous}, {o})" for o in around]
        source = pieces[0] if len(pieces) == 1 else f"Append({', '.join(pieces)})"
        for part, source_node in (("affine", source), ("act", f"{name}.affine")):
            node = f"{name}.{part}"
            config.append(f"component-node name={node} component={node} input={source_node}")
        previous = f"{name}.act"
    config.append(f"output-node name=output input={previous} objective=linear")
    out.token("<Nnet3>")
    out.text("\n" + "\n".join(config) + "\n\n")
    out.token("<NumComponents>")
    out.integer(2 * len(layers))
    for name, kind, (matrix, bias) in zip(names, kinds, layers, strict=True):
        out.token("<ComponentName>")
        out.token(f"{name}.affine")
        _affine(out, matrix, bias)
        out.token("<ComponentName>")
        out.token(f"{name}.act")
        _elementwise(out, kind, matrix.shape[0])
    out.token("</Nnet3>")


def write_model(
    path: Path,
    pdfs: list[int],
    layers: list[tuple[Matrix, Matrix]],
    offsets: list[tuple[int, ...]],
    inputs: int,
    priors: Matrix,
    self_loop: float,
) -> None:
    """Write ``final.mdl``.

    ``layers`` are (matrix [out, in], bias [out]); ``offsets`` the input frames of each, in
    10 ms; ``inputs`` the feature dimension; ``priors`` [outputs] sum to 1.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        out = _Writer(file)
        _transition_model(out, pdfs, self_loop)
        _network(out, layers, offsets, inputs)
        for context in ("<LeftContext>", "<RightContext>"):
            out.token(context)
            out.integer(0)  # libvosk computes both itself
        out.token("<Priors>")
        out.vector(priors)
