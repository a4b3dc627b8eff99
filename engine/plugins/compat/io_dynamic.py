"""`comfy_api.latest.io`: inputs whose type or number follows from what is linked or chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.plugins.compat import io_sockets
from engine.plugins.compat.io_sockets import ComfyType, Input, v1_inputs
from engine.plugins.compat.io_types import PLAIN


class MultiType:
    """An input that takes several types of links."""

    Type = Any

    class Input(Input):
        """`id` is an id, or an input whose widget it has; `types` are the types taken."""

        def __init__(self, id: Any, types: Sequence[Any], *args: Any, **kwargs: Any) -> None:
            self.input_override = id if isinstance(id, Input) else None
            self.io_types = [one.io_type if hasattr(one, "io_type") else str(one) for one in types]
            if self.input_override is not None:
                own = self.input_override
                args, kwargs = (
                    (),
                    {
                        "display_name": own.display_name,
                        "optional": own.optional,
                        "tooltip": own.tooltip,
                        "lazy": own.lazy,
                    }
                    | kwargs,
                )
                super().__init__(own.id, *args, **kwargs)
            else:
                super().__init__(id, *args, **kwargs)

        def get_io_type(self) -> str:
            """All of them, by commas."""
            head = [self.input_override.get_io_type()] if self.input_override is not None else []
            return ",".join(dict.fromkeys([*head, *self.io_types]))

        def as_dict(self) -> dict[str, Any]:
            """Its options, with those of the input whose widget it has."""
            widget = self.input_override
            if widget is None:
                return super().as_dict()
            return widget.as_dict() | super().as_dict() | {"widgetType": widget.get_io_type()}


class _Template:
    """What several inputs and outputs agree on: `allowed_types` is what the links among them may be."""

    def __init__(self, template_id: str, allowed_types: Any = None) -> None:
        self.template_id = template_id
        types = allowed_types if isinstance(allowed_types, list | tuple) else [allowed_types or PLAIN["AnyType"]]
        self.allowed_types = list(types)

    def as_dict(self) -> dict[str, Any]:
        """As editors read it."""
        kinds = ",".join(one.io_type for one in self.allowed_types)
        return {"template_id": self.template_id, "allowed_types": kinds}


class MatchType(ComfyType, io_type="COMFY_MATCHTYPE_V3"):
    """Inputs and outputs that are all of the one type that is linked."""

    Template = _Template

    class Input(Input):
        """With `template`."""

        def __init__(self, id: str, template: _Template, *args: Any, **kwargs: Any) -> None:
            super().__init__(id, *args, **kwargs)
            self.template = template

        def as_dict(self) -> dict[str, Any]:
            """With what the template allows."""
            return super().as_dict() | {"template": self.template.as_dict()}

    class Output(io_sockets.Output):
        """With `template`."""

        def __init__(self, template: _Template, id: str | None = None, *args: Any, **kwargs: Any) -> None:
            super().__init__(id, *args, **kwargs)
            self.template = template


class _Growing:
    """How many inputs there are: named `prefix0`, … from `min` to `max`, or by `names`."""

    def __init__(self, input: Any, *, names: Sequence[str] = (), prefix: str = "", min: int = 1, max: int = 10) -> None:
        self.input = input
        self.names = list(names) or [f"{prefix}{index}" for index in range(max)]
        self.prefix = prefix
        self.min = min
        self.max = len(self.names)

    def as_dict(self) -> dict[str, Any]:
        """As editors read it."""
        kind = "optional" if self.input.optional else "required"
        declared = {kind: {self.input.id: (self.input.get_io_type(), self.input.as_dict())}}
        how = {"prefix": self.prefix, "max": self.max} if self.prefix else {"names": self.names}
        return {"input": declared, "min": self.min, **how}


class Autogrow(ComfyType, io_type="COMFY_AUTOGROW_V3"):
    """As many inputs as are linked."""

    Type = dict

    class TemplatePrefix(_Growing):
        """Inputs `prefix0`, `prefix1`, …"""

        def __init__(self, input: Any, prefix: str, min: int = 1, max: int = 10) -> None:
            super().__init__(input, prefix=prefix, min=min, max=max)

    class TemplateNames(_Growing):
        """Inputs of given names."""

        def __init__(self, input: Any, names: Sequence[str], min: int = 1) -> None:
            super().__init__(input, names=names, min=min)

    class Input(Input):
        """With `template`, which says how many of what."""

        def __init__(self, id: str, template: _Growing, *args: Any, **kwargs: Any) -> None:
            super().__init__(id, *args, **kwargs)
            self.template = template

        def as_dict(self) -> dict[str, Any]:
            """With the template."""
            return super().as_dict() | {"template": self.template.as_dict()}

        def names(self) -> list[str]:
            """The names of the single inputs in prompts."""
            return [f"{self.id}.{name}" for name in self.template.names]


class DynamicCombo(ComfyType, io_type="COMFY_DYNAMICCOMBO_V3"):
    """A choice that brings inputs of its own."""

    Type = dict

    class Option:
        """One choice and its inputs."""

        def __init__(self, key: str, inputs: Sequence[Any]) -> None:
            self.key = key
            self.inputs = list(inputs)

        def as_dict(self) -> dict[str, Any]:
            """As editors read it."""
            return {"key": self.key, "inputs": v1_inputs(self.inputs)}

    class Input(Input):
        """With `options`."""

        def __init__(self, id: str, options: Sequence[Any], *args: Any, **kwargs: Any) -> None:
            super().__init__(id, *args, **kwargs)
            self.options = list(options)

        def as_dict(self) -> dict[str, Any]:
            """With the choices and their inputs."""
            return super().as_dict() | {"options": [one.as_dict() for one in self.options]}

        def get_all(self) -> list[Any]:
            """This input and all that the choices bring."""
            return [self, *(one for option in self.options for given in option.inputs for one in given.get_all())]


class DynamicSlot(ComfyType, io_type="COMFY_DYNAMICSLOT_V3"):
    """A link that brings inputs of its own."""

    class Input(Input):
        """With `inputs`."""

        def __init__(self, slot: Any, inputs: Sequence[Any], *args: Any, **kwargs: Any) -> None:
            super().__init__(slot.id, *args, **kwargs)
            self.slot = slot
            self.inputs = list(inputs)
