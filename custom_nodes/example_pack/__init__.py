"""Every feature of a node pack, in small files. Copy what you need; `safelight pack new NAME` makes an empty start.

The engine imports this file and takes the nodes and routes that it finds among its names, so they are imported here by name.
Nothing imports torch until a node runs: the editor, `safelight nodes` and a run that reuses everything do without.

| file | shows |
| --- | --- |
| `basics.py` | ranges, choices, tooltips, defaults; optional inputs; several outputs; what editors show on a node |
| `flow.py` | lazy inputs, lists, blocking a branch, a node that becomes a graph |
| `palette.py` | a type of the pack's own that the cache keeps on disk; a widget of the pack's own |
| `outside.py` | a class as a node: checking its inputs, saying what it reads of the world; a file as input; no cache |
| `slow.py` | `async def`, progress, cancelling, previews, messages to clients |
| `answers.py` | a route of the pack's own |
| `web/safelight.js` | the widget, in the editor |
| `example_workflows/` | a workflow of these nodes |
| `tests/` | how to test nodes: they are functions |
"""

from .answers import palette_by_name, palette_names
from .basics import contrast, measure, show
from .flow import gate, join, repeat, split, switch
from .outside import Today, dice, file_size
from .palette import palette, recolor, swatches
from .slow import develop, slowly

__all__ = [
    "Today",
    "contrast",
    "develop",
    "dice",
    "file_size",
    "gate",
    "join",
    "measure",
    "palette",
    "palette_by_name",
    "palette_names",
    "recolor",
    "repeat",
    "show",
    "slowly",
    "split",
    "swatches",
    "switch",
]

WEB_DIRECTORY = "web"
"""The folder whose files the server offers to editors below `/extensions/example_pack/`; ours imports `safelight.js`."""
