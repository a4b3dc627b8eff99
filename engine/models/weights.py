"""From a handle to tensors and modules: which tensors of the file belong to it, and the network they go into.

Names here are those of diffusers and transformers, text encoders always with `text_model.`, whatever the file or the
installed transformers calls them. Modules are made without weights and given their weights by assignment, so weights that
are on the right device in the right dtype, or packed, stay where the file is mapped: no second copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from engine.models import autoencoders, controls, perception, sd_keys, vision_names
from engine.models.checkpoints import fit
from engine.models.errors import CheckpointError, shortened
from engine.models.families import family_named, tower_of
from engine.models.families.base import named
from engine.models.handles import (
    STYLE_ADAPTER,
    ClipHandle,
    ClipVisionHandle,
    ControlNetHandle,
    Handle,
    ModelHandle,
    ModelPatchHandle,
    PerceptionHandle,
    StyleModelHandle,
    VaeHandle,
)
from engine.models.networks.grown import grown
from engine.models.packed import Contents, load_tensors, read_header
from engine.models.towers import Kind, kind_named
from engine.models.vision_facts import CLIP, PREFIX, SIGLIP, SIGLIP2

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from engine.models.places import Place

Shape = tuple[int, ...]

_TITLES: dict[type, str] = {
    ModelHandle: "network",
    ClipHandle: "text encoder",
    VaeHandle: "VAE",
    ModelPatchHandle: "model patch",
    ControlNetHandle: "ControlNet",
    ClipVisionHandle: "image encoder",
    StyleModelHandle: "style model",
    PerceptionHandle: "network",
}


def kind_of(handle: ClipHandle) -> Kind:
    """Return what knows this kind of text encoder."""
    return kind_named(tower_of(handle.family, handle.tower).kind)


def title(handle: Handle) -> str:
    """Return what messages call this part of a model."""
    if isinstance(handle, PerceptionHandle):
        return f"network ({handle.kind})"
    return family_named(handle.family).network.title if isinstance(handle, ModelHandle) else _TITLES[part(handle)]


def part(handle: Handle) -> type:
    """Return the part of a model that a handle is for, as the class of plain handles for it."""
    return next(kind for kind in _TITLES if isinstance(handle, kind))


def file_names(handle: Handle, names: Iterable[str]) -> list[str]:
    """Return those tensor names of the handle's file that belong to it."""
    return [name for name in names if name.startswith(handle.prefix)]


def parameter_shapes(handle: Handle, header: Contents | None = None) -> dict[str, Shape]:
    """Return {parameter name: shape} of what the handle's file holds for it. Reads the header only; no torch.

    Raises CheckpointError for a file that cannot be read.
    """
    header = header or read_header(Path(handle.source.path))
    # Views of one zero: they have the shapes, and take the slicing and reshaping of real tensors, at no cost.
    zeros = {name: np.broadcast_to(np.float32(0), header.shapes[name]) for name in file_names(handle, header.shapes)}
    return {name: tuple(value.shape) for name, value in renamed(handle, zeros).items()}


def bytes_needed(handle: Handle, width: int) -> int:
    """Return the bytes that the handle's weights take in memory: packed ones as they are, others `width` for each value."""
    header = read_header(Path(handle.source.path))
    names = file_names(handle, header.shapes)
    return sum(header.packed_bytes.get(name, math.prod(header.shapes[name]) * width) for name in names)


