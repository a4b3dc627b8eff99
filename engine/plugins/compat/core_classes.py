"""`nodes`: the core nodes as classes that packs subclass and call, made of our nodes' definitions."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import random
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.authoring.decorator import definition_of
from engine.authoring.definition import NodeDefinition
from engine.graph.schema import Files, InputSpec
from engine.plugins.compat.absent import absent_class, refuse
from engine.plugins.compat.core_methods import EXTRA, METHODS
from engine.plugins.compat.host import the_host
from engine.plugins.compat.running import current_context
from engine.plugins.compat.values import from_pack, to_pack

MAX_RESOLUTION: Final = 16384

_DECLARED: Final = re.compile(r'^@node\(\s*"([^"]+)"', re.MULTILINE)


@cache
def declared() -> dict[str, str]:
    """Name of each core node → the module that declares it, read off the sources without importing them."""
    found: dict[str, str] = {}
    for package in the_host().packages:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec is not None else ():
            for file in sorted(Path(root).glob("*.py")):
                text = file.read_text(encoding="utf-8")
                found |= dict.fromkeys(_DECLARED.findall(text), f"{package}.{file.stem}")
    return found


@cache
def aliases() -> dict[str, str]:
    """Name in the field → our name."""
    found: dict[str, str] = {}
    for package in the_host().packages:
        if importlib.util.find_spec(f"{package}.aliases") is not None:
            found |= getattr(importlib.import_module(f"{package}.aliases"), "ALIASES", {})
    return found


def definition(name: str) -> NodeDefinition | None:
    """The core node of that name, ours or the field's; None when there is none."""
    ours = aliases().get(name, name)
    module = declared().get(ours)
    if module is None:
        return None
    for value in vars(importlib.import_module(module)).values():
        found = definition_of(value)
        if found is not None and found.spec.name == ours:
            return found
    return None


@cache
def core_class(name: str) -> type | None:
    """The class of a core node; one by hand where packs use more of it than its declaration. None when there is none."""
    if name in BY_HAND:
        return BY_HAND[name]
    found = definition(name)
    return None if found is None else class_of(name, found)


def class_of(name: str, found: NodeDefinition) -> type:
    """A class in the style of the field that runs a node of ours."""
    method, *order = METHODS.get(name, "execute").split()
    spec = found.spec
    names = order or [one.name for one in spec.inputs]

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _run(name, found, {**dict(zip(names, args, strict=False)), **kwargs})

    call.__name__ = method
    body: dict[str, Any] = {
        "INPUT_TYPES": classmethod(lambda cls: input_types(found)),
        "RETURN_TYPES": tuple(one.type for one in spec.outputs),
        "RETURN_NAMES": tuple(one.name for one in spec.outputs),
        "OUTPUT_IS_LIST": tuple(one.is_list for one in spec.outputs),
        "INPUT_IS_LIST": spec.input_is_list,
        "OUTPUT_NODE": spec.output_node,
        "CATEGORY": spec.category,
        "DESCRIPTION": spec.doc,
        "FUNCTION": method,
        "RELATIVE_PYTHON_MODULE": "nodes",
        "device": "cpu",
        "__module__": "nodes",
        "__doc__": spec.doc,
        "__safelight_core__": name,
        "execute": classmethod(call),
        method: call if method != "execute" else classmethod(call),
    }
    for one in spec.inputs:
        if one.name in ("upscale_method", "crop") and isinstance(one.choices, tuple):
            body["upscale_methods" if one.name == "upscale_method" else "crop_methods"] = list(one.choices)
    return type(name, (), body)


def input_types(found: NodeDefinition) -> dict[str, Any]:
    """The inputs of a node of ours in the field's form, with choices read anew."""
    sections: dict[str, Any] = {"required": {}}
    for one in found.spec.inputs:
        section = sections.setdefault("required" if one.required else "optional", {})
        section[one.name] = (_type(one), _options(one))
    if found.spec.hidden or found.spec.told_hidden:
        sections["hidden"] = found.spec.hidden | found.spec.told_hidden
    return sections


