"""Loops as node packs of the field build them: the end of a loop expands into a copy of the nodes between it and the beginning.

A pack of its own: the benchmarks put it into `custom_nodes`, the tests import it.
"""

from __future__ import annotations

from comfy_execution.graph_utils import GraphBuilder, is_link


class Anything(str):
    """A type that fits every other."""

    def __ne__(self, other: object) -> bool:
        return False


ANY = Anything("*")


class LoopOpen:
    """Where a pass begins: hands on what it is given."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"left": ("INT", {"default": 1}), "value": (ANY,)}}

    RETURN_TYPES = ("FLOW", "INT", ANY)
    FUNCTION = "begin"
    CATEGORY = "bench"

    def begin(self, left, value):
        return ("flow", left, value)


class LoopClose:
    """Where a pass ends: with passes left, it becomes the nodes of the next one, with a close of its own."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"flow": ("FLOW", {"rawLink": True}), "left": ("INT", {"forceInput": True}), "value": (ANY,)},
            "hidden": {"graph": "DYNPROMPT", "me": "UNIQUE_ID"},
        }

    RETURN_TYPES = (ANY,)
    FUNCTION = "end"
    CATEGORY = "bench"

    def end(self, flow, left, value, graph, me):
        if not self.goes_on(left, value):
            return (value,)
        names = {me: "Again", **{name: name for name in _between(graph, flow[0], me)}}
        builder = GraphBuilder()
        for name, copy in names.items():
            node = builder.node(graph.get_node(name)["class_type"], copy)
            node.set_override_display_id(name)
        for name, copy in names.items():
            for key, given in graph.get_node(name)["inputs"].items():
                inside = is_link(given) and given[0] in names
                new = builder.lookup_node(names[given[0]]).out(given[1]) if inside else given
                builder.lookup_node(copy).set_input(key, new)
        opening = builder.lookup_node(flow[0])
        opening.set_input("left", left - 1)
        opening.set_input("value", value)
        return {"result": (builder.lookup_node("Again").out(0),), "expand": builder.finalize()}

    def goes_on(self, left, value):
        """Whether there is another pass."""
        return left > 1


class LoopForEver(LoopClose):
    """A close that never has enough, as a loop over a list that is fed a picture."""

    def goes_on(self, left, value):
        """There always is."""
        return True


class LoopStep:
    """What a pass does: counts."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (ANY,), "by": ("INT", {"default": 1})}}

    RETURN_TYPES = (ANY,)
    FUNCTION = "step"
    CATEGORY = "bench"

    def step(self, value, by):
        return (value + by,)


class LoopRest(LoopStep):
    """What a loop over a list goes on with: all but the first item."""

    def step(self, value, by):
        return (value[by:],)


class LoopShow:
    """Shows the text of a value, as a preview in a loop does in every pass."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (ANY,)}}

    RETURN_TYPES = (ANY,)
    OUTPUT_NODE = True
    FUNCTION = "show"
    CATEGORY = "bench"

    def show(self, value):
        return {"ui": {"text": [str(value)]}, "result": (value,)}


def _between(graph, opening, closing):
    """The nodes on the ways back from the close to the opening, both ends but the close."""
    found, todo = {}, [closing]
    while todo:
        for given in graph.get_node(todo.pop())["inputs"].values():
            if is_link(given) and given[0] not in found:
                found[given[0]] = None
                if given[0] != opening:
                    todo.append(given[0])
    return found


NODE_CLASS_MAPPINGS = {
    "LoopOpen": LoopOpen,
    "LoopClose": LoopClose,
    "LoopForEver": LoopForEver,
    "LoopStep": LoopStep,
    "LoopRest": LoopRest,
    "LoopShow": LoopShow,
}