def renamed(handle: Handle, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of a file under the names of the handle's module."""
    bare = {name[len(handle.prefix) :]: value for name, value in tensors.items() if name.startswith(handle.prefix)}
    state = cast("Mapping[str, Tensor]", bare)
    if isinstance(handle, ModelHandle):
        network = family_named(handle.family).network
        return grown(network, handle.config, network.renamed(state, handle.config))
    if isinstance(handle, ControlNetHandle):
        return controls.kind_named(handle.kind).renamed(state, handle.config)
    if isinstance(handle, ClipVisionHandle):
        if handle.family == CLIP:
            return vision_names.to_transformers(state)
        kept = {name: value for name, value in state.items() if not name.endswith("position_ids")}
        return {name.removeprefix(PREFIX): value for name, value in kept.items()}
    if isinstance(handle, StyleModelHandle):
        return dict(state)
    if isinstance(handle, PerceptionHandle):
        return perception.kind_named(handle.kind).renamed(state, handle.config)
    if isinstance(handle, VaeHandle):
        return autoencoders.kind_named(handle.kind).renamed(state, handle.config)
    assert isinstance(handle, ClipHandle)
    return kind_of(handle).renamed(state, handle.config)


def load_parameters(
    handle: Handle,
    *,
    device: torch.device,
    dtype: torch.dtype,
    module: nn.Module | None = None,
    held: dict[Place, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Return the handle's tensors by parameter name, on `device` in `dtype`; mapped ones where that is what the file has.

    What the library's network computes in float32, whatever the rest is in, is in float32. `module`: what `empty_module` made.
    `held`: tensors of the same file that are there already, which are taken instead; the others are added.

    Raises CheckpointError when tensors that the handle's config calls for are missing, have another shape or are not finite.
    """
    from engine.models.places import Places

    header = read_header(Path(handle.source.path))
    module = module or empty_module(handle)
    expected = {name: tuple(p.shape) for name, p in named_parameters(module).items()}
    report = fit(expected, parameter_shapes(handle, header))
    if not report.complete:
        raise CheckpointError(f"{header.path}: its {title(handle)} cannot be loaded: {report.describe()}.")
    in_file = load_tensors(header, file_names(handle, header.shapes))
    tensors, places = renamed(handle, in_file), Places(in_file)
    dtypes = _dtypes(module, expected, dtype) if isinstance(handle, ModelHandle) else dict.fromkeys(expected, dtype)
    there = {} if held is None else held
    at = {name: places.of(tensors[name], dtypes[name]) for name in expected}
    new = {
        name: tensors[name].to(device=device, dtype=dtypes[name]) for name, place in at.items() if place not in there
    }
    _check_finite(handle, header.path, new)
    there |= {place: new[name] for name, place in at.items() if place is not None and name in new}
    return {name: new[name] if name in new else there[cast("Place", place)] for name, place in at.items()}


def _dtypes(module: nn.Module, names: Iterable[str], dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Return {parameter: dtype}: float32 within what the library computes in it whatever the rest is in, else `dtype`."""
    import torch

    kept = set(getattr(module, "_keep_in_fp32_modules", None) or ())
    wide = torch.promote_types(dtype, torch.float32)
    return {name: dtype if kept.isdisjoint(name.split(".")) else wide for name in names}


def _check_finite(handle: Handle, path: str, parameters: Mapping[str, Tensor]) -> None:
    from engine.models.finite import is_finite

    if broken := [name for name, value in parameters.items() if not is_finite(value)]:
        raise CheckpointError(
            f"{path}: {len(broken)} tensors of its {title(handle)} hold NaN or infinity ({shortened(broken)}), expected "
            "numbers: all that is computed with them would be NaN. Use another copy of the file, or one in bf16 or fp32."
        )


def module_with(handle: Handle, parameters: Mapping[str, Tensor], module: nn.Module | None = None) -> nn.Module:
    """Return the handle's network holding the memory of `parameters` (no copies), in evaluation mode, without gradients.

    `module`: what `empty_module` made, to be filled; without it one is made.
    """
    module = module or empty_module(handle)
    strip = isinstance(handle, ClipHandle) and not hasattr(module, "text_model")
    # Detached: a buffer would be the tensor that was given itself, and what a patch puts in its place be the original too.
    own = {name: value.detach() for name, value in parameters.items()}
    state = sd_keys.without_text_model(own) if strip else own
    module.load_state_dict(state, strict=True, assign=True)
    place = next(iter(parameters.values())).device
    if any(table.device != place for table in module.buffers()):
        module.to(place)
    return module.requires_grad_(False).eval()


def named_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the module's parameters under the names this project uses."""
    found = dict(module.named_parameters())
    found |= {
        name: value for name, value in module.state_dict(keep_vars=True).items() if name not in found
    }  # kept buffers
    if "embeddings.token_embedding.weight" not in found:
        return found
    return {name if name.startswith("text_projection.") else f"text_model.{name}": p for name, p in found.items()}


def empty_module(handle: Handle) -> nn.Module:
    """Return the handle's network without weights. Raises CheckpointError for a config that no such network can have."""
    from engine.models.unfilled import Unfilled

    try:
        with Unfilled():
            if isinstance(handle, ModelHandle):
                module: nn.Module = named(family_named(handle.family).network.module)(**_tuples(handle.config))
                return module
            if isinstance(handle, ClipHandle):
                return kind_of(handle).build(handle.config)
            if isinstance(handle, VaeHandle):
                made: nn.Module = named(autoencoders.kind_named(handle.kind).MODULE)(**_tuples(handle.config))
                return made
            if isinstance(handle, ControlNetHandle):
                control: nn.Module = named(controls.kind_named(handle.kind).MODULE)(**_tuples(handle.config))
                return control
            if isinstance(handle, PerceptionHandle):
                return perception.kind_named(handle.kind).build(handle.config)
            return _BUILDERS[part(handle)](handle)
    except (ValueError, TypeError, ZeroDivisionError) as problem:
        raise CheckpointError(f"{handle.source.path}: no {title(handle)} can have these sizes: {problem}") from problem


def _vision(handle: Handle) -> nn.Module:
    if handle.family == SIGLIP:
        from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
        from transformers.models.siglip.modeling_siglip import SiglipVisionModel

        return cast("nn.Module", SiglipVisionModel(SiglipVisionConfig(**handle.config)))
    if handle.family == SIGLIP2:
        from transformers.models.siglip2.configuration_siglip2 import Siglip2VisionConfig
        from transformers.models.siglip2.modeling_siglip2 import Siglip2VisionModel

        return cast("nn.Module", Siglip2VisionModel(Siglip2VisionConfig(**handle.config)))
    from transformers.models.clip.configuration_clip import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

    return cast("nn.Module", CLIPVisionModelWithProjection(CLIPVisionConfig(**handle.config)))


def _style(handle: Handle) -> nn.Module:
    if handle.family == STYLE_ADAPTER:
        from engine.models.networks.style_adapter import StyleAdapter

        return StyleAdapter(**handle.config)
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder

    return cast("nn.Module", ReduxImageEncoder(**handle.config))


_BUILDERS: dict[type, Callable[[Handle], nn.Module]] = {
    ClipVisionHandle: _vision,
    StyleModelHandle: _style,
}


def _tuples(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