def _type(one: InputSpec) -> Any:
    if one.choices is None:
        return one.type
    if isinstance(one.choices, Files):
        from engine.plugins.compat import folder_paths

        if one.choices.folder == "input":
            return [*the_host().paths.folder_files("input"), *one.choices.extra]
        return [*folder_paths.get_filename_list(one.choices.folder), *one.choices.extra]
    return list(one.choices)


def _options(one: InputSpec) -> dict[str, Any]:
    facts = {
        "default": one.default,
        "min": one.ge,
        "max": one.le,
        "step": one.step,
        "tooltip": one.tip or None,
        "multiline": one.multiline or None,
        "lazy": one.lazy or None,
        "forceInput": one.link_only or None,
    }
    return {name: value for name, value in facts.items() if value is not None} | dict(one.options)


def _run(name: str, found: NodeDefinition, inputs: dict[str, Any]) -> Any:
    """Call a node of ours with what a pack gave; its values as a tuple, or as a dict with `ui`."""
    for extra, only in EXTRA.get(name, {}).items():
        if inputs.get(extra, only) != only:
            refuse(f"nodes.{name}.{METHODS[name].split()[0]}({extra}={inputs[extra]!r})", f"that node with {extra}")
    given: dict[str, Any] = {}
    for one in found.spec.inputs:
        if one.name in inputs:
            value = inputs[one.name]
            given[one.name] = from_pack(value)
        elif one.default is not None or not one.required:
            given[one.name] = one.default
        else:
            raise TypeError(f"{name} needs the input {one.name!r}, and was called without it.")
    arguments: list[Any] = [found.make()] if found.make is not None else []
    if found.wants_ctx:
        ctx = current_context()
        if ctx is None:
            raise RuntimeError(f"{name} was called while no node runs. Call it inside a node's function.")
        arguments.append(ctx)
    result = found.read(found.spec, found.run(*arguments, **given))
    values = tuple(map(to_pack, result.values))
    return values if result.ui is None else {"ui": dict(result.ui), "result": values}


class SaveImage:
    """Saves pictures; subclasses of packs choose the folder and the name."""

    RETURN_TYPES: tuple[Any, ...] = ()
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    CATEGORY = "image"
    DESCRIPTION = "Saves the input images."
    RELATIVE_PYTHON_MODULE = "nodes"

    def __init__(self) -> None:
        from engine.plugins.compat import folder_paths

        self.output_dir = folder_paths.get_output_directory()
        self.type = "output"
        self.prefix_append = ""
        self.compress_level = 4

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """Pictures and the beginning of their names."""
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The images to save."}),
                "filename_prefix": ("STRING", {"default": "ComfyUI", "tooltip": "The prefix of the file names."}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def save_images(
        self, images: Any, filename_prefix: str = "ComfyUI", prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        """Save pictures (B, H, W, C) as PNG files with the prompt and everything in `extra_pnginfo` inside."""
        from engine.plugins.compat import folder_paths

        results = []
        height, width = images[0].shape[0], images[0].shape[1]
        folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix + self.prefix_append, self.output_dir, width, height
        )
        ctx = current_context()
        seal = ctx.seal if ctx is not None and self.type == "output" else None
        for index, picture in enumerate(_pictures(images)):
            file = f"{name.replace('%batch_num%', str(index))}_{number + index:05}_.png"
            told = _texts(prompt, extra_pnginfo) if the_host().embeds else None
            picture.save(Path(folder) / file, pnginfo=told, compress_level=self.compress_level)
            if seal is not None:
                seal(Path(folder) / file, ".png")
            results.append({"filename": file, "subfolder": subfolder, "type": self.type})
        return {"ui": {"images": results}}


class PreviewImage(SaveImage):
    """Shows pictures without keeping them."""

    DESCRIPTION = "Previews the input images."

    def __init__(self) -> None:
        from engine.plugins.compat import folder_paths

        self.output_dir = folder_paths.get_temp_directory()
        self.type = "temp"
        self.prefix_append = "_temp_" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=5))
        self.compress_level = 1

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """Pictures."""
        return {
            "required": {"images": ("IMAGE",)},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }


