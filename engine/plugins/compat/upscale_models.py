"""`comfy_extras.chainner_models.model_loading`: upscaling networks, which need the package spandrel; and ours for packs."""

from __future__ import annotations

import copy
import importlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.plugins.compat.absent import refuse
from engine.plugins.compat.running import model_manager
from engine.plugins.compat.values import Wrapper

if TYPE_CHECKING:
    from engine.models.handles import UpscaleHandle


def load_state_dict(state_dict: Any) -> Any:
    """The network of these tensors, by the package spandrel where that is installed."""
    try:
        spandrel: Any = importlib.import_module("spandrel")
    except ImportError:
        refuse(
            "comfy_extras.chainner_models.model_loading.load_state_dict",
            "the Python package spandrel (pip install spandrel)",
        )
    return spandrel.ModelLoader().load_from_state_dict(state_dict).eval()


class UpscaleModel(Wrapper):
    """The network behind a handle of ours, with what spandrel's description of it has."""

    @classmethod
    def of(cls, handle: UpscaleHandle) -> UpscaleModel:
        """The wrapper of a handle; the network is read when it is first used."""
        made = cls.__new__(cls)
        made.handle = handle
        return made

    @cached_property
    def _network(self) -> Any:
        """One of its own: packs move a network to the CPU when they are done with it, or halve its precision."""
        with model_manager().use(self.handle) as upscaler:
            return copy.deepcopy(upscaler.network)

    def to(self, *args: Any, **kwargs: Any) -> UpscaleModel:
        """Move the network; itself."""
        self._network.to(*args, **kwargs)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the network."""
        return self._network(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """All else that the description has: `scale`, `model`, `input_channels`…"""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._network, name)
