"""Declarations of nodes that Safelight does not have, made from a survey of them, as a pack that serves them.

The survey (`nodes_wanted.json`) says of each node type what its documentation and saved workflows tell: `name → {type,
required, default, min, max, options, when, seen}`. It is turned into the form of `INPUT_TYPES`, with the groups of the
field's newer declarations: choices that bring inputs of their own, and inputs that grow as they are linked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

CHOOSING: Final = "COMFY_DYNAMICCOMBO_V3"
GROWING: Final = "COMFY_AUTOGROW_V3"

Facts = Mapping[str, Any]
Declared = dict[str, dict[str, Any]]

_WIDGETS: Final = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
_TYPES: Final = {"-": "*", "Any": "*", "ANY": "*", "ANY (type-matched list item)": "*", "IMAGE or MASK": "IMAGE,MASK"}
_SHOWN: Final = ("IMAGEUPLOAD", "AUDIOUPLOAD", "AUDIO_UI")
"""What a front end adds by itself."""
_DRAWN: Final = ("BOUNDING_BOX", "COLOR", "COLORS", "CURVE", "RANGE")
"""Further types that are widgets unless a node wants a link."""
_BROUGHT: Final[Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]]] = {
    "CreateCameraInfo": {
        "mode": {
            "orbit": ("yaw", "pitch", "distance"),
            "look_at": ("position_x", "position_y", "position_z"),
            "quaternion": ("position_x", "position_y", "position_z", "quat_x", "quat_y", "quat_z", "quat_w"),
        }
    },
    "StartLoop": {
        "mode": {
            "simple": ("num_iterations",),
            "For": ("start_iteration_index", "max_iteration", "step"),
            "List": ("list",),
        }
    },
    "BlockSparseAttention": {
        "selection": {"sol-attn": ("tau",), "sla": ("keep_percent",), "vsa": ("keep_percent",)},
    },
    "RemeshMesh": {
        "sign_mode": {
            "udf": ("qef", "drop_inverted_components", "drop_enclosed_components"),
            "sdf": ("manifold",),
            "solid": ("fill", "qef"),
        }
    },
    "DA3Render": {
        "output": {
            "depth": ("normalization", "apply_sky_clip"),
            "depth_colored": ("normalization", "apply_sky_clip"),
            "sky_mask": ("colored",),
            "confidence": ("colored",),
        }
    },
    "DA3Inference": {"mode": {"mono": (), "multiview": ("ref_view_strategy", "pose_method")}},
    "SeedVR2TemporalChunk": {"chunking_mode": {"auto": (), "manual": ("frames_per_chunk",)}},
    "GLSLShader": {"size_mode": {"from_input": (), "custom": ()}},
    "SaveAudioAdvanced": {"format": {"flac": (), "mp3": ("quality",), "opus": ()}},
    "ColorTransfer": {"source_stats": {"per_frame": (), "uniform": (), "target_frame": ()}},
}
"""What choices bring where the survey only lists it: read off the saved workflows."""

_PACK: Final = '''"""Declarations alone: none of these nodes runs."""

import json
from pathlib import Path

DECLARED = json.loads((Path(__file__).parent / "declared.json").read_text())


def node(facts):
    class Declared:
        RETURN_TYPES = tuple(facts["output"])
        RETURN_NAMES = tuple(facts["output_name"])
        OUTPUT_IS_LIST = tuple(facts["output_is_list"])
        OUTPUT_NODE = facts["output_node"]
        CATEGORY = facts["category"]
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls):
            return facts["input"]

        def run(self, **given):
            raise RuntimeError("This node is declared and not written.")

    return Declared


NODE_CLASS_MAPPINGS = {name: node(facts) for name, facts in DECLARED.items()}
'''


def write_pack(folder: Path, survey: Facts, known: Iterable[str]) -> None:
    """Write a pack that declares what the survey has beyond the node types that are `known`."""
    mine = set(known)
    folder.mkdir(parents=True, exist_ok=True)
    declared = {name: declaration(name, facts) for name, facts in survey.items() if name not in mine}
    (folder / "declared.json").write_text(json.dumps(declared))
    (folder / "__init__.py").write_text(_PACK)


def declaration(name: str, facts: Facts) -> dict[str, Any]:
    """One node type as `object_info` has it, as far as the survey knows it."""
    outputs = facts.get("outputs") or []
    return {
        "input": _Inputs(name, _given(facts)).declared(),
        "output": [one.get("type") or "*" for one in outputs],
        "output_name": [str(one.get("name") or one.get("type")) for one in outputs],
        "output_is_list": [bool(one.get("is_list")) for one in outputs],
        "output_node": bool(facts.get("output_node")) or not outputs or name.startswith(("Save", "Preview")),
        "category": str(facts.get("category") or "declared"),
    }


def _given(facts: Facts) -> dict[str, Facts]:
    """The inputs, with those that only workflows of later versions show."""
    found = dict(facts.get("inputs") or {})
    named = facts.get("named_values_seen") or {}
    for name, seen in (facts.get("inputs_seen_beyond_0.3.64") or {}).items():
        kinds = [kind for kind in seen.get("type", ()) if kind not in _SHOWN]
        if "." not in name and kinds:
            found[name] = {"type": kinds[0], "required": False, "options": named.get(name) or []}
    return found


class _Inputs:
    """The inputs of one node of the survey, sorted into those of the node and those that groups bring."""

    def __init__(self, node: str, inputs: Facts) -> None:
        self.node, self.inputs = node, inputs
        self.known = _BROUGHT.get(node, {})
        exact = all(isinstance(facts.get("required"), bool) for facts in inputs.values())
        self.members = {} if exact else self._members()

    def _members(self) -> dict[str, list[str]]:
        """Group → names that workflows write after its dot."""
        found: dict[str, list[str]] = {}
        for name in self.inputs:
            group, dot, rest = name.partition(".")
            if dot and rest and "." not in rest:
                found.setdefault(group, []).append(rest)
        return found

    def declared(self) -> Declared:
        inside = {one for options in self.known.values() for names in options.values() for one in names}
        inside |= {one for group, names in self.members.items() if self._chooses(group) for one in names}
        groups = self._grown()
        found: Declared = {"required": {}, "optional": {}}
        for name, facts in self.inputs.items():
            if name.partition(".")[0] in groups and name not in groups and self.members:
                continue
            if facts.get("when") or name in inside or (self.members and "." in name):
                continue
            found["required" if _required(facts) else "optional"][name] = groups.get(name) or self._form(name, facts)
        for name, form in groups.items():
            if name not in found["required"] and name not in found["optional"]:
                found["required"][name] = form
        return found

    def _grown(self) -> dict[str, Any]:
        """The groups that grow: those whose members are sockets and that no choice brings."""
        groups = {name: names for name, names in self.members.items() if not self._chooses(name)}
        return {name: _growing(self.inputs, name, names) for name, names in groups.items()}

    def _chooses(self, group: str) -> bool:
        kind = self.inputs.get(group, {}).get("type")
        return kind in (CHOOSING, "DYNAMIC_COMBO")

    def _form(self, name: str, facts: Facts) -> list[Any]:
        kind = str(facts.get("type"))
        if kind in (CHOOSING, "DYNAMIC_COMBO"):
            return self._choosing(name, facts)
        if "autogrow" in kind:
            inner = {"input": {"required": {"image": [kind.split()[0], {}]}}, "prefix": "image", "min": 1, "max": 50}
            return [GROWING, {"template": inner}]
        return simple(facts)

    def _choosing(self, name: str, facts: Facts) -> list[Any]:
        known = self.known.get(name)
        keys = list(known) if known else [str(one) for one in facts.get("options") or []]
        brought = {key: self._brought(name, key, known[key] if known else ()) for key in keys}
        if _only_documented(facts) and not any(one["required"] or one["optional"] for one in brought.values()):
            return ["COMBO", {"options": keys} | _default({**facts, "type": "COMBO"})]
        options = [{"key": key, "inputs": inputs} for key, inputs in brought.items()]
        return [CHOOSING, {"options": options} | _default({**facts, "type": "COMBO"})]

    def _brought(self, group: str, key: str, names: Sequence[str]) -> Declared:
        found: Declared = {"required": {}, "optional": {}}
        said = [name for name, facts in self.inputs.items() if facts.get("when") in ([group, key], [group])]
        for name in names or said:
            facts = self.inputs[name]
            if "." not in name:
                section = "optional" if facts.get("required") == "No" and not names else "required"
                found[section][name] = self._form(name, facts)
        return found


def _only_documented(facts: Facts) -> bool:
    """Whether only the documentation calls this a choice that brings inputs; no workflow shows it."""
    return facts.get("type") == "DYNAMIC_COMBO"


def simple(facts: Facts) -> list[Any]:
    """An input that is no group."""
    said = str(facts.get("type"))
    kinds = list(dict.fromkeys(one.strip() for one in _TYPES.get(said, said).split(",")))
    kind = ",".join(kinds)
    widget = next((one for one in kinds if one in _WIDGETS), None)
    options: dict[str, Any] = {}
    if kind == "COMBO":
        options["options"] = facts.get("options") or []
    if widget and widget != kind and facts.get("seen") == "widget":
        options["widgetType"] = widget
    if (widget == kind or kind in _DRAWN) and facts.get("seen") == "socket":
        options["forceInput"] = True
    for key in ("min", "max", "step"):
        value = _number(facts.get(key), widget or kind)
        if value is not None:
            options[key] = value
    flags = {key: True for key in ("multiline", "video_upload", "audio_upload") if facts.get(key) is True}
    return [kind, options | _default({**facts, "type": widget or kind}) | flags]


def _growing(inputs: Facts, group: str, names: list[str]) -> list[Any]:
    facts = inputs.get(group, {})
    kind = simple({"type": inputs[f"{group}.{names[0]}"].get("type"), "seen": None})[0]
    stems = {re.sub(r"\d+$", "", one) for one in names}
    least = int(_number(facts.get("min"), "INT") or 0)
    most = int(_number(facts.get("max"), "INT") or 50)
    template: dict[str, Any] = {
        "input": {"required": {min(stems) or "value": [kind, {"forceInput": True}]}},
        "min": least,
    }
    if f"{min(stems)}0" in names:
        template |= {"prefix": min(stems), "max": most}
    elif len(stems) == 1:
        template["names"] = [f"{min(stems)}{at}" for at in range(1, min(most, 100) + 1)]
    else:
        template["names"] = [chr(ord("a") + at) for at in range(min(most, 26))]
    return [GROWING, {"template": template}]


def _required(facts: Facts) -> bool:
    said = facts.get("required", False)
    return said if isinstance(said, bool) else str(said).startswith("Yes")


def _default(facts: Facts) -> dict[str, Any]:
    value, kind = facts.get("default"), facts.get("type")
    if value is None:
        return {}
    if not isinstance(value, str):
        return {"default": value}
    if kind in ("INT", "FLOAT"):
        number = _number(value, str(kind))
        return {} if number is None else {"default": number}
    if kind == "BOOLEAN":
        return {"default": value.lower() == "true"}
    if kind == "COMBO":
        return {"default": value} if value in (facts.get("options") or ()) else {}
    return {"default": "" if value in ("an", "empty") else value}


def _number(value: Any, kind: str) -> int | float | None:
    """The number at the beginning of what the documentation says."""
    if isinstance(value, int | float):
        return value
    found = re.match(r"-?\d+(\.\d+)?(e\d+)?", str(value))
    if found is None:
        return None
    return int(float(found[0])) if kind == "INT" and abs(float(found[0])) < 2**53 else _plain(found[0], kind)


def _plain(text: str, kind: str) -> int | float:
    return int(text) if kind == "INT" and text.lstrip("-").isdigit() else float(text)
