"""`comfy.controlnet`: a control network as packs handle it, around our handle."""

from __future__ import annotations

from typing import Any

from engine.models.handles import ControlNetHandle
from engine.plugins.compat.absent import AbsentMeta, refuse
from engine.plugins.compat.values import Wrapper

_NEEDS = "control networks that packs may take apart"


class ControlBase(Wrapper, metaclass=AbsentMeta):
    """Base of control networks; packs patch its methods."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("comfy.controlnet.ControlBase(…)", _NEEDS)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "handle":
            raise AttributeError(name)
        return lambda *args, **kwargs: refuse(f"control_net.{name}", _NEEDS)


class ControlNet(ControlBase):
    """A control network."""

    @classmethod
    def of(cls, handle: ControlNetHandle) -> ControlNet:
        """The wrapper of a handle."""
        made = cls.__new__(cls)
        made.handle = handle
        return made

    def copy(self) -> ControlNet:
        """One more."""
        return type(self).of(self.handle)


class ControlLora(ControlBase):
    """A control network kept as changes to the denoiser."""


class T2IAdapter(ControlBase):
    """A small control network."""


def load_controlnet(ckpt_path: Any, model: Any = None, model_options: Any = None) -> Any:
    """The control network in a file of its own."""
    from engine.plugins.compat.sd import load_controlnet as load

    return load(ckpt_path, model)
