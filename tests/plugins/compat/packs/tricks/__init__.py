# ruff: noqa
"""Tricks that packs of the field play on the class protocol, each once."""

import inspect
import sys

import nodes
from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder, is_link

from .kinds import ANY, AllContainer, ByPass, ContainsAll, Loras, OnlyNe, SmartType
from .shown import Base, note

STATE = {"calls": 0}


class Smart(Base):
    OPTIONAL = {"value": (SmartType("INT,FLOAT"),), "other": (OnlyNe("*"),)}

    def go(self, value=None, other=None):
        return {"ui": {"got": [str(value), str(other)]}}


class Any(Base):
    OPTIONAL = {"value": (ANY,)}

    def go(self, value="nothing"):
        return {"ui": {"got": [value if isinstance(value, (str, int, float)) else repr(value)]}}


class SomeLoras(Base):
    """Takes undeclared constants whose names begin as it wants them."""

    OPTIONAL = Loras({"declared": ("INT", {"default": 1})})

    def go(self, **given):
        return {"ui": {"given": [given]}}


class ByCaller(Base):
    """Says what it holds only to a caller of one name, `FRAMES` frames away."""

    FRAMES = 1

    @classmethod
    def INPUT_TYPES(cls):
        asked = inspect.stack()[cls.FRAMES].function == "get_input_info"
        return {"required": {}, "optional": AllContainer() if asked else {"one": ("INT",)}}

    def go(self, **given):
        return {"ui": {"names": sorted(given)}}


class ByCallersCaller(ByCaller):
    FRAMES = 2


class HidesAll(Base):
    HIDDEN = ContainsAll({"id": "UNIQUE_ID"})

    def go(self, id, **given):
        return {"ui": {"id": [id], "given": [given]}}


class HidesPlainTypes(Base):
    HIDDEN = {"extra": ("INT", {"default": 2}), "more": "STRING", "id": "UNIQUE_ID"}

    def go(self, **given):
        return {"ui": {"names": sorted(given)}}


class Many(Base):
    """Gives more than RETURN_TYPES lists, which answers any index."""

    OUTPUT_NODE = False
    REQUIRED = {"count": ("INT", {"default": 3})}
    RETURN_TYPES = ByPass((ANY,))

    def go(self, count):
        return tuple(range(count))


class Nested(Base):
    OUTPUT_NODE = False
    RETURN_TYPES = ((ANY,), ["a", "b"], "INT")
    RETURN_NAMES = ("first", "second")
    OUTPUT_IS_LIST = (False,)

    def go(self):
        return ["x", "b"]


