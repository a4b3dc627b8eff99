"""Low-rank adaptation of a frozen network (Hu et al. 2021, "LoRA"): layers, where they hang, and the file they go to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.media.atomic import write_whole


class LowRank(nn.Module):
    """`up(down(x)) * alpha / rank` beside a linear or convolutional layer; zero at first, so that nothing jumps."""

    def __init__(self, base: nn.Linear | nn.Conv2d, rank: int, alpha: float) -> None:
        """Take widths (and of a convolution kernel, stride and padding) from `base`."""
        super().__init__()
        self.alpha = alpha
        self.scale = alpha / rank
        self.down: nn.Module
        self.up: nn.Module
        if isinstance(base, nn.Linear):
            self.down = nn.Linear(base.in_features, rank, bias=False)
            self.up = nn.Linear(rank, base.out_features, bias=False)
        else:
            kernel, stride = ((size[0], size[1]) for size in (base.kernel_size, base.stride))
            padding = base.padding if isinstance(base.padding, str) else (base.padding[0], base.padding[1])
            self.down = nn.Conv2d(base.in_channels, rank, kernel, stride, padding, bias=False)
            self.up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """What is added to the base layer's output for input `x`."""
        added: Tensor = self.up(self.down(x))
        return added * self.scale


class Adapters:
    """Low-rank layers on every layer of `network` whose path ends in one of `targets`, until the `with` block ends.

    Raises ValueError if no layer has such a path.
    """

    def __init__(self, network: nn.Module, targets: Iterable[str], rank: int, alpha: float) -> None:
        """Freeze `network` and hang the layers, initialised from torch's global seed."""
        self.layers: dict[str, LowRank] = {}
        self._hooks = []
        ends = tuple(f".{target}" for target in targets)
        network.requires_grad_(False)
        for path, base in network.named_modules():
            if isinstance(base, nn.Linear | nn.Conv2d) and f".{path}".endswith(ends):
                layer = LowRank(base, rank, alpha).to(base.weight.device)
                self.layers[path] = layer
                self._hooks.append(base.register_forward_hook(_adding(layer)))
        if not self.layers:
            raise ValueError(
                f"LoRA targets: no linear or convolutional layer of the network ends in {', '.join(ends)}."
            )

    def __enter__(self) -> Adapters:
        """The adapters themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the network as it was."""
        for hook in self._hooks:
            hook.remove()

    def parameters(self) -> list[nn.Parameter]:
        """What is trained."""
        return [value for layer in self.layers.values() for value in layer.parameters()]

    def state_dict(self) -> dict[str, Tensor]:
        """Weights by layer path and `down.weight` or `up.weight`."""
        return {
            f"{path}.{name}": value for path, layer in self.layers.items() for name, value in layer.state_dict().items()
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take what `state_dict` gave. Raises KeyError for a missing weight."""
        for path, layer in self.layers.items():
            layer.load_state_dict({name: state[f"{path}.{name}"] for name in layer.state_dict()})

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """Write a LoRA file for U-Nets, fp16, in the PEFT naming of diffusers with the usual `.alpha` beside."""
        from safetensors.torch import save_file

        tensors = {}
        for name, layer in self.layers.items():
            state = layer.state_dict()
            tensors[f"unet.{name}.lora_A.weight"] = state["down.weight"].half().cpu().contiguous()
            tensors[f"unet.{name}.lora_B.weight"] = state["up.weight"].half().cpu().contiguous()
            tensors[f"unet.{name}.alpha"] = torch.tensor(layer.alpha)
        write_whole(path, lambda temporary: save_file(tensors, str(temporary), metadata))


def _adding(layer: LowRank) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(_base: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return torch.add(output, layer(inputs[0]))

    return hook
