"""Imports names of the field that nobody has heard of: some it needs, some it can do without."""

import comfy.unheard.deeply
import comfy_extras.nodes_unheard
from comfy.unheard import Thing, helper
from comfy.utils import no_such_function
from comfy_extras import nodes_unheard as again
from gives import Gives

import nodes
from nodes import UnheardNode

try:
    from comfy.unheard_too import other
except ImportError:
    other = None

try:
    import comfy_extras.nodes_maybe

    HAS = True
except Exception:
    HAS = False

try:
    from comfy.utils import never_there
except ImportError as error:
    raise RuntimeError("this pack needs never_there") from error

from . import guarded


class Own(UnheardNode):
    """Built on a node that is not there."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "go"

    def go(self):
        return super().go()


class UnknownUses(Gives):
    def go(self):
        return (helper(3),)


class Guarded(Gives):
    def go(self):
        return ([other, HAS, guarded.FOUND, hasattr(nodes, "UnheardNode"), getattr(nodes, "VHSLoadFormats", 7)],)


NODE_CLASS_MAPPINGS = {"UnknownUses": UnknownUses, "UnknownSub": Own, "Guarded": Guarded}
