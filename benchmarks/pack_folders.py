"""Packs of others, unmodified: do they register, does a picture made beside them stay the same, do their nodes run?

    python benchmarks/pack_folders.py FOLDER... [--skip NODE]...

Each FOLDER is a pack (a checkout; none is fetched here). The packs are loaded together, in a base directory of their own,
in one process; the picture is made by the bundled model in a process without packs first, and compared bit by bit. Then every
node whose inputs can be made from constants, the core nodes and the bundled model runs once, by itself, at its defaults. Prints a
line per pack as a row of a Markdown table, and what went wrong with each node.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
DEEPEST: Final = 3
"""How many nodes deep an input is made."""

PICTURE: Final[dict[str, Any]] = {
    "c": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "emoji-64.safetensors"}},
    "p": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["c", 1], "text": "red apple"}},
    "n": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["c", 1], "text": ""}},
    "l": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "k": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["c", 0],
            "positive": ["p", 0],
            "negative": ["n", 0],
            "latent_image": ["l", 0],
            "seed": 7,
            "steps": 8,
            "cfg": 3.0,
            "sampler_name": "dpmpp_2m",
            "scheduler": "karras",
            "denoise": 1.0,
        },
    },
    "v": {"class_type": "VAEDecode", "inputs": {"samples": ["k", 0], "vae": ["c", 2]}},
    "s": {"class_type": "SaveImage", "inputs": {"images": ["v", 0], "filename_prefix": "beside"}},
}

MADE: Final[dict[str, list[Any]]] = {
    "MODEL": ["c", 0],
    "CLIP": ["c", 1],
    "VAE": ["c", 2],
    "CONDITIONING": ["p", 0],
    "LATENT": ["l", 0],
    "IMAGE": ["image", 0],
    "MASK": ["mask", 0],
    "*": ["image", 0],
}
CORE: Final = {
    "image": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 4227200}},
    "mask": {"class_type": "SolidMask", "inputs": {"value": 0.5, "width": 64, "height": 64}},
}
CONSTANTS: Final = {"INT": 1, "FLOAT": 1.0, "STRING": "a text", "BOOLEAN": True, "NUMBER": 1}


class Row(NamedTuple):
    """What is told of a pack."""

    registered: int
    ran: int
    tried: int
    failures: dict[str, str]


class CannotBeMadeError(Exception):
    """An input of a type that nothing at hand makes."""


def main() -> None:
    """Load, run, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", nargs="*", type=Path)
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child is not None:
        _in_child(options.child, options.skip)
        return
    alone = _asked([], [])
    together = _asked(options.packs, options.skip)
    same = alone["picture"] == together["picture"]
    print(f"picture: {'the same bits' if same else 'DIFFERENT'} with and without the packs\n")
    print("| pack | registered | ran of tried | what was missing |\n| --- | --- | --- | --- |")
    for name, row in together["packs"].items():
        print(f"| {name} | {row['registered']} | {row['ran']} of {row['tried']} | {' '.join(row['notes'])} |")
    for name, row in together["packs"].items():
        for node, why in row["failures"].items():
            print(f"{name}: {node}: {why}")
    sys.exit(not same)


