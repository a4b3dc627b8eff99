"""What `safelight doctor` looks at in the base directory: folders, models, node packs, the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.cli.findings import Finding
from engine.listings import walk
from engine.paths import MODEL_FOLDERS, Paths
from engine.processes import python_command, python_environment

if TYPE_CHECKING:
    from engine.cli.app import App

WRITTEN: Final = ("output", "input", "temp", "user")
GIB: Final = 2**30
FEW_BYTES: Final = 2 * GIB
NO_BYTES: Final = GIB // 10
PACKS_SECONDS: Final = 300
MOST_LINKS: Final = 20


def examine_folders(paths: Paths) -> Iterator[Finding]:
    """Whether we can write where we must, how much room there is, and which models are there."""
    yield Finding("base", "ok", str(paths.base))
    folders = {name: Path(getattr(paths, name)) for name in WRITTEN} | {"cache": paths.cache}
    for name, folder in folders.items():
        there = _nearest(folder)
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            other = "another --base-directory" if name == "cache" else f"another with --{name}-directory"
            advice = f"Let this user write there, or choose {other}."
            yield Finding("folders", "fail", f"{name}: {folder} cannot be written", advice)
    devices = {_nearest(folder).stat().st_dev: _nearest(folder) for folder in folders.values()}
    for there in devices.values():
        yield _room(there)
    yield from _models(paths)


def examine_links(paths: Paths) -> Iterator[Finding]:
    """Links in the folders of models and files that lead nowhere; those of packs are told with the packs."""
    folders = (folder for name in paths.model_folders() for folder in paths.folders(name))
    places = dict.fromkeys((*paths.model_roots, *folders, *(Path(getattr(paths, name)) for name in WRITTEN)))
    broken = dict.fromkeys(link for place in places for link in _broken_links(place))
    for link in list(broken)[:MOST_LINKS]:
        text = f"{link} is a link to {Path(link).readlink()}, which is not there"
        yield Finding("links", "warn", text, "Put the file there (is its disk mounted?), mend the link, or remove it.")
    if len(broken) > MOST_LINKS:
        yield Finding("links", "warn", f"{len(broken) - MOST_LINKS} more links lead nowhere", "They are all skipped.")


def _broken_links(place: Path) -> Iterator[str]:
    if place.is_symlink() and not place.exists():
        yield str(place)
    for step in walk(place):
        yield from (one.path for one in step.files if one.is_symlink() and not os.path.exists(one.path))  # noqa: PTH110


def examine_packs(paths: Paths) -> Iterator[Finding]:
    """The nodes and what is wrong with packs, asked in a process of its own, since reading them may import them."""
    command = python_command("-m", "engine", "nodes", "--json", "--base-directory", str(paths.base))
    try:
        asked = subprocess.run(
            command, capture_output=True, timeout=PACKS_SECONDS, check=False, text=True, env=python_environment()
        )
        facts: dict[str, Any] = json.loads(asked.stdout)
        nodes, problems, packs = facts["nodes"], facts["problems"], facts["packs"]
    except (subprocess.TimeoutExpired, ValueError, KeyError) as error:
        advice = "`safelight nodes --debug` shows where it happens."
        yield Finding("packs", "fail", f"the node packs cannot be read: {error}", advice)
        return
    yield Finding("packs", "ok", f"{len(nodes)} nodes in {len({one.get('module') for one in nodes})} modules")
    for one in problems:
        advice = "Repair or remove it; the other packs work."
        yield Finding("packs", "warn", f"{one['pack']}: {' '.join(one['message'].split())}", advice)
    for one in packs:
        for note in one["notes"]:
            yield Finding("packs", "warn", f"{one['pack']}: {note}", "The pack works, and so do the others.")


def examine_cache(app: App) -> Iterator[Finding]:
    """How much is remembered."""
    import logging

    logging.getLogger("engine.cache").addHandler(logging.NullHandler())  # its warnings are findings
    opened = app.open_cache(True)
    try:
        info = opened.info()
    finally:
        opened.close()
    limit = app.settings.cache.disk_gib
    yield Finding("cache", "ok", f"{info.actions:,} results, {info.disk_bytes / GIB:.2f} of {limit:g} GiB")
    for warning in opened.take_warnings():
        yield Finding("cache", "warn", warning, "`safelight cache clear` makes it anew.")


def _room(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    text = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free at {folder}"
    if usage.free < NO_BYTES:
        return Finding("disk", "fail", text, "Free some space: jobs are not accepted on a full disk.")
    if usage.free < FEW_BYTES:
        return Finding("disk", "warn", text, "Free some space, or make the cache smaller in safelight.toml.")
    return Finding("disk", "ok", text)


def _models(paths: Paths) -> Iterator[Finding]:
    counts = {folder: len(paths.folder_files(folder)) for folder in MODEL_FOLDERS}
    listed = ", ".join(f"{count} {folder}" for folder, count in counts.items() if count)
    if counts["checkpoints"] or counts["diffusion_models"] or counts["diffusers"]:
        yield Finding("models", "ok", listed)
    else:
        where = paths.folders("checkpoints")[0]
        yield Finding(
            "models", "warn", f"no checkpoints{', but ' + listed if listed else ''}", f"Put one into {where}."
        )


def _nearest(folder: Path) -> Path:
    """The folder, or the first one above it that exists."""
    return next((one for one in (folder, *folder.parents) if one.exists()), folder)
