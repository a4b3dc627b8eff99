"""NodeSpecs in the form of `object_info`: what editors draw nodes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from engine.graph.dynamic import FILES, ROWS
from engine.graph.schema import Files, InputSpec, NodeSpec, OutputSpec

FileNames: TypeAlias = Callable[[Files], msgspec.Raw]
"""JSON list of the choices that are files."""

_LOADERS: Final = "loaders"
_NOT_HERE: Final = (
    "Not available: there is no node of this kind here. It is listed because some editors ask for its files."
)


def node_form(spec: NodeSpec, name: str, file_names: FileNames) -> dict[str, Any]:
    """The definition of a node under `name` (its own or an alias)."""
    required = {one.name: _input_form(one, file_names) for one in spec.inputs if one.required}
    optional = {one.name: _input_form(one, file_names) for one in spec.inputs if not one.required}
    groups: dict[str, dict[str, Any]] = {"required": required}
    if optional:
        groups["optional"] = optional
    if spec.hidden or spec.told_hidden:
        groups["hidden"] = spec.hidden | spec.told_hidden
    form: dict[str, Any] = {
        "input": groups,
        "input_order": {group: list(entries) for group, entries in groups.items()},
        "is_input_list": spec.input_is_list,
        "output": [one.type for one in spec.outputs],
        "output_is_list": [one.is_list for one in spec.outputs],
        "output_name": [one.name for one in spec.outputs],
        "output_tooltips": [one.tip for one in spec.outputs],
        "name": name,
        "display_name": spec.display_name or None,
        "description": spec.doc,
        "python_module": spec.module or "nodes",
        "category": spec.category,
        "output_node": spec.output_node,
        "deprecated": spec.deprecated,
        "experimental": spec.experimental,
        "api_node": False,
    }
    if any(one.match for one in spec.outputs):
        form["output_matchtypes"] = [one.match or None for one in spec.outputs]
    if name != spec.name:
        form["alias_of"] = spec.name  # not of the convention: so that an editor need not list a node twice
    return form


def _input_form(spec: InputSpec, file_names: FileNames) -> list[Any]:
    options: dict[str, Any] = dict(spec.options)
    facts = (
        ("default", spec.default),
        ("min", spec.ge),
        ("max", spec.le),
        ("step", spec.step),
        ("tooltip", spec.tip or None),
        ("widgetType", spec.widget or None),
    )
    options.update({key: value for key, value in facts if value is not None})
    flags = (
        ("multiline", spec.multiline),
        ("forceInput", spec.link_only),
        ("lazy", spec.lazy),
        ("rawLink", spec.raw_link),
        ("control_after_generate", spec.seed),
    )
    options.update({key: True for key, said in flags if said})
    if spec.type == ROWS:
        options["template"] = {
            section: {name: _field_form(declared, file_names) for name, declared in fields.items()}
            for section, fields in options.get("template", {}).items()
        }
    if spec.choices is None:
        return [spec.type, options]
    return [file_names(spec.choices) if isinstance(spec.choices, Files) else spec.choices, options]


def _field_form(declared: Any, file_names: FileNames) -> Any:
    """The declaration of an input within rows, with the files that are its choices."""
    options = declared[1]
    if FILES not in options:
        return declared
    rest = {name: value for name, value in options.items() if name != FILES}
    return [file_names(Files(options[FILES])), rest]


def _absent(
    name: str,
    title: str,
    file_input: str,
    folder: str,
    outputs: Sequence[str],
    category: str = _LOADERS,
    **options: Any,
) -> NodeSpec:
    choice = InputSpec(name=file_input, type="COMBO", choices=Files(folder), options=options)
    return NodeSpec(
        name=name,
        inputs=(choice,),
        outputs=tuple(OutputSpec(name=one, type=one) for one in outputs),
        display_name=title,
        category=category,
        doc=_NOT_HERE,
        deprecated=True,
    )


ASKED_FOR: Final = (
    _absent(
        "ImageOnlyCheckpointLoader",
        "Image Only Checkpoint Loader (img2vid model)",
        "ckpt_name",
        "checkpoints",
        ["MODEL", "CLIP_VISION", "VAE"],
        "loaders/video_models",
    ),
)
"""Loaders without which one released editor takes every node with a file choice for a missing one. Shown, never run.

Marked as deprecated, which the field's are not, so that editors keep out of their menus what cannot run."""
