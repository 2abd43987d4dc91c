# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the network on frame labels with cross-entropy, one thread, for a given time."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from .alignment import SILENCE
from .network import SUBSAMPLING, Tdnn, pad
from .synthesis import Dataset

_BATCH_FRAMES = 6000  # 10 ms frames a batch, padding included
_VALIDATION = 400  # utterances
_PEAK_RATE, _LAST_RATE = 2.5e-3, 2e-5
_RETRAINING = 0.33  # of the learning rate, when a trained network is trained on
_IGNORE = -1


@dataclass(frozen=True)
class Acoustics:
    """A trained network and what its outputs mean."""

    network: Tdnn
    phones: list[str]  # output index -> phone; silence first
    priors: NDArray[np.float64]  # [phones], sums to 1
    minutes: float  # wall clock
    epochs: float
    frame_accuracy: float  # on validation frames that are not silence


def _batches(
    features: list[NDArray[np.float16]],
    targets: list[NDArray[np.int64]],
    rng: random.Random,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of similar length in random order: features and targets, padded."""
    order = sorted(range(len(features)), key=lambda k: len(features[k]) + 30 * rng.random())
    groups: list[list[int]] = [[]]
    for index in order:
        if groups[-1] and (len(groups[-1]) + 1) * len(features[index]) > _BATCH_FRAMES:
            groups.append([])
        groups[-1].append(index)
    rng.shuffle(groups)
    for group in groups:
        longest = max(len(features[k]) for k in group)
        frames = -(-longest // SUBSAMPLING) * SUBSAMPLING
        inputs = np.stack([pad(features[k], frames) for k in group])
        wanted = np.full((len(group), frames // SUBSAMPLING), _IGNORE)
        for row, k in enumerate(group):
            wanted[row, : len(targets[k])] = targets[k]
        yield torch.from_numpy(inputs), torch.from_numpy(wanted)


def _rate(done: float) -> float:
    """Learning rate after the given share of the training time: short rise, long fall."""
    rise = min(1.0, (done + 0.002) / 0.03)
    return (_PEAK_RATE * rise - _LAST_RATE) * (1 - done) ** 1.3 + _LAST_RATE


@torch.no_grad()
def _accuracy(
    network: Tdnn, features: list[NDArray[np.float16]], targets: list[NDArray[np.int64]]
) -> float:
    network.eval()
    right = total = 0
    for inputs, wanted in _batches(features, targets, random.Random(0)):
        speech = wanted > 0
        right += int(((network(inputs).argmax(-1) == wanted) & speech).sum())
        total += int(speech.sum())
    network.train()
    return right / total


def train(
    dataset: Dataset,
    minutes: float,
    width: int,
    seed: int,
    snapshot: Path,
    start: Acoustics | None = None,
) -> Acoustics:
    """Train for ``minutes``; the state is saved to ``snapshot`` after each epoch.

    With ``start``, its network is trained on, at a third of the learning rate.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    counts = Counter(label for labels in dataset.labels for label in labels)
    phones = start.phones if start else [SILENCE, *sorted(set(counts) - {SILENCE})]
    number = {phone: index for index, phone in enumerate(phones)}
    priors = np.array([counts[phone] for phone in phones], np.float64)
    targets = [np.array([number[label] for label in labels]) for labels in dataset.labels]
    order = list(range(len(targets)))
    rng.shuffle(order)
    features = [dataset.features[k] for k in order]
    targets = [targets[k] for k in order]

    network = start.network if start else Tdnn(len(phones), width)
    sample = np.concatenate([f[::9].astype(np.float32) for f in features[:4000]])
    if start is None:
        network.mean.copy_(torch.from_numpy(sample.mean(0)))
        network.deviation.copy_(torch.from_numpy(sample.std(0)))
    network.train()
    size = sum(weight.numel() for weight in network.parameters())
    print(f"training: {size} parameters, {len(phones)} phones, {len(features)} utterances")
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
    begun = time.monotonic()
    done, epochs, accuracy = 0.0, 0.0, 0.0
    while done < 1:
        losses = []
        for inputs, wanted in _batches(features[_VALIDATION:], targets[_VALIDATION:], rng):
            done = (time.monotonic() - begun) / (minutes * 60)
            if done >= 1:
                break
            optimizer.param_groups[0]["lr"] = _rate(done) * (_RETRAINING if start else 1.0)
            scores = network(inputs)
            loss = functional.cross_entropy(
                scores.flatten(0, 1), wanted.flatten(), ignore_index=_IGNORE, label_smoothing=0.02
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            losses.append(loss.item())
            epochs += inputs.shape[0] / (len(features) - _VALIDATION)
        accuracy = _accuracy(network, features[:_VALIDATION], targets[:_VALIDATION])
        spent = (time.monotonic() - begun) / 60
        print(
            f"training: {spent:.1f} min, epoch {epochs:.2f}, loss {np.mean(losses):.3f}, "
            f"speech frames right {accuracy:.3f}",
            flush=True,
        )
        network.eval()
        result = Acoustics(network, phones, priors / priors.sum(), spent, epochs, accuracy)
        save(result, width, snapshot)
        network.train()
    network.eval()
    return result


def save(acoustics: Acoustics, width: int, path: Path) -> None:
    """Write a snapshot that ``restore`` reads."""
    state = {
        "network": acoustics.network.state_dict(),
        "width": width,
        "phones": acoustics.phones,
        "priors": torch.from_numpy(acoustics.priors),
        "minutes": acoustics.minutes,
        "epochs": acoustics.epochs,
        "frame_accuracy": acoustics.frame_accuracy,
    }
    torch.save(state, path)


def restore(path: Path) -> Acoustics:
    """The snapshot written by ``save``."""
    state = torch.load(path, weights_only=True)
    network = Tdnn(len(state["phones"]), state["width"])
    network.load_state_dict(state["network"])
    network.eval()
    return Acoustics(
        network,
        state["phones"],
        state["priors"].numpy(),
        state["minutes"],
        state["epochs"],
        state["frame_accuracy"],
    )
