"""What `safelight doctor` looks at outside of the base directory: versions, devices, SQLite, the port."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any, Final

from engine.cli.findings import Finding
from engine.processes import python_command, python_environment

PACKAGES: Final = (
    ("torch", "diffusers", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "pillow", "av")
    + ("msgspec", "xxhash", "networkx", "aiohttp", "sqlalchemy", "pyyaml", "prometheus-client", "psutil", "rich")
    + (() if sys.platform == "win32" else ("uvloop",))
)

OLDEST_PYTHON: Final = (3, 11)
OLDEST_SQLITE: Final = (3, 35)
PROBE_SECONDS: Final = 120
"""Importing torch can take long from a cold disk."""

PROBE: Final = """
import json, sys
import torch
from engine.worker.devices import devices, own_device
found = []
for one in devices(own_device()):
    place = one.type if one.index is None else f"{one.type}:{one.index}"
    try:
        total = float(torch.ones(8, 8, device=place).sum())
        error = "" if total == 64 else f"adding up 64 ones gave {total}"
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    found.append({"name": one.name, "type": one.type, "total": one.vram_total, "free": one.vram_free, "error": error})
print("\\n" + json.dumps({"cuda": torch.version.cuda or torch.version.hip, "devices": found}))
"""


def examine_versions() -> Iterator[Finding]:
    """Python, Safelight and the packages it stands on."""
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield Finding("python", "fail", f"{python} is too old", "Use Python 3.11 or newer.")
    else:
        yield Finding("python", "ok", f"{python}  {sys.executable}")
    versions = {name: _version(name) for name in ("safelight", *PACKAGES)}
    yield Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in versions.items() if version))
    missing = [name for name, version in versions.items() if version is None and name != "safelight"]
    if missing:
        yield Finding("packages", "fail", f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")


def examine_devices() -> Iterator[Finding]:
    """What torch can compute on, asked in a process of its own: a broken torch is a finding, not the end."""
    driver = _nvidia_driver()
    if driver:
        yield Finding("driver", "ok", f"NVIDIA {driver}")
    try:
        probe = subprocess.run(
            python_command("-c", PROBE),
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
            text=True,
            env=python_environment(),
        )
    except subprocess.TimeoutExpired:
        yield Finding(
            "devices", "fail", f"importing torch takes more than {PROBE_SECONDS} s", "Look at the disk and the driver."
        )
        return
    if probe.returncode:
        yield Finding("devices", "fail", _torch_problem(probe), "Install torch again: https://pytorch.org/get-started")
        return
    yield from _devices(json.loads(probe.stdout.splitlines()[-1]), driver)


def _devices(facts: dict[str, Any], driver: str) -> Iterator[Finding]:
    for one in facts["devices"]:
        memory = f"{one['name']}, {_gib(one['free'])} of {_gib(one['total'])} GiB free"
        if one["error"]:
            yield Finding("devices", "fail", f"{memory}: {one['error']}", "Start with --cpu, or repair the driver.")
        else:
            yield Finding("devices", "ok", memory)
    if driver and all(one["type"] == "cpu" for one in facts["devices"]):
        built = f"is built for CUDA {facts['cuda']}" if facts["cuda"] else "is built without CUDA"
        yield Finding(
            "devices",
            "warn",
            f"there is an NVIDIA GPU that torch does not use: it {built}",
            "Install the build of torch for this driver: https://pytorch.org/get-started",
        )


def examine_database() -> Iterator[Finding]:
    """The SQLite library, which keeps queue and cache."""
    import sqlite3

    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        yield Finding(
            "sqlite", "fail", f"{sqlite3.sqlite_version} is older than {oldest}", "Use a newer build of Python."
        )
    else:
        yield Finding("sqlite", "ok", sqlite3.sqlite_version)


def examine_port(port: int) -> Iterator[Finding]:
    """Whether `safelight serve` could listen, and who does if not."""
    from engine.server.binding import bind, listener
    from engine.server.options import LOOPBACK, OptionsError

    who = listener(LOOPBACK, port) if port else None
    if who is not None:
        ours = "Safelight" in who
        advice = "" if ours else f"Use another one: safelight serve --port {port + 1}"
        yield Finding("port", "ok" if ours else "warn", f"{port}: {who} answers there", advice)
        return
    try:
        for one in bind((LOOPBACK,), port):
            one.close()
        yield Finding("port", "ok", f"{port} is free")
    except OptionsError as error:
        yield Finding("port", "warn", str(error))


def _torch_problem(probe: subprocess.CompletedProcess[str]) -> str:
    said = probe.stderr.strip().splitlines()
    how = f"signal {-probe.returncode}" if probe.returncode < 0 else f"exit code {probe.returncode}"
    return f"torch does not work ({how}): {said[-1] if said else 'it said nothing'}"


def _nvidia_driver() -> str:
    """Version of the driver; empty when there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        asked = subprocess.run(command, capture_output=True, timeout=20, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = asked.stdout.strip().splitlines()
    return lines[0].strip() if asked.returncode == 0 and lines else ""


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}"
