"""`comfy.model_base`: a denoiser as packs look into it, and its network as they call it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from typing import Any

import torch

from engine.denoising.live import live_model, report_to
from engine.denoising.records import LiveModel
from engine.models.handles import ModelHandle
from engine.models.networks.unet_places import Layout
from engine.plugins.compat import latent_formats, model_management, model_sampling
from engine.plugins.compat.absent import refuse, refuse_part
from engine.plugins.compat.lent import Lent
from engine.plugins.compat.network_hooks import inside
from engine.plugins.compat.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers
from engine.plugins.compat.running import current_context
from engine.sampling.denoisers import Occasion, Occasional
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import Callback

_TAKEN_APART = "models that packs may take apart"


class ModelType(Enum):
    """What a network predicts."""

    EPS = 1
    V_PREDICTION = 2
    V_PREDICTION_EDM = 3
    STABLE_CASCADE = 4
    EDM = 5
    FLOW = 6
    V_PREDICTION_CONTINUOUS = 7
    FLUX = 8
    IMG_TO_IMG = 9
    FLOW_COSMOS = 10


_TYPES = {
    "eps": ModelType.EPS,
    "lcm": ModelType.EPS,
    "v": ModelType.V_PREDICTION,
    "x0": ModelType.EDM,
    "img_to_img": ModelType.IMG_TO_IMG,
    "flow": ModelType.FLOW,
    "share": ModelType.FLOW_COSMOS,
}


class ModelConfig:
    """A denoiser's configuration."""

    def __init__(self, handle: ModelHandle) -> None:
        known = NoiseSchedule.of(handle.parameterization).parameterization
        self.unet_config = {
            **handle.config,
            "model_channels": (handle.config.get("block_out_channels") or [0])[0],
            "context_dim": handle.config.get("cross_attention_dim"),
            "image_model": None,
        }
        self.latent_format = latent_formats.of(handle.latent)
        self.sampling_settings: dict[str, Any] = {
            "linear_start": known.beta_start,
            "linear_end": known.beta_end,
            "timesteps": known.timesteps,
            "shift": known.shift,
        }
        if known.schedule == "linear":
            self.sampling_settings["beta_schedule"] = "plain_linear"
        self.manual_cast_dtype = None
        self.custom_operations = None
        self.optimizations: dict[str, bool] = {}


