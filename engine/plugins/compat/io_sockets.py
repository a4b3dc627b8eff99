"""`comfy_api.latest.io`: inputs, outputs, and the types of links that have both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from engine.plugins.compat.io_words import without_none


class Input:
    """An input. `options` are those of its widget."""

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        raw_link: bool | None = None,
        advanced: bool | None = None,
        io_type: str | None = None,
        **options: Any,
    ) -> None:
        self.id = id
        self.display_name = display_name
        self.optional = bool(optional)
        self.tooltip = tooltip
        self.lazy = lazy
        self.extra_dict = dict(extra_dict or {})
        self.raw_link = raw_link
        self.rawLink = raw_link
        self.advanced = advanced
        self.options_of_widget = options
        if io_type is not None:
            self._own_type = io_type

    Parent: ClassVar[Any] = None

    @property
    def io_type(self) -> str:
        """The type of link."""
        return self.get_io_type()

    def get_io_type(self) -> str:
        """The type of link."""
        return str(getattr(self, "_own_type", None) or self.Parent.io_type)

    def as_dict(self) -> dict[str, Any]:
        """Its options as V1 declares them; those not given are left out."""
        base = {
            "display_name": self.display_name,
            "tooltip": self.tooltip,
            "lazy": self.lazy,
            "rawLink": self.raw_link,
            "advanced": self.advanced,
        }
        return without_none(base) | without_none(self.widget_options()) | self.extra_dict

    def widget_options(self) -> dict[str, Any]:
        """Its options beside those that every input may have."""
        return {_V1.get(name, name): value for name, value in self.options_of_widget.items()}

    def get_all(self) -> list[Input]:
        """This input and those that belong to it."""
        return [self]

    def validate(self) -> None:
        """Raise ValueError when it contradicts itself."""

    @property
    def default(self) -> Any:
        """Its value when none is given."""
        return self.options_of_widget.get("default")


class WidgetInput(Input):
    """An input that may have a widget."""

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        socketless: bool | None = None,
        widget_type: str | None = None,
        force_input: bool | None = None,
        **options: Any,
    ) -> None:
        options |= {
            "default": default,
            "socketless": socketless,
            "widget_type": widget_type,
            "force_input": force_input,
        }
        super().__init__(id, display_name, optional, tooltip, lazy, **options)


_V1 = {
    "force_input": "forceInput",
    "widget_type": "widgetType",
    "dynamic_prompts": "dynamicPrompts",
    "display_mode": "display",
    "multi_select": "multiselect",
    "control_after_generate": "control_after_generate",
}


class Output:
    """An output."""

    Parent: ClassVar[Any] = None

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **options: Any,
    ) -> None:
        self.id = id
        self.display_name = display_name if display_name else id
        self.tooltip = tooltip
        self.is_output_list = is_output_list
        self.options_of_output = options

    @property
    def io_type(self) -> str:
        """The type of link."""
        return self.get_io_type()

    def get_io_type(self) -> str:
        """The type of link."""
        return str(self.Parent.io_type)

    def as_dict(self) -> dict[str, Any]:
        """What is said of it."""
        return without_none(
            {"display_name": self.display_name, "tooltip": self.tooltip, "is_output_list": self.is_output_list}
        )


def v1_inputs(inputs: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Inputs in the form of V1's INPUT_TYPES."""
    found: dict[str, dict[str, Any]] = {"required": {}}
    for one in inputs:
        section = found.setdefault("optional" if one.optional else "required", {})
        section[one.id] = (one.get_io_type(), one.as_dict())
    return found


def add_to_dict_v1(i: Any, d: dict[str, Any]) -> None:
    """Add an input to a declaration in V1's form."""
    d.setdefault("optional" if i.optional else "required", {})[i.id] = (i.get_io_type(), i.as_dict())


class ComfyType:
    """A type of links: `Input` and `Output` declare an input and an output of it, `Type` is what its values are."""

    io_type: ClassVar[str] = "*"
    Type: ClassVar[Any] = Any
    widget: ClassVar[bool] = False
    Input: ClassVar[Any]
    Output: ClassVar[Any]

    def __init_subclass__(cls, io_type: str | None = None, widget: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if io_type is not None:
            cls.io_type = io_type
        own = vars(cls)
        if "Input" not in own:
            cls.Input = type("Input", (WidgetInput if widget else Input,), {})
        if "Output" not in own:
            cls.Output = type("Output", (Output,), {})
        cls.Input.Parent = cls
        cls.Output.Parent = cls


ComfyTypeI = ComfyTypeIO = ComfyType


def comfytype(io_type: str, **kwargs: Any) -> Callable[[type], type]:
    """Make a class with `Input` and `Output` inside a type of links."""

    def decorate(cls: Any) -> Any:
        cls.io_type = io_type
        for name, base in (("Input", Input), ("Output", Output)):
            made: Any = vars(cls).get(name) or type(name, (base,), {})
            setattr(cls, name, made)
            made.Parent = cls
        return cls

    return decorate


def Custom(io_type: str) -> Any:  # noqa: N802 - the field's name
    """A type of links of a pack's own."""
    return type("Custom", (ComfyType,), {}, io_type=io_type)
