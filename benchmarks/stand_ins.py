"""Which of the field's workflows run to a picture here, with tiny networks of random weights in the place of models.

    python benchmarks/stand_ins.py DIR WORKFLOWS… [--family NAME] [--json FILE] [--as-they-are]

WORKFLOWS are files or folders of workflow JSON; of a folder with an `index.json`, as the package comfyui-workflow-templates-json
has it, the local ones of its group for images are taken. For each family (`stand_in_table.py`) a base directory is made in DIR,
with tiny files under every name that workflows have, and a server runs the workflows that name one of its networks. Pictures are
small and of two steps, unless `--as-they-are`. Prints a table: workflow, family, whether it ran, and if not, why.

That a workflow runs says that its files were recognised, its nodes are there, and values fit; nothing of what a picture is like.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from server_process import Server  # noqa: E402
from stand_in_files import StandIn  # noqa: E402
from stand_in_table import families_for  # noqa: E402

from engine.__main__ import make_app  # noqa: E402
from engine.graph.workflow import workflow_to_prompt  # noqa: E402

SIDE: Final = 128
"""Pixels a side of the pictures that are loaded and made."""
STEPS: Final = 2
MEGAPIXELS: Final = 0.1
"""Least that the field's nodes take."""
_SIZES: Final = ("width", "height", "longer_size", "shorter_size", "largest_size", "resolution")
PATIENCE: Final = 120.0
"""Seconds that one workflow may take."""
MODEL_SUFFIXES: Final = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Outcome:
    """What became of one workflow; `reason` is empty when it ran to a picture."""

    workflow: str
    family: str
    reason: str
    seconds: float = 0.0


def main() -> int:
    """Run the workflows of the command line, and print what became of them."""
    options = arguments()
    catalogue = make_app(ROOT).load_library().catalogue
    groups: dict[str, tuple[StandIn | None, dict[str, Any]]] = {}
    outcomes: list[Outcome] = []
    for path in chosen(options.workflows):
        try:
            prompt = prompt_of(json.loads(path.read_text(encoding="utf-8")), catalogue)
        except Exception as problem:
            outcomes.append(Outcome(path.stem, "", f"not converted: {problem}"))
            continue
        names = files_in(prompt)
        family = next(families_for(names), None)
        if family is None and names:
            outcomes.append(Outcome(path.stem, "", f"no stand-in for {', '.join(sorted(names))}"))
        elif not options.family or (family and family.family in options.family):
            key = family.family if family else "none"
            groups.setdefault(key, (family, {}))[1][path.stem] = prompt
    try:
        for key, (family, prompts) in groups.items():
            for outcome in run_group(options.folder / key, key, family, prompts, smaller=not options.as_they_are):
                outcomes.append(outcome)
                print(f"{outcome.workflow}: {outcome.reason or 'ran'}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("Interrupted: what follows is not all.", file=sys.stderr)
    report(outcomes, options.json)
    return 0


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="where base directories are made; what is there of them goes"
    )
    parser.add_argument("workflows", type=Path, nargs="+", help="workflow files, or folders of them")
    parser.add_argument("--family", action="append", help="only the workflows of a family; may be repeated")
    parser.add_argument("--json", type=Path, help="write the table as JSON too")
    parser.add_argument("--as-they-are", action="store_true", help="leave sizes and steps as they are")
    return parser.parse_args()


def chosen(given: Sequence[Path]) -> Iterator[Path]:
    """Yield workflow files; of a folder of templates, those that need no service and make pictures."""
    for path in given:
        if path.is_file():
            yield path
        elif (path / "index.json").is_file():
            groups = json.loads((path / "index.json").read_text(encoding="utf-8"))
            local = [t for group in groups if group.get("type") == "image" for t in group["templates"]]
            yield from (path / f"{t['name']}.json" for t in local if t.get("openSource") is not False)
        else:
            yield from sorted(one for one in path.glob("*.json") if not one.name.endswith(".prompt.json"))


def prompt_of(workflow: Mapping[str, Any], catalogue: Any) -> dict[str, Any]:
    """A saved workflow, or a prompt, as a prompt."""
    return dict(workflow_to_prompt(workflow, catalogue).prompt if "nodes" in workflow else workflow)


