"""What it costs that nodes of packs get copies: this build against another revision's.

    git worktree add ../base REVISION
    python benchmarks/poisoning_cost.py --base ../base
    python benchmarks/poisoning_cost.py --base ../base --cases pictures --side 1024

Each build has a process of its own, and the two take whole runs in turn (`two_builds.py`). The number is the median of the
quotients of neighbouring runs, for wall and for processor time. The cases:

numbers    a graph of 1,000 nodes of a pack, in chains of ten, that add one to a number: the price of the executor
latents    the same with latents (1, 4, 64, 64), 64 KiB each
built-in   the same with a built-in node, which is trusted and gets no copies
ksampler   the built-in KSampler, 20 steps, on the bundled model
pictures   the graph with 100 nodes and pictures (1, SIDE, SIDE, 3), where copying counts for most
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from two_builds import HERE, Build, Comparison, answer, compare

CHECKPOINT = HERE / "models/checkpoints/emoji-64.safetensors"
CHAIN = 10
CASES = ("numbers", "latents", "built-in", "ksampler", "pictures")


def serve(options: argparse.Namespace) -> None:
    """Take a run for each line of standard input, which is a number that makes its graph new."""
    import torch

    torch.set_num_threads(options.threads)
    run = _runner(options)
    with asyncio.Runner() as runner:
        runner.run(run(-1))
        answer(lambda line: runner.run(run(int(line))))
        os._exit(0)  # the threads of the executor have nothing to put in order


def _runner(options: argparse.Namespace) -> Callable[[int], Any]:
    """What takes one run: a graph whose nodes all run, with the cache in RAM as big as a server's."""
    from engine.authoring.decorator import definition_of
    from engine.cache.facade import Cache
    from engine.execute.executor import Executor
    from engine.execute.services import Services
    from engine.graph.schema import Catalogue

    models, functions = None, _declared()
    if options.serve == "ksampler":
        from nodes.sampling import ksampler

        models, given = _given(options)
        functions = [ksampler, *given]
    definitions = {}
    for function in functions:
        found = definition_of(function)
        assert found is not None
        if hasattr(found, "trusted"):  # an older build knows nothing of it
            found.trusted = options.serve in ("built-in", "ksampler")
        definitions[found.spec.name] = found
    catalogue = Catalogue([one.spec for one in definitions.values()])
    executor = Executor(definitions.__getitem__, catalogue, Cache(None), services=Services(models=models))

    async def run(number: int) -> None:
        prompt, ends = _sampling(number) if options.serve == "ksampler" else _graph(options, number)
        result = await executor.run(prompt, ends, sink=lambda event: None)
        if result.failures or result.nodes[ends[0]].status != "ran":
            raise RuntimeError(f"Expected {len(prompt)} nodes to run, got {result.counts}: {result.failures}")

    return run


def _declared() -> list[Any]:
    import torch

    from engine.api import node

    @node("NextNumber")
    def next_number(value: int, salt: int = 0) -> int:
        return value + 1

    @node("FirstLatent")
    def first_latent(salt: int) -> object:
        return {"samples": torch.full((1, 4, 64, 64), float(salt))}

    @node("NextLatent")
    def next_latent(value: object) -> object:
        return {**value, "samples": value["samples"] + 1}  # type: ignore

    @node("FirstPicture")
    def first_picture(salt: int, side: int) -> object:
        return torch.full((1, side, side, 3), salt * 0.618034 % 1)

    @node("NextPicture")
    def next_picture(value: object) -> object:
        return (value * 0.9 + 0.01).clamp(0, 1)

    return [next_number, first_latent, next_latent, first_picture, next_picture]


def _graph(options: argparse.Namespace, number: int) -> tuple[Any, list[str]]:
    """Chains of ten nodes, each with a beginning of its own."""
    from engine.graph.prompt import Link, Node

    kind = {"numbers": "Number", "pictures": "Picture"}.get(options.serve, "Latent")
    size = 100 if kind == "Picture" else 1000
    prompt: Any = {}
    for index in range(size):
        salt = number * size + index
        if index % CHAIN:
            prompt[str(index)] = Node(f"Next{kind}", {"value": Link(str(index - 1), 0)})
        elif kind == "Number":
            prompt[str(index)] = Node("NextNumber", {"value": salt * 1000})
        else:
            more = {"side": options.side} if kind == "Picture" else {}
            prompt[str(index)] = Node(f"First{kind}", {"salt": salt, **more})
    return prompt, [str(index) for index in range(CHAIN - 1, size, CHAIN)]


def _given(options: argparse.Namespace) -> tuple[Any, list[Any]]:
    """The manager of models, and nodes that give what KSampler takes."""
    import torch

    from engine.api import node
    from engine.models.manager import ModelManager

    manager = ModelManager()
    handle = manager.checkpoint(options.checkpoint)[0]
    assert handle is not None

    @node("Model")
    def model() -> object:
        return handle

    @node("Text")
    def text(seed: int) -> object:
        generator = torch.Generator().manual_seed(seed)
        return [[torch.randn(1, 77, handle.context_dim, generator=generator), {}]]

    @node("Latent")
    def latent() -> object:
        return {"samples": torch.zeros(1, handle.latent.channels, 8, 8)}

    return manager, [model, text, latent]


def _sampling(number: int) -> tuple[Any, list[str]]:
    """KSampler with a seed of its own; everything before it is reused."""
    from engine.graph.prompt import Link, Node

    prompt: Any = {
        "1": Node("Model", {}),
        "2": Node("Text", {"seed": 1}),
        "3": Node("Text", {"seed": 2}),
        "4": Node("Latent", {}),
    }
    links = {
        name: Link(str(index), 0) for index, name in enumerate(("model", "positive", "negative", "latent_image"), 1)
    }
    choices = {"steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    prompt["5"] = Node("KSampler", {**links, **choices, "seed": number + 10})
    return prompt, ["5"]


def compare_builds(options: argparse.Namespace) -> None:
    """Take runs of both builds in turn and print the medians."""
    print(f"{'case':>10} {Comparison.HEAD}")
    for case in options.cases.split(","):
        arguments = ["--serve", case, "--side", str(options.side)]
        arguments += ["--checkpoint", str(options.checkpoint), "--threads", str(options.threads)]
        base, this = (Build(root, __file__, arguments) for root in (options.base.resolve(), HERE))
        print(f"{case:>10} {compare(base, this, range(options.repeats))}", flush=True)
        base.close()
        this.close()


def main() -> None:
    """Parse the options and compare, or serve as one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="root of a checkout of the revision to compare with")
    parser.add_argument("--cases", default=",".join(CASES), help="which of the cases, with commas between")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--side", type=int, default=512, help="of the pictures, in pixels")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options)
    elif options.base is None:
        parser.error("--base: expected a checkout of the revision to compare with")
    else:
        compare_builds(options)


if __name__ == "__main__":
    main()
