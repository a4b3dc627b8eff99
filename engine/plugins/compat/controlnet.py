"""`comfy.controlnet`: a control network as packs handle it, around our handle."""

from __future__ import annotations

from typing import Any

from engine.models.handles import ControlNetHandle
from engine.plugins.compat.absent import AbsentMeta, refuse, refuse_part
from engine.plugins.compat.values import Wrapper

_NEEDS = "control networks that packs may take apart"


class ControlBase(Wrapper, metaclass=AbsentMeta):
    """Base of control networks; packs patch its methods."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("comfy.controlnet.ControlBase(…)", _NEEDS)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "handle":
            raise AttributeError(name)
        refuse_part(f"control_net.{name}", _NEEDS)


class ControlNet(ControlBase):
    """A control network, and what it is used with; under `control` in a conditioning it steers runs of our sampler.

    The names of `hint` (B, 3, H, W), `strength`, `start_percent`, `end_percent`, `previous`, `vae`, `mask`, `fill` and `away`
    are those of ControlUse.
    """

    hint: Any = None
    strength: float = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    previous: Any = None
    vae: Any = None
    mask: Any = None
    fill: Any = None
    away: Any = None

    @classmethod
    def of(cls, handle: ControlNetHandle) -> ControlNet:
        """The wrapper of a handle."""
        made = cls.__new__(cls)
        made.handle = handle
        return made

    def copy(self) -> ControlNet:
        """One more, to use without touching this one."""
        made = type(self).of(self.handle)
        vars(made).update(vars(self))
        return made

    def set_cond_hint(
        self,
        cond_hint: Any,
        strength: float = 1.0,
        timestep_percent_range: tuple[float, float] = (0.0, 1.0),
        vae: Any = None,
        extra_concat: Any = None,
        **kwargs: Any,
    ) -> ControlNet:
        """Steer by a picture (B, 3, H, W) in 0..1 during a part of the sampling; itself.

        `extra_concat`: a mask (B, 1, H, W) of what is kept, for networks that take one.
        """
        from engine.plugins.compat.values import from_pack

        self.hint, self.strength = cond_hint[:, :3], float(strength)
        self.vae = None if vae is None else from_pack(vae)
        self.mask = 1.0 - extra_concat[0] if extra_concat else None
        self.start_percent, self.end_percent = map(float, timestep_percent_range)
        return self

    def set_previous_controlnet(self, controlnet: Any) -> ControlNet:
        """Add to what another gives; itself."""
        self.previous = controlnet
        return self

    @property
    def cond_hint_original(self) -> Any:
        """The picture."""
        return self.hint

    @property
    def timestep_percent_range(self) -> tuple[float, float]:
        """During which part of the sampling."""
        return self.start_percent, self.end_percent

    @property
    def previous_controlnet(self) -> Any:
        """What it adds to."""
        return self.previous

    def cleanup(self) -> None:
        """Put it away; the manager does."""

    def get_models(self) -> list[Any]:
        """The models to load; the manager has them."""
        return []


class ControlLora(ControlBase):
    """A control network kept as changes to the denoiser."""


class T2IAdapter(ControlBase):
    """A small control network."""


def load_controlnet(ckpt_path: Any, model: Any = None, model_options: Any = None) -> Any:
    """The control network in a file of its own."""
    from engine.plugins.compat.sd import load_controlnet as load

    return load(ckpt_path, model)
