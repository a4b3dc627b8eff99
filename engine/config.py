"""Settings of one base directory, read from its `safelight.toml` when there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

FILE_NAME: Final = "safelight.toml"
GIB: Final = 1024**3

Gib = Annotated[float, msgspec.Meta(ge=0)]


class SettingsError(ValueError):
    """A settings file, or an option in place of one, that cannot be used; the message names it, and what was expected."""


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the cache may hold, in GiB."""

    ram_gib: Gib = 2.0
    disk_gib: Gib = 8.0


class ExpansionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a run may grow by nodes that expand into others, as loops do: beyond it the loop fails.

    `depth`: how many expansions may be nested, which is the passes of a loop. `mib`: of nodes and values among their inputs.
    """

    nodes: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    depth: Annotated[int, msgspec.Meta(ge=1)] = 2_500
    mib: Annotated[int, msgspec.Meta(ge=1)] = 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`models`: further folders to search, laid out like `models/`. `device`: "auto", "cpu", "cuda", "cuda:1", "mps".

    `disabled_packs`: names of folders or files in `custom_nodes/` that are not loaded.
    `threads`: how many threads tensor maths uses on the CPU; left out, one for each core (`engine.threads`).
    `pack_import_seconds`: a pack whose import takes longer is left out, so that the rest need not wait for it.
    `warm_up`: whether a worker loads torch and what a first picture needs before anybody asks for one.
    """

    models: tuple[str, ...] = ()
    device: Annotated[str, msgspec.Meta(pattern=r"^(auto|cpu|mps|xpu|cuda(:\d+)?)$")] = "auto"
    cache: CacheSettings = CacheSettings()
    expansion: ExpansionSettings = ExpansionSettings()
    disabled_packs: tuple[str, ...] = ()
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    pack_import_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    warm_up: bool = True


class Folders(msgspec.Struct, frozen=True, kw_only=True):
    """Folders that are elsewhere than in the base directory; None: where they are by default."""

    output: Path | None = None
    input: Path | None = None
    temp: Path | None = None
    user: Path | None = None
    models: Path | None = None
    extra_model_paths: tuple[Path, ...] = ()
    """YAML files that name further model folders and folders of node packs."""
    custom_nodes: tuple[Path, ...] = ()
    """Further folders of node packs."""


def load_settings(base: Path) -> Settings:
    """The settings in `base/safelight.toml`, or the defaults. Raises SettingsError for a file that is not sound."""
    path = base / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}.") from error
    import tomllib

    try:
        return msgspec.convert(tomllib.loads(text), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}. Correct that entry, or remove it to get the default.") from error
