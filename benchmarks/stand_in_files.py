"""Tiny files with random weights, under the names that the field's workflows ask for.

What they hold is made by the writers of the tests (`tests/tiny_*.py`, `tests/families.py`), in the layouts in which people have
it; a name that says how its weights are packed (`…_int8_convrot`, `…_fp8_scaled`, `…_w4a8`) gets a file that is packed so.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from engine.models.families.base import named

Write = Callable[[Path], object]
"""Makes a family's files below `base/models`."""

Asked = tuple[str, str]
"""A models folder, and the name of a file in it."""

NETWORKS: Final = ("checkpoints", "diffusion_models")
"""Folders whose files say which family a workflow is of."""

SEEN: Final = 32
"""Width of what tiny image encoders see."""

PICKLES: Final = (".ckpt", ".pt", ".pth", ".bin")


def matches(name: str, patterns: str) -> bool:
    """Whether the name of a file, without folder and ending, fits one of the patterns of a text."""
    stem = Path(name).name.rpartition(".")[0]
    return any(fnmatchcase(stem, pattern) for pattern in patterns.split())


@dataclass(frozen=True)
class StandIn:
    """One family: what writes its files, and for its networks (folder/file) patterns of the names that workflows have."""

    family: str
    write: Write
    networks: Mapping[str, str]

    def network(self, folder: str, name: str) -> str:
        """The file that stands in for a network, "" where it is of another family."""
        here = (one for one, names in self.networks.items() if one.split("/")[0] == folder and matches(name, names))
        return next(here, "")


@dataclass(frozen=True)
class Part:
    """What goes beside networks: `write(target, network)` makes the file for names like these, of some families or of any.

    The family "" is that of workflows without a network. `network` is the file of the network that a workflow has beside, None
    where it has none.
    """

    folder: str
    names: str
    write: Callable[[Path, Path | None], object]
    families: tuple[str, ...] = ()

    def is_for(self, folder: str, name: str, family: str) -> bool:
        """Whether it makes this file in a workflow of this family."""
        return self.folder == folder and matches(name, self.names) and (not self.families or family in self.families)


@dataclass
class Shelf:
    """The files of families, each written once below `folder`, and found by the names that workflows ask for."""

    folder: Path
    families: Iterable[StandIn]
    parts: Iterable[Part]

    def families_of(self, asked: Iterable[Asked]) -> list[StandIn]:
        """The families whose networks are among these, each once, in the table's order."""
        return [one for one in self.families if any(one.network(*this) for this in asked)]

    def find(self, asked: Iterable[Asked]) -> tuple[dict[Asked, Path], list[Asked]]:
        """Which file stands in for each of these, written when it was not yet; and those that nothing here stands in for."""
        wanted = sorted(set(asked), key=lambda one: (one[0] not in NETWORKS, one))
        families = self.families_of(wanted)
        found: dict[Asked, Path] = {}
        networks: dict[str, Path] = {}
        for folder, name in wanted:
            places = ((one, self._source(one, folder, name, networks)) for one in [*families, None])
            one, source = next((pair for pair in places if pair[1]), (None, None))
            if source is not None:
                found[folder, name] = self._packed(source, folder, name)
                networks.setdefault(one.family if one else "", source)
        return found, [one for one in wanted if one not in found]

    def tokenizers(self, asked: Iterable[Asked]) -> Iterator[tuple[Asked, Path]]:
        """Yield the tokenizers that lie in folders of their own, of the families of these."""
        for one in self.families_of(asked):
            encoders = self._base(one) / "models" / "text_encoders"
            for path in encoders.glob("*/*"):
                yield ("text_encoders", path.relative_to(encoders).as_posix()), path

    def _base(self, stand_in: StandIn) -> Path:
        base = self.folder / stand_in.family
        if not (base / "whole").exists():
            shutil.rmtree(base, ignore_errors=True)
            base.mkdir(parents=True)
            stand_in.write(base)
            (base / "whole").touch()
        return base

    def _source(self, stand_in: StandIn | None, folder: str, name: str, networks: Mapping[str, Path]) -> Path | None:
        family = stand_in.family if stand_in else ""
        models = (self._base(stand_in) if stand_in else self.folder) / "models"
        if folder in NETWORKS:
            file = stand_in.network(folder, name) if stand_in else ""
            return models / f"{file}.safetensors" if file else None
        if part := next((one for one in self.parts if one.is_for(folder, name, family)), None):
            target = self.folder / (family or "any") / "parts" / folder / Path(name).name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                part.write(target, networks.get(family))
            return target if target.exists() else None
        return nearest(models / folder, name) if stand_in else None

    def _packed(self, source: Path, folder: str, name: str) -> Path:
        """The same with its weights packed as the name says; one for networks' weights, as VAEs are not."""
        if folder not in (*NETWORKS, "text_encoders") or source.parent.parent.name == "parts":
            return source
        way = next((way for word, way in WAYS if word in name), None)
        if way is None:
            return source
        target = source.parents[2] / "packed" / folder / f"{Path(name).name}.safetensors"
        if not target.exists():
            _pack(source, target, way, "model.diffusion_model." if folder == "checkpoints" else "")
        return target


