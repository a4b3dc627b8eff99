"""A workflow of the field as it is run with stand-ins: which files it wants, small pictures, few steps, and what became of it."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from server_process import Server
from stand_in_files import Asked

from engine.graph.schema import Files

SIDE: Final = 128
"""Pixels a side of the pictures that are loaded and made."""
STEPS: Final = 2
MEGAPIXELS: Final = 0.1
"""Least that the field's nodes take."""
FRAMES: Final = 9
"""Of a video: one, and twice the four that become one of a latent."""
TOKENS: Final = 8
"""That a language model writes."""
PATIENCE: Final = 300.0
"""Seconds that one workflow may take."""
_SIZES: Final = ("width", "height", "longer_size", "shorter_size", "largest_size", "resolution")
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
_MODELS: Final = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")


def unknown_types(prompt: Mapping[str, Any], catalogue: Any) -> list[str]:
    """The types of nodes that are not here."""
    return sorted({node["class_type"] for node in prompt.values() if node["class_type"] not in catalogue})


def makes_pictures(prompt: Mapping[str, Any], catalogue: Any) -> bool:
    """Whether it has a node that shows or saves pictures."""
    specs = (catalogue.spec(node["class_type"]) for node in prompt.values())
    return any(spec and spec.output_node and any(one.type == "IMAGE" for one in spec.inputs) for spec in specs)


def asked_by(prompt: Mapping[str, Any], catalogue: Any) -> set[Asked]:
    """The model files that a prompt names, with their folders: values of inputs that list a folder, and embeddings in texts."""
    return {one for node in prompt.values() for one in _asked_by(node, catalogue.spec(node["class_type"]))}


def _asked_by(node: Mapping[str, Any], spec: Any) -> Iterator[Asked]:
    for name, value in node.get("inputs", {}).items():
        known = spec.input(name) if spec else None
        if not isinstance(value, str):
            continue
        if known and isinstance(known.choices, Files) and value.lower().endswith(_MODELS):
            yield known.choices.folder, value
        if known and known.mentions and known.mentions.prefix:
            for found in re.findall(re.escape(known.mentions.prefix) + r"([\w.-]+)", value):
                yield known.mentions.folder, found


def write_pictures(base: Path, prompt: Mapping[str, Any]) -> None:
    """A small picture under every name that the prompt loads one by."""
    from PIL import Image

    for node in prompt.values():
        for value in node.get("inputs", {}).values():
            name, folder = _place(value) if isinstance(value, str) else ("", "")
            if name.lower().endswith(_PICTURES) and "\n" not in name:
                path = base / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                kind = "RGBA" if path.suffix in (".png", ".webp") else "RGB"
                Image.linear_gradient("L").resize((SIDE, SIDE)).convert(kind).save(path)


def _place(value: str) -> tuple[str, str]:
    """A file's name, and the folder that it is in: the one which stands behind it, or that for inputs."""
    name, _, told = value.rpartition(" [")
    return (name, told[:-1]) if told in ("input]", "output]", "temp]") else (value, "input")


def reduced(prompt: Mapping[str, Any], catalogue: Any) -> dict[str, Any]:
    """The same for small pictures of two steps and short texts; parts of a schedule keep their share of it."""
    found = {}
    for key, node in prompt.items():
        spec = catalogue.spec(node["class_type"])
        inputs = {name: _number(prompt, name, value) for name, value in node.get("inputs", {}).items()}
        steps = inputs.get("steps")
        for name, value in inputs.items():
            if name in _SIZES and _is_number(value) and value > SIDE:
                known = spec.input(name) if spec else None
                inputs[name] = max(SIDE, (known and known.ge) or 0, int(value) // 8 // 16 * 16)
            elif name.endswith("megapixels") and _is_number(value):
                inputs[name] = min(value, MEGAPIXELS)
            elif name in ("start_at_step", "end_at_step") and isinstance(steps, int) and value < steps:
                inputs[name] = round(value * STEPS / steps)
            elif name == "length" and "width" in inputs and _is_number(value):
                inputs[name] = min(value, FRAMES)
            elif name == "max_length" and _is_number(value):
                inputs[name] = min(value, TOKENS)
        if isinstance(steps, int | list):
            inputs["steps"] = STEPS
        found[key] = {**node, "inputs": inputs}
    return found


def _number(prompt: Mapping[str, Any], name: str, value: Any) -> Any:
    """What an input for a size is given, where that is a number which another node holds."""
    if name in _SIZES and isinstance(value, list) and value[0] in prompt:
        told = prompt[value[0]].get("inputs", {})
        if set(told) <= {"value", "control_after_generate"} and _is_number(told.get("value")):
            return told["value"]
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def run(server: Server, prompt: Mapping[str, Any], *, pictures: bool = True) -> str:
    """Why the prompt did not run, to a picture where it has one to make; "" when it did."""
    status, answer = post(server, {"prompt": prompt})
    if status != 200 or answer.get("node_errors"):  # of several outputs, those that are sound are run
        return refused(answer)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        entry = server.get(f"/history/{answer['prompt_id']}").get(answer["prompt_id"])
        if entry:
            return ended(entry, pictures=pictures)
        time.sleep(0.1)
    post(server, {}, "/interrupt")
    return f"not done after {PATIENCE:g} s"


def post(server: Server, body: Mapping[str, Any], path: str = "/prompt") -> tuple[int, Any]:
    """Status and JSON of an answer."""
    told = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), told)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as problem:
        return problem.code, json.loads(problem.read() or b"null")


def refused(answer: Any) -> str:
    """The first problem of a prompt that is not sound, or all nodes that are not there."""
    error = answer.get("error", {})
    for node in answer.get("node_errors", {}).values():
        for one in node.get("errors", ()):
            return f"{node.get('class_type')}: {one.get('message')}: {one.get('details')}"[:240]
    return f"{error.get('message')}: {error.get('details')}"[:240]


def ended(entry: Mapping[str, Any], *, pictures: bool) -> str:
    """Why a job failed, or made no picture where it should; "" when it did what it should."""
    if entry["status"]["status_str"] == "success":
        made = [
            one for output in entry["outputs"].values() for kind in ("images", "gifs") for one in output.get(kind, ())
        ]
        return "" if made or not pictures else "it ran, and made no picture"
    for kind, told in entry["status"]["messages"]:
        if kind == "execution_error":
            return f"{told.get('node_type')}: {' '.join(str(told.get('exception_message')).split())}"[:400]
    return "it failed without a message"
