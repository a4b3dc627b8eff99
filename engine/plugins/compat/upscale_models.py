"""`comfy_extras.chainner_models.model_loading`: upscaling networks, which need the package spandrel."""

from __future__ import annotations

import importlib
from typing import Any

from engine.plugins.compat.absent import refuse


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
