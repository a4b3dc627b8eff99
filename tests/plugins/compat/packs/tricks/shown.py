# ruff: noqa
import os


def note(what):
    with open(os.environ["TEST_NOTES"], "a") as file:
        file.write(f"{what}\n")


class Base:
    REQUIRED, OPTIONAL, HIDDEN = {}, {}, {}
    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True
    CATEGORY = "tricks"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": cls.REQUIRED, "optional": cls.OPTIONAL, "hidden": cls.HIDDEN}

    def go(self):
        return ()
