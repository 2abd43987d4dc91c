# SPDX-License-Identifier: GPL-3.0-or-later
"""A second, independent decoder in numpy: reads the model's files and scores audio exactly."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.asr_demo_model.features import mfcc

_OFFSETS = ((-2, -1, 0, 1, 2), (-1, 0, 1), (-3, 0, 3), (-3, 0, 3), (-6, 0, 6), (0,), (0,))
_CONTEXT = 15
_SUBSAMPLING = 3
_FST_MAGIC = 2125659606
_ARC = np.dtype([("label", "<i4"), ("word", "<i4"), ("cost", "<f4"), ("to", "<i4")])
_LATTICE_GRAPH_SCALE = 0.9  # libvosk scales the graph's part so in its alternatives

Array = NDArray[np.float64]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def seek(self, token: bytes) -> bool:
        at = self._data.find(token, self._at)
        if at >= 0:
            self._at = at + len(token)
        return at >= 0

    def unpack(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def array(self, dtype: np.dtype | str, count: int) -> NDArray[np.generic]:
        values = np.frombuffer(self._data, dtype, count, self._at)
        self._at += values.nbytes
        return values

    def sized(self) -> int:
        if self.unpack("<b") != 4:
            raise ValueError("not a 32 bit number")
        return self.unpack("<i")

    def string(self) -> bytes:
        return self.array("S1", self.unpack("<i")).tobytes()


@dataclass(frozen=True)
class Network:
    """Everything in ``final.mdl`` that scores depend on."""

    layers: list[tuple[Array, Array]]  # (matrix [out, in], bias [out])
    priors: Array  # [outputs]
    pdfs: NDArray[np.generic]  # [phones]: output of phone k + 1

    @staticmethod
    def read(path: Path) -> Network:
        reader = _Reader(path.read_bytes())
        reader.seek(b"<Triples> ")
        count = reader.sized()
        triples = np.frombuffer(reader.array("V5", 3 * count).tobytes(), np.uint8).reshape(-1, 5)
        numbers = triples[:, 1:].copy().view("<i4").reshape(count, 3)
        layers = []
        while reader.seek(b"<LinearParams> FM "):
            rows, columns = reader.sized(), reader.sized()
            matrix = reader.array("<f4", rows * columns).reshape(rows, columns)
            reader.seek(b"<BiasParams> FV ")
            bias = reader.array("<f4", reader.sized())
            layers.append((matrix.astype(np.float64), bias.astype(np.float64)))
        reader.seek(b"<Priors> FV ")
        priors = reader.array("<f4", reader.sized()).astype(np.float64)
        return Network(layers, priors, numbers[:, 2])

    def scores(self, features: NDArray[np.float32]) -> Array:
        """Log likelihoods [ceil(frames / 3), outputs] of features [frames, 40]."""
        outputs = -(-len(features) // _SUBSAMPLING)
        index = np.arange(-_CONTEXT, outputs * _SUBSAMPLING + _CONTEXT)
        hidden = features[np.clip(index, 0, len(features) - 1)].astype(np.float64)
        for (matrix, bias), offsets in zip(self.layers, _OFFSETS, strict=True):
            count = len(hidden) - max(offsets) + min(offsets)
            shifted = [hidden[o - min(offsets) :][:count] for o in offsets]
            hidden = np.concatenate(shifted, axis=1) @ matrix.T + bias
            if len(bias) != len(self.priors):
                hidden = np.maximum(hidden, 0.0)
        chosen = hidden[::_SUBSAMPLING][:outputs]
        highest = chosen.max(axis=1, keepdims=True)
        normal = highest + np.log(np.exp(chosen - highest).sum(axis=1, keepdims=True))
        return np.asarray(chosen - normal - np.log(self.priors))


@dataclass(frozen=True)
class Graph:
    """``HCLG.fst``: arcs with their source states."""

    start: int
    final: Array  # [states], infinite where not final
    source: NDArray[np.int64]  # [arcs]
    arcs: NDArray[np.void]  # [arcs] of ``_ARC``

    @staticmethod
    def read(path: Path) -> Graph:
        reader = _Reader(path.read_bytes())
        if reader.unpack("<i") != _FST_MAGIC or reader.string() != b"vector":
            raise ValueError("not an OpenFst vector transducer")
        reader.string()  # arc type
        reader.unpack("<i")  # version
        reader.unpack("<i")  # flags
        reader.unpack("<Q")  # properties
        start, states, _ = reader.unpack("<q"), reader.unpack("<q"), reader.unpack("<q")
        final, sizes, arcs = np.empty(states), np.empty(states, np.int64), []
        for state in range(states):
            final[state] = reader.array("<f4", 1)[0]
            sizes[state] = reader.unpack("<q")
            arcs.append(reader.array(_ARC, int(sizes[state])))
        return Graph(start, final, np.repeat(np.arange(states), sizes), np.concatenate(arcs))


def _relax(
    cost: Array,
    graph_part: Array,
    origin: Array,
    origin_graph: Array,
    source: NDArray[np.int64],
    arcs: NDArray[np.void],
    loss: Array,
) -> bool:
    """Lower ``cost`` over the given arcs; whether anything became lower."""
    offered = origin[source] + arcs["cost"] + loss
    before = cost.copy()
    np.minimum.at(cost, arcs["to"], offered)
    better = (offered <= cost[arcs["to"]]) & (offered < before[arcs["to"]] - 1e-9)
    graph_part[arcs["to"][better]] = (origin_graph[source] + arcs["cost"])[better]
    return bool(better.any())


def best_score(network: Network, graph: Graph, samples: NDArray[np.int16], scale: float) -> float:
    """Score of the best path, as libvosk reports it for its first alternative."""
    emits = graph.arcs["label"] > 0
    pairs = [(graph.source[mask], graph.arcs[mask]) for mask in (emits, ~emits)]
    (loud_source, loud), (silent_source, silent) = pairs
    columns = network.pdfs[(loud["label"] + 1) // 2 - 1]
    cost = np.full(len(graph.final), np.inf)
    part = np.zeros(len(graph.final))
    cost[graph.start] = 0.0
    nothing = np.zeros(len(silent))
    while _relax(cost, part, cost, part, silent_source, silent, nothing):
        pass
    for frame in network.scores(mfcc(samples)) * scale:
        origin, origin_part = cost, part
        cost, part = np.full(len(cost), np.inf), np.zeros(len(part))
        _relax(cost, part, origin, origin_part, loud_source, loud, -frame[columns])
        while _relax(cost, part, cost, part, silent_source, silent, nothing):
            pass
    state = int(np.argmin(cost + graph.final))
    total, from_graph = cost[state] + graph.final[state], part[state] + graph.final[state]
    return float(-(total - (1 - _LATTICE_GRAPH_SCALE) * from_graph))
