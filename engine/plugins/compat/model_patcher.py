"""`comfy.model_patcher`: a denoiser as packs handle it, around our handle, with what they put around and inside it."""

from __future__ import annotations

import inspect
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import torch

from engine.denoising.records import Run
from engine.models.handles import HookedModel, ModelHandle
from engine.plugins.compat import model_management, model_sampling, weight_patches
from engine.plugins.compat.absent import refuse
from engine.plugins.compat.base_model import BaseModel
from engine.plugins.compat.latent_formats import LatentFormat
from engine.plugins.compat.lent import Lent
from engine.plugins.compat.model_options import (
    add_patch,
    copied,
    create_hook_patches_clone,
    create_model_options_clone,
    is_empty,
    set_model_options_patch_replace,
    set_model_options_post_cfg_function,
    set_model_options_pre_cfg_function,
    transformer_options,
)
from engine.plugins.compat.patcher_extension import CallbacksMP, get_all_callbacks
from engine.plugins.compat.values import Wrapper

__all__ = [
    "create_hook_patches_clone",
    "create_model_options_clone",
    "set_model_options_patch_replace",
    "set_model_options_post_cfg_function",
    "set_model_options_pre_cfg_function",
]

_RESCALE: Final = "cfg_rescale"
"""Option of a handle under which RescaleCFG leaves its multiplier."""


@dataclass(eq=False)
class PackHooks:
    """What packs put around a model: its options, the parts they replaced, and what they keep with it."""

    options: dict[str, Any]
    parts: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, Any] = field(default_factory=dict)

    def take_over(self, run: Run) -> Any:
        """Have a run of our sampler be made with these."""
        from engine.plugins.compat.guiders import guider_for

        assert run.model.handle is not None  # runs in nodes are of models that a handle made
        return guider_for(run.guidance, ModelPatcher.of(run.model.handle)).take_over(run)