class Numbers(Base):
    REQUIRED = {
        "huge": ("INT", {"default": 0, "min": -sys.maxsize * 2, "max": 0xFFFFFFFFFFFFFFFF * 4}),
        "floating": ("INT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 1.0}),
        "bare": ("INT",),
        "real": ("FLOAT", {"default": 1, "min": float("-inf"), "max": float("inf"), "step": float("nan")}),
        "triple": ("STRING", {"default": "t"}, "ignored"),
    }

    def go(self, **given):
        return {"ui": {"given": [{name: [type(value).__name__, str(value)] for name, value in given.items()}]}}


class Choices(Base):
    REQUIRED = {"n": ([1, 2.5, True, None, "x", ("a", "b")], {"default": 1})}

    def go(self, n):
        return {"ui": {"n": [n], "kind": [type(n).__name__]}}


class GivesNothing(Base):
    RETURN_TYPES = ("INT", "STRING")

    def go(self):
        return None


class OnlyUi(Base):
    def go(self):
        return {"ui": {"said": ["x"]}}


class Loud(Base):
    """Called for each item of a list, with a text to show each time."""

    REQUIRED = {"n": ("INT", {"default": 1})}

    def go(self, n):
        return {"ui": {"text": (f"n={n}",), "flag": [n > 1]}, "result": ()}


class Static(Base):
    REQUIRED = {"n": ("INT", {"default": 1})}
    OUTPUT_NODE = False
    RETURN_TYPES = ("INT",)

    @staticmethod
    def go(n):
        return (n + 1,)


class Classy(Static):
    @classmethod
    def go(cls, n):
        return (f"{cls.__name__} {n}",)


class Globals(Base):
    """Keeps state in the module."""

    NOT_IDEMPOTENT = True

    def go(self):
        STATE["calls"] += 1
        return {"ui": {"calls": [STATE["calls"]]}}


class Changes(Base):
    REQUIRED = {"n": ("INT", {"default": 1})}

    @staticmethod
    def IS_CHANGED(**given):
        return f"{sorted(given)}"

    def go(self, n):
        note(f"changes={n}")
        return {"ui": {"n": [n]}}


class ValidatesAll(Base):
    REQUIRED = {"n": ("INT", {"default": 1, "max": 3}), "file": (["a"],)}

    @classmethod
    def VALIDATE_INPUTS(cls, **given):
        return True if given["n"] < 100 else "too much for it"

    def go(self, n, file):
        return {"ui": {"n": [n], "file": [file]}}


class ValidatesFalse(Base):
    @classmethod
    def VALIDATE_INPUTS(cls):
        return False


class Steps(Base):
    """Asks for one lazy input after the other, and has a lazy input that it never asks for."""

    LAZY = {"lazy": True}
    REQUIRED = {"a": (ANY, LAZY), "b": (ANY, LAZY), "c": (ANY, LAZY)}
    OUTPUT_NODE = True

    async def check_lazy_status(self, a=None, b=None, c=None):
        note(f"status={a},{b},{c}")
        return ["a"] if a is None else ["a", "b"] if b is None else []

    def go(self, a, b, c=None):
        return {"ui": {"got": [a, b, c]}}


class LazyPerItem(Base):
    """Mapped over a list: what any item asks for is made."""

    REQUIRED = {"on": ("INT", {}), "yes": (ANY, {"lazy": True}), "no": (ANY, {"lazy": True})}

    def check_lazy_status(self, on, yes=None, no=None):
        return [name for name, value, wanted in (("yes", yes, on), ("no", no, not on)) if wanted and value is None]

    def go(self, on, yes=None, no=None):
        return {"ui": {"got": [yes if on else no]}}


class LazyWithoutStatus(Base):
    REQUIRED = {"a": (ANY, {"lazy": True})}

    def go(self, a):
        return {"ui": {"got": [a]}}


class Emit(Base):
    """A value, and a line in the notes when it is made."""

    OUTPUT_NODE = False
    REQUIRED = {"value": ("STRING", {"default": "x"})}
    RETURN_TYPES = (ANY,)

    def go(self, value):
        note(f"emit={value}")
        return (value,)


class EmitList(Base):
    OUTPUT_NODE = False
    REQUIRED = {"count": ("INT", {"default": 3})}
    RETURN_TYPES = ("INT",)
    OUTPUT_IS_LIST = (True,)

    def go(self, count):
        return ([*range(count)],)


class BlockOdd(Base):
    OUTPUT_NODE = False
    REQUIRED = {"n": ("INT", {})}
    RETURN_TYPES = ("INT",)

    def go(self, n):
        return (ExecutionBlocker(None) if n % 2 else n,)


class Thing:
    """A Python object that goes into an expansion as it is."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return f"Thing {self.text}"


class ExpandsObject(Base):
    OUTPUT_NODE = False
    REQUIRED = {"value": (ANY,)}
    RETURN_TYPES = (ANY, ANY)

    def go(self, value):
        assert is_link(["1", 0]) and not is_link(["1", "0"]) and not is_link([1])
        graph = GraphBuilder()
        shown = graph.node("TrickShow", value=Thing("inside"), link=value)
        shown.set_override_display_id("1")
        emitted = graph.node("TrickEmit", value="expanded")
        return {"result": (emitted.out(0), Thing("beside")), "expand": graph.finalize()}


class Show(Base):
    OPTIONAL = {"value": (ANY,), "link": (ANY,)}

    def go(self, value=None, link=None):
        return {"ui": {"shown": [repr(value), repr(link)]}}


class ExpandsCircle(Base):
    OUTPUT_NODE = False
    RETURN_TYPES = (ANY,)

    def go(self):
        graph = GraphBuilder()
        first, second = graph.node("TrickAny", "a"), graph.node("TrickAny", "b")
        first.set_input("value", second.out(0))
        second.set_input("value", first.out(0))
        return {"result": (first.out(0),), "expand": graph.finalize()}


class ExpandsGarbage(Base):
    def go(self):
        return {"result": (), "expand": {"1": {"inputs": {}}}}


class Loop(Base):
    """A while loop in the manner of the field: it expands into itself with what it has so far."""

    OUTPUT_NODE = False
    REQUIRED = {"left": ("INT", {"default": 3}), "so_far": ("STRING", {"default": ""})}
    RETURN_TYPES = ("STRING",)

    def go(self, left, so_far):
        note(f"loop={left}")
        if left == 0:
            return (so_far,)
        graph = GraphBuilder()
        added = graph.node("TrickAppend", text=so_far, more=str(left))
        again = graph.node("TrickLoop", left=left - 1, so_far=added.out(0))
        return {"result": (again.out(0),), "expand": graph.finalize()}


class ExpandsLinks(Base):
    """Links of its expansion point at nodes of the graph around, which it gets as links."""

    OUTPUT_NODE = False
    REQUIRED = {"link": (ANY, {"rawLink": True})}
    RETURN_TYPES = ("STRING", ANY)

    def go(self, link):
        graph = GraphBuilder()
        added = graph.node("TrickAppend", text=link, more=" and more")
        return {"result": (added.out(0), link), "expand": graph.finalize()}


class Append(Base):
    OUTPUT_NODE = False
    REQUIRED = {"text": ("STRING", {}), "more": ("STRING", {})}
    RETURN_TYPES = ("STRING",)

    def go(self, text, more):
        note(f"append={more}")
        return (text + more,)


class Graph(Base):
    HIDDEN = {"id": "UNIQUE_ID", "graph": "DYNPROMPT"}
    OUTPUT_NODE = False
    RETURN_TYPES = ("STRING",)

    def go(self, id, graph):
        parent = graph.get_parent_node_id(id)
        return (f"{graph.get_node(id)['class_type']} in {parent} shown on {graph.get_display_node_id(id)}",)


class ExpandsGraph(Base):
    OUTPUT_NODE = False
    RETURN_TYPES = ("STRING",)

    def go(self):
        graph = GraphBuilder()
        return {"result": (graph.node("TrickGraph").out(0),), "expand": graph.finalize()}


class Registered(Base):
    """Put into the field's own table, not into one of the pack."""

    def go(self):
        return {"ui": {"module": [self.RELATIVE_PYTHON_MODULE]}}


class Fails(Base):
    REQUIRED = {"value": (ANY,)}

    def go(self, value):
        raise RuntimeError(f"as told: {value}")


nodes.NODE_CLASS_MAPPINGS["TrickRegistered"] = Registered
nodes.NODE_CLASS_MAPPINGS["EmptyLatentImage"] = Registered
HAS_BUILT_IN = nodes.NODE_CLASS_MAPPINGS["LoadImage"].RELATIVE_PYTHON_MODULE == "nodes"

NODE_CLASS_MAPPINGS = {
    f"Trick{cls.__name__}": cls
    for cls in list(vars().values())
    if inspect.isclass(cls) and issubclass(cls, Base) and cls not in (Base, Registered)
}
NODE_DISPLAY_NAME_MAPPINGS = {"TrickMany": "Many of them", "TrickRegistered": 5}
