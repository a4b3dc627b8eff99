"""`comfy_api.latest.io`: the declaration of a node, the base of V3 nodes, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.plugins.compat.io_sockets import v1_inputs
from engine.plugins.compat.io_words import Hidden, HiddenHolder


@dataclass
class PriceBadge:
    """What a run costs; nothing here does."""

    expr: str = ""
    depends_on: Any = None


@dataclass
class NodeInfoV1:
    """What /object_info says of a node."""

    input: Any = None
    name: str = ""


@dataclass
class Schema:
    """The declaration of a node."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    hidden: list[Any] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_dev_only: bool = False
    is_api_node: bool = False
    price_badge: Any = None
    not_idempotent: bool = False
    enable_expand: bool = False
    accept_all_inputs: bool = False
    essentials_category: str | None = None
    has_intermediate_output: bool = False

    def validate(self) -> None:
        """Raise ValueError when two inputs, or two outputs, have one id."""
        for what, ids in (
            ("input", [one.id for one in self.inputs or ()]),
            ("output", [one.id for one in self.outputs or () if one.id is not None]),
        ):
            twice = sorted({id for id in ids if ids.count(id) > 1})
            if twice:
                raise ValueError(
                    f"{self.node_id}: {what} ids must differ; given twice: {', '.join(twice)}. Rename one."
                )

    def finalize(self) -> None:
        """Fill in what follows: ids of outputs, and the hidden inputs that saving nodes have."""
        self.inputs = list(self.inputs or [])
        self.outputs = list(self.outputs or [])
        self.hidden = list(self.hidden or [])
        wanted = [Hidden.prompt, Hidden.extra_pnginfo] if self.is_output_node else []
        self.hidden += [kind for kind in wanted if kind not in self.hidden]
        for index, output in enumerate(self.outputs):
            if output.id is None:
                output.id = f"_{index}_{output.get_io_type()}_"


class _Property:
    """A class attribute that is made from the schema, as V1 code reads it."""

    def __init__(self, make: Callable[[Schema], Any]) -> None:
        self._make = make

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self._make(owner.GET_SCHEMA())


class ComfyNode:
    """Base of V3 nodes: `define_schema` and `execute` are class methods; an instance is never made."""

    hidden: ClassVar[Any] = HiddenHolder()
    SCHEMA: ClassVar[Any] = None
    FUNCTION: ClassVar[str] = "EXECUTE_NORMALIZED"
    RELATIVE_PYTHON_MODULE: ClassVar[str] = ""
    RETURN_TYPES = _Property(lambda schema: [one.get_io_type() for one in schema.outputs])
    RETURN_NAMES = _Property(lambda schema: [one.display_name or one.get_io_type() for one in schema.outputs])
    OUTPUT_IS_LIST = _Property(lambda schema: [one.is_output_list for one in schema.outputs])
    OUTPUT_TOOLTIPS = _Property(lambda schema: [one.tooltip for one in schema.outputs])
    OUTPUT_NODE = _Property(lambda schema: schema.is_output_node)
    INPUT_IS_LIST = _Property(lambda schema: schema.is_input_list)
    CATEGORY = _Property(lambda schema: schema.category)
    DESCRIPTION = _Property(lambda schema: schema.description)
    DEPRECATED = _Property(lambda schema: schema.is_deprecated)
    EXPERIMENTAL = _Property(lambda schema: schema.is_experimental)
    NOT_IDEMPOTENT = _Property(lambda schema: schema.not_idempotent)

    @classmethod
    def define_schema(cls) -> Schema:
        """The declaration; every node has its own."""
        raise NotImplementedError(f"{cls.__name__} has no define_schema, which declares the node. Write one.")

    @classmethod
    def execute(cls, **kwargs: Any) -> Any:
        """The work; every node has its own."""
        raise NotImplementedError(f"{cls.__name__} has no execute, which does the node's work. Write one.")

    @classmethod
    def GET_SCHEMA(cls) -> Schema:  # noqa: N802 - the field's name
        """The declaration, complete and checked. Raises what define_schema raises, and ValueError."""
        schema = cls.define_schema()
        schema.finalize()
        schema.validate()
        return schema

    @classmethod
    def INPUT_TYPES(cls, *args: Any) -> dict[str, Any]:  # noqa: N802 - the field's name
        """The inputs in V1's form."""
        schema = cls.GET_SCHEMA()
        hidden = {kind.name: (kind.value,) for kind in schema.hidden}
        return v1_inputs(schema.inputs) | ({"hidden": hidden} if hidden else {})

    @classmethod
    def EXECUTE_NORMALIZED(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N802 - the field's name
        """`execute`, with its result as a NodeOutput."""
        found = cls.execute(*args, **kwargs)
        if isinstance(found, NodeOutput) or found is None:
            return found or NodeOutput()
        return NodeOutput.from_dict(found) if isinstance(found, dict) else NodeOutput(*_tuple(found))


class NodeOutput:
    """What a node gives: values, something to show, a graph to run instead, or a reason to stop."""

    def __init__(self, *args: Any, ui: Any = None, expand: Any = None, block_execution: str | None = None) -> None:
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        """The values; None when there are none."""
        return self.args if self.args else None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NodeOutput:
        """From what a V1 node returns."""
        return cls(*_tuple(data.get("result", ())), ui=data.get("ui"), expand=data.get("expand"))

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


def _tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, list | tuple) else (values,)
