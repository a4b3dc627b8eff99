"""Takes out of sys.modules what was first imported while it is imported."""

import sys

from gives import Gives

before = dict(sys.modules)

import xml.dom.minidom

try:
    import half_imported
except ImportError:
    pass

import comfy.samplers

import engine.sampling.names

for name in [name for name in sys.modules if name not in before]:
    del sys.modules[name]
sys.modules.pop("engine.datatypes.sockets", None)
sys.modules["json"] = xml.dom.minidom


class CleanRuns(Gives):
    def go(self):
        import json

        return (json.dumps([1]),)


NODE_CLASS_MAPPINGS = {"CleanRuns": CleanRuns}
