# ruff: noqa
import asyncio
import inspect
import math
import os
from pathlib import Path

from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder

NOTES = os.environ["TEST_NOTES"]
LIST = Path(__file__).parent / "choices"


def note(what):
    with open(NOTES, "a") as file:
        file.write(f"{what}\n")


class AnyType(str):
    def __ne__(self, other):
        return False


ANY = AnyType("*")


class ByPass(tuple):
    def __getitem__(self, index):
        return super().__getitem__(min(index, len(self) - 1))


class Everything(dict):
    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return (ANY, {}) if key not in self.keys() else super().__getitem__(key)


class Unlistable(dict):
    def __contains__(self, key):
        return True

    def items(self):
        raise RuntimeError("no items")


class Kinds:
    """Every form in which inputs are declared."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "whole": (
                    "INT",
                    {"default": 3.0, "min": 0.0, "max": 0xFFFFFFFFFFFFFFFF, "step": 1, "display": "slider"},
                ),
                "real": ("FLOAT", {"default": 0.5, "min": -1, "max": 1, "tooltip": "A share."}),
                "text": ("STRING", {"multiline": True, "default": "x", "dynamicPrompts": True}, "extra"),
                "flag": ("BOOLEAN", {"label_on": "yes", "default": True}),
                "choice": (["a", "b", 3, None],),
                "combo": ("COMBO", {"options": ["p", "q"], "default": "q"}),
            },
            "optional": {
                "either": ("IMAGE,MASK",),
                "custom": ("MY_TYPE", {"default": (1, 2)}),
                "bare": "LATENT",
                "any": (ANY, {"forceInput": True}),
                "seed": ("INT", {"default": 0}),
            },
            "hidden": {"id": "UNIQUE_ID", "odd": ("INT", {}), "token": "AUTH_TOKEN_COMFY_ORG"},
        }

    RETURN_TYPES = ["STRING", ["a", "b"], ANY]
    RETURN_NAMES = ("seen",)
    OUTPUT_TOOLTIPS = ("What it got.",)
    FUNCTION = "go"
    CATEGORY = "rules"
    DESCRIPTION = "Says what it got."
    OUTPUT_NODE = True
    DEPRECATED = True
    EXPERIMENTAL = True

    def go(self, **given):
        kinds = {name: type(value).__name__ for name, value in given.items()}
        return {
            "ui": {"got": [kinds], "values": [False, True, "", "text", {"n": str(given.get("id"))}]},
            "result": (str(kinds),),
        }


class Source:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (ANY, {"default": 1})}}

    RETURN_TYPES = ByPass((ANY,))
    FUNCTION = "go"

    @staticmethod
    def go(value):
        note(f"source={value}")
        return [value]


class Show:
    @classmethod
    def INPUT_TYPES(s):
        return {"required": {}, "optional": {"value": (ANY,)}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, **inputs):
        return {"ui": {"text": [repr(inputs.get("value", "nothing"))], "names": sorted(inputs)}}


class Plain:
    """An output node that shows nothing and returns less than it declares."""

    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"value": ("INT", {"default": 0})}}

    RETURN_TYPES = ("INT", "INT", "INT")
    FUNCTION = "go"
    OUTPUT_NODE = True

    @classmethod
    def go(cls, value):
        return (value,) if value else None


class Open:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": Everything()}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, **inputs):
        return {"ui": {"names": sorted(inputs)}}


class OpenWhenBuilt(Open):
    @classmethod
    def INPUT_TYPES(cls):
        frames = [frame.function for frame in inspect.stack()[1:3]]
        if frames == ["get_input_info", "get_input_info"]:
            return {"required": {}, "optional": Unlistable()}
        return {"required": {}, "optional": {}}


class Counter:
    def __init__(self):
        self.count = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"by": ("INT", {"default": 1})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    OUTPUT_NODE = True
    NOT_IDEMPOTENT = True

    def go(self, by):
        self.count += by
        return {"ui": {"count": [self.count]}, "result": (self.count,)}


class MakeList:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 3})}}

    RETURN_TYPES = ("INT", "INT")
    OUTPUT_IS_LIST = (True, False)
    FUNCTION = "go"

    def go(self, count):
        return (list(range(count)), count)


class AddEach:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT",), "b": ("INT", {"default": 0})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, a, b):
        return {"ui": {"sum": [a + b]}, "result": (a + b,)}


class TakeList:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"items": ("INT",), "by": ("INT", {"default": 2})}, "hidden": {"id": "UNIQUE_ID"}}

    INPUT_IS_LIST = True
    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, items, by, id):
        return {"ui": {"items": items, "by": by, "id": id}, "result": (sum(items) * by[0],)}


class Changed:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"how": ("STRING", {"default": "same"})}, "optional": {"value": (ANY,)}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    @classmethod
    def IS_CHANGED(cls, how, value="absent"):
        note(f"asked={value}")
        if how == "raise":
            raise RuntimeError("no")
        return math.nan if how == "nan" else how

    def go(self, how, value=None):
        note(f"ran={how}")
        return {"ui": {"how": [how]}}


class Checked:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"n": ("INT", {"default": 1, "max": 5}), "m": ("INT", {"default": 1, "max": 5})}}

    @classmethod
    def VALIDATE_INPUTS(cls, n):
        if n == 13:
            raise ValueError("thirteen")
        return True if n < 100 else f"{n} is too much"

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, n, m):
        return {"ui": {"n": [n]}}


class CheckedTypes:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}, "optional": {"file": (["only"],)}}

    @classmethod
    async def VALIDATE_INPUTS(cls, input_types, **kwargs):
        await asyncio.sleep(0)
        return True if input_types.get("image") in ("STRING", "IMAGE") else f"not {input_types}"

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, image, file="none"):
        return {"ui": {"image": [str(image)], "file": [file]}}


class Lazy:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "on": ("BOOLEAN", {"default": True}),
                "yes": (ANY, {"lazy": True}),
                "no": (ANY, {"lazy": True}),
            }
        }

    RETURN_TYPES = (ANY,)
    FUNCTION = "go"

    def check_lazy_status(self, on, yes=None, no=None):
        if on and yes is None:
            return ["yes"]
        if not on and no is None:
            return ["no"]
        return []

    def go(self, on, yes=None, no=None):
        return (yes if on else no,)


class Raw:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"link": (ANY, {"rawLink": True})}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, link):
        return {"ui": {"link": link}}


class Block:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (ANY,), "message": ("STRING", {"default": ""})}}

    RETURN_TYPES = (ANY,)
    FUNCTION = "go"

    def go(self, value, message):
        return (ExecutionBlocker(message or None),)


class Hidden:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {},
            "hidden": {"id": "UNIQUE_ID", "prompt": "PROMPT", "info": "EXTRA_PNGINFO", "graph": "DYNPROMPT"},
        }

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, id, prompt, info, graph):
        me = graph.get_node(id)
        kind = [me["class_type"], me["_meta"]["title"]]
        return {"ui": {"id": [id], "prompt": [sorted(prompt)], "info": [info], "kind": kind}}


class Sloppy:
    """Returns other things than lists where lists belong."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ("INT", "STRING", "INT")
    OUTPUT_IS_LIST = (True, True, False)
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self):
        return {"ui": {"text": "abc", "pair": (1, 2), "whole": 5}, "result": (range(3), "xy", 7)}


