"""`comfy.utils`: progress, resizing, tiles, and weights in files."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.models.tiles import in_tiles
from engine.plugins.compat.absent import refuse
from engine.plugins.compat.resizing import resize
from engine.plugins.compat.running import check_cancelled, current_context

PROGRESS_BAR_ENABLED = True
PROGRESS_BAR_HOOK: Callable[..., Any] | None = None
MMAP_TORCH_FILES = False
ALWAYS_SAFE_LOAD = True
UNET_MAP_BASIC: set[tuple[str, str]] = {
    ("label_emb.0.0.weight", "class_embedding.linear_1.weight"),
    ("label_emb.0.0.bias", "class_embedding.linear_1.bias"),
    ("label_emb.0.2.weight", "class_embedding.linear_2.weight"),
    ("label_emb.0.2.bias", "class_embedding.linear_2.bias"),
    ("input_blocks.0.0.weight", "conv_in.weight"),
    ("input_blocks.0.0.bias", "conv_in.bias"),
    ("out.0.weight", "conv_norm_out.weight"),
    ("out.0.bias", "conv_norm_out.bias"),
    ("out.2.weight", "conv_out.weight"),
    ("out.2.bias", "conv_out.bias"),
    ("time_embed.0.weight", "time_embedding.linear_1.weight"),
    ("time_embed.0.bias", "time_embedding.linear_1.bias"),
    ("time_embed.2.weight", "time_embedding.linear_2.weight"),
    ("time_embed.2.bias", "time_embedding.linear_2.bias"),
}
"""Names of a U-Net's outer layers in the original spelling and in that of diffusers."""


def set_progress_bar_enabled(enabled: bool) -> None:
    """Whether progress is shown in the terminal; the editor is told of it always."""
    globals()["PROGRESS_BAR_ENABLED"] = enabled


def set_progress_bar_global_hook(function: Callable[..., Any] | None) -> None:
    """Call `function(value, total, preview, node_id=…)` at each progress as well."""
    globals()["PROGRESS_BAR_HOOK"] = function


class ProgressBar:
    """Tells the editor how far the running node is; each telling may end the node when its job was cancelled."""

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total = total
        self.current: float = 0
        self.node_id = node_id
        self.hook = PROGRESS_BAR_HOOK

    def update_absolute(self, value: float, total: float | None = None, preview: Any = None) -> None:
        """Report `value`. `preview` is (format, PIL image, largest side), as previewers give it.

        One in PNG format and without a bound on its size is no preview but a node's result for the client.
        """
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        if self.hook is not None:
            self.hook(self.current, self.total, preview, node_id=self.node_id)
        ctx = current_context()
        if ctx is None:
            return
        ctx.progress(self.current, self.total)
        if isinstance(preview, tuple | list) and tuple(preview[::2]) == ("PNG", None):
            ctx.send_picture(_png(preview[1]))
        elif preview is not None:
            ctx.preview(preview[1] if isinstance(preview, tuple | list) else preview)

    def update(self, value: float) -> None:
        """Report `value` more than before."""
        self.update_absolute(self.current + value)


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def common_upscale(samples: Tensor, width: int, height: int, upscale_method: str, crop: str) -> Tensor:
    """Resize (B, C, h, w) to `width` × `height`; `crop` "center" keeps proportions, "disabled" stretches."""
    return resize(samples, width, height, upscale_method, crop)


def lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """Resize (B, C, h, w) with a windowed sinc."""
    return resize(samples, width, height, "lanczos")


def bislerp(samples: Tensor, width: int, height: int) -> Tensor:
    """Resize (B, C, h, w), interpolating channel vectors on the sphere."""
    return resize(samples, width, height, "bislerp")


def repeat_to_batch_size(tensor: Tensor, batch_size: int, dim: int = 0) -> Tensor:
    """Exactly `batch_size` items along `dim`: repeated from the start, or cut."""
    count = tensor.shape[dim]
    if count == batch_size:
        return tensor
    return tensor.index_select(dim, torch.arange(batch_size, device=tensor.device) % count)


def resize_to_batch_size(tensor: Tensor, batch_size: int) -> Tensor:
    """`batch_size` items spread over those that are there."""
    return tensor[_spread(tensor.shape[0], batch_size)]


def resize_list_to_batch_size(items: Sequence[Any], batch_size: int) -> list[Any]:
    """`batch_size` of the `items`, spread over those that are there."""
    return [items[place] for place in _spread(len(items), batch_size)] if items else []


