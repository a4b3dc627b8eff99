"""Tiny files with random weights, under the names that the field's workflows ask for.

What they hold is made by the writers of the tests (`tests/tiny_*.py`, `tests/families.py`), in the layouts in which people have
it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.models.families.base import named

Write = Callable[[Path], object]
"""Makes a family's files below `base/models`."""


def listed(text: str) -> tuple[str, ...]:
    """The names of files in a text, those without an ending as safetensors."""
    endings = (".ckpt", ".sft", ".pth")
    return tuple(one if one.endswith(endings) else f"{one}.safetensors" for one in text.split())


@dataclass(frozen=True)
class StandIn:
    """One family: what writes its files, and for each of them (folder/file) the names that workflows have.

    Those of `networks` say that a workflow is this family's. `loras`: names of LoRAs for the file `lora_of`.
    """

    family: str
    write: Write
    networks: Mapping[str, Sequence[str]]
    parts: Mapping[str, Sequence[str]]
    lora_of: str = ""
    loras: Sequence[str] = field(default_factory=tuple)

    def is_asked_for(self, asked: set[str]) -> bool:
        """Say whether one of the files that are named is a network of this family."""
        return any(not asked.isdisjoint(names) for names in self.networks.values())

    def place(self, base: Path) -> None:
        """Write its files below `base/models` under all of their names. Raises FileNotFoundError for one that is not written."""
        self.write(base)
        models = base / "models"
        for source, names in (*self.networks.items(), *self.parts.items()):
            for name in names:
                target = models / source.split("/")[0] / name
                if target.suffix == ".safetensors" and target.name != Path(source).name:
                    shutil.copy(models / source, target)
                elif target.name != Path(source).name:
                    _pickled(models / source, target)
        for name in self.loras:
            write_lora(models / self.lora_of, models / "loras" / name)


def _pickled(source: Path, target: Path) -> None:
    """The tensors of a file as older files have them. What its metadata tells is lost."""
    import torch

    from engine.models.checkpoints import load_tensors

    torch.save({"state_dict": {name: one.clone() for name, one in load_tensors(source).items()}}, target)


def write_lora(network: Path, target: Path) -> None:
    """A LoRA that hardly changes anything, in the names of the original layout, on a few weights of a network."""
    import torch
    from safetensors.torch import save_file

    from engine.models.checkpoints import read_header

    generator, tensors = torch.Generator().manual_seed(3), {}
    shapes = {
        name: one for name, one in read_header(network).shapes.items() if len(one) == 2 and name.endswith("weight")
    }
    for name, (rows, columns) in list(shapes.items())[-8:]:
        module = f"diffusion_model.{name.removeprefix('model.diffusion_model.').removesuffix('.weight')}"
        tensors[f"{module}.lora_A.weight"] = torch.randn(2, columns, generator=generator) * 0.01
        tensors[f"{module}.lora_B.weight"] = torch.randn(rows, 2, generator=generator) * 0.01
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target)


def _clip(base: Path) -> tuple[tuple[Path, Path], str]:
    """The files of a small vocabulary for CLIP's towers, and the same as a tokenizer.json."""
    from tests.conftest import _tokenizer_json, _write_tokenizer

    shutil.rmtree(base / "vocabulary", ignore_errors=True)
    files = _write_tokenizer(base / "vocabulary")
    text = _tokenizer_json(files)
    folder = base / "models" / "text_encoders" / "clip"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(text)
    return files, text


def plain(writer: str, **told: Any) -> Write:
    """What a writer of the tests, `module:name`, writes."""
    return lambda base: named(writer)(base, **told)


def with_clip(writer: str, **told: Any) -> Write:
    """The same of one that is given CLIP's vocabulary, and may put it into its folder itself."""

    def made(base: Path) -> None:
        files, text = _clip(base)
        shutil.rmtree(base / "models" / "text_encoders")
        named(writer)(base, files, text, **told)
        _clip(base)

    return made


def sd1(base: Path) -> None:
    import torch

    _clip(base)
    torch.manual_seed(7)
    named("tests.conftest:_write_tiny_sd")(base)


def sdxl(base: Path) -> None:
    """The base model and its refiner, which workflows run after one another."""
    folder, write = base / "models" / "checkpoints", with_clip("tests.families:write_xl", refiner=True)
    write(base)
    (folder / "xl.safetensors").rename(folder / "refiner.safetensors")
    with_clip("tests.families:write_xl")(base)


def with_clip_json(writer: str, **told: Any) -> Write:
    """The same of one that is given CLIP's tokenizer.json, and may put it into its folder itself."""

    def made(base: Path) -> None:
        _, text = _clip(base)
        shutil.rmtree(base / "models" / "text_encoders")
        named(writer)(base, text, **told)

    return made