def nearest(folder: Path, name: str) -> Path | None:
    """The file of a folder whose name has most of its beginning in common with `name`; None where there is no file."""
    files = sorted(folder.glob("*.safetensors"))
    return max(files, key=lambda one: _in_common(one.stem, Path(name).name), default=None)


def _in_common(one: str, other: str) -> int:
    """How many characters two names begin with alike."""
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


WAYS: Final = (
    ("int8_convrot", ("int8", {"group": 4}, {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 4})),
    ("w4a8", ("grouped", {}, {"format": "w4a8_int8", "convrot_groupsize": 4})),
    ("fp8_scaled", ("fp8", {"scale": "weight_scale"}, {"format": "float8_e4m3fn"})),
    ("fp8mixed", ("fp8", {"scale": "weight_scale"}, {"format": "float8_e4m3fn"})),
    ("fp8_mixed", ("fp8", {"scale": "weight_scale"}, {"format": "float8_e4m3fn"})),
    ("e4m3fn_scaled", ("fp8", {"scale": "scale_weight"}, None)),
    ("fp8", ("fp8", {}, None)),
)
"""Word in a name → the writer of the tests, its arguments, and what the file tells of its layers."""


def _pack(source: Path, target: Path, way: tuple[str, Mapping[str, Any], Any], prefix: str) -> None:
    from tests.tiny_packed import write_both

    name, given, told = way
    pack = named(f"tests.tiny_packed:{name}")(**given)
    packed, plain = write_both(
        source, lambda module, weight: None if weight.shape[1] % 4 else pack(module, weight), told, prefix=prefix
    )
    plain.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    packed.replace(target)


class Base:
    """A base directory, in which a name stands for one file: what needs another file of that name goes into another base."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[Asked, str] = {}

    def takes(self, files: Mapping[Asked, Path]) -> bool:
        """Whether none of these names stands for something else here."""
        return all(self.kept.get(name, mark) == mark for name, mark in _marks(files).items())

    def add(self, files: Mapping[Asked, Path]) -> None:
        """Put the files under their names."""
        for (folder, name), mark in _marks(files).items():
            if (folder, name) not in self.kept:
                self.kept[folder, name] = mark
                _place(files[folder, name], self.folder / "models" / folder / name)


def room(bases: list[Base], files: Mapping[Asked, Path], parent: Path) -> Base:
    """The first base that takes the files, a new one below `parent` where none does; they are put into it."""
    found = next((one for one in bases if one.takes(files)), None)
    if found is None:
        found = Base(parent / f"base{len(bases) + 1}")
        bases.append(found)
    found.add(files)
    return found


def _marks(files: Mapping[Asked, Path]) -> dict[Asked, str]:
    return {name: _mark(path) for name, path in files.items()}


def _mark(path: Path) -> str:
    """What makes two files of a name the same: names and shapes of tensors with what is told of them, or else their bytes."""
    from engine.models.checkpoints import read_header

    if path.suffix != ".safetensors":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    header = read_header(path)
    return repr((sorted(header.shapes.items()), sorted(header.metadata.items())))


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix in PICKLES and source.suffix not in PICKLES:
        _pickled(source, target)
    else:
        shutil.copy(source, target)


def _pickled(source: Path, target: Path) -> None:
    """The tensors of a file as older files have them. What its metadata tells is lost."""
    import torch

    from engine.models.checkpoints import load_tensors

    torch.save({"state_dict": {name: one.clone() for name, one in load_tensors(source).items()}}, target)


def placeholder(target: Path) -> None:
    """A file that holds nothing which is read here."""
    import torch
    from safetensors.torch import save_file

    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix in PICKLES:
        torch.save({"nothing": torch.zeros(1)}, target)
    else:
        save_file({"nothing": torch.zeros(1)}, target)
