"""Every module imports alone, and the core does so without torch."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import engine
import nodes

ROOT = Path(engine.__file__).resolve().parent.parent

TORCH_FREE = (
    *("engine.datatypes", "engine.graph", "engine.authoring", "engine.api", "engine.cache", "engine.execute"),
    *("engine.jobs", "engine.server", "engine.remote", "engine.media.embedded", "engine.media.containers"),
)
TORCH_FREE_ALONE = (
    *("engine.cli", "engine.paths", "engine.model_paths", "engine.plugins", "engine.worker"),
    *("engine.sampling.names", "engine.models.handles", "engine.denoising.guided"),
    *("engine.build", "engine.calls", "engine.client", "engine.local"),
)


IN_A_WORKER = "engine.plugins.compat."
"""Modules that stand in for those of the field: they import torch, and only where the shim is installed."""


def modules_below(package: object) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")  # type: ignore[attr-defined]
    names = (module.name for module in found if not module.name.endswith("__main__"))
    return sorted(name for name in names if not name.startswith(IN_A_WORKER))


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)


def test_the_core_imports_without_torch_diffusers_or_transformers() -> None:
    names = [name for name in modules_below(engine) if name.startswith((*TORCH_FREE, *TORCH_FREE_ALONE))]
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    heavy = {{"torch", "diffusers", "transformers"}} & set(sys.modules)
    assert not heavy, f"{{name}} imported {{heavy}}"
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", [engine, nodes], ids=["engine", "nodes"])
def test_each_module_imports_with_no_other_module_of_ours_imported_before(package: object) -> None:
    # One process; our own modules are forgotten before each import, libraries are kept.
    code = f"""
import importlib, sys
import torch
failures = []
for name in {modules_below(package)!r}:
    for loaded in [m for m in sys.modules if m.split(".")[0] in ("engine", "nodes")]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except Exception as error:
        failures.append(f"{{name}}: {{type(error).__name__}}: {{error}}")
assert not failures, failures
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_no_module_reaches_up_by_a_name_that_the_import_rules_do_not_see() -> None:
    upward = re.compile(r"""(?:import_module|__import__|find_spec)\(\s*f?["'](nodes|engine\.(?:cli|server|worker))\b""")
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in sorted((ROOT / "engine").rglob("*.py"))
        if file.relative_to(ROOT).parts[1] not in ("cli", "server", "worker")
        for name in upward.findall(file.read_text(encoding="utf-8"))
    }
    assert found == set()