def _asked(packs: list[Path], skip: list[str]) -> dict[str, Any]:
    """What a process of its own says of a base directory with these packs."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "custom_nodes").mkdir()
        for pack in packs:
            (base / "custom_nodes" / pack.resolve().name).symlink_to(pack.resolve())
        skipped = [word for node in skip for word in ("--skip", node)]
        command = [sys.executable, "-P", str(Path(__file__).resolve()), "--child", name, *skipped]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        subprocess.run(command, env=environment, stdout=sys.stderr, check=True)
        return dict(json.loads((base / "told.json").read_text()))


def _in_child(base: Path, skip: list[str]) -> None:
    from engine.__main__ import make_app

    app = make_app(base)
    library = app.load_library()
    library.open_packs()
    runner = _Runner(app, library)
    told: dict[str, Any] = {"packs": {}, "picture": runner.picture()}
    for record in library.foreign:
        row = runner.row(record, skip)
        wrong = [one.message for one in library.problems if one.module == record.module]
        notes = [*record.notes, *wrong]
        told["packs"][record.pack] = row._asdict() | {"notes": [" ".join(note.split())[:400] for note in notes]}
    (base / "told.json").write_text(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)  # whatever threads packs have left


def _is_widget(one: Any) -> bool:
    """Whether an editor shows a value for an input, and sends it though it need not be there."""
    return not one.link_only and (bool(one.choices) or one.type in CONSTANTS)


class _Runner:
    def __init__(self, app: Any, library: Any) -> None:
        self._app = app
        self._library = library
        self._executor = app.open_executor(library, app.open_cache(False))

    def picture(self) -> str:
        """The digest of the picture's bytes, without the metadata around them."""
        from PIL import Image

        self._run(PICTURE, "s")
        [file] = self._app.paths.output.glob("beside*.png")
        with Image.open(file) as picture:
            return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()

    def row(self, record: Any, skip: list[str]) -> Row:
        """Every node of a pack that can be run, run."""
        ran, failures = 0, {}
        for spec in record.specs:
            if spec.name in skip:
                continue
            try:
                prompt = dict(CORE) | {key: node for key, node in PICTURE.items() if key != "s"}
                target = self._add(prompt, spec, DEEPEST)
            except CannotBeMadeError as error:
                failures[spec.name] = f"not tried: {error}"
                continue
            print(f"{record.pack}: {spec.name}", file=sys.stderr, flush=True)
            try:
                self._run(prompt, self._shown(prompt, target, spec))
                ran += 1
            except Exception as error:
                failures[spec.name] = " ".join(str(error).split())[:300]
        tried = ran + sum(not why.startswith("not tried") for why in failures.values())
        return Row(len(record.specs), ran, tried, failures)

    def _shown(self, prompt: dict[str, Any], node: str, spec: Any) -> str:
        """The id of an output node: the node, or one that shows what it gives."""
        if spec.output_node or not spec.outputs:
            return node
        prompt["9999"] = {"class_type": "PreviewAny", "inputs": {"source": [node, 0]}}
        return "9999"

    def _add(self, prompt: dict[str, Any], spec: Any, depth: int) -> str:
        """Add a node and what it needs; its id, which is a number, as packs read it so."""
        inputs = {one.name: self._made(prompt, one, depth) for one in spec.inputs if one.required or _is_widget(one)}
        node = str(100 + len(prompt))
        prompt[node] = {"class_type": spec.name, "inputs": inputs}
        return node

    def _made(self, prompt: dict[str, Any], one: Any, depth: int) -> Any:
        if one.choices is not None:
            listed = one.choices if isinstance(one.choices, tuple | list) else self._files(one.choices)
            if not listed:
                raise CannotBeMadeError(f"{one.name} has nothing to choose from")
            return one.default if one.default in listed else listed[0]
        for kind in one.type.split(","):
            if kind in MADE:
                return MADE[kind]
            if kind in CONSTANTS:
                return CONSTANTS[kind] if one.default is None else one.default
        makers = [spec for spec in self._library.catalogue if depth and spec.outputs and not spec.deprecated]
        for spec in makers:
            slot = next((at for at, output in enumerate(spec.outputs) if output.type == one.type), None)
            if slot is not None:
                try:
                    return [self._add(prompt, spec, depth - 1), slot]
                except CannotBeMadeError:
                    continue
        raise CannotBeMadeError(f"nothing makes {one.type}")

    def _files(self, choices: Any) -> list[str]:
        return list(self._app.paths.folder_files(choices.folder))

    def _run(self, prompt: dict[str, Any], target: str) -> None:
        """Run it as the server would: checked first. Raises RuntimeError with what went wrong."""
        from engine.graph.validate import check
        from engine.worker.checks import PackChecks

        found = check(
            prompt,
            self._library.catalogue,
            choices=lambda files: self._app.paths.folder_files(files.folder),
            targets=[target],
            custom=PackChecks(self._library),
        )
        if any(one.stops for one in found.problems):
            raise RuntimeError("; ".join(one.message for one in found.problems if one.stops))
        result = self._executor.run_sync(found.prompt, [target], prompt_json=prompt, workflow={"nodes": []})
        if result.status != "done":
            raise RuntimeError(
                "; ".join(f"{one.class_type}: {one.message}" for one in result.failures) or result.status
            )


if __name__ == "__main__":
    main()