def _spread(count: int, wanted: int) -> list[int]:
    """Places of `wanted` among `count` items: fewer keep the first and the last, more repeat each about as often."""
    if wanted <= 1 or wanted == count:
        return list(range(min(wanted, count)))
    if wanted < count:
        return [round(index * (count - 1) / (wanted - 1)) for index in range(wanted)]
    return [min(int((index + 0.5) * (count / wanted)), count - 1) for index in range(wanted)]


def reshape_mask(input_mask: Tensor, output_shape: Sequence[int]) -> Tensor:
    """A mask (…, H, W), or (…, T, H, W) for videos, as `output_shape` (B, C, H, W) or (B, C, T, H, W)."""
    dims = len(output_shape) - 2
    places = input_mask.shape[-min(dims, input_mask.ndim) :]
    mask = input_mask.reshape(-1, 1, *[1] * (dims - len(places)), *places)
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[dims]
    mask = torch.nn.functional.interpolate(mask.float(), size=tuple(output_shape[2:]), mode=mode)
    return repeat_to_batch_size(mask.expand(-1, output_shape[1], *[-1] * dims), output_shape[0])


def get_tiled_scale_steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> int:
    """How many tiles `tiled_scale` takes for a picture."""
    columns = 1 if width <= tile_x else math.ceil((width - overlap) / (tile_x - overlap))
    rows = 1 if height <= tile_y else math.ceil((height - overlap) / (tile_y - overlap))
    return rows * columns


@torch.inference_mode()
def tiled_scale(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile_x: int = 64,
    tile_y: int = 64,
    overlap: int = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    pbar: ProgressBar | None = None,
) -> Tensor:
    """`function` over tiles of (B, C, h, w), blended over their overlaps; it makes them `upscale_amount` times larger."""
    return tiled_scale_multidim(
        samples, function, (tile_y, tile_x), overlap, upscale_amount, out_channels, output_device, pbar=pbar
    )


@torch.inference_mode()
def tiled_scale_multidim(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile: Sequence[int] = (64, 64),
    overlap: Any = 8,
    upscale_amount: Any = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    downscale: bool = False,
    index_formulas: Any = None,
    pbar: ProgressBar | None = None,
) -> Tensor:
    """As tiled_scale over as many dimensions as `tile` has. `overlap` and `upscale_amount` may differ by dimension."""
    dims = len(tile)
    overlaps = list(overlap) if isinstance(overlap, tuple | list) else [overlap] * dims
    factors = list(upscale_amount) if isinstance(upscale_amount, tuple | list) else [upscale_amount] * dims
    if any(callable(factor) for factor in factors):
        refuse("comfy.utils.tiled_scale_multidim with functions for upscale_amount", "tiles of videos")
    scale = [1 / factor if downscale else factor for factor in factors]
    done = check_cancelled if pbar is None else partial(pbar.update, 1)
    results = [
        in_tiles(samples[index : index + 1], function, tile, overlaps, scale, out_channels, output_device, done)
        for index in range(samples.shape[0])
    ]
    return torch.cat(results)


class FileWeights(dict[str, Tensor]):
    """The tensors of a file, which remember where they come from, so that a LoRA stays a name and a digest."""

    path: str = ""


def load_torch_file(ckpt: Any, safe_load: bool = False, device: Any = None, return_metadata: bool = False) -> Any:
    """The tensors of a .safetensors file, or of a pickle read without running code in it.

    Raises ValueError for a file that cannot be read so.
    """
    path = Path(str(ckpt))
    metadata: dict[str, str] | None = None
    if path.suffix.lower() in (".safetensors", ".sft"):
        weights, metadata = _from_safetensors(path, device)
    else:
        weights = FileWeights(_unpickled(path, device))
    weights.path = str(path)
    return (weights, metadata) if return_metadata else weights


def _from_safetensors(path: Path, device: Any) -> tuple[FileWeights, dict[str, str] | None]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=str(device or "cpu")) as file:
            return FileWeights({name: file.get_tensor(name) for name in file.keys()}), file.metadata()  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole .safetensors file ({error}). Fetch it again.") from error


def _unpickled(path: Path, device: Any) -> Mapping[str, Tensor]:
    try:
        loaded = torch.load(path, map_location=device or "cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as tensors alone ({type(error).__name__}: {error}). "
            "Convert it to .safetensors; files that run code are not opened."
        ) from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds a {type(loaded).__name__}; expected named tensors. Convert it to .safetensors.")
    named: Mapping[str, Tensor] = loaded
    if "global_step" in loaded or "pytorch-lightning_version" in loaded:
        named = loaded.get("state_dict", loaded)
    elif len(loaded) <= 2:
        named = next((loaded[key] for key in ("state_dict", "params_ema") if isinstance(loaded.get(key), dict)), loaded)
    return named


