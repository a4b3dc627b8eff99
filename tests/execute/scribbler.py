"""A pack that writes into everything it can reach, by every way into memory, at once and long afterwards.

It declares its nodes as packs in the field do, and can be put into `custom_nodes/` as it is. What it writes are sevens.
"""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import torch

HELD = []
"""Everything that came to a node of this pack or went from one, for `ScribbleAll` and for threads."""

THREADS = []
GO = threading.Event()
"""Set by a test once the node that started a thread has long returned."""

SEVEN = 7.0


def _pointer(value):
    data = np.full(value.shape, SEVEN, dtype=np.float32)
    ctypes.memmove(value.data_ptr(), data.ctypes.data, data.nbytes)


def _storage(value):
    data = np.full(value.numel(), SEVEN, dtype=np.float32).tobytes()
    storage = value.untyped_storage()
    storage.copy_(torch.UntypedStorage(list(data)))


def _buffer(value):
    view = memoryview(value.numpy()).cast("B")
    view[:] = np.full(value.numel(), SEVEN, dtype=np.float32).tobytes()


def _resized(value):
    value.resize_(1).fill_(SEVEN)


def _numpy_of_view(value):
    value.reshape(-1)[1:].numpy()[...] = SEVEN


WAYS = {
    "in place": lambda value: value.fill_(SEVEN),
    "view": lambda value: value[:1].mul_(0).add_(SEVEN),
    "index": lambda value: value.__setitem__(0, SEVEN),
    "out": lambda value: torch.add(value, SEVEN, out=value),
    "data": lambda value: value.data.fill_(SEVEN),
    "set_": lambda value: value.set_(torch.full_like(value, SEVEN)),
    "data assigned": lambda value: setattr(value, "data", torch.full_like(value, SEVEN)),
    "resize_": _resized,
    "storage": _storage,
    "storage emptied": lambda value: value.untyped_storage().fill_(0),
    "numpy": lambda value: value.numpy().fill(SEVEN),
    "numpy of a view": _numpy_of_view,
    "array": lambda value: np.asarray(value).fill(SEVEN),
    "array interface": lambda value: value.__array__().fill(SEVEN),
    "dlpack protocol": lambda value: torch.from_dlpack(value).fill_(SEVEN),
    "dlpack": lambda value: torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(value)).fill_(SEVEN),
    "buffer": _buffer,
    "pointer": _pointer,
}


def scribble(value, way):
    """Write into a tensor by `way`, into everything else by all there are."""
    if isinstance(value, torch.Tensor):
        WAYS[way](value)
    elif isinstance(value, np.ndarray):
        value.fill(SEVEN)
    elif isinstance(value, dict):
        for item in list(value.values()):
            scribble(item, way)
        value["scribbled"] = SEVEN
        value.pop("strength", None)
    elif isinstance(value, list):
        for item in list(value):
            scribble(item, way)
        value.append(SEVEN)
        value.reverse()


def _later(value, way):
    """Write from a thread that outlives the node."""

    def run():
        GO.wait(timeout=20)
        scribble(value, way)

    thread = threading.Thread(target=run, daemon=True)
    THREADS.append(thread)
    thread.start()


class Scribble:
    """Writes into its input: `now`, from a `thread` that outlives it, or in a `later` node."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*", {"forceInput": True}), "way": ("STRING", {}), "when": ("STRING", {})}}

    def run(self, value, way, when):
        HELD.append((value, way))
        if when == "now":
            scribble(value, way)
        elif when == "thread":
            _later(value, way)
        return ("done",)


class ScribbleAll:
    """Writes into everything that this pack ever saw."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"after": ("STRING", {"forceInput": True})}}

    @classmethod
    def IS_CHANGED(cls, after):
        return float("nan")

    def run(self, after):
        for value, way in HELD:
            scribble(value, way)
        return (len(HELD),)


class Kept:
    """Gives a value of its own and keeps it, to write into it from a `thread` or in a `later` node."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"kind": ("STRING", {}), "way": ("STRING", {}), "when": ("STRING", {})}}

    def run(self, kind, way, when):
        value = made(kind)
        HELD.append((value, way))
        if when == "thread":
            _later(value, way)
        return (value,)


class PassOn:
    """Keeps what it is given, and gives the same object."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*", {"forceInput": True}), "way": ("STRING", {})}}

    def run(self, value, way):
        HELD.append((value, way))
        return (value,)


class Texts:
    """Shows texts, keeps the list of them, and gives a node in its place whose list it keeps as well."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("*",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {})}}

    def run(self, seed):
        shown, numbers, tensor = ["shown"], [seed, 2.0, 3.0], torch.full((2, 2), 2.0)
        HELD.extend(((shown, "in place"), (numbers, "in place"), (tensor, "numpy")))
        nodes = {
            "sum": {"class_type": "SumOf", "inputs": {"numbers": numbers, "tensor": tensor}},
        }
        return {"ui": {"texts": shown}, "result": (["sum", 0],), "expand": nodes}


class SumOf:
    """The sum of a list and a tensor, both of which it then writes into."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("FLOAT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"numbers": ("*", {}), "tensor": ("*", {})}}

    def run(self, numbers, tensor):
        total = float(sum(numbers)) + float(tensor.sum())
        numbers.append(SEVEN)
        tensor.numpy().fill(SEVEN)
        return (total,)


def made(kind):
    """A value of ones in one of the field's forms."""
    if kind == "latent":
        return {"samples": torch.ones(1, 4, 2, 2), "batch_index": [0]}
    if kind == "conditioning":
        return [[torch.ones(1, 3, 4), {"pooled_output": torch.ones(1, 4), "strength": 1.0, "area": [1, 1]}]]
    if kind == "array":
        return {"array": np.ones(4), "list": [1, [2]]}
    return torch.ones(4, 4)


NODE_CLASS_MAPPINGS = {cls.__name__: cls for cls in (Scribble, ScribbleAll, Kept, PassOn, Texts, SumOf)}
