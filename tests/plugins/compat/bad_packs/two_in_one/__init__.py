# ruff: noqa
from engine.api import WithUi, node


@node("TwoInOne", output=True)
def native() -> WithUi[None]:
    """One of our own style."""
    return WithUi(ui={"style": ["ours"]})


class Classy:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self):
        return {"ui": {"style": ["theirs"]}}


NODE_CLASS_MAPPINGS = {"TwoInOne": Classy}