def save_torch_file(sd: Mapping[str, Tensor], ckpt: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as a .safetensors file."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in sd.items()}, str(ckpt), metadata=dict(metadata or {}))


def safetensors_header(safetensors_path: Any, max_size: int = 100 * 1024 * 1024) -> bytes | None:
    """The JSON at the start of a .safetensors file; None where it is longer than `max_size` or not whole."""
    with Path(str(safetensors_path)).open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(size) if size <= max_size else b""
    return header if header and len(header) == size else None


def convert_sd_to(state_dict: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """The tensors in another dtype, in place."""
    for name in list(state_dict):
        state_dict[name] = state_dict[name].to(dtype)
    return state_dict


def calculate_parameters(sd: Mapping[str, Tensor], prefix: str = "") -> int:
    """How many numbers the tensors under `prefix` have."""
    return sum(tensor.nelement() for name, tensor in sd.items() if name.startswith(prefix))


def weight_dtype(sd: Mapping[str, Tensor], prefix: str = "") -> torch.dtype | None:
    """The dtype that most numbers under `prefix` have; None when there are none."""
    counts: dict[torch.dtype, int] = {}
    for name, tensor in sd.items():
        if name.startswith(prefix):
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
    return max(counts, key=lambda dtype: counts[dtype]) if counts else None


def state_dict_key_replace(state_dict: dict[str, Any], keys_to_replace: Mapping[str, str]) -> dict[str, Any]:
    """Rename entries, in place."""
    for old, new in keys_to_replace.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    return state_dict


def state_dict_prefix_replace(
    state_dict: dict[str, Any], replace_prefix: Mapping[str, str], filter_keys: bool = False
) -> dict[str, Any]:
    """Rename entries by prefix, in place; with `filter_keys` a new dict of those alone."""
    out = {} if filter_keys else state_dict
    for old, new in replace_prefix.items():
        for name in [name for name in state_dict if name.startswith(old)]:
            out[new + name[len(old) :]] = state_dict.pop(name)
    return out


def get_attr(obj: Any, attr: str) -> Any:
    """`obj.a.b.c` by the name "a.b.c"."""
    for name in attr.split("."):
        obj = getattr(obj, name)
    return obj


def set_attr(obj: Any, attr: str, value: Any) -> Any:
    """Set `obj.a.b.c`; gives what was there."""
    *path, last = attr.split(".")
    for name in path:
        obj = getattr(obj, name)
    before = getattr(obj, last)
    setattr(obj, last, value)
    return before


def set_attr_param(obj: Any, attr: str, value: Tensor) -> Any:
    """Set a parameter; gives the one that was there."""
    return set_attr(obj, attr, torch.nn.Parameter(value, requires_grad=False))


def set_attr_buffer(obj: Any, attr: str, value: Tensor) -> Any:
    """Set a buffer; gives the one that was there."""
    return set_attr(obj, attr, value)


def copy_to_param(obj: Any, attr: str, value: Tensor) -> None:
    """Write into a parameter."""
    get_attr(obj, attr).data.copy_(value)


def string_to_seed(data: str) -> int:
    """A number of 32 bits that stands for the text (CRC-32)."""
    import zlib

    return zlib.crc32(data.encode())


def pack_latents(latents: Sequence[Tensor]) -> tuple[Tensor, list[torch.Size]]:
    """Several latents as one (B, 1, n), and their shapes."""
    shapes = [latent.shape for latent in latents]
    return torch.cat([latent.reshape(latent.shape[0], 1, -1) for latent in latents], dim=-1), shapes


def unpack_latents(combined_latent: Tensor, latent_shapes: Sequence[Sequence[int]]) -> list[Tensor]:
    """The latents of pack_latents."""
    sizes = [math.prod(shape[1:]) for shape in latent_shapes]
    parts = torch.split(combined_latent, sizes, dim=-1)
    return [part.reshape(-1, *shape[1:]) for part, shape in zip(parts, latent_shapes, strict=True)]


def unet_to_diffusers(unet_config: Mapping[str, Any]) -> Any:
    """Names of a U-Net's tensors in either spelling."""
    refuse(
        "comfy.utils.unet_to_diffusers", "a configuration in the field's form; engine.models.sd_keys renames tensors"
    )
