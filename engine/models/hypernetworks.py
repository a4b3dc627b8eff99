"""Hypernetworks of Stable Diffusion: small networks on what the layers of attention look at, before keys and values are made.

Their files are those of AUTOMATIC1111's web UI: for each width two lists of layers, for keys and for values, and facts on what
stands between them. With x (B, T, D) of the width D they give x + s · f(x).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from torch import nn

from engine.models.checkpoints import unpickled
from engine.models.errors import CheckpointError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

_ACTIVATIONS: Final = {"swish": "Hardswish"} | {name.lower(): name for name in nn.modules.activation.__all__}
"""What files call activations → the class of torch."""

_OLD: Final = {"linear1": 0, "linear2": 1}
"""Layers of the oldest files → their place; newer ones are `linear.` and their place."""


class Pair(NamedTuple):
    """What is added for keys, and for values."""

    keys: nn.Module
    values: nn.Module


@lru_cache(maxsize=2)
def load_hypernetwork(path: str, digest: str) -> Mapping[int, Pair]:
    """Return the networks of a file by width, on the CPU; `digest` names its content.

    Raises CheckpointError for a file that cannot be read, holds something else, or has an activation that is not known.
    """
    found = unpickled(Path(path))
    tables = {width: pair for width, pair in found.items() if isinstance(width, int)} if isinstance(found, dict) else {}
    if not tables:
        raise CheckpointError(f"{path}: not a hypernetwork: expected two lists of layers for each width, as 768.")
    name = str(found.get("activation_func") or "linear").lower()
    if name != "linear" and name not in _ACTIVATIONS:
        raise CheckpointError(
            f"{path}: its activation {name!r} is not known. Known: linear, {', '.join(sorted(_ACTIVATIONS))}."
        )
    # What a file that says nothing did is as in the program that files are of.
    at_end = bool(found.get("activate_output", True))
    try:
        return {
            width: Pair(*(_built(table, name, activate_output=at_end) for table in pair))
            for width, pair in tables.items()
        }
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as problem:
        raise CheckpointError(f"{path}: not a hypernetwork that is known: {problem}.") from problem


def _built(table: Mapping[str, Tensor], activation: str, *, activate_output: bool) -> nn.Module:
    """The layers of one list in order: matrices are followed by the activation, vectors are norms."""
    places = sorted({_place(name) for name in table})
    weights = {_place(name): value for name, value in table.items() if name.endswith(".weight")}
    biases = {_place(name): value for name, value in table.items() if name.endswith(".bias")}
    last = max(place for place in places if weights[place].ndim == 2)
    layers: list[nn.Module] = []
    for place in places:
        weight = weights[place].float()
        layer: Any = nn.LayerNorm(len(weight)) if weight.ndim == 1 else nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": biases[place].float()})
        layers.append(layer)
        if weight.ndim == 2 and activation != "linear" and (place != last or activate_output):
            layers.append(getattr(nn, _ACTIVATIONS[activation])())
    return nn.Sequential(*layers).requires_grad_(False).eval()


def _place(name: str) -> int:
    module = name.rpartition(".")[0]
    return _OLD[module] if module in _OLD else int(module.removeprefix("linear."))


class Hypernetworks:
    """Those of a model, on its device. Raises ModelError where one has no width that the U-Net's attention has."""

    def __init__(self, told: Sequence[Any], module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._layers = [
            (getattr(attention, f"to_{part}"), field, getattr(attention, f"to_{part}").in_features)
            for name, attention in module.named_modules()
            if name.endswith((".attn1", ".attn2"))
            for part, field in (("k", "keys"), ("v", "values"))
        ]
        widths = {width for _, _, width in self._layers}
        self._networks: list[tuple[Mapping[int, Pair], float]] = []
        for source, strength in told:
            pairs = load_hypernetwork(source["path"], source["digest"])
            if not widths & pairs.keys():
                raise ModelError(
                    f"{source['path']}: a hypernetwork for the widths {', '.join(map(str, sorted(pairs)))}, the model has "
                    f"{', '.join(map(str, sorted(widths)))}. Use one that was made for the model's family."
                )
            here = {width: Pair(*(part.to(device, dtype) for part in pair)) for width, pair in pairs.items()}
            self._networks.append((here, float(strength)))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let calls of the U-Net in the block be changed by them."""
        with ExitStack() as held:
            for layer, field, width in self._layers:
                found = [(getattr(pairs[width], field), s) for pairs, s in self._networks if width in pairs]
                if found:
                    held.callback(layer.register_forward_pre_hook(_changed(found)).remove)
            yield


def _changed(networks: Sequence[tuple[nn.Module, float]]) -> Any:
    def before(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = given[0]
        for network, strength in networks:
            x = x + network(x) * strength
        return (x, *given[1:])

    return before
