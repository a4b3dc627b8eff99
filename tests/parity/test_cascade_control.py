"""ControlNets of Stable Cascade against their authors' sums, on the library's stage C."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.handles import ModelHandle
from nodes.controlnet import control_net_apply_advanced, control_net_apply_for_inpainting
from nodes.loaders import checkpoint_loader, control_net_loader
from nodes.sampling import ksampler
from tests.families import save
from tests.models.test_stage_c_coder import SMALL
from tests.parity import test_pipeline_cascade as runs
from tests.tiny_pixel import bench_of

parts, base = runs.parts, runs.base
PLACES, STRENGTH = (0, 2, 5), 0.7
SIZES = {
    "simple": ("simple", 16, 16, {"first": 64}),
    "large": ("large", 16, 12, {"first": 24, "narrow": 8, "residual": 2}),
    "edges": ("efficient", 1, 32, {"first": 8, "stages": SMALL, "last": 32}),
    "inpainting": ("efficient", 4, 32, {"first": 8, "stages": SMALL, "last": 32}),
}


def network(kind: str) -> Any:
    from engine.models.networks.cascade_control import CascadeControlNet

    name, channels, inner, sizes = SIZES[kind]
    torch.manual_seed(71)
    made = CascadeControlNet(PLACES, inner, 32, name, channels, sizes)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval().requires_grad_(False)


def by_hand(kind: str, seen: torch.Tensor) -> list[torch.Tensor]:
    """github.com/Stability-AI/StableCascade at commit 7a7d341 (modules/controlnet.py); EfficientNet's layers are ours."""
    own = network(kind)
    state = own.state_dict()

    def convolved(x: torch.Tensor, name: str, padding: int = 0, **told: Any) -> torch.Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), padding=padding, **told)

    if kind in ("edges", "inpainting"):
        x = convolved(seen, "backbone.0.0", stride=2)
        x = own.backbone[1:](own.backbone[0][1:](x))
    elif kind == "simple":
        x = convolved(functional.leaky_relu(convolved(seen, "backbone.0", 1), 0.2), "backbone.2", 1)
    else:
        x = convolved(functional.leaky_relu(convolved(seen, "backbone.0"), 0.2), "backbone.2")
        for i in (3, 4):
            inner = x
            for place in (0, 3):
                norm = [state[f"backbone.{i}.blocks.{place}.{part}"] for part in ("weight", "bias")]
                inner = functional.layer_norm(inner.permute(0, 2, 3, 1), (8,), *norm).permute(0, 3, 1, 2)
                inner = convolved(functional.gelu(inner), f"backbone.{i}.blocks.{place + 2}", 1)
            x = x + inner
        x = convolved(x, "backbone.5")
    return [
        convolved(functional.leaky_relu(convolved(x, f"projections.{i}.0"), 0.2), f"projections.{i}.2")
        for i in range(len(PLACES))
    ]


@pytest.mark.parametrize("kind", SIZES)
def test_a_controlnet_adds_before_blocks_as_its_authors_have_it(parts, base, kind, tmp_path):
    bench = bench_of(base)
    model = checkpoint_loader(bench, "prior.safetensors").MODEL
    assert isinstance(model, ModelHandle)
    told = {"safelight.config": '{"unet": {"controlnet_blocks": [0, 2, 5]}}'}
    save(base / "models" / "controlnet" / f"{kind}.safetensors", dict(network(kind).state_dict()), told)
    control = control_net_loader(bench, f"{kind}.safetensors")
    assert control.kind == "cascade"
    generator = torch.Generator().manual_seed(2)
    picture = torch.rand(1, 64, 96, 3, generator=generator)
    latent = torch.randn(1, 5, 7, 16, generator=generator)
    text = [[torch.randn(1, 7, 48, generator=generator), {"pooled_output": torch.randn(1, 40, generator=generator)}]]
    mask = torch.zeros(1, 64, 96)
    mask[:, :, 50:] = 1.0
    hint = picture if kind in ("edges", "inpainting") else latent
    seen = hint.movedim(-1, 1)
    if kind == "edges":
        seen = seen.mean(1, keepdim=True)
    if kind == "inpainting":
        both = control_net_apply_for_inpainting(text, text, control, None, hint, mask, STRENGTH)
        seen = torch.cat([torch.where(mask[:, None] > 0, 1.0, seen), mask[:, None]], 1)
    else:
        both = control_net_apply_advanced(text, text, control, hint, STRENGTH)
    settings = {"seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "simple"}
    empty = {"samples": torch.zeros(2, 16, 6, 8)}
    made = ksampler(bench, model, **settings, positive=both[0], negative=both[1], latent_image=empty)["samples"]
    with bench.models.use(model) as live:
        blocks = [
            layer for half in (live.module.down_blocks, live.module.up_blocks) for level in half for layer in level
        ]
        blocks = [block for block in blocks if type(block).__name__ == "SDCascadeResBlock"]
        assert len(blocks) == 6
        added = dict(zip(PLACES, by_hand(kind, seen), strict=True))
        for number, part in added.items():
            block = blocks[number]

            def forward(x: Any, *rest: Any, own: Any = block.forward, part: Any = part) -> Any:
                size = x.shape[-2:]
                return own(
                    x + STRENGTH * functional.interpolate(part, size, mode="bilinear", align_corners=True), *rest
                )

            block.forward = forward
        try:
            wanted = ksampler(bench, model, **settings, positive=text, negative=text, latent_image=empty)["samples"]
        finally:
            for number in added:
                del blocks[number].forward
    bare = ksampler(bench, model, **settings, positive=text, negative=text, latent_image=empty)["samples"]
    scale = float(wanted.abs().max())
    assert float((made - wanted).abs().max()) <= 1e-4 * scale
    assert float((made - bare).abs().max()) > 1e-3 * scale


def test_what_does_not_belong_together_is_told_in_words(parts, base):
    bench = bench_of(base)
    model = checkpoint_loader(bench, "prior.safetensors").MODEL
    text = [[torch.zeros(1, 7, 48), {"pooled_output": torch.zeros(1, 40)}]]
    settings = {"seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}

    def run(kind: str, image: torch.Tensor, told: str = '{"unet": {"controlnet_blocks": [0, 2, 5]}}') -> None:
        save(
            base / "models" / "controlnet" / "c.safetensors",
            dict(network(kind).state_dict()),
            {"safelight.config": told},
        )
        control = control_net_loader(bench, "c.safetensors")
        both = control_net_apply_advanced(text, text, control, image)
        latent = {"samples": torch.zeros(1, 16, 6, 8)}
        ksampler(bench, model, **settings, positive=both[0], negative=both[1], latent_image=latent)

    with pytest.raises(ModelError, match=r"sees 16 channels, got 3\. For super-resolution"):
        run("large", torch.zeros(1, 64, 64, 3))
    with pytest.raises(ModelError, match="is for inpainting and was given no mask"):
        run("inpainting", torch.zeros(1, 64, 64, 3))
    with pytest.raises(ModelError, match=r"with blocks up to 8 of width 32, the model has 6, counted from 0"):
        run("large", torch.zeros(1, 4, 4, 16), "{}")
