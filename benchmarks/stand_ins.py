"""Which of the field's workflows run to a picture here, with tiny networks of random weights in the place of models.

    python benchmarks/stand_ins.py DIR [WORKFLOWS…] [--names FILE] [--only PATTERN] [--family NAME] [--json FILE [--resume]]

WORKFLOWS are files or folders of workflow JSON; of a folder with an `index.json`, as the package comfyui-workflow-templates-json
has it, the local ones of its group for images are taken. Files that stand in for those that workflows name are written into base
directories in DIR, a server runs the workflows of each, and a table says what ran, and if not, why. Without WORKFLOWS, the files
are only written: a file under every name of FILE (family → `folders` → folder → names), and a table says what each family has.

So that it takes minutes: pictures have 128 pixels a side, or an eighth of what the workflow asks for where that is more, samplers
take two steps and keep their share of a schedule that several split, megapixels are at most 0.1, and language models write 8
tokens. `--as-they-are` leaves all of that as it is.

That a workflow runs says that its files were recognised, its nodes are there, and values fit; nothing of what a picture is like.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from server_process import Server  # noqa: E402
from stand_in_files import Asked, Base, Shelf, placeholder, room  # noqa: E402
from stand_in_parts import PARTS  # noqa: E402
from stand_in_runs import asked_by, makes_pictures, reduced, run, unknown_types, write_pictures  # noqa: E402
from stand_in_table import FAMILIES  # noqa: E402

from engine.__main__ import make_app  # noqa: E402
from engine.graph.workflow import workflow_to_prompt  # noqa: E402

NAMES: Final = ROOT.parent / "shared" / "interop" / "model_files.json"
NO_NODE: Final = "nodes that are not here"
NO_FAMILY: Final = "no family here yet"
NO_PART: Final = "nothing here reads"


@dataclass(frozen=True)
class Outcome:
    """What became of one workflow; `reason` is empty when it ran to a picture, or made no picture and was to make none."""

    workflow: str
    family: str
    reason: str
    seconds: float = 0.0


def main() -> int:
    """Write the files of the command line, run its workflows, and print what became of them."""
    options = arguments()
    for old in options.folder.glob("base*") if options.resume else (options.folder,):
        shutil.rmtree(old, ignore_errors=True)
    shelf = Shelf(options.folder / "families", FAMILIES, PARTS)
    if not options.workflows:
        report_names(json.loads(options.names.read_text(encoding="utf-8")), shelf, options.folder)
        return 0
    before = json.loads(options.json.read_text()) if options.resume and options.json.exists() else []
    outcomes = [Outcome(**one) for one in before if not one["reason"]]
    try:
        for outcome in all_of(options, shelf, {one.workflow for one in outcomes}):
            outcomes.append(outcome)
            print(f"{outcome.workflow}: {outcome.reason or 'ran'}", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=2) + "\n")
    except KeyboardInterrupt:
        print("Interrupted: what follows is not all.", file=sys.stderr)
    report(outcomes)
    return 0


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where files are written; what is there of it goes")
    parser.add_argument("workflows", type=Path, nargs="*", help="workflow files, or folders of them")
    parser.add_argument("--names", type=Path, default=NAMES, help="names of model files (%(default)s)")
    parser.add_argument(
        "--only", action="append", help="only workflows whose names fit this (`*flux*`); may be repeated"
    )
    parser.add_argument("--family", action="append", help="only the workflows of a family; may be repeated")
    parser.add_argument("--json", type=Path, help="write the table as JSON too")
    parser.add_argument(
        "--resume", action="store_true", help="keep the files of DIR, and what ran in the table of --json"
    )
    parser.add_argument("--as-they-are", action="store_true", help="leave sizes and steps as they are")
    options = parser.parse_args()
    if options.resume and not options.json:
        parser.error("--resume needs --json, the table to go on with")
    return options


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


def all_of(options: argparse.Namespace, shelf: Shelf, done: set[str]) -> Iterator[Outcome]:
    """Yield what became of each workflow that is not done yet: first those that cannot run, then those of each base directory."""
    catalogue = make_app(ROOT).load_library().catalogue
    bases: list[Base] = []
    waiting: dict[int, dict[str, tuple[str, dict[str, Any]]]] = {}
    for path in chosen(options.workflows):
        if path.stem in done or not any(fnmatchcase(path.stem, one) for one in options.only or ["*"]):
            continue
        try:
            prompt = prompt_of(json.loads(path.read_text(encoding="utf-8")), catalogue)
        except Exception as problem:
            yield Outcome(path.stem, "", f"not converted: {problem}")
            continue
        asked = asked_by(prompt, catalogue)
        family = "+".join(one.family for one in shelf.families_of(asked)) or "-"
        if options.family and not set(options.family) & set(family.split("+")):
            continue
        if missing := unknown_types(prompt, catalogue):
            yield Outcome(path.stem, family, f"{NO_NODE}: {', '.join(missing)}")
            continue
        try:
            files, unknown = shelf.find(asked)
        except Exception as problem:
            yield Outcome(path.stem, family, f"stand-in: {type(problem).__name__}: {problem}")
            continue
        if unknown:
            why = NO_FAMILY if family == "-" else NO_PART
            yield Outcome(path.stem, family, f"{why}: {', '.join(name for _, name in unknown)}")
            continue
        base = room(bases, files | dict(shelf.tokenizers(asked)), options.folder)
        waiting.setdefault(bases.index(base), {})[path.stem] = (family, prompt)
    for number, prompts in waiting.items():
        yield from run_base(bases[number].folder, prompts, catalogue, smaller=not options.as_they_are)


def run_base(base: Path, prompts: Mapping[str, tuple[str, Any]], catalogue: Any, *, smaller: bool) -> Iterator[Outcome]:
    """Run the workflows of a base directory, one after the other."""
    base.mkdir(parents=True, exist_ok=True)
    server = Server(base)
    try:
        server.first_answer("/system_stats")
        for _, prompt in prompts.values():
            write_pictures(base, prompt)  # when it has begun, as it then empties its folder for what passes
        for workflow, (family, prompt) in prompts.items():
            begun = time.monotonic()
            reason = run(
                server, reduced(prompt, catalogue) if smaller else prompt, pictures=makes_pictures(prompt, catalogue)
            )
            yield Outcome(workflow, family, reason, round(time.monotonic() - begun, 1))
    finally:
        server.stop()


def report(outcomes: Sequence[Outcome]) -> None:
    """Print the table, and how often each kind of reason stands in it."""
    width = max((len(one.workflow) for one in outcomes), default=0)
    for one in sorted(outcomes, key=lambda one: (one.family, one.workflow)):
        print(f"{one.workflow:{width}}  {one.family:18}  {one.reason or f'ran in {one.seconds} s'}")
    ran = sum(not one.reason for one in outcomes)
    counts = {kind: sum(one.reason.startswith(kind) for one in outcomes) for kind in (NO_NODE, NO_FAMILY, NO_PART)}
    able = len(outcomes) - counts[NO_NODE]
    print(f"\nOf {len(outcomes)} workflows {able} have every type of node here; of these {ran} ran.")
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    print(f"{told}, {len(outcomes) - ran - sum(counts.values())} failed otherwise.")


def report_names(families: Mapping[str, Any], shelf: Shelf, parent: Path) -> None:
    """Write a file under every name of these families, and print for each how many stand in, and which hold nothing."""
    bases: list[Base] = []
    every: set[Asked] = set()
    stood: set[Asked] = set()
    nothing: dict[str, list[Asked]] = {}
    for title, told in families.items():
        asked = [(folder, name) for folder, names in told["folders"].items() for name in names]
        files, nothing[title] = shelf.find(asked)
        if files:
            room(bases, files | dict(shelf.tokenizers(asked)), parent)
        every |= set(asked)
        stood |= set(files)
        print(
            f"{title:34}  {len(files):3} of {len(asked):3}  {', '.join(one.family for one in shelf.families_of(asked))}"
        )
    rest = {one for names in nothing.values() for one in names} - stood
    for folder, name in rest:
        placeholder(parent / "nothing" / "models" / folder / name)
    print(f"\n{NO_FAMILY}, or {NO_PART} it, so that a file that holds nothing has the name:")
    for title, names in nothing.items():
        if left := [one for one in names if one in rest]:
            print(f"{title:34}  {', '.join(f'{folder}/{name}' for folder, name in sorted(left))}")
    told = f"{len(stood)} have a stand-in, {len(rest)} hold nothing"
    print(f"\n{len(every)} names in {len(bases)} base directories: {told}.")


if __name__ == "__main__":
    sys.exit(main())