class LoadImage:
    """Loads a picture and its transparency."""

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load_image"
    CATEGORY = "image"
    RELATIVE_PYTHON_MODULE = "nodes"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """The files among the uploads."""
        files = sorted(the_host().paths.folder_files("input"))
        return {"required": {"image": (files, {"image_upload": True})}}

    def load_image(self, image: str) -> tuple[Any, Any]:
        """The picture (B, H, W, 3) and its mask (B, H, W)."""
        from engine.media.load import load_picture
        from engine.plugins.compat import folder_paths

        picture = load_picture(Path(folder_paths.get_annotated_filepath(image)))
        return picture.image, picture.mask

    @classmethod
    def IS_CHANGED(cls, image: str) -> str:  # noqa: N802 - the field's name
        """A digest of the file."""
        from engine.plugins.compat import folder_paths

        return hashlib.sha256(Path(folder_paths.get_annotated_filepath(image)).read_bytes()).hexdigest()

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> Any:  # noqa: N802 - the field's name
        """Whether the file is there."""
        from engine.plugins.compat import folder_paths

        return folder_paths.exists_annotated_filepath(image) or f"Invalid image file: {image}"


class SaveLatent:
    """Saves latents."""

    RETURN_TYPES: tuple[Any, ...] = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    CATEGORY = "_for_testing"
    RELATIVE_PYTHON_MODULE = "nodes"

    def __init__(self) -> None:
        from engine.plugins.compat import folder_paths

        self.output_dir = folder_paths.get_output_directory()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """A latent and the beginning of its name."""
        return {
            "required": {"samples": ("LATENT",), "filename_prefix": ("STRING", {"default": "latents/ComfyUI"})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def save(
        self, samples: Any, filename_prefix: str = "ComfyUI", prompt: Any = None, extra_pnginfo: Any = None
    ) -> Any:
        """Save the latent as `.latent`, which is a safetensors file."""
        import torch
        from safetensors.torch import save_file

        from engine.plugins.compat import folder_paths

        folder, name, number, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, self.output_dir)
        file = f"{name}_{number:05}_.latent"
        facts = {"prompt": json.dumps(prompt or "")} | {
            key: json.dumps(value) for key, value in (extra_pnginfo or {}).items()
        }
        facts = facts if the_host().embeds else {}
        tensors = {"latent_tensor": samples["samples"].contiguous(), "latent_format_version_0": torch.tensor([])}
        save_file(tensors, Path(folder) / file, metadata=facts)
        return {"ui": {"latents": [{"filename": file, "subfolder": subfolder, "type": "output"}]}}


DualCLIPLoader: Any = absent_class("nodes.DualCLIPLoader", "text encoders with two towers")
DualCLIPLoader.INPUT_TYPES = classmethod(
    lambda cls: {
        "required": {
            "clip_name1": (_text_encoders(),),
            "clip_name2": (_text_encoders(),),
            "type": (["sdxl", "sd3", "flux", "hunyuan_video", "hidream"],),
        },
        "optional": {"device": (["default", "cpu"], {"advanced": True})},
    }
)

BY_HAND: Final[dict[str, type]] = {
    one.__name__: one for one in (SaveImage, PreviewImage, LoadImage, SaveLatent, DualCLIPLoader)
}
for _one in BY_HAND.values():
    _one.__module__ = "nodes"


def common_ksampler(
    model: Any,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Any,
    negative: Any,
    latent: Any,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
) -> tuple[Any]:
    """Denoise a latent as KSampler and KSamplerAdvanced do."""
    from engine.denoising.live import latent_for, live_model, report_to, rescale_of
    from engine.denoising.records import StepPlan
    from engine.denoising.run import ksampler
    from engine.sampling.guiders import CfgGuidance

    node: Any = current_context()
    handle = from_pack(model)
    plan = StepPlan(
        steps=steps,
        sampler_name=sampler_name,
        scheduler=scheduler,
        denoise=denoise,
        start_step=start_step,
        last_step=last_step,
        force_full_denoise=force_full_denoise,
    )
    guidance = CfgGuidance(positive, negative, cfg, rescale_of(handle))
    report = report_to(node, handle)
    with live_model(node.models, handle) as live:
        fitted = latent_for(handle, latent)
        done = ksampler(live, fitted, guidance, plan, seed=seed, add_noise=not disable_noise, callback=report)
    return (done,)


def before_node_execution() -> None:
    """Raise when the job was cancelled."""
    from engine.plugins.compat.running import check_cancelled

    check_cancelled()


def interrupt_processing(value: bool = True) -> None:
    """Cancel the job of the running node."""
    model_management: Any = importlib.import_module("comfy.model_management")
    model_management.interrupt_current_processing(value)


def load_custom_node(*args: Any, **kwargs: Any) -> Any:
    """Load a pack from within a pack."""
    refuse("nodes.load_custom_node", "packs that load packs; put the other one into custom_nodes")


def get_module_name(module_path: str) -> str:
    """The name of the module or folder at a path."""
    path = Path(module_path)
    return path.stem if path.is_file() else path.name


class Classes(dict[str, Any]):
    """Classes by node name: those of packs, and the core's, which are made when they are asked for."""

    def __missing__(self, name: str) -> Any:
        found = core_class(name) if name in _core_names() else None
        if found is None:
            raise KeyError(name)
        self[name] = found
        return found

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or name in _core_names()

    def get(self, name: Any, default: Any = None) -> Any:
        """The class, or `default`."""
        return self[name] if name in self else default  # noqa: SIM401 - this is that method

    def is_core(self, name: object) -> bool:
        """Whether the engine has a node of that name itself."""
        return name in _core_names()

    def complete(self) -> Classes:
        """Itself with every core class made, which imports all core nodes."""
        for name in _core_names():
            self.get(name)
        return self

    def __iter__(self) -> Iterator[str]:
        return iter([*dict.__iter__(self), *(name for name in _core_names() if not dict.__contains__(self, name))])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def keys(self) -> Any:
        """Every name."""
        return list(self)

    def items(self) -> Any:
        """Every name and class."""
        return list(dict.items(self.complete()))

    def values(self) -> Any:
        """Every class."""
        return list(dict.values(self.complete()))

    def copy(self) -> Classes:
        """One more."""
        return Classes(dict.items(self))


@cache
def _core_names() -> frozenset[str]:
    return frozenset({*declared(), *aliases(), *BY_HAND})


NODE_CLASS_MAPPINGS = Classes()
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
EXTENSION_WEB_DIRS = the_host().web_directories
LOADED_MODULE_DIRS: dict[str, str] = {}


def core_name(name: str) -> Any:
    """What the module `nodes` has under `name` for packs; None when it has nothing."""
    if name.startswith("__") or name in ("declared", "definition", "core_name", "core_class", "class_of"):
        return None
    if name in _PUBLIC:
        return globals()[name]
    return core_class(name) if name in _core_names() else None


_PUBLIC: Final = frozenset(
    {
        "MAX_RESOLUTION",
        "NODE_CLASS_MAPPINGS",
        "NODE_DISPLAY_NAME_MAPPINGS",
        "EXTENSION_WEB_DIRS",
        "LOADED_MODULE_DIRS",
        "common_ksampler",
        "before_node_execution",
        "interrupt_processing",
        "load_custom_node",
        "get_module_name",
    }
)


def _text_encoders() -> list[str]:
    from engine.plugins.compat import folder_paths

    return list(folder_paths.get_filename_list("text_encoders"))


def _pictures(images: Any) -> Iterator[Any]:
    from engine.media.tensors import to_pictures

    batch = images if hasattr(images, "ndim") else None
    if batch is None:
        import torch

        batch = torch.stack(list(images))
    return to_pictures(batch)


def _texts(prompt: Any, more: Mapping[str, Any] | None) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if prompt is not None:
        info.add_text("prompt", _json(prompt))
    for key, value in (more or {}).items():
        info.add_text(key, _json(value))
    return info


def _json(value: Any) -> str:
    try:
        return json.dumps(value)
    except TypeError:
        return msgspec.json.encode(value).decode()
