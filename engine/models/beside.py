"""LoRAs beside the weights: what a layer gives plus what the LoRA adds to it, computed in each call; weights stay as they are.

Layers that are linear or convolutions, of any change that adds to their weights. Of the rest of a file, such as what is for
normalisations, embeddings and layers that libraries compute without calling them, the weights are changed as always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from torch import nn
from torch.nn import functional

from engine.models.packed.tensor import PackedTensor

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.patching import PatchSource

Addition: TypeAlias = "Callable[[Tensor], Tensor]"
"""`what a layer is given -> what is added to what it gives`."""

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Only:
    """What a file changes in some of the weights."""

    def __init__(self, file: PatchSource, names: Sequence[str]) -> None:
        self._file = file
        self.digest = f"{file.digest} without what is beside layers"
        self.changes: Mapping[str, Any] = {name: file.changes[name] for name in names}
        self.patched, self.factors = file.patched, file.factors


class Beside:
    """What stands beside the layers of one module now."""

    def __init__(self, module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = parameters
        self._layers = _layers_of(module, parameters)
        self._hooks: list[Any] = []

    def within(self, file: PatchSource) -> list[str]:
        """Return the weights of a file that can be beside their layers."""
        return [
            name for name, change in file.changes.items() if name in self._layers and "set_weight" not in change.parts
        ]

    def put(self, files: Sequence[tuple[PatchSource, float]]) -> None:
        """Let these files at their strengths be beside the layers, and no others. Raises LoraError for one that does not fit."""
        self.take()
        for file, strength in files:
            for name in self.within(file):
                self._put(file, name, strength)

    def take(self) -> None:
        """Let nothing be beside the layers."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _put(self, file: PatchSource, name: str, strength: float) -> None:
        layer, parameter = self._layers[name], self._parameters[name]
        found = file.factors(name, _as_given(parameter), strength) if name.endswith("weight") else None
        if found is not None:
            add = _product(layer, *found)
        else:
            file.patched(name, _unpacked(parameter), strength)  # what does not fit is told now
            add = _difference(layer, name, parameter, file, strength)
        self._hooks.append(layer.register_forward_hook(lambda _layer, given, made: made + add(given[0]).to(made.dtype)))


def _layers_of(module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> dict[str, nn.Module]:
    """The layer of each weight or bias that is of one which is called."""
    uncalled = {
        id(one) for holder in module.modules() if isinstance(holder, nn.MultiheadAttention) for one in holder.modules()
    }
    owners = {
        id(parameter): layer
        for layer in module.modules()
        if isinstance(layer, _LAYERS) and id(layer) not in uncalled
        for parameter in layer.parameters(recurse=False)
    }
    return {name: owners[id(parameter)] for name, parameter in parameters.items() if id(parameter) in owners}


def _product(layer: nn.Module, up: Tensor, down: Tensor, scale: float) -> Addition:
    """What the product of two factors adds, by one after the other."""
    if isinstance(layer, nn.Linear):
        return lambda x: functional.linear(functional.linear(x, down.to(x)), up.to(x)) * scale
    kernel = cast("Any", layer).weight.shape[1:]
    downs, ups = down.reshape(-1, *kernel), up.reshape(*up.shape, *[1] * (len(kernel) - 1))

    def add(x: Tensor) -> Tensor:
        narrow = _called(layer, x, downs.to(x), None)
        return _convolved(narrow, ups.to(x)) * scale

    return add if cast("Any", layer).groups == 1 else _called_with(layer, (up @ down).reshape(-1, *kernel) * scale)


def _called_with(layer: nn.Module, change: Tensor) -> Addition:
    return lambda x: _called(layer, x, change.to(x), None)


def _difference(layer: nn.Module, name: str, parameter: nn.Parameter, file: PatchSource, strength: float) -> Addition:
    """What a change of a weight or a bias adds, worked out in each call, so that no copy of the weight is kept."""
    of_bias = name.endswith("bias")

    def add(x: Tensor) -> Tensor:
        own = _unpacked(parameter)
        change = (file.patched(name, own, strength) - own.float()).to(x)
        if not of_bias:
            return _called(layer, x, change, None)
        return (
            change if isinstance(layer, nn.Linear) else change.reshape(-1, *[1] * (cast("Any", layer).weight.ndim - 2))
        )

    return add


def _called(layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What a layer gives with other weights."""
    if isinstance(layer, nn.Linear):
        return functional.linear(x, weight, bias)
    made: Tensor = layer._conv_forward(x, weight, bias)  # padding in the layer's own way
    return made


def _convolved(x: Tensor, weight: Tensor) -> Tensor:
    kinds = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}
    return kinds[weight.ndim](x, weight)


def _unpacked(parameter: Tensor) -> Tensor:
    return parameter.unpacked() if isinstance(parameter, PackedTensor) else parameter.detach()


def _as_given(parameter: Tensor) -> Tensor:
    """Something of the shape and on the device of a parameter."""
    return parameter.detach() if not isinstance(parameter, PackedTensor) else parameter
