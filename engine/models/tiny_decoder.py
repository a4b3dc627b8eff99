"""Tiny decoders: a latent as a picture in a few milliseconds, good enough to watch (TAESD, Bohan 2023).

They decode the network's latents, whatever the scale and shift of the VAE, and are published in two layouts: the decoder's
own sequence (`1.weight`, …), and diffusers' AutoencoderTiny, which leaves out the first step, so that its numbers are one
less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from engine.models.checkpoints import SAFETENSORS_SUFFIXES, load_tensors
from engine.models.errors import CheckpointError, shortened

if TYPE_CHECKING:
    from engine.paths import Paths

FOLDER: Final = "vae_approx"

_PREFIXES: Final = (("decoder.layers.", 1), ("taesd_decoder.", 0), ("decoder.", 0), ("", 0))
"""Prefix of the names, and what to add to their numbers."""
_BLOCKS: Final = (3, 3, 3, 1)
"""Residual blocks at each size, which doubles in between."""
_NUMBER: Final = re.compile(r"(\d+)(\..+)")


class TinyDecoder(nn.Module):
    """Latents of `channels` C to pictures, through layers of `width` channels."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Squash(), _conv(channels, width), nn.ReLU()]
        for size, blocks in enumerate(_BLOCKS):
            layers += [_Block(width) for _ in range(blocks)]
            last = size == len(_BLOCKS) - 1
            layers += [_conv(width, 3)] if last else [nn.Upsample(scale_factor=2), _conv(width, width, bias=False)]
        self.layers = nn.Sequential(*layers)
        self.channels = channels

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) of the network to pictures (B, 3, 8h, 8w), about 0..1."""
        decoded: Tensor = self.layers(latents)
        return decoded

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """The same on the decoder's own device and in its precision, returned as float32."""
        weights = next(self.parameters())
        return self(latents.to(weights.device, weights.dtype)).float()  # type: ignore[no-any-return]


class _Squash(nn.Module):
    """Keeps latents within -3..3 smoothly."""

    def forward(self, latents: Tensor) -> Tensor:
        return torch.tanh(latents / 3) * 3


class _Block(nn.Module):
    """Three convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


def _conv(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def load_tiny_decoder(path: Path, device: torch.device | str = "cpu") -> TinyDecoder:
    """Return the decoder in a file of either layout, in float32 on a CPU and float16 elsewhere.

    Raises CheckpointError when the file cannot be read or holds something else.
    """
    state = _renamed(load_tensors(path))
    first = state.get("layers.1.weight")
    if first is None or first.dim() != 4:
        raise CheckpointError(f"{path}: no tiny decoder: expected a tensor 1.weight or decoder.layers.0.weight.")
    with torch.device("meta"):
        decoder = TinyDecoder(channels=first.shape[1], width=first.shape[0])
    expected = {name: value.shape for name, value in decoder.state_dict().items()}
    wrong = [name for name in expected if name not in state or state[name].shape != expected[name]]
    wrong += [name for name in state if name not in expected]
    if wrong:
        raise CheckpointError(
            f"{path}: no tiny decoder known here: {shortened(wrong)} missing, unknown or of another shape."
        )
    dtype = torch.float32 if torch.device(device).type == "cpu" else torch.float16
    decoder.load_state_dict({name: value.to(device, dtype) for name, value in state.items()}, assign=True)
    return decoder.requires_grad_(False).eval()


def find_tiny_decoder(paths: Paths, name: str) -> Path | None:
    """Return the file of the decoder `name` in `models/vae_approx`: `NAME_decoder.*`, `NAME.*` or a folder NAME; else None.

    Files that can hold nothing but tensors go before pickles.
    """
    files = [file for file in paths.folder_files(FOLDER) if _called(file, name)]
    files.sort(key=lambda file: (not file.endswith(SAFETENSORS_SUFFIXES), file))
    return paths.locate(FOLDER, files[0]) if files else None


def _called(file: str, name: str) -> bool:
    folder, _, base = file.rpartition("/")
    return Path(base).stem in (name, f"{name}_decoder") or folder.rpartition("/")[2] == name


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The decoder's tensors under the names of TinyDecoder; those of an encoder beside it are left out."""
    prefix, added = next((found for found in _PREFIXES if _has(tensors, found[0])), ("", 0))
    renamed = {}
    for name, tensor in tensors.items():
        match = _NUMBER.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if match:
            renamed[f"layers.{int(match[1]) + added}{match[2]}"] = tensor
    return renamed


def _has(names: Iterable[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)
