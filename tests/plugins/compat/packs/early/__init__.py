# ruff: noqa
import sys

WAS = sys.early_was_here


class Early:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self):
        return {"ui": {"was": [WAS]}}


NODE_CLASS_MAPPINGS = {"Early": Early, "Twice": Early}
