# ruff: noqa
import sys

sys.stdout.write("loud " * 400_000 + "\n")


class OneFile:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"n": ("INT", {"default": 2})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, n):
        return {"ui": {"n": [n * 2]}}


NODE_CLASS_MAPPINGS = {"OneFile": OneFile}
