"""`python -m engine.cli.nodes_page > docs/nodes.md`: every built-in node by category, and what of the field is not here."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Final

from engine.graph.schema import Catalogue, NodeSpec

REASONS: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "nodes_absent.toml"
"""Reason → names of node types of the field that are not here because of it."""

_HEAD: Final = """\
# Nodes

*Made by `python -m engine.cli.nodes_page`; a test compares it with the nodes that there are.*

{count} node types, under the names by which saved workflows of the field call them where the field has them{aliases}.
`safelight nodes NAME` shows one with its inputs, ranges and outputs; in the editor its documentation is on the node.
"""


def page(catalogue: Catalogue, absent: Mapping[str, list[str]]) -> str:
    """The page as Markdown. `absent`: reason → names, as in the file of reasons."""
    specs = sorted(catalogue, key=lambda spec: (spec.category, spec.name.lower()))
    aliases = ", ".join(f"{name} is {catalogue.aliases[name]}" for name in sorted(catalogue.aliases))
    lines = [_HEAD.format(count=len(specs), aliases=f" ({aliases})" if aliases else "")]
    for category, members in groupby(specs, key=lambda spec: spec.category):
        lines += [f"## {category or 'Others'}", "", "| node | does |", "| --- | --- |"]
        lines += [f"| {_name(spec)} | {_told(spec)} |" for spec in members]
        lines.append("")
    lines += list(_left_out(absent))
    return "\n".join(lines).rstrip() + "\n"


def reasons(path: Path = REASONS) -> dict[str, list[str]]:
    """What the file of reasons says. Raises OSError and tomllib.TOMLDecodeError."""
    return {
        one["because"]: sorted(one["nodes"], key=str.lower) for one in tomllib.loads(path.read_text("utf-8"))["absent"]
    }


def _left_out(absent: Mapping[str, list[str]]) -> Iterator[str]:
    total = sum(map(len, absent.values()))
    yield "## Not here"
    yield ""
    yield f"{total} node types of the field that run on one's own machine, and why they are not here."
    yield ""
    yield "| nodes | because |"
    yield "| --- | --- |"
    for reason, names in absent.items():
        yield f"| {', '.join(names)} | {reason} |"


def _name(spec: NodeSpec) -> str:
    return f"{spec.name} (deprecated)" if spec.deprecated else spec.name


def _told(spec: NodeSpec) -> str:
    return spec.doc.strip().partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def main() -> int:
    """Print the page of the nodes of this package; nodes of packs do not stand in it."""
    from engine.plugins.opening import load_library

    sys.stdout.write(page(load_library(("nodes",)).catalogue, reasons()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
