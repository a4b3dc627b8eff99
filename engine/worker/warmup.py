"""Importing what the first picture needs before anybody asks for one."""

from __future__ import annotations

import gc
import importlib
import logging
from collections.abc import Callable
from typing import Final

from engine.jobs.messages import Ready
from engine.worker.devices import devices, own_device
from engine.worker.parts import Engine

FIRST_NODES: Final = ("CheckpointLoader", "TextEncode", "EmptyLatent", "KSampler", "VAEDecode", "SaveImage")
"""Nodes of nearly every picture; loading their modules loads torch and what samples."""

FIRST_MODULES: Final = (
    "engine.models.network",
    "engine.models.text",
    "engine.models.autoencoder",
    "engine.models.weights",
)
"""What they import when they run."""

_log = logging.getLogger("safelight.worker")


def warm_up(engine: Engine, on_ready: Callable[[Ready], None]) -> None:
    """Load torch, tell of it, and go on with what a text-to-image graph imports. A module that fails stops no job."""
    import torch

    on_ready(Ready(str(torch.__version__), devices(own_device())))
    for name in FIRST_NODES:
        if engine.library.catalogue.spec(name) is not None:
            _tried(engine.library.definition, name)
    for module in FIRST_MODULES:
        _tried(importlib.import_module, module)
    gc.freeze()  # modules live as long as the process: no need to look through them at each collection


def _tried(load: Callable[[str], object], name: str) -> None:
    try:
        load(name)
    except Exception:
        _log.warning("%s could not be loaded ahead of time.", name, exc_info=True)
