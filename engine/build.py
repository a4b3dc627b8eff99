"""Graphs built by calling nodes as functions.

    from engine.build import Graph

    with Graph() as g:
        model, clip, vae = g.CheckpointLoaderSimple(ckpt_name="emoji-64.safetensors")
        …
    g.prompt(), g.workflow()

Names and types come from the catalogue of the base directory; `safelight export --stubs` writes them for type checkers.
"""

from engine.building.graph import Graph, GraphBase, UnknownNodeError
from engine.building.handles import Output, Outputs
from engine.graph.problems import GraphError

__all__ = ["Graph", "GraphBase", "GraphError", "Output", "Outputs", "UnknownNodeError"]
