# ruff: noqa
import logging
import os
import sys

MEGABYTES = 2


def shout(how):
    for _ in range(MEGABYTES):
        if how == "raw":
            os.write(1, b"r" * 1_000_000)
        elif how == "lines":
            sys.stderr.write("a line\n" * 150_000)
        elif how == "log":
            logging.getLogger("loud").warning("l" * 1_000_000)
        else:
            print("p" * 1_000_000)
    sys.stdout.flush()


for how in ("print", "raw", "lines", "log"):
    shout(how)


class Loud:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"how": ("STRING", {"default": "print"})}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, how):
        shout(how)
        return {"ui": {"shouted": [how]}}


NODE_CLASS_MAPPINGS = {"Loud": Loud}
