# ruff: noqa
"""INPUT_TYPES that give what is no declaration. `Whole` ones are left out; the others are nodes of some kind."""

import itertools
import math
import threading


class Base:
    GIVES = {}
    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return cls.GIVES

    def go(self, **given):
        return {"ui": {"given": sorted(given)}}


def of(gives, **more):
    return type("Garbage", (Base,), {"GIVES": gives, **more})


def required(**inputs):
    return of({"required": inputs})


class Circle(dict):
    pass


circle = []
circle.append(circle)
wide = []
for _ in range(40):
    wide = [wide] * 40
mapping = {"options": {}}
mapping["options"]["again"] = mapping


class Raising(dict):
    def __getitem__(self, key):
        raise RuntimeError("no item")

    def __iter__(self):
        return iter(["a"])


class NoText:
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


LEFT_OUT = {
    "None": of(None),
    "Number": of(5),
    "ListOfSections": of([{"required": {}}]),
    "SectionIsAList": of({"required": ["a", "b"]}),
    "SectionIsAText": of({"required": "a"}),
    "Raising": of({"required": Raising()}),
    "Endless": required(a=(itertools.count(),)),
    "Wide": required(a=("INT", {"default": wide})),
    "NoText": required(a=([NoText()],)),
    "ReturnsNumber": of({}, RETURN_TYPES=5),
    "NoFunction": of({}, FUNCTION=None),
    "FunctionOfNoName": of({}, FUNCTION="not_there"),
}
KEPT = {
    "Empty": of({}),
    "InputIsANumber": required(a=5),
    "InputIsEmpty": required(a=()),
    "InputIsNone": required(a=None),
    "OptionsAreAList": required(a=("INT", [1, 2])),
    "Circle": required(a=("INT", {"default": circle, "more": mapping})),
    "NotFinite": required(a=("FLOAT", {"default": math.nan, "min": -math.inf, "max": math.inf, "step": math.nan})),
    "NotFiniteChoices": required(a=([math.nan, math.inf, 1],)),
    "Objects": required(
        a=("X", {"default": object(), "f": print, "lock": threading.Lock(), "set": {1}, "bytes": b"\xff"})
    ),
    "NumbersAsKeys": of({"required": {1: ("INT", {2: 3})}}),
    "Surrogates": required(**{"a\ud800": (["\udcff.png"], {"tooltip": "\ud800"})}),
    "Huge": required(a=(["c" * 100 + str(n) for n in range(100_000)],)),
    "OddText": of(
        {}, CATEGORY=5, DESCRIPTION=["x"], OUTPUT_TOOLTIPS=5, RETURN_NAMES=7, OUTPUT_IS_LIST=None, DEPRECATED="x"
    ),
}
NODE_CLASS_MAPPINGS = {
    **{f"LeftOut{name}": cls for name, cls in LEFT_OUT.items()},
    **{f"Kept{name}": cls for name, cls in KEPT.items()},
    "LeftOutNoClass": "not a class",
    "LeftOutNothing": None,
    5: of({}),
}
NODE_DISPLAY_NAME_MAPPINGS = ["no", "mapping"]
WEB_DIRECTORY = 5
ALIASES = "none"
