"""A network without some layers is that network with layers that add nothing; all families."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.networks.unet_sizes import U_NET
from nodes.conditioning import with_options
from nodes.loaders import denoiser_loader
from nodes.skip_layers import skip_layer_guidance_dit
from tests.every_family import MEMBERS
from tests.runs import bench_of

APART = ("transformer_blocks", "single_transformer_blocks")
LISTS: dict[str, tuple[str, str]] = {
    "sd3": ("transformer_blocks", ""),
    "flux": APART,
    "schnell": APART,
    "chroma": APART,
    "chroma_radiance": APART,
    "auraflow": ("joint_transformer_blocks", "single_transformer_blocks"),
    "flux2": APART,
    "flux2_klein": APART,
    "flux3": ("mode_blocks.image txt_mode_blocks mode_blocks.image_cond", "single_transformer_blocks"),
    "flux3_distilled": ("mode_blocks.image txt_mode_blocks mode_blocks.image_cond", "single_transformer_blocks"),
    "z_image": ("layers", "layers"),
    "lumina2": ("layers", "layers"),
    "qwen_image": ("transformer_blocks", ""),
    "qwen_image_layered": ("transformer_blocks", ""),
    "qwen_image21": ("transformer_blocks", "transformer_blocks"),
    "krea2": ("transformer_blocks", "transformer_blocks"),
    "ideogram4": ("layers", "layers"),
    "ernie_image": ("layers", "layers"),
    "hidream": ("double_stream_blocks", "single_stream_blocks"),
    "ovis_image": APART,
    "longcat_image": APART,
    "fibo2": ("layers", "layers"),
    "joyimage": ("double_blocks", ""),
    "kandinsky5_image": ("visual_transformer_blocks", "visual_transformer_blocks"),
    "pixart_alpha": ("transformer_blocks", "transformer_blocks"),
    "pixart_sigma": ("transformer_blocks", "transformer_blocks"),
    "hunyuan_image": APART,
    "omnigen2": ("layers", "layers"),
    "hunyuan_dit": ("blocks", "blocks"),
    "sana": ("transformer_blocks", "transformer_blocks"),
    "z_image_omni": ("layers", "layers"),
    "wan": ("blocks", "blocks"),
    "wan22": ("blocks", "blocks"),
    "hunyuan_image_refiner": APART,
    "cosmos_predict2": ("transformer_blocks", "transformer_blocks"),
    "anima": ("transformer.transformer_blocks", "transformer.transformer_blocks"),
}
"""Where the library has the layers that the first input numbers, and the second."""

SEES_PICTURES = ("flux2_klein", "flux3", "longcat_image", "fibo2", "joyimage")


def layers_of(module: Any, paths: str, number: int) -> list[Any]:
    return [module.get_submodule(path)[number] for path in paths.split()]


def test_every_transformer_under_texts_has_layers_to_leave_out():
    assert set(LISTS) == {name for name in MEMBERS if name not in ("sd1", "sd2", "sdxl", "sdxl_refiner")}


@pytest.mark.parametrize("name", LISTS)
def test_layers_left_out_are_layers_that_add_nothing(everyone, name):
    parts, own = everyone[name]
    space = parts.model.latent
    if name in SEES_PICTURES:
        seen = torch.randn(1, space.channels, 4, 4, generator=torch.Generator().manual_seed(5))
        own = with_options(own, reference_latents=[seen])
    [[context, options]] = own
    side = 32 if space.downscale == 1 else 8
    x = torch.randn(1, space.channels, side, side, generator=torch.Generator().manual_seed(4))
    with parts.bench.models.use(parts.model) as network:
        told = network.inputs(options, x, True)

        def call(text: torch.Tensor = context) -> torch.Tensor:
            return network(x, torch.tensor([500.0]), text, options=told)

        whole = call()
        doubles, singles = LISTS[name]
        for double, single, paths in (([1], [], doubles), ([0], [], doubles), ([], [0], singles), ([], [1], singles)):
            if not paths:
                continue
            with network.without_layers([*double, 90], single):
                got = call()
                assert torch.equal(call(), got)
            kept = [
                (one, one.clone())
                for layer in layers_of(network.module, paths, (double or single)[0])
                for one in layer.parameters()
            ]
            for one, _ in kept:
                one.zero_()
            # Another tensor of the same text: a network that keeps what it made of a text makes it again.
            expected = call(context.clone())
            for one, before in kept:
                one.copy_(before)
            change = float((expected - whole).abs().max())
            assert change > 1e-5
            assert float((got - expected).abs().max()) <= max(1e-6, 0.02 * change)
        assert torch.equal(call(), whole)
        with pytest.raises(ModelError) as refused, network.without_layers([90], [70]):
            pass
    double, single = (len(module_list(network.module, paths)) for paths in LISTS[name])
    assert "asked for double layers [90] and single layers [70]" in str(refused.value)
    assert f"{title(parts)} has {double} double and {single} single ones, counted from 0." in str(refused.value)


def module_list(module: Any, paths: str) -> Any:
    return module.get_submodule(paths.split()[0]) if paths else ()


def title(parts: Any) -> str:
    return family_named(parts.model.family).title


@pytest.mark.parametrize("name", sorted(set(MEMBERS) - set(LISTS)))
def test_a_u_net_has_none_and_says_so_before_a_run(everyone, name):
    parts, _ = everyone[name]
    assert family_named(parts.model.family).network is U_NET
    with pytest.raises(ModelError, match="has no layers here that can be skipped one by one"):
        skip_layer_guidance_dit(parts.model)


def test_a_network_that_keeps_references_says_that_all_its_layers_do(tmp_path):
    from nodes.prefix_cache import flux_kv_cache
    from tests.tiny_flux2 import write

    bench = bench_of(write(tmp_path, guidance=False))
    model = flux_kv_cache(denoiser_loader(bench, "flux2.safetensors"))
    with bench.models.use(model) as network:
        refused = pytest.raises(ModelError, match="where references are kept")
        with refused, network.without_layers([0], []):
            pass
