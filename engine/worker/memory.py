"""What this process holds in memory, and letting go of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from engine.jobs.messages import Device
from engine.paths import MODEL_FOLDERS, Paths
from engine.worker.devices import device, own_device
from engine.worker.parts import Engine

LOOK_SECONDS: Final = 0.5
"""How old what is told of the device may be: asking takes longer than many a job."""


class Holdings:
    """The models in memory by `folder/name`, and how full the device is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._names: dict[str, str | None] = {}
        self._device: Device | None = None
        self._looked = 0.0
        self.own = ""
        """The device, once torch is loaded."""

    def models(self) -> list[str]:
        """Names of the model files that are loaded; none is loaded for this."""
        manager = self._engine.models
        if manager is None:
            return []
        names = (self._name(fact.path) for fact in manager.loaded())
        return list(dict.fromkeys(name for name in names if name is not None))

    def device(self, *, now: bool = False) -> Device | None:
        """The device, `now` or some moments ago; None as long as torch is not loaded."""
        if not self.own:
            return None
        if now or self._device is None or time.monotonic() - self._looked > LOOK_SECONDS:
            self._device, self._looked = device(self.own), time.monotonic()
        return self._device

    def torch_loaded(self) -> None:
        """Torch can be asked from now on."""
        self.own = own_device()

    def free(self, *, unload_models: bool, free_memory: bool) -> None:
        """Let go of models, and of values in RAM."""
        if free_memory:
            self._engine.cache.flush()
            self._engine.cache.trim()
        manager = self._engine.models
        if unload_models and manager is not None:
            manager.free()
        if self.own:
            from engine.models.memory import release

            release()

    def _name(self, path: str) -> str | None:
        if path not in self._names:
            self._names[path] = model_name(self._engine.paths, Path(path))
        return self._names[path]


def model_name(paths: Paths, path: Path) -> str | None:
    """`folder/name` of a model file, as inputs of nodes name it; None for a file that is in no model folder."""
    for folder in MODEL_FOLDERS:
        for root in paths.folders(folder):
            if path.is_relative_to(root):
                return f"{folder}/{path.relative_to(root).as_posix()}"
    return None
