"""Builds the editor into the wheel, so that `pip install` needs no Node.js and no further step."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EditorHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs for wheels and editable installs; a source distribution carries the sources only."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the editor unless it is current. A checkout without web/ (a source archive of the engine) goes without."""
        script = Path(self.root) / "web" / "editor_build.py"
        if not script.is_file():
            return
        spec = importlib.util.spec_from_file_location("editor_build", script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.build()
