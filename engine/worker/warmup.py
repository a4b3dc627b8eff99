"""Importing what the first picture needs before anybody asks for one."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
import time
from collections.abc import Callable
from typing import Final

from engine.jobs.messages import Ready
from engine.worker.devices import devices, own_device
from engine.worker.parts import Engine

FIRST_NODES: Final = ("CheckpointLoaderSimple", "TextEncode", "EmptyLatent", "KSampler", "VAEDecode", "SaveImage")
"""Nodes of nearly every picture; loading their modules loads torch and what samples."""

FIRST_MODULES: Final = (
    "engine.models.manager",
    "engine.models.network",
    "engine.models.text",
    "engine.models.autoencoder",
    "tokenizers.models",
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.models.autoencoders.autoencoder_kl",
    "transformers.models.clip.modeling_clip",
)
"""What they import when they run: seconds' worth."""

SWITCH_SECONDS: Final = 0.0005
"""How long an importing thread keeps another one waiting: a tenth of what is usual."""

PAUSE_SECONDS: Final = 0.05

_log = logging.getLogger("safelight.worker")


def warm_up(engine: Engine, on_ready: Callable[[Ready], None], busy: Callable[[], bool]) -> None:
    """Load torch, tell of it, and go on with what a text-to-image graph imports, but not while a job runs.

    What fails to load stops no job: the node that needs it will say so.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        if _tried(tell_torch, on_ready):
            for name in FIRST_NODES:
                if engine.library.catalogue.spec(name) is not None:
                    _wait_while(busy)
                    _tried(engine.library.definition, name)
            for module in FIRST_MODULES:
                _wait_while(busy)
                _tried(importlib.import_module, module)
    finally:
        sys.setswitchinterval(usual)
    gc.freeze()  # modules live as long as the process: no need to look through them at each collection


def tell_torch(on_ready: Callable[[Ready], None]) -> None:
    """Tell of torch and the devices that it sees; it is loaded for that if no job has done so."""
    import torch

    on_ready(Ready(str(torch.__version__), devices(own_device())))


def _wait_while(busy: Callable[[], bool]) -> None:
    while busy():
        time.sleep(PAUSE_SECONDS)


def _tried(load: Callable[..., object], what: object) -> bool:
    try:
        load(what)
    except Exception:
        _log.warning("%s failed ahead of time.", getattr(load, "__name__", "Loading"), exc_info=True)
        return False
    return True
