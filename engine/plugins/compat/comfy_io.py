"""`comfy_api.latest.io`: the classes that V3 nodes are declared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar


class _Word(str, Enum):  # noqa: UP042 - packs format members in ways of their own
    """A string with a name, shown as the string."""

    def __str__(self) -> str:
        return str(self.value)


class FolderType(_Word):
    """A working folder."""

    input = "input"
    output = "output"
    temp = "temp"


class UploadType(_Word):
    """What an upload button takes."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class RemoteOptions:
    """Choices that the editor fetches from an address."""

    def __init__(
        self,
        route: str,
        refresh_button: bool = True,
        control_after_refresh: str = "first",
        timeout: int | None = None,
        max_retries: int | None = None,
        refresh: int | None = None,
    ) -> None:
        self.route = route
        self.refresh_button = refresh_button
        self.control_after_refresh = control_after_refresh
        self.timeout = timeout
        self.max_retries = max_retries
        self.refresh = refresh

    def as_dict(self) -> dict[str, Any]:
        """As editors read it."""
        return _set(vars(self))


class NumberDisplay(_Word):
    """How a number is shown."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(_Word):
    """What becomes of a seed after a run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class Hidden(str, Enum):  # noqa: UP042 - as packs know it
    """What a node may be told besides its inputs."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class HiddenHolder:
    """The values of hidden inputs; those not asked for are None."""

    def __init__(self, **values: Any) -> None:
        for kind in Hidden:
            setattr(self, kind.name, values.get(kind.name))

    def __getattr__(self, key: str) -> Any:
        return None

    @classmethod
    def from_dict(cls, d: Mapping[Any, Any] | None) -> HiddenHolder:
        """From a mapping by the kinds."""
        return cls(**{kind.name: (d or {}).get(kind, (d or {}).get(kind.value)) for kind in Hidden})


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
        return _set(base) | _set(self.widget_options()) | self.extra_dict

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
        return _set({"display_name": self.display_name, "tooltip": self.tooltip, "is_output_list": self.is_output_list})


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


class Boolean(ComfyType, io_type="BOOLEAN", widget=True):
    """Yes or no."""

    Type = bool


class Int(ComfyType, io_type="INT", widget=True):
    """A whole number."""

    Type = int

    class Input(WidgetInput):
        """With `min`, `max`, `step`, `control_after_generate`, `display_mode`."""

        def __init__(self, *args: Any, min: Any = None, max: Any = None, step: Any = None, **kwargs: Any) -> None:
            super().__init__(*args, min=min, max=max, step=step, **kwargs)
            self.min, self.max, self.step = min, max, step


class Float(ComfyType, io_type="FLOAT", widget=True):
    """A number."""

    Type = float

    class Input(Int.Input):
        """With `min`, `max`, `step`, `round`, `display_mode`."""


class String(ComfyType, io_type="STRING", widget=True):
    """A text."""

    Type = str

    class Input(WidgetInput):
        """With `multiline`, `placeholder`, `dynamic_prompts`."""

        def __init__(self, *args: Any, multiline: bool = False, **kwargs: Any) -> None:
            super().__init__(*args, multiline=multiline, **kwargs)
            self.multiline = multiline


class Combo(ComfyType, io_type="COMBO", widget=True):
    """One of several choices."""

    Type = str

    class Input(WidgetInput):
        """With `options`: strings, or the members of an Enum."""

        def __init__(self, id: str, options: Any = None, *args: Any, upload: Any = None, **kwargs: Any) -> None:
            remote = kwargs.pop("remote", None)
            folder = kwargs.pop("image_folder", None)
            if isinstance(options, type) and issubclass(options, Enum):
                options = [member.value for member in options]
            default = kwargs.get("default")
            if isinstance(default, Enum):
                kwargs["default"] = default.value
            super().__init__(id, *args, **kwargs)
            self.options = list(options) if options is not None else None
            self.upload = upload
            self.image_folder = folder
            self.remote = remote

        def widget_options(self) -> dict[str, Any]:
            """Its choices, upload button and the rest."""
            more: dict[str, Any] = {"options": self.options}
            if self.upload is not None:
                more[str(getattr(self.upload, "value", self.upload))] = True
            if self.image_folder is not None:
                more["image_folder"] = str(getattr(self.image_folder, "value", self.image_folder))
            if self.remote is not None:
                more["remote"] = self.remote.as_dict()
            return super().widget_options() | more

    class Output(Output):
        """With `options`, the choices that may come out."""

        def __init__(self, id: Any = None, display_name: Any = None, options: Any = None, **kwargs: Any) -> None:
            super().__init__(id if isinstance(id, str) or id is None else None, display_name, **kwargs)
            self.options = options if options is not None else []


class MultiCombo(ComfyType, io_type="COMBO"):
    """Several of several choices."""

    Type = list

    class Input(Combo.Input):
        """With `options`, `placeholder`, `chip`."""

        def widget_options(self) -> dict[str, Any]:
            """As Combo, with the choice of several."""
            return super().widget_options() | {"multiselect": True, "multi_select": True}


def _types(**names: str) -> dict[str, Any]:
    return {name: type(name, (ComfyType,), {"__doc__": f"{kind} links."}, io_type=kind) for name, kind in names.items()}


_PLAIN: dict[str, Any] = _types(
    Image="IMAGE",
    WanCameraEmbedding="WAN_CAMERA_EMBEDDING",
    Webcam="WEBCAM",
    Mask="MASK",
    Latent="LATENT",
    Conditioning="CONDITIONING",
    Sampler="SAMPLER",
    Sigmas="SIGMAS",
    Noise="NOISE",
    Guider="GUIDER",
    Clip="CLIP",
    ControlNet="CONTROL_NET",
    Vae="VAE",
    Model="MODEL",
    ModelPatch="MODEL_PATCH",
    ClipVision="CLIP_VISION",
    ClipVisionOutput="CLIP_VISION_OUTPUT",
    AudioEncoder="AUDIO_ENCODER",
    AudioEncoderOutput="AUDIO_ENCODER_OUTPUT",
    StyleModel="STYLE_MODEL",
    Gligen="GLIGEN",
    UpscaleModel="UPSCALE_MODEL",
    LatentUpscaleModel="LATENT_UPSCALE_MODEL",
    Audio="AUDIO",
    Video="VIDEO",
    SVG="SVG",
    LoraModel="LORA_MODEL",
    LossMap="LOSS_MAP",
    Voxel="VOXEL",
    Mesh="MESH",
    Hooks="HOOKS",
    HookKeyframes="HOOK_KEYFRAMES",
    TimestepsRange="TIMESTEPS_RANGE",
    LatentOperation="LATENT_OPERATION",
    FlowControl="FLOW_CONTROL",
    Accumulation="ACCUMULATION",
    Load3D="LOAD_3D",
    Load3DCamera="LOAD3D_CAMERA",
    Load3DAnimation="LOAD_3D_ANIMATION",
    Photomaker="PHOTOMAKER",
    Point="POINT",
    FaceAnalysis="FACE_ANALYSIS",
    BBOX="BBOX",
    BoundingBox="BOUNDING_BOX",
    SEGS="SEGS",
    Tracks="TRACKS",
    AnyType="*",
    ImageCompare="IMAGECOMPARE",
    Color="COLOR",
    Curve="CURVE",
    Histogram="HISTOGRAM",
    Dict="DICT",
    File3DAny="FILE_3D",
)
globals().update(_PLAIN)


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
        types = allowed_types if isinstance(allowed_types, list | tuple) else [allowed_types or _PLAIN["AnyType"]]
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

    class Output(Output):
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


def v1_inputs(inputs: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Inputs in the form of V1's INPUT_TYPES."""
    found: dict[str, dict[str, Any]] = {"required": {}}
    for one in inputs:
        section = found.setdefault("optional" if one.optional else "required", {})
        section[one.id] = (one.get_io_type(), one.as_dict())
    return found


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


def _set(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def add_to_dict_v1(i: Any, d: dict[str, Any]) -> None:
    """Add an input to a declaration in V1's form."""
    d.setdefault("optional" if i.optional else "required", {})[i.id] = (i.get_io_type(), i.as_dict())