class DiffusionModel:
    """A denoiser's network: called with x already scaled, it returns what it predicts."""

    def __init__(self, model: BaseModel) -> None:
        self._model = model
        self.dtype = torch.float32

    def __call__(
        self,
        x: Any,
        timesteps: Any = None,
        context: Any = None,
        y: Any = None,
        control: Any = None,
        transformer_options: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Return the prediction (B, C, h, w) for x (B, C, h, w), timesteps (B,) and context (B, T, D)."""
        options = {} if transformer_options is None else transformer_options
        wrappers = get_all_wrappers(WrappersMP.DIFFUSION_MODEL, options)
        executor = WrapperExecutor(self._forward, self, wrappers, 0)
        return executor.execute(x, timesteps, context, y, control, options, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the call."""
        return self(*args, **kwargs)

    def _forward(self, x: Any, timesteps: Any, context: Any, y: Any, control: Any, options: Any, **kwargs: Any) -> Any:
        with self._model.network() as network:
            if self._model.layout is None:
                self._model.layout = Layout.of(network.module)
            with inside(self._model.layout, options, x):
                return _on_occasion(network, options)(
                    x, timesteps, context, concat=kwargs.get("concat"), control=control
                )

    def parameters(self) -> Iterator[Any]:
        """Its weights."""
        with self._model.network() as network:
            yield from network.module.parameters()

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Its weights under the names of its file."""
        return self._model.weights("")

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> None:
        """Have the patcher that it belongs to replace those weights that are other than now."""
        patcher, now = self._model.current_patcher, self._model.weights("").shared
        changed = {
            name: value for name, value in state_dict.items() if name in now and not torch.equal(value, now[name])
        }
        if patcher is None:
            refuse("model.model.diffusion_model.load_state_dict", "a patcher around the model")
        patcher.add_patches({f"diffusion_model.{name}": ("set", (value,)) for name, value in changed.items()})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        refuse_part(f"model.model.diffusion_model.{name}", _TAKEN_APART)


class BaseModel:
    """A denoiser: its space of latents, its noise levels, its configuration, and its network."""

    rescale: float = 0.0
    """Our own rescale of the guided prediction; see engine.sampling.guiders.CfgGuidance."""

    def __init__(self, handle: ModelHandle) -> None:
        if not isinstance(handle, ModelHandle):
            refuse(f"comfy.model_base.BaseModel of a {type(handle).__name__}", "models built by a pack")
        self.handle = handle
        self.latent_format = latent_formats.of(handle.latent)
        self.model_sampling = model_sampling.of(handle.parameterization)
        self.model_config = ModelConfig(handle)
        self.model_type = _TYPES[NoiseSchedule.of(handle.parameterization).parameterization.prediction]
        self.diffusion_model = DiffusionModel(self)
        self.concat_keys: tuple[str, ...] = ()
        self.adm_channels = 0
        self.memory_usage_factor = 1.0
        self.device = model_management.get_torch_device()
        self.manual_cast_dtype = None
        self.current_patcher: Any = None
        self.layout: Layout | None = None
        self._running: Any = None

    @property
    def running(self) -> Any:
        """The run that it takes part in (guidance.Running). Raises CompatError when none is going on."""
        if self._running is None:
            refuse("predictions for conditionings outside of a run", "a sampler that is running")
        return self._running

    def run(self, running: Any) -> None:
        """Take part in a run; None: it is over."""
        self._running = running

    @contextmanager
    def network(self) -> Iterator[Any]:
        """The network, held for the block: that of the run going on, else the manager's."""
        if self._running is not None:
            yield self._running.network
            return
        from engine.plugins.compat.running import model_manager

        with model_manager().use(self.handle) as network:
            yield network

    def apply_model(
        self,
        x: Any,
        t: Any,
        c_concat: Any = None,
        c_crossattn: Any = None,
        control: Any = None,
        transformer_options: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Return x_0 (B, C, h, w) for x (B, C, h, w) at the noise levels `t` (B,), under `c_crossattn` (B, T, D)."""
        options = {} if transformer_options is None else transformer_options
        wrappers = get_all_wrappers(WrappersMP.APPLY_MODEL, options)
        executor = WrapperExecutor(self._apply_model, self, wrappers, 0)
        return executor.execute(x, t, c_concat, c_crossattn, control, options, **kwargs)

    def _apply_model(
        self, x: Any, t: Any, c_concat: Any, c_crossattn: Any, control: Any, options: Any, **kwargs: Any
    ) -> Any:
        levels = self.model_sampling
        scaled = levels.calculate_input(t, x)
        predicted = self.diffusion_model(
            scaled,
            levels.timestep(t).float(),
            context=c_crossattn,
            control=control,
            transformer_options=options,
            concat=c_concat,
        )
        return levels.calculate_denoised(t, predicted.to(x.dtype), x)

    def to(self, *args: Any, **kwargs: Any) -> BaseModel:
        """Move it; the manager does. Itself."""
        return self

    def eval(self) -> BaseModel:
        """Prepare it for use, which it always is. Itself."""
        return self

    def get_dtype(self) -> torch.dtype:
        """What it is computed in."""
        return torch.float32

    def is_adm(self) -> bool:
        """Whether it wants a pooled conditioning; none of ours does."""
        return False

    def encode_adm(self, **kwargs: Any) -> None:
        """The pooled conditioning; None."""

    def scale_latent_inpaint(
        self, sigma: Any = None, noise: Any = None, latent_image: Any = None, **kwargs: Any
    ) -> Any:
        """What is kept of a latent under a mask, at a noise level."""
        return self.model_sampling.noise_scaling(sigma, noise, latent_image)

    def process_latent_in(self, latent: Any) -> Any:
        """From the VAE's latents to the network's."""
        return self.latent_format.process_in(latent)

    def process_latent_out(self, latent: Any) -> Any:
        """From the network's latents to the VAE's."""
        return self.latent_format.process_out(latent)

    def memory_required(self, input_shape: Any = None, cond_shapes: Any = None) -> int:
        """Bytes that computing takes; 0, as they are the manager's."""
        return 0

    def state_dict(self) -> Any:
        """Its weights under the names of packs."""
        return self.weights("diffusion_model.")

    def weights(self, prefix: str) -> Lent:
        """The patched weights under the names of its file, behind `prefix`."""
        from engine.models.sd_keys import unet_to_original

        with self.network() as network:
            return Lent(unet_to_original(network.module.state_dict(), self.handle.config, prefix))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        refuse_part(f"model.model.{name}", _TAKEN_APART)


class SDXL(BaseModel):
    """Stable Diffusion XL; packs ask whether a model is one."""


class SDXLRefiner(BaseModel):
    """The refiner of Stable Diffusion XL."""


class SDXL_instructpix2pix(BaseModel):  # noqa: N801 - the field's name
    """Stable Diffusion XL that edits pictures."""


class SD3(BaseModel):
    """Stable Diffusion 3."""


class Flux(BaseModel):
    """Flux."""


@contextmanager
def live(handle: ModelHandle) -> Iterator[tuple[LiveModel, Callback]]:
    """The model of a handle as runs want it, without the hooks of a pack, and what tells the running node of each step."""
    node: Any = current_context()
    with live_model(node.models, handle) as model:
        yield replace(model, hooks=None), report_to(node, handle)


def _on_occasion(network: Any, options: dict[str, Any]) -> Any:
    """The network for calls for the conditions that a pack's options name, where its patches want to know them."""
    if not isinstance(network, Occasional) or not {"sigmas", "cond_or_uncond", "uuids"} <= options.keys():
        return network
    conditions = tuple(options["uuids"])
    return network.on(Occasion(float(options["sigmas"][0]), tuple(options["cond_or_uncond"]), conditions))
