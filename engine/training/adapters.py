"""Changes of a frozen network's layers that learn, in the forms that LoRA files have: LoRA, LoHa, LoKr and OFT.

What a layer computes with is what `engine.models.deltas` makes of the same tensors when the file is put on a model, so that what
was trained is what is loaded. A plain LoRA adds up(down(x)) to a layer's output, which takes the memory of its rank alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models import deltas
from engine.models.lora import Change

ALGORITHMS: Final = ("LoRA", "LoHa", "LoKr", "OFT")
_PLAIN: Final = {"up", "down", "alpha"}

Layer = nn.Linear | nn.Conv2d


@dataclass
class Adapter:
    """The change of one layer: {part, as `engine.models.lora` calls it: what is trained}, and its alpha, or None."""

    parts: dict[str, nn.Parameter]
    alpha: float | None = None
    change: Change = field(init=False)

    def __post_init__(self) -> None:
        self.change = Change({name: name for name in (*self.parts, *(["alpha"] if self.alpha is not None else []))})

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by part."""
        return {**self.parts, **({} if self.alpha is None else {"alpha": torch.tensor(self.alpha)})}

    @property
    def is_plain(self) -> bool:
        """Whether it is a LoRA of two factors."""
        return self.change.parts.keys() <= _PLAIN

    def to(self, device: torch.device) -> None:
        """Move what is trained."""
        for part in self.parts.values():
            part.data = part.data.to(device)

    def on(self, weight: Tensor) -> Tensor:
        """Return a weight with the change, float32."""
        return deltas.patched(self.change, self.tensors, weight)

    def beside(self, layer: Layer, x: Tensor) -> Tensor:
        """Return what the two factors of a plain LoRA add to a layer's output for input `x`."""
        up, down = self.parts["up"].to(x.dtype), self.parts["down"].to(x.dtype)
        scale = 1.0 if self.alpha is None else self.alpha / len(down)
        if isinstance(layer, nn.Linear):
            return functional.linear(functional.linear(x, down), up) * scale
        inner = _convolved(layer, x, down.reshape(len(down), *layer.weight.shape[1:]))
        return functional.conv2d(inner, up.reshape(*up.shape[:2], 1, 1)) * scale

    def apart(self, layer: Layer, x: Tensor) -> Tensor:
        """Return what the change of any kind that is added to a weight adds to a layer's output for input `x`."""
        added = self.on(torch.zeros(layer.weight.shape, device=x.device)).to(x.dtype)
        return functional.linear(x, added) if isinstance(layer, nn.Linear) else _convolved(layer, x, added)


def new_adapter(algorithm: str, layer: Layer, rank: int, generator: torch.Generator) -> Adapter | None:
    """Return an adapter that changes nothing yet; None for a layer that this kind cannot change.

    LoRA as Hu et al. 2021, LoHa as Hyeon-Woo et al. 2022, LoKr as Yeh et al. 2023 (the first factor whole), OFT as Qiu et al.
    2023 with blocks of at most `rank` rows. The alpha is the rank, so that the scale is 1.
    """
    rows, columns = layer.weight.shape[0], math.prod(layer.weight.shape[1:])

    def normal(*shape: int, deviation: float) -> nn.Parameter:
        return nn.Parameter(torch.randn(shape, generator=generator) * deviation)

    def uniform(*shape: int) -> nn.Parameter:  # Kaiming's of a linear layer, as PEFT begins
        bound = 1 / math.sqrt(shape[1])
        return nn.Parameter((torch.rand(shape, generator=generator) * 2 - 1) * bound)

    def zeros(*shape: int) -> nn.Parameter:
        return nn.Parameter(torch.zeros(shape))

    if algorithm == "LoRA":
        up, down = zeros(rows, rank), uniform(rank, columns)
        if isinstance(layer, nn.Conv2d):
            up = nn.Parameter(up.detach().reshape(rows, rank, 1, 1))
            down = nn.Parameter(down.detach().reshape(rank, *layer.weight.shape[1:]))
        return Adapter({"up": up, "down": down}, float(rank))
    if algorithm == "LoHa":
        first = {"hada_w1_a": normal(rows, rank, deviation=0.1), "hada_w1_b": normal(rank, columns, deviation=1.0)}
        return Adapter(
            {**first, "hada_w2_a": zeros(rows, rank), "hada_w2_b": normal(rank, columns, deviation=1.0)}, float(rank)
        )
    if algorithm == "LoKr":
        high, wide = (
            _divisor(rows, math.isqrt(rows)),
            _divisor(layer.weight.shape[1], math.isqrt(layer.weight.shape[1])),
        )
        parts = {
            "lokr_w1": uniform(high, wide),
            "lokr_w2_a": zeros(rows // high, rank),
            "lokr_w2_b": uniform(rank, columns // wide),
        }
        return Adapter(parts, float(rank))
    if algorithm == "OFT":
        side = _divisor(rows, max(rank, 2))
        return Adapter({"oft_blocks": zeros(rows // side, side, side)}) if side > 1 else None
    raise ValueError(f"algorithm: expected one of {', '.join(ALGORITHMS)}, got {algorithm!r}.")


def _divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is at most `most`."""
    return next(one for one in range(min(number, most), 0, -1) if number % one == 0)


class Attached:
    """Adapters on the layers of a network, until the `with` block ends; what they are on is left as it was.

    `bypass`: what changes of all kinds add is computed beside the weights, which need not be unpacked then.
    """

    def __init__(self, module: nn.Module, adapters: Mapping[str, Adapter], *, bypass: bool) -> None:
        self._module, self._adapters, self._bypass = module, adapters, bypass
        self._hooks: list[Any] = []

    def __enter__(self) -> Attached:
        """Hang them on."""
        for path, adapter in self._adapters.items():
            layer = cast("Layer", self._module.get_submodule(path))
            if adapter.is_plain:
                self._hooks.append(layer.register_forward_hook(_adding(adapter.beside)))
            elif self._bypass and "oft_blocks" not in adapter.parts:
                self._hooks.append(layer.register_forward_hook(_adding(adapter.apart)))
            else:
                self._hooks.append(layer.register_forward_pre_hook(_put_on(adapter)))
                self._hooks.append(layer.register_forward_hook(_take_off, always_call=True))
        return self

    def __exit__(self, *_: object) -> None:
        """Take them off."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


def _adding(compute: Callable[[Any, Tensor], Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + compute(layer, inputs[0]).to(output.dtype)

    return hook


def _put_on(adapter: Adapter) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    """The changed weight stands before the parameter, which stays where it is."""

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        layer.__dict__["weight"] = adapter.on(cast("Tensor", layer._parameters["weight"])).to(inputs[0].dtype)

    return hook


def _take_off(layer: nn.Module, _inputs: Any, _output: Any) -> None:
    layer.__dict__.pop("weight", None)


def _convolved(layer: nn.Conv2d, x: Tensor, weight: Tensor) -> Tensor:
    padding = layer.padding if isinstance(layer.padding, str) else tuple(layer.padding)
    return functional.conv2d(
        x, weight, stride=layer.stride, padding=cast("Any", padding), dilation=layer.dilation, groups=layer.groups
    )
