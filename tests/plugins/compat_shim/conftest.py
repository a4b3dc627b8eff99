"""The shim on a base directory of the test's own, or on that of a tiny Stable Diffusion, inside the node of a pack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.paths import Paths
from engine.plugins.compat.host import Host
from engine.plugins.compat.install import install_shim, uninstall_shim
from engine.plugins.compat.running import running
from engine.plugins.compat.values import from_pack


class Told:
    """A context that notes progress and pictures."""

    node_id = "7"
    prompt: dict[str, Any] = {}  # noqa: RUF012 - a stand-in
    workflow = None
    embedded: dict[str, Any] = {}  # noqa: RUF012
    seal = None
    models = None
    preview_method = "auto"

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.steps: list[tuple[float, float]] = []
        self.pictures: list[Any] = []
        self.warned: list[str] = []
        self.cancelled = False

    def progress(self, value: float, total: float) -> None:
        self.check_cancelled()
        self.steps.append((value, total))

    def preview(self, image: Any) -> None:
        self.pictures.append(image)

    def warn(self, message: str) -> None:
        self.warned.append(message)

    def check_cancelled(self) -> None:
        from engine.authoring.context import Cancelled

        if self.cancelled:
            raise Cancelled("cancelled")


@pytest.fixture
def sent() -> list[tuple[Any, Any, Any]]:
    return []


@pytest.fixture
def host(tmp_path: Path, sent: list[Any]) -> Iterator[Host]:
    made = Host(Paths(tmp_path), send=lambda event, data, client: sent.append((event, data, client)))
    install_shim(made)
    yield made
    uninstall_shim()


@pytest.fixture
def told(host: Host) -> Told:
    return Told(host.paths)


@pytest.fixture
def node(bench: Any, tiny_sd: Any) -> Iterator[Any]:
    """Inside the function of a pack's node."""
    install_shim(Host(Paths(tiny_sd.base)))
    with running(bench):
        yield bench
    uninstall_shim()


@pytest.fixture
def parts(node: Any, tiny_sd: Any) -> Any:
    import comfy.sd

    return comfy.sd.load_checkpoint_guess_config(str(tiny_sd.file("checkpoints", "tiny.safetensors")))


@pytest.fixture
def model(parts: Any) -> Any:
    return parts[0]


@pytest.fixture
def texts(parts: Any) -> tuple[Any, Any]:
    clip = parts[1]
    return tuple(clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in ("red apple", "blue ball"))


@pytest.fixture
def picture(node: Any, texts: Any) -> Any:
    """Denoises with our KSampler node, as a graph would behind a pack's node."""
    import torch

    from nodes.sampling import ksampler

    def run(model: Any, cfg: float = 4.0, sampler: str = "euler", mask: Any = None, steps: int = 3) -> Any:
        latent = {"samples": torch.full((1, 4, 8, 8), 0.5)}
        if mask is not None:
            latent["noise_mask"] = mask
        settings = {"seed": 1, "steps": steps, "cfg": cfg, "sampler_name": sampler, "scheduler": "normal"}
        sides = {"positive": texts[0], "negative": texts[1]}
        return ksampler(node, from_pack(model), **sides, latent_image=latent, **settings)["samples"]

    return run
