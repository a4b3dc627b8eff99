"""Latents and conditionings as examples for training, and adapters for a model's layers: new ones, or those of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.models.errors import LoraError, ModelError
from engine.models.handles import ModelHandle
from engine.models.lora import Change
from engine.models.network import Network
from engine.models.packed import load_tensors, read_header
from engine.models.patching import matched
from engine.models.saving.lora_names import lora_names
from engine.models.weights import parameter_shapes
from engine.training.adapters import Adapter, new_adapter
from engine.training.in_graphs import Example, layers_of

_STEPS = re.compile(r"(\d+)_steps")
_WITHOUT_WEIGHT = ("diff", "diff_b", "set_weight", "w_norm", "b_norm")


def examples_of(
    network: Network, latents: Sequence[Mapping[str, Any]], texts: Sequence[Sequence[Any]], *, bucketed: bool
) -> list[list[Example]]:
    """Return the examples of latents and their conditionings, in one bucket, or with `bucketed` in one for each latent.

    A latent (B, …) has one conditioning, or one for each of its B; a single one is for all latents. Raises ModelError where the
    numbers do not match, or a latent or conditioning is not for this network.
    """
    if not latents:
        raise ModelError(
            "latents: there are none to train on. Connect those of a data set, as MakeTrainingDataset gives."
        )
    entries = [list(one) for one in texts]
    if len(entries) == 1 and len(entries[0]) == 1:
        entries = entries * len(latents)
    if len(entries) != len(latents):
        raise ModelError(
            f"positive: expected a conditioning for each of the {len(latents)} latents, or a single one for all, got "
            f"{len(entries)}."
        )
    buckets = [
        _bucket(network, one["samples"], text, number) for number, (one, text) in enumerate(zip(latents, entries))
    ]
    return buckets if bucketed else [[example for bucket in buckets for example in bucket]]


def _bucket(network: Network, samples: Tensor, texts: list[Any], number: int) -> list[Example]:
    form = network.handle.latent
    if form.axes == 3 and samples.ndim == 4:
        samples = samples[:, :, None]
    if samples.ndim != 2 + form.axes or samples.shape[1] != form.channels or not len(samples):
        raise ModelError(
            f"latents: number {number} has the shape {list(samples.shape)}, and this model denoises latents of {form.channels} "
            "channels. Encode the pictures with the VAE that belongs to the model."
        )
    texts = texts * len(samples) if len(texts) == 1 else texts
    if len(texts) != len(samples):
        raise ModelError(
            f"positive: number {number} has {len(texts)} conditionings for {len(samples)} latents. Give one for each, or "
            "one for all."
        )
    ready = form.to_network(samples.detach().cpu().float())
    return [_example(network, ready[row : row + 1], *text) for row, text in enumerate(texts)]


def _example(network: Network, latent: Tensor, context: Tensor, options: Mapping[str, Any]) -> Example:
    if "control" in options:
        raise ModelError(
            "positive: ControlNets take no part in training. Connect the conditioning before they are put on."
        )
    given = dict(network.inputs(options, latent, True))
    if network.handle.extra_channels and "concat" not in given:
        raise ModelError(
            f"{network.handle.source.path}: a model with {network.handle.extra_channels} channels beside the latent (inpainting) "
            "cannot be trained here. Use the model that it was made of."
        )
    return Example(latent, context[:1].detach().cpu().float(), given)


def new_adapters(network: Network, algorithm: str, rank: int, seed: int) -> dict[str, Adapter]:
    """Return adapters that change nothing yet for every linear and convolutional layer. Raises ModelError where there is none."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    made = {path: new_adapter(algorithm, layer, rank, generator) for path, layer in layers_of(network.module)}
    found = {path: adapter for path, adapter in made.items() if adapter is not None}
    if not found:
        raise ModelError(
            f"{network.handle.source.path}: none of its layers can be changed by {algorithm} of rank {rank}."
        )
    return found


def with_existing(network: Network, adapters: Mapping[str, Adapter], path: Path) -> dict[str, Adapter]:
    """Return adapters with those of a LoRA file in the place of new ones, of whatever kind they are there.

    Raises LoraError for a file that changes none of the layers, or layers that it keeps stacked.
    """
    handle: ModelHandle = network.handle
    changes = matched(handle, path, list(parameter_shapes(handle))).changes
    tensors = load_tensors(read_header(path), read_header(path).shapes)
    found = dict(adapters)
    own = [name for name in changes if name.removesuffix(".weight") in adapters and name.endswith(".weight")]
    if not own:
        raise LoraError(
            f"{path}: has nothing for the layers of this model. Choose a LoRA that was trained on it, or [None]."
        )
    for name in own:
        found[name.removesuffix(".weight")] = _adapter_of(changes[name], tensors, path, name)
    return found


def _adapter_of(change: Change, tensors: Mapping[str, Tensor], path: Path, name: str) -> Adapter:
    if change.rows or not change.parts.keys().isdisjoint(_WITHOUT_WEIGHT):
        how = "stacked with others" if change.rows else "a whole difference"
        raise LoraError(
            f"{path}: its change of {name} is {how}, and cannot be trained further. Choose another LoRA, or [None]."
        )
    parts = {
        part: torch.nn.Parameter(tensors[tensor].detach().float().clone())
        for part, tensor in change.parts.items()
        if part != "alpha"
    }
    alpha = float(tensors[change.parts["alpha"]]) if "alpha" in change.parts else None
    if change.scale is not None and "down" in parts:
        alpha = change.scale * len(parts["down"])
    return Adapter(parts, alpha)


def steps_told(name: str) -> int:
    """Return how many steps the name of a LoRA file says that it was trained for; 0 where it says none."""
    found = _STEPS.search(name)
    return int(found[1]) if found else 0


def lora_tensors(handle: ModelHandle, adapters: Mapping[str, Adapter], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return what a LoRA file of trained adapters holds, by the names that other programs read."""
    found: dict[str, Tensor] = {}
    for path, adapter in adapters.items():
        names = lora_names(handle, path)
        called = {"up": names.up, "down": names.down, "mid": ".lora_mid.weight"}
        for part, value in adapter.parts.items():
            found[f"{names.base}{called.get(part, f'.{part}')}"] = value.detach().cpu().to(dtype).contiguous()
        if adapter.alpha is not None and not (names.up.startswith(".lora_B") and _whole(adapter)):
            found[f"{names.base}.alpha"] = torch.tensor(adapter.alpha, dtype=dtype)
    return found


def _whole(adapter: Adapter) -> bool:
    """Whether a plain LoRA's scale is 1, which needs no alpha."""
    return adapter.is_plain and adapter.alpha == len(adapter.parts["down"])
