"""Stand-ins of networks that see: depth, geometry, what is in front, what a text asks for; and files that go with predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stand_in_files import Part
from stand_in_parts import clip_words

from engine.models.families.base import named


def _written(target: Path, tensors: dict[str, Any], facts: dict[str, Any]) -> None:
    """A file whose metadata tells the sizes that no tensor of it tells."""
    from tests.families import save

    kept = {name: value.clone().contiguous() for name, value in tensors.items()}
    save(target, kept, {"safelight.config": json.dumps({"perception": facts})})


def depth_anything(target: Path, network: Path | None) -> None:
    """Depth Anything 3 for single pictures."""
    from engine.models.networks.depth_module import DepthNetwork
    from tests.nodes.test_depth_anything import EYE, as_written
    from tests.tiny_seeing import random

    module = DepthNetwork(eye=EYE, taken=[0, 1, 2, 3], channels=[6, 8, 10, 12], fused=8, last=4)
    _written(target, as_written(random(module, seed=9).state_dict()), {"head": 16, "taken": [0, 1, 2, 3]})


def moge(target: Path, network: Path | None) -> None:
    """MoGe 2, with normals."""
    tests = "tests.nodes.test_moge"
    module = named(f"{tests}:tiny")()
    facts = {"head": 16, "taken": [0, 1, 2, 3], "tokens": [8, 26]}
    _written(target, named(f"{tests}:as_written")(module.state_dict()), facts)


def birefnet(target: Path, network: Path | None) -> None:
    """BiRefNet."""
    from tests.nodes.test_background import SIDE, as_written, tiny

    _written(target, as_written(tiny().state_dict()), {"size": SIDE})


def detector(base: Path) -> None:
    """RT-DETR v4, which is made as D-FINE is."""
    from tests.tiny_seeing import in_names_of_dfine, tiny_detector

    target = base / "models" / "diffusion_models" / "detector.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    _written(target, in_names_of_dfine(tiny_detector().state_dict()), {"heads": 2, "num_queries": 12})


def sam3(base: Path) -> None:
    """SAM 3 in the library's names, whose sizes the metadata tells, with the vocabulary of what it reads texts with."""
    from tests.tiny_seeing import tiny_sam3

    words = json.loads(clip_words(base)[1])["model"]["vocab"]
    module = tiny_sam3(len(words))
    target = base / "models" / "checkpoints" / "sam3.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    _written(target, module.state_dict(), module.config.to_dict())


def conditioning(target: Path, network: Path | None) -> None:
    """Seven tokens of what Qwen-Image's stand-in takes, as SaveConditioning writes them."""
    import torch
    from safetensors.torch import save_file

    from engine.models.checkpoints import load_tensors

    if network is None:
        return
    width = load_tensors(network)["txt_in.weight"].shape[1]
    generator = torch.Generator().manual_seed(8)
    save_file({"conditioning": torch.randn(1, 7, width, generator=generator)}, target)


def wan_vision(target: Path, network: Path | None) -> None:
    """CLIP's vision tower of Wan 2.1, which sees as many patches as the published one."""
    from tests.families import save
    from tests.tiny_wan import vision

    save(target, vision().state_dict(), {"safelight.config": json.dumps({"vision": {"heads": 2, "act": "gelu"}})})


TOOLS = (
    Part("clip_vision", "clip_vision_h", wan_vision, ("wan_i2v", "wan_camera")),
    Part("geometry_estimation", "depth_anything_3_mono_*", depth_anything),
    Part("geometry_estimation", "moge_2_*", moge),
    Part("background_removal", "birefnet*", birefnet),
    Part("embeddings", "marigold_v2_*_conditioning", conditioning, ("qwen_image",)),
)