def files_in(prompt: Mapping[str, Any]) -> set[str]:
    """The model files that a prompt names, without their folders."""
    values = (value for node in prompt.values() for value in node.get("inputs", {}).values())
    return {Path(one).name for one in values if isinstance(one, str) and one.lower().endswith(MODEL_SUFFIXES)}


def run_group(
    base: Path, name: str, family: StandIn | None, prompts: Mapping[str, Any], *, smaller: bool
) -> Iterator[Outcome]:
    """Make the base directory of a family and run its workflows, one after the other."""
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    try:
        if family:
            family.place(base)
    except Exception as problem:
        yield from (Outcome(one, name, f"stand-in: {type(problem).__name__}: {problem}") for one in prompts)
        return
    for prompt in prompts.values():
        write_pictures(base, prompt)
    server = Server(base)
    try:
        server.first_answer("/system_stats")
        for workflow, prompt in prompts.items():
            begun = time.monotonic()
            reason = run(server, reduced(prompt) if smaller else prompt)
            yield Outcome(workflow, name, reason, round(time.monotonic() - begun, 1))
    finally:
        server.stop()


def write_pictures(base: Path, prompt: Mapping[str, Any]) -> None:
    """A small picture under every name that the prompt loads one by."""
    from PIL import Image

    for node in prompt.values():
        for value in node.get("inputs", {}).values():
            if isinstance(value, str) and value.lower().endswith(PICTURE_SUFFIXES) and "\n" not in value:
                path = base / "input" / value.removesuffix(" [input]")
                path.parent.mkdir(parents=True, exist_ok=True)
                kind = "RGBA" if path.suffix in (".png", ".webp") else "RGB"
                Image.linear_gradient("L").resize((SIDE, SIDE)).convert(kind).save(path)


def reduced(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """The same for small pictures of two steps; parts of a schedule keep their share of it."""
    found = {}
    for key, node in prompt.items():
        inputs = {name: _number(prompt, name, value) for name, value in node.get("inputs", {}).items()}
        steps = inputs.get("steps")
        for name, value in inputs.items():
            if name in _SIZES and _is_number(value) and value > SIDE:
                inputs[name] = max(SIDE, int(value) // 8 // 16 * 16)
            elif name.endswith("megapixels") and _is_number(value):
                inputs[name] = min(value, MEGAPIXELS)
            elif name in ("start_at_step", "end_at_step") and isinstance(steps, int) and value < steps:
                inputs[name] = round(value * STEPS / steps)
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


def run(server: Server, prompt: Mapping[str, Any]) -> str:
    """Why the prompt did not run to a picture, "" when it did."""
    status, answer = post(server, {"prompt": prompt})
    if status != 200 or answer.get("node_errors"):  # of several outputs, those that are sound are run
        return refused(answer)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        entry = server.get(f"/history/{answer['prompt_id']}").get(answer["prompt_id"])
        if entry:
            return ended(entry)
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


def ended(entry: Mapping[str, Any]) -> str:
    """Why a job made no picture, "" when it made one."""
    if entry["status"]["status_str"] == "success":
        made = [
            one for output in entry["outputs"].values() for kind in ("images", "gifs") for one in output.get(kind, ())
        ]
        return "" if made else "it ran, and made no picture"
    for kind, told in entry["status"]["messages"]:
        if kind == "execution_error":
            return f"{told.get('node_type')}: {' '.join(str(told.get('exception_message')).split())}"[:240]
    return "it failed without a message"


def report(outcomes: Sequence[Outcome], target: Path | None) -> None:
    """Print the table, and write it."""
    width = max((len(one.workflow) for one in outcomes), default=0)
    for one in sorted(outcomes, key=lambda one: (one.family, one.workflow)):
        print(f"{one.workflow:{width}}  {one.family or '-':18}  {one.reason or f'ran in {one.seconds} s'}")
    ran = Counter(one.family for one in outcomes if not one.reason)
    print(f"\n{sum(ran.values())} of {len(outcomes)} ran: {', '.join(f'{n} {family}' for family, n in ran.items())}")
    if target:
        target.write_text(json.dumps([asdict(one) for one in outcomes], indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