class Remember:
    """Writes what it got into the graph and the workflow, as nodes do that make a seed or show a text."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"seed": ("INT", {"default": 0, "min": -1})},
            "hidden": {"id": "UNIQUE_ID", "prompt": "PROMPT", "info": "EXTRA_PNGINFO"},
        }

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"

    def go(self, seed, id, prompt, info):
        prompt[id]["inputs"]["seed"] = 77
        info["workflow"]["nodes"][0]["widgets_values"] = [77]
        return (77,)


class Repeat:
    """Counts down by expanding into itself."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"left": ("INT", {"default": 3}), "value": (ANY,)}}

    RETURN_TYPES = (ANY,)
    FUNCTION = "go"

    def go(self, left, value):
        if left == 0:
            return (value,)
        graph = GraphBuilder()
        step = graph.node("RuleAddEach", a=value, b=1)
        again = graph.node("RuleRepeat", left=left - 1, value=step.out(0))
        return {"result": (again.out(0),), "expand": graph.finalize()}


class Later:
    """Sleeps, once `together` of them have begun."""

    BEGUN = {}

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"seconds": ("FLOAT", {"default": 0.3})},
            "optional": {"fail": ("BOOLEAN", {"default": False}), "together": ("INT", {"default": 1})},
        }

    RETURN_TYPES = (ANY,)
    FUNCTION = "go"
    OUTPUT_NODE = True

    async def go(self, seconds, fail=False, together=1):
        note("later-begins")
        try:
            await self.BEGUN.setdefault(together, asyncio.Barrier(together)).wait()
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            note("later-cancelled")
            raise
        note("later-ends")
        if fail:
            raise RuntimeError("late")
        return {"ui": {"slept": [seconds]}, "result": (seconds,)}


class Offer:
    """Its choices are the files of a folder."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": (sorted(os.listdir(LIST)) if LIST.exists() else [],)}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, file):
        return {"ui": {"file": [file]}}


class Raises:
    @classmethod
    def INPUT_TYPES(cls):
        raise KeyError("no such folder")

    FUNCTION = "go"

    def go(self):
        return ()


class Leaves:
    @classmethod
    def INPUT_TYPES(cls):
        raise SystemExit(3)

    FUNCTION = "go"

    def go(self):
        return ()


class Note:
    """Only a text to look at."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"notes": ("STRING", {"default": "how to use this pack", "multiline": True})}}

    RETURN_TYPES = ()
    CATEGORY = "rules"


class NoFunction:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}


class Single:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self):
        return "no tuple"


NODE_CLASS_MAPPINGS = {
    f"Rule{cls.__name__}": cls
    for cls in (
        Kinds,
        Source,
        Show,
        Plain,
        Open,
        OpenWhenBuilt,
        Counter,
        MakeList,
        AddEach,
        TakeList,
        Changed,
        Checked,
        CheckedTypes,
        Lazy,
        Raw,
        Block,
        Hidden,
        Remember,
        Sloppy,
        Repeat,
        Later,
        Offer,
        Raises,
        Leaves,
        NoFunction,
        Note,
        Single,
    )
} | {"KSampler": Plain, "Twice": Plain}
NODE_DISPLAY_NAME_MAPPINGS = {"RuleKinds": "All Kinds"}
