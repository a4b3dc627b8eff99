# ruff: noqa
"""Nodes that misbehave where they are asked something, and where they run."""

import os
import signal
import sys


class Base:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"n": ("INT", {"default": 1})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, n):
        return {"ui": {"n": [n]}, "result": (n,)}


class RaisesInChanged(Base):
    @classmethod
    def IS_CHANGED(cls, n):
        raise RuntimeError("IS_CHANGED failed")


class LeavesInChanged(Base):
    @classmethod
    def IS_CHANGED(cls, n):
        sys.exit(3)


class RaisesInValidate(Base):
    @classmethod
    def VALIDATE_INPUTS(cls, n):
        raise RuntimeError("VALIDATE_INPUTS failed")


class LeavesInValidate(Base):
    @classmethod
    def VALIDATE_INPUTS(cls, n):
        sys.exit(3)


class OddValidate(Base):
    @classmethod
    def VALIDATE_INPUTS(cls, n):
        return ["a", "list"]


class LazyBase(Base):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"n": ("INT", {"lazy": True})}}


class RaisesInLazy(LazyBase):
    def check_lazy_status(self, n):
        raise RuntimeError("check_lazy_status failed")


class LeavesInLazy(LazyBase):
    def check_lazy_status(self, n):
        sys.exit(3)


class OddLazy(LazyBase):
    def check_lazy_status(self, n):
        return ["no input of mine", 5]


class Source(Base):
    OUTPUT_NODE = False


class RaisesInInit(Base):
    def __init__(self):
        raise RuntimeError("__init__ failed")


class Leaves(Base):
    def go(self, n):
        sys.exit(n)


class Kills(Base):
    def go(self, n):
        os.kill(os.getpid(), signal.SIGKILL)


class Exits(Base):
    def go(self, n):
        os._exit(n)


class Interrupts(Base):
    def go(self, n):
        raise KeyboardInterrupt


class Recursive(Base):
    def go(self, n):
        return self.go(n)


class OddError(Exception):
    def __str__(self):
        raise ValueError("no text")


class RaisesOddly(Base):
    def go(self, n):
        raise OddError


class HugeError(Base):
    def go(self, n):
        raise RuntimeError("e" * 30_000_000)


class OddUi(Base):
    def go(self, n):
        circle = {}
        circle["circle"] = circle
        return {
            "ui": {"circle": [circle], "bytes": [b"\xff"], "set": [{1}], "object": [object], "text": ["\ud800"]},
            "result": (n,),
        }


class NoListUi(Base):
    def go(self, n):
        return {"ui": "nothing of use", "result": (n,)}


NODE_CLASS_MAPPINGS = {
    f"Bad{cls.__name__}": cls
    for cls in list(vars().values())
    if isinstance(cls, type) and issubclass(cls, Base) and cls not in (Base, LazyBase)
}
