"""Further model folders from a YAML file of the field's convention (`extra_model_paths.yaml`).

    anything:
        base_path: ~/models          # optional; else paths are relative to the file
        is_default: true             # optional: searched before the folders of the base directory
        checkpoints: checkpoints
        loras: |                     # several, one a line
            loras
            more/loras
        custom_nodes: nodes

Keys are folder names, old or new; an unknown one becomes a folder of its own. `~` and `$VARIABLES` are expanded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from engine.config import SettingsError
from engine.paths import ExtraFolder

if TYPE_CHECKING:
    import yaml

_TRUE: Final = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class ModelPathsError(SettingsError):
    """A file of model paths that cannot be used; the message names the file, the line, and what was expected."""


def read_model_paths(file: Path) -> list[ExtraFolder]:
    """The folders that `file` names, in its order; none for an empty file. Raises ModelPathsError."""
    import yaml

    file = file.expanduser().absolute()
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelPathsError(f"{file}: cannot be read: {error}.") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ModelPathsError(f"{file}: {line}this is not YAML: {error.problem}. Correct that line.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ModelPathsError(f"{file}: this is not YAML: {error}.") from error
    if root is None:
        return []
    return [folder for name, section in _entries(file, root, "sections") for folder in _section(file, name, section)]


def _section(file: Path, name: str, section: yaml.Node) -> Iterator[ExtraFolder]:
    if _is_nothing(section):
        return
    entries = dict(_entries(file, section, f"folders in the section {name!r}"))
    base, first = file.parent, False
    if (node := entries.pop("base_path", None)) is not None and (paths := _paths(file, node)):
        base = _expanded(paths[0], base)
    if (node := entries.pop("is_default", None)) is not None:
        first = _truth(file, node)
    for folder, node in entries.items():
        for path in _paths(file, node):
            yield ExtraFolder(folder, _expanded(path, base), first)


def _entries(file: Path, node: yaml.Node, what: str) -> Iterator[tuple[str, yaml.Node]]:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        _refuse(file, node, f"{what}, as `name:` with more behind or below it")
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or not key.value:
            _refuse(file, key, "a name before the colon")
        yield key.value, value


def _paths(file: Path, node: yaml.Node) -> list[str]:
    """One path, several lines of one, or a list of them."""
    import yaml

    parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
    found = []
    for part in parts:
        if not isinstance(part, yaml.ScalarNode):
            _refuse(file, part, "a path, or several with one a line")
        if not _is_nothing(part):
            found += [line.strip() for line in part.value.splitlines() if line.strip()]
    if any("\0" in path for path in found):
        _refuse(file, node, "a path without null characters")
    return found


def _truth(file: Path, node: yaml.Node) -> bool:
    value = str(node.value).lower()
    if value not in _TRUE:
        _refuse(file, node, "`true` or `false`")
    return _TRUE[value]


def _is_nothing(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _expanded(path: str, base: Path) -> Path:
    return Path(os.path.normpath(base / Path(os.path.expandvars(path)).expanduser()))


def _refuse(file: Path, node: yaml.Node, expected: str) -> NoReturn:
    kinds = {"mapping": "a section", "sequence": "a list", "scalar": repr(node.value)[:60]}
    came = kinds.get(str(node.id), "something else")
    raise ModelPathsError(
        f"{file}: line {node.start_mark.line + 1}: expected {expected}; got {came}. Correct that line."
    )
