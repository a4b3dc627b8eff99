"""`comfy.model_patcher`: a denoiser as packs handle it, around our handle. Patches that are data go on; functions do not."""

from __future__ import annotations

import copy
from typing import Any

import torch

from engine.models.handles import ModelHandle
from engine.plugins.compat import latent_formats, model_management
from engine.plugins.compat.absent import refuse
from engine.plugins.compat.model_sampling import ModelSampling
from engine.plugins.compat.values import Wrapper

FUNCTIONS = "hooks that a pack puts inside the denoising network or the guidance"


class BaseModel:
    """What packs look at of a denoiser: its space of latents, its noise levels, its configuration."""

    def __init__(self, handle: ModelHandle) -> None:
        self.handle = handle
        self.latent_format = latent_formats.of(handle.latent)
        self.model_sampling = ModelSampling(handle.parameterization)
        self.model_config = ModelConfig(handle)
        self.concat_keys: tuple[str, ...] = ()
        self.device = model_management.get_torch_device()
        self.manual_cast_dtype = None

    def get_dtype(self) -> torch.dtype:
        """What it is computed in."""
        return torch.float32

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        refuse(f"model.model.{name}", "models that packs may take apart")


class ModelConfig:
    """A denoiser's configuration."""

    def __init__(self, handle: ModelHandle) -> None:
        self.unet_config = dict(handle.config)
        self.latent_format = latent_formats.of(handle.latent)
        self.sampling_settings: dict[str, Any] = {}
        self.manual_cast_dtype = None


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
        self.handle = handle
        self.load_device = model_management.get_torch_device()
        self.offload_device = torch.device("cpu")
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.patches: dict[str, Any] = {}
        self.object_patches: dict[str, Any] = {}
        self.attachments: dict[str, Any] = {}
        self.parent: ModelPatcher | None = None

    @property
    def model(self) -> Any:
        """What packs look at of the network."""
        if "_model" not in vars(self):
            self._model = BaseModel(self.handle)
        return self._model

    def clone(self, *args: Any, **kwargs: Any) -> ModelPatcher:
        """One more, to patch without touching this one."""
        made = type(self).of(self.handle)
        made.model_options = copy.deepcopy(self.model_options)
        made.attachments = dict(self.attachments)
        made.object_patches = dict(self.object_patches)
        made.parent = self
        return made

    def is_clone(self, other: Any) -> bool:
        """Whether both have the same weights."""
        return isinstance(other, ModelPatcher) and other.handle.source == self.handle.source

    def clone_has_same_weights(self, clone: Any) -> bool:
        """Whether both have the same weights and patches."""
        return self.is_clone(clone) and clone.handle.patches == self.handle.patches

    def get_model_object(self, name: str) -> Any:
        """`model_sampling`, `latent_format` and the like."""
        value = self.object_patches.get(name, self.model)
        if value is self.model:
            for part in name.split("."):
                value = getattr(value, part)
        return value

    def add_object_patch(self, name: str, obj: Any) -> None:
        """Put another `model_sampling` in place, if it is one of ours; nothing else can be."""
        parameterization = getattr(obj, "parameterization", None)
        if name != "model_sampling" or parameterization is None:
            refuse(f"model.add_object_patch({name!r})", "parts of a model that packs may replace")
        self.handle = self.handle.with_parameterization(parameterization)
        self.object_patches[name] = obj
        vars(self).pop("_model", None)

    def model_size(self) -> int:
        """Bytes of the weights; 0, as they are the manager's."""
        return 0

    def memory_required(self, input_shape: Any = None) -> int:
        """Bytes that computing takes; 0, as they are the manager's."""
        return 0

    def model_dtype(self) -> torch.dtype:
        """What it is computed in."""
        return torch.float32

    def model_state_dict(self, filter_prefix: str | None = None) -> Any:
        """Its tensors."""
        refuse("model.model_state_dict", "weights that packs may read")

    def add_patches(self, patches: Any, strength_patch: float = 1.0, strength_model: float = 1.0) -> list[str]:
        """Weights of a LoRA by tensor; `comfy.sd.load_lora_for_models` takes a file of them."""
        refuse("model.add_patches", "weights of a pack's own as patches; a LoRA in a file works")

    def set_attachments(self, key: str, attachment: Any) -> None:
        """Keep something of the pack's with the model; it does not reach other nodes."""
        self.attachments[key] = attachment

    def get_attachment(self, key: str) -> Any:
        """What was kept."""
        return self.attachments.get(key)

    def model_patches_to(self, device: Any) -> None:
        """Move what packs attached; there is nothing."""

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
        if name.startswith(("set_model_", "set_injections", "add_wrapper", "add_callback", "add_hook")):
            return lambda *args, **kwargs: refuse(f"model.{name}", FUNCTIONS)
        raise AttributeError(f"the model wrapper has no {name!r}")


CoreModelPatcher = ModelPatcher


def create_model_options_clone(orig_model_options: dict[str, Any]) -> dict[str, Any]:
    """A copy to change."""
    return copy.deepcopy(orig_model_options)


def set_model_options_patch_replace(*args: Any, **kwargs: Any) -> Any:
    """Functions inside the network."""
    refuse("comfy.model_patcher.set_model_options_patch_replace", FUNCTIONS)


def set_model_options_post_cfg_function(*args: Any, **kwargs: Any) -> Any:
    """Functions inside the guidance."""
    refuse("comfy.model_patcher.set_model_options_post_cfg_function", FUNCTIONS)


def set_model_options_pre_cfg_function(*args: Any, **kwargs: Any) -> Any:
    """Functions inside the guidance."""
    refuse("comfy.model_patcher.set_model_options_pre_cfg_function", FUNCTIONS)