class ModelPatcher(Wrapper):
    """A denoiser with its patches; a clone is cheap, as it is one more handle on the same weights."""

    def __init__(
        self,
        model: Any,
        load_device: Any = None,
        offload_device: Any = None,
        size: int = 0,
        weight_inplace_update: bool = False,
    ) -> None:
        handle = getattr(model, "handle", None)
        if not isinstance(handle, ModelHandle):
            refuse(f"comfy.model_patcher.ModelPatcher around a {type(model).__name__}", "models built by a pack")
        self._take(handle)

    @classmethod
    def of(cls, handle: ModelHandle) -> ModelPatcher:
        """The wrapper of a handle."""
        made = cls.__new__(cls)
        made._take(handle)
        return made

    def _take(self, handle: ModelHandle) -> None:
        hooks = handle.hooks if isinstance(handle, HookedModel) else None
        self._patching = weight_patches.Patching(plain(handle))
        self.load_device = model_management.get_torch_device()
        self.offload_device = torch.device("cpu")
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.patches: dict[str, Any] = {}
        self.object_patches: dict[str, Any] = {}
        self.attachments: dict[str, Any] = {}
        self.parent: ModelPatcher | None = None
        self.patches_uuid = uuid.uuid4()
        self.is_clip = False
        if isinstance(hooks, PackHooks):
            self.model_options = copied(hooks.options)
            self.object_patches = dict(hooks.parts)
            self.attachments = dict(hooks.attachments)

    @property
    def plain_handle(self) -> ModelHandle:
        """The model without functions of packs."""
        found: ModelHandle = self._patching.handle
        return found

    @property
    def handle(self) -> ModelHandle:
        """What goes on to other nodes: data, unless a pack put functions around the model or replaced parts of it."""
        if is_empty(self.model_options) and not self.object_patches and not self.attachments:
            return self.plain_handle
        from engine.plugins.compat.guiders import hooked

        hooks = PackHooks(copied(self.model_options), dict(self.object_patches), dict(self.attachments))
        return hooked(self.plain_handle, hooks)

    @property
    def model(self) -> Any:
        """What packs look at of the network."""
        if "_model" not in vars(self):
            self._model = BaseModel(self.plain_handle)
            self._model.current_patcher = self
            self._model.rescale = float(self.plain_handle.options.get(_RESCALE, 0.0))
            for name, part in self.object_patches.items():
                setattr(self._model, name, part)
        return self._model

    def clone(self, *args: Any, **kwargs: Any) -> ModelPatcher:
        """One more, to patch without touching this one."""
        made = type(self).of(self.plain_handle)
        made.model_options = copied(self.model_options)
        made.patches = copied(self.patches)
        made.object_patches = dict(self.object_patches)
        for key, attachment in self.attachments.items():
            on_clone = getattr(attachment, "on_model_patcher_clone", None)
            made.attachments[key] = attachment if on_clone is None else on_clone()
        made.parent = self
        made.patches_uuid = self.patches_uuid
        for function in get_all_callbacks(CallbacksMP.ON_CLONE, self.model_options, True):
            function(self, made)
        return made

    def is_clone(self, other: Any) -> bool:
        """Whether both have the same weights."""
        return isinstance(other, ModelPatcher) and other.plain_handle.source == self.plain_handle.source

    def clone_has_same_weights(self, clone: Any, *args: Any, **kwargs: Any) -> bool:
        """Whether both have the same weights and patches."""
        return self.is_clone(clone) and clone.plain_handle.patches == self.plain_handle.patches

    # --- functions around the guidance -----------------------------------------------------------------------------

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Any, disable_cfg1_optimization: bool = False
    ) -> None:
        """Have a function combine the predictions; one of three arguments is given them one by one."""
        function = sampler_cfg_function
        if len(inspect.signature(sampler_cfg_function).parameters) == 3:
            function = lambda told: sampler_cfg_function(told["cond"], told["uncond"], told["cond_scale"])  # noqa: E731
        self.model_options["sampler_cfg_function"] = function
        if disable_cfg1_optimization:
            self.model_options["disable_cfg1_optimization"] = True

    def set_model_sampler_post_cfg_function(
        self, post_cfg_function: Any, disable_cfg1_optimization: bool = False
    ) -> None:
        """Have a function change the guided prediction."""
        set_model_options_post_cfg_function(self.model_options, post_cfg_function, disable_cfg1_optimization)

    def set_model_sampler_pre_cfg_function(
        self, pre_cfg_function: Any, disable_cfg1_optimization: bool = False
    ) -> None:
        """Have a function change the predictions before they are guided."""
        set_model_options_pre_cfg_function(self.model_options, pre_cfg_function, disable_cfg1_optimization)

    def set_model_sampler_calc_cond_batch_function(self, sampler_calc_cond_batch_function: Any) -> None:
        """Have a function make the predictions."""
        self.model_options["sampler_calc_cond_batch_function"] = sampler_calc_cond_batch_function

    def set_model_unet_function_wrapper(self, unet_wrapper_function: Any) -> None:
        """Put a function around each call of the model."""
        self.model_options["model_function_wrapper"] = unet_wrapper_function

    def set_model_denoise_mask_function(self, denoise_mask_function: Any) -> None:
        """Have a function change the noise mask at each step."""
        self.model_options["denoise_mask_function"] = denoise_mask_function

    # --- functions inside the network ------------------------------------------------------------------------------

    def set_model_patch(self, patch: Any, name: str) -> None:
        """Have a function called at the places called `name`."""
        add_patch(self.model_options, patch, name)

    def set_model_patch_replace(
        self, patch: Any, name: str, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Put a function in the place of attention `name` in a block."""
        set_model_options_patch_replace(self.model_options, patch, name, block_name, number, transformer_index)

    def set_model_attn1_patch(self, patch: Any) -> None:
        """Have a function change what self-attention is given."""
        self.set_model_patch(patch, "attn1_patch")

    def set_model_attn2_patch(self, patch: Any) -> None:
        """Have a function change what cross-attention is given."""
        self.set_model_patch(patch, "attn2_patch")

    def set_model_attn1_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Put a function in the place of the self-attention in a block."""
        self.set_model_patch_replace(patch, "attn1", block_name, number, transformer_index)

    def set_model_attn2_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Put a function in the place of the cross-attention in a block."""
        self.set_model_patch_replace(patch, "attn2", block_name, number, transformer_index)

    def set_model_attn1_output_patch(self, patch: Any) -> None:
        """Have a function change what comes out of self-attention."""
        self.set_model_patch(patch, "attn1_output_patch")

    def set_model_attn2_output_patch(self, patch: Any) -> None:
        """Have a function change what comes out of cross-attention."""
        self.set_model_patch(patch, "attn2_output_patch")

    def set_model_input_block_patch(self, patch: Any) -> None:
        """Have a function change what comes out of an input block."""
        self.set_model_patch(patch, "input_block_patch")

    def set_model_input_block_patch_after_skip(self, patch: Any) -> None:
        """Have a function change what comes out of an input block, but for the skip connection."""
        self.set_model_patch(patch, "input_block_patch_after_skip")

    def set_model_output_block_patch(self, patch: Any) -> None:
        """Have a function change what goes into an output block, and what comes over the skip connection."""
        self.set_model_patch(patch, "output_block_patch")

    def set_model_emb_patch(self, patch: Any) -> None:
        """Have a function change the embedding of the timestep."""
        self.set_model_patch(patch, "emb_patch")

    # --- functions around the sampler ------------------------------------------------------------------------------

    def add_wrapper_with_key(self, wrapper_type: str, key: str | None, wrapper: Any) -> None:
        """Hang a function around a place of the sampler, under a name of the pack's."""
        self.wrappers.setdefault(wrapper_type, {}).setdefault(key, []).append(wrapper)

    def add_wrapper(self, wrapper_type: str, wrapper: Any) -> None:
        """Hang a function around a place of the sampler."""
        self.add_wrapper_with_key(wrapper_type, None, wrapper)

    def remove_wrappers_with_key(self, wrapper_type: str, key: str) -> None:
        """Take the functions of that name away."""
        self.wrappers.get(wrapper_type, {}).pop(key, None)

    def get_wrappers(self, wrapper_type: str, key: str | None) -> list[Any]:
        """The functions of that name."""
        return list(self.wrappers.get(wrapper_type, {}).get(key, []))

    def get_all_wrappers(self, wrapper_type: str) -> list[Any]:
        """The functions around a place."""
        return [function for functions in self.wrappers.get(wrapper_type, {}).values() for function in functions]

    def add_callback_with_key(self, call_type: str, key: str | None, callback: Any) -> None:
        """Have a function called at a moment, under a name of the pack's."""
        self.callbacks.setdefault(call_type, {}).setdefault(key, []).append(callback)

    def add_callback(self, call_type: str, callback: Any) -> None:
        """Have a function called at a moment."""
        self.add_callback_with_key(call_type, None, callback)

    def remove_callbacks_with_key(self, call_type: str, key: str) -> None:
        """Take the functions of that name away."""
        self.callbacks.get(call_type, {}).pop(key, None)

    @property
    def wrappers(self) -> dict[str, Any]:
        """Functions around places of the sampler, by place and name."""
        found: dict[str, Any] = transformer_options(self.model_options).setdefault("wrappers", {})
        return found

    @property
    def callbacks(self) -> dict[str, Any]:
        """Functions called at moments, by moment and name."""
        found: dict[str, Any] = transformer_options(self.model_options).setdefault("callbacks", {})
        return found

    # --- parts ------------------------------------------------------------------------------------------------------

    def get_model_object(self, name: str) -> Any:
        """`model_sampling`, `latent_format` and the like."""
        value = self.object_patches.get(name, self.model)
        if value is self.model:
            for part in name.split("."):
                value = getattr(value, part)
        return value

    def add_object_patch(self, name: str, obj: Any) -> None:
        """Put another part in place: `model_sampling`, `latent_format`, or anything that the model has under that name."""
        if "." in name or name not in {*vars(self.model), *dir(BaseModel)}:
            refuse(f"model.add_object_patch({name!r})", "that part of a model, which packs may replace")
        if name == "model_sampling":
            levels: Any = model_sampling.schedule_of(obj)
            self._patching.handle = self.plain_handle.with_parameterization(levels)
        if isinstance(obj, LatentFormat) and obj.engine_format is not None:
            self._patching.handle = self.plain_handle.with_latent(obj.engine_format)
        self.object_patches[name] = obj
        vars(self).pop("_model", None)

    def set_attachments(self, key: str, attachment: Any) -> None:
        """Keep something of the pack's with the model."""
        self.attachments[key] = attachment

    def get_attachment(self, key: str) -> Any:
        """What was kept."""
        return self.attachments.get(key)

    def remove_attachments(self, key: str) -> None:
        """Keep it no longer."""
        self.attachments.pop(key, None)

    # --- weights ----------------------------------------------------------------------------------------------------

    def add_patches(self, patches: Any, strength_patch: float = 1.0, strength_model: float = 1.0) -> list[str]:
        """Change weights: strength_model * weight + strength_patch * patch. Returns the names of those that there are."""
        found = self._patching.add(patches, strength_patch, strength_model)
        for key in found:
            self.patches.setdefault(key, []).append((strength_patch, patches[key], strength_model, None, None))
        self.patches_uuid = uuid.uuid4()
        vars(self).pop("_model", None)
        return found

    def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, Any]:
        """Weights as patches for another model: {name: [(weight, function)]}."""
        return {name: [(weight, _same)] for name, weight in self.model_state_dict(filter_prefix).shared.items()}

    def model_state_dict(self, filter_prefix: str | None = None) -> Lent:
        """The patched weights by the field's names."""
        found: Lent = self.model.state_dict()
        return found.only(filter_prefix or "")

    def model_size(self) -> int:
        """Bytes of the weights; 0, as they are the manager's."""
        return 0

    def memory_required(self, input_shape: Any = None) -> int:
        """Bytes that computing takes; 0, as they are the manager's."""
        return 0

    def model_dtype(self) -> torch.dtype:
        """What it is computed in."""
        return torch.float32

    def model_patches_to(self, device: Any) -> None:
        """Move what packs put around the model, as far as that can be moved."""
        options = transformer_options(self.model_options)
        for functions in options.get("patches", {}).values():
            functions[:] = [_moved(one, device) for one in functions]
        for replaced in options.get("patches_replace", {}).values():
            replaced.update({place: _moved(one, device) for place, one in replaced.items()})
        wrapper = self.model_options.get("model_function_wrapper")
        if wrapper is not None:
            self.model_options["model_function_wrapper"] = _moved(wrapper, device)

    def partially_load(self, *args: Any, **kwargs: Any) -> int:
        """Have it ready; the manager does."""
        return 0

    def patch_model(self, *args: Any, **kwargs: Any) -> Any:
        """Have it ready; the manager does."""
        return self.model

    def unpatch_model(self, *args: Any, **kwargs: Any) -> None:
        """Put it away; the manager does."""

    def detach(self, *args: Any, **kwargs: Any) -> Any:
        """Put it away; the manager does."""
        return self.model

    def current_loaded_device(self) -> torch.device:
        """Where it is."""
        return self.load_device

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("set_model_", "set_injections", "set_hook", "add_hook", "register_")):
            return lambda *args, **kwargs: refuse(f"model.{name}", "that place of a U-Net or of its weights for packs")
        raise AttributeError(f"the model wrapper has no {name!r}")


CoreModelPatcher = ModelPatcher


def plain(handle: ModelHandle) -> ModelHandle:
    """The handle without the functions of packs around it."""
    if not isinstance(handle, HookedModel):
        return handle
    return ModelHandle(**{name: getattr(handle, name) for name in ModelHandle.__struct_fields__})


def _same(weight: Any, *args: Any, **kwargs: Any) -> Any:
    return weight


def _moved(function: Any, device: Any) -> Any:
    return function.to(device) if hasattr(function, "to") else function
