# SPDX-License-Identifier: GPL-3.0-or-later
"""A time-delay network: MFCC at 100 Hz in, phone scores at 33.3 Hz out."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from .features import DIMENSION

# Input frames each layer sees around its own, in 10 ms frames. From the second layer on, only
# every third frame is computed, so their offsets must be multiples of three.
OFFSETS: tuple[tuple[int, ...], ...] = (
    (-2, -1, 0, 1, 2),
    (-1, 0, 1),
    (-3, 0, 3),
    (-3, 0, 3),
    (-6, 0, 6),
    (0,),
)
CONTEXT = sum(max(offsets) for offsets in OFFSETS)  # 15 frames to each side
SUBSAMPLING = 3
_DROPOUT = 0.1


class Tdnn(nn.Module):
    """Affine, ReLU and normalisation per layer; the last layer gives unnormalised scores."""

    def __init__(self, phones: int, width: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(DIMENSION))
        self.register_buffer("deviation", torch.ones(DIMENSION))
        sizes = [DIMENSION] + [width] * len(OFFSETS)
        self.affines = nn.ModuleList(
            nn.Linear(len(offsets) * size, width)
            for offsets, size in zip(OFFSETS, sizes, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width, affine=False) for _ in OFFSETS)
        self.dropout = nn.Dropout(_DROPOUT)
        self.output = nn.Linear(width, phones)

    def forward(self, features: Tensor) -> Tensor:
        """[batch, frames + 2 * CONTEXT, DIMENSION] -> [batch, ceil(frames / 3), phones]."""
        frames = features.shape[1] - 2 * CONTEXT
        outputs = (frames + SUBSAMPLING - 1) // SUBSAMPLING
        hidden = (features - self.mean) / self.deviation
        first = -CONTEXT  # frame that hidden[:, 0] belongs to
        step = 1  # frames between two rows of hidden
        for index, offsets in enumerate(OFFSETS):
            reach = sum(max(later) for later in OFFSETS[index + 1 :])
            next_step = 1 if index == 0 else SUBSAMPLING
            count = frames + 2 * reach if index == 0 else outputs + 2 * reach // SUBSAMPLING
            columns = []
            for offset in offsets:
                start = (-reach + offset - first) // step
                stride = next_step // step
                columns.append(hidden[:, start::stride][:, :count])
            hidden = functional.relu(self.affines[index](torch.cat(columns, -1)))
            batch, length, width = hidden.shape
            flat = self.norms[index](hidden.reshape(batch * length, width))
            hidden = self.dropout(flat.reshape(batch, length, width))
            first, step = -reach, next_step
        return cast(Tensor, self.output(hidden))

    def folded(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """(matrix, bias) of each affine with all normalisation folded into the next affine."""
        scale = 1.0 / _array(self.deviation)
        shift = -_array(self.mean) * scale
        layers = []
        for affine, norm, offsets in zip(self.affines, self.norms, OFFSETS, strict=True):
            matrix, bias = _array(affine.weight), _array(affine.bias)
            bias = bias + matrix @ np.tile(shift, len(offsets))
            layers.append((matrix * np.tile(scale, len(offsets)), bias))
            scale = 1.0 / np.sqrt(_array(norm.running_var) + norm.eps)
            shift = -_array(norm.running_mean) * scale
        matrix, bias = _array(self.output.weight), _array(self.output.bias)
        layers.append((matrix * scale, bias + matrix @ shift))
        return layers


def _array(tensor: object) -> NDArray[np.float64]:
    return cast(Tensor, tensor).detach().double().numpy()


def pad(features: NDArray[np.generic], frames: int) -> NDArray[np.float32]:
    """Repeat the outer frames as libvosk does; [frames + 2 * CONTEXT, DIMENSION]."""
    index = np.clip(np.arange(-CONTEXT, frames + CONTEXT), 0, len(features) - 1)
    return np.asarray(features, np.float32)[index]
