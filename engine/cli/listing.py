"""`safelight nodes` and `safelight workflows`."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.graph_source import parameter_lines, read_graph
from engine.cli.signature_text import signature_json, signature_lines
from engine.cli.terminal import aside, columns, put, put_json, say
from engine.graph.parameters import parameters
from engine.graph.schema import Catalogue, Files, InputSpec, NodeSpec
from engine.graph.signature import signature_of
from engine.graph.values import ChoicesOf
from engine.saved_workflows import workflow_files

if TYPE_CHECKING:
    from pathlib import Path

    from engine.cli.app import App
    from engine.plugins.library import Library


def nodes(app: App, options: argparse.Namespace) -> int:
    """List the nodes by category, or show one. Raises CliError USAGE for an unknown name, with the nearest ones."""
    with aside():
        library = app.load_library()
    for broken in library.problems:
        say(f"Node pack {broken.pack} is not whole: {broken.message}")
    if options.name is not None:
        return _show(library.catalogue, options.name, as_json=options.json)
    if options.json:
        put_json(_catalogue_json(library))
        return exits.OK
    for category, specs in _by_category(library.catalogue).items():
        put(category or "(no category)")
        for line in columns([(spec.name, _first_line(spec.doc)) for spec in specs]):
            put(line)
    return exits.OK


def workflows(app: App, options: argparse.Namespace) -> int:
    """List the saved workflows at hand, or tell what one takes and gives. Raises CliError as `run` does for a file."""
    if options.name is not None:
        return _show_workflow(app, options.name, as_json=options.json)
    found = workflow_files(app.paths)
    if options.json:
        with aside():
            catalogue = app.load_library().catalogue
        put_json([_workflow_json(app, catalogue, name, path) for name, path in found.items()])
        return exits.OK
    for line in columns([(name, str(path)) for name, path in found.items()], indent=""):
        put(line)
    return exits.OK


def _workflow_json(app: App, catalogue: Catalogue, name: str, path: Path) -> dict[str, Any]:
    """A workflow of the list with its signature; one that cannot be read says why."""
    try:
        graph = read_graph(str(path), app.paths, catalogue)
    except CliError as error:
        return {"name": name, "path": path, "error": str(error)}
    signature = signature_of(graph.prompt, catalogue, graph.workflow)
    return {**signature_json(name, signature, _choices(app)), "path": path}


def _show_workflow(app: App, name: str, *, as_json: bool) -> int:
    with aside():
        catalogue = app.load_library().catalogue
    graph = read_graph(name, app.paths, catalogue)
    signature = signature_of(graph.prompt, catalogue, graph.workflow)
    known = parameters(graph.prompt, catalogue, graph.workflow)
    if as_json:
        settable = [
            {"name": one.name, "node": one.node, "input": one.input, "type": one.type, "value": one.default}
            for one in known
        ]
        put_json({**signature_json(graph.name, signature, _choices(app)), "set": settable})
        return exits.OK
    for line in signature_lines(signature, _choices(app)):
        put(line)
    put("")
    put(f"{graph.name}: --set takes")
    for line in parameter_lines(known):
        put(line)
    return exits.OK


def _choices(app: App) -> ChoicesOf:
    return lambda files: app.paths.folder_files(files.folder, files.kind)


def _show(catalogue: Catalogue, name: str, *, as_json: bool) -> int:
    spec = catalogue.spec(name)
    if spec is None:
        near = catalogue.nearest(name)
        hint = f"Nearest names: {', '.join(near)}." if near else "`safelight nodes` lists all."
        raise CliError(exits.USAGE, f"There is no node {name!r}. {hint}")
    if as_json:
        put_json(_spec_json(spec, catalogue))
        return exits.OK
    for line in _spec_lines(spec, catalogue):
        put(line)
    return exits.OK


def _by_category(catalogue: Catalogue) -> dict[str, list[NodeSpec]]:
    found: dict[str, list[NodeSpec]] = {}
    for spec in sorted(catalogue, key=lambda spec: (spec.category, spec.name)):
        found.setdefault(spec.category, []).append(spec)
    return found


def _aliases(spec: NodeSpec, catalogue: Catalogue) -> list[str]:
    return sorted(alias for alias, name in catalogue.aliases.items() if name == spec.name)


def _spec_lines(spec: NodeSpec, catalogue: Catalogue) -> Iterator[str]:
    marks = [word for word, holds in (("output node", spec.output_node), ("deprecated", spec.deprecated)) if holds]
    yield " · ".join([spec.name, spec.category or "(no category)", *marks])
    if aliases := _aliases(spec, catalogue):
        yield f"also known as {', '.join(aliases)}"
    if spec.doc:
        yield from ("", spec.doc)
    if spec.inputs:
        yield from ("", "inputs")
        heads = columns([(one.name, _type_text(one), _input_facts(one)) for one in spec.inputs])
        for head, one in zip(heads, spec.inputs, strict=True):
            yield head
            choices = [", ".join(str(choice) for choice in one.choices)] if isinstance(one.choices, tuple) else []
            for text in (one.tip, *choices):
                yield from textwrap.wrap(text, 110, initial_indent="      ", subsequent_indent="      ")
    if spec.outputs:
        yield from ("", "outputs")
        yield from columns([(one.name, one.type + (" list" if one.is_list else ""), one.tip) for one in spec.outputs])


def _type_text(spec: InputSpec) -> str:
    if isinstance(spec.choices, Files):
        return f"file of {spec.choices.folder}"
    return spec.type


def _input_facts(spec: InputSpec) -> str:
    facts = []
    if spec.ge is not None or spec.le is not None:
        facts.append(f"{_number(spec.ge)}…{_number(spec.le)}")
    if isinstance(spec.choices, tuple):
        facts.append(f"one of {len(spec.choices)}")
    if spec.default is not None:
        facts.append(f"default {json.dumps(spec.default, ensure_ascii=False, default=str)}")
    if not spec.required:
        facts.append("optional")
    if spec.lazy:
        facts.append("lazy")
    return "; ".join(facts)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value == int(value) else str(value)


def _first_line(doc: str) -> str:
    return doc.partition("\n")[0]


def _spec_json(spec: NodeSpec, catalogue: Catalogue) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(spec)
    return {**facts, "aliases": _aliases(spec, catalogue)}


def _catalogue_json(library: Library) -> dict[str, Any]:
    return {
        "nodes": [_spec_json(spec, library.catalogue) for spec in library.catalogue],
        "packs": [
            {
                "module": one.module,
                "pack": one.pack,
                "nodes": [spec.name for spec in one.specs],
                "seconds": one.seconds,
                "notes": one.notes,
            }
            for one in library.records
        ],
        "problems": [msgspec.to_builtins(one) for one in library.problems],
    }
