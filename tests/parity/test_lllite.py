"""Control-LLLite of Stable Diffusion XL and of Anima: runs by our nodes, and by the library with their authors' sums in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.errors import CheckpointError, ModelError
from engine.models.networks.anima_sizes import paths
from nodes.conditioning import text_encode
from nodes.conditioning_properties import conditioning_set_properties
from nodes.hooks import create_hook_lora_model_only
from nodes.loaders import checkpoint_loader, lora_loader_model_only
from nodes.model_patch import anima_lllite_apply, control_lllite_apply, model_patch_loader
from nodes.sampling import ksampler
from nodes.skip_layers import skip_layer_guidance_dit
from nodes.unet_patches import patch_model_add_downscale
from nodes.vae import vae_decode
from tests.changes import low_rank, under
from tests.conftest import _tokenizer_json
from tests.families import Tiny, save, write_xl
from tests.parity import test_pipeline_anima as anima_runs
from tests.parity import test_pipeline_sdxl as xl_runs
from tests.runs import bench_of, picture
from tests.tiny_anima import write
from tests.tiny_control import lllite_anima, lllite_xl

STRENGTH = 0.7
PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
XL_PATHS = {
    "input_blocks_3_1_transformer_blocks_0": "down_blocks.1.attentions.0.transformer_blocks.0",
    "input_blocks_5_1_transformer_blocks_1": "down_blocks.2.attentions.0.transformer_blocks.1",
    "middle_block_1_transformer_blocks_0": "mid_block.attentions.0.transformer_blocks.0",
    "input_blocks_1_0": "down_blocks.0.resnets.0",
}
ANIMA_PATHS = {
    "self_attn_q_proj": "attn1.to_q",
    "self_attn_k_proj": "attn1.to_k",
    "self_attn_v_proj": "attn1.to_v",
    "cross_attn_q_proj": "attn2.to_q",
    "mlp_layer1": "ff.net.0.proj",
}
enlarging = anima_runs.enlarging


@pytest.fixture(scope="module")
def xl(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    made = write_xl(tmp_path_factory.mktemp("xl_lllite"), files, _tokenizer_json(files))
    save(made.file("model_patches", "xl.safetensors"), lllite_xl().state_dict())
    save(made.file("model_patches", "convolution.safetensors"), lllite_xl(convolution=True).state_dict())
    save(made.file("model_patches", "anima.safetensors"), lllite_anima().state_dict())
    return made


@pytest.fixture(scope="module")
def anima(tmp_path_factory) -> Tiny:
    made = write(tmp_path_factory.mktemp("anima_lllite"))
    for name, masked, told in (
        ("any", False, {}),
        ("inpainting", True, {"lllite.aspp_dilations": "1,2", "lllite.inpaint_masked_input": "true"}),
    ):
        save(made.file("model_patches", f"{name}.safetensors"), lllite_anima(masked=masked).state_dict(), told)
    save(made.file("model_patches", "wide.safetensors"), lllite_anima(width=48).state_dict())
    save(made.file("model_patches", "xl.safetensors"), lllite_xl().state_dict())
    return made


def hint(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(2))


@contextmanager
def changed(module: Any, paths: dict[str, Any]) -> Iterator[None]:
    """Layers by path whose input x becomes x + function(x)."""
    layers = [(module.get_submodule(path), added) for path, added in paths.items()]
    try:
        for layer, added in layers:
            layer.forward = lambda x, own=layer.forward, added=added: own(x + added(x))
        yield
    finally:
        for layer, _ in layers:
            del layer.forward


def of_xl(tensors: dict[str, torch.Tensor], seen: torch.Tensor) -> dict[str, Any]:
    """kohya-ss' sums (networks/control_net_lllite.py at commit 48d368f) for each layer, by the library's path."""
    found: dict[str, Any] = {}
    for name in sorted({name.split(".")[0] for name in tensors}):
        own = {key.split(".", 1)[1]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        shown = seen.movedim(-1, 1) * 2 - 1
        for i, side in enumerate(key for key in sorted(own) if "conditioning1" in key and "weight" in key):
            shown = torch.relu(shown) if i else shown
            shown = functional.conv2d(shown, own[side], own[side.replace("weight", "bias")], own[side].shape[-1])

        def added(x: torch.Tensor, own: Any = own, shown: torch.Tensor = shown) -> torch.Tensor:
            flat = x.flatten(2).transpose(1, 2) if x.ndim == 4 else x
            told = shown.flatten(2).transpose(1, 2).expand(len(x), -1, -1)
            for part in ("down", "mid", "up"):
                flat = torch.cat([told, flat], dim=-1) if part == "mid" else flat
                flat = functional.linear(flat, own[f"{part}.0.weight"].flatten(1), own[f"{part}.0.bias"])
                flat = flat if part == "up" else torch.relu(flat)
            return STRENGTH * (flat.transpose(1, 2).reshape(x.shape) if x.ndim == 4 else flat)

        block = next(one for one in XL_PATHS if name.removeprefix("lllite_unet_").startswith(one))
        last = name.rpartition(block)[2].strip("_")
        path = {"in_layers_2": "conv1"}.get(last, last.replace("_to_", ".to_"))
        found[f"{XL_PATHS[block]}.{path}"] = added
    return found


@pytest.mark.parametrize("name", ["xl", "convolution"])
def test_an_lllite_of_xl_gives_the_picture_of_its_authors_sums(xl, name):
    bench = bench_of(xl)
    model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
    both = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    seen = hint(64, 96)
    steered = control_lllite_apply(model, model_patch_loader(bench, f"{name}.safetensors"), seen, STRENGTH)
    made = xl_runs.ours(bench, steered, *both, vae)
    tensors = lllite_xl(convolution=name == "convolution").state_dict()
    copied = Tiny(xl.base, deepcopy(xl.modules), xl.tokenizers)
    with changed(copied.modules["unet"], of_xl(tensors, seen)):
        copied.modules["unet"].__deepcopy__ = lambda _: copied.modules["unet"]
        expected = xl_runs.theirs(copied)
    assert float((made - expected).abs().max()) <= 1e-4
    assert float((made - xl_runs.ours(bench, model, *both, vae)).abs().max()) > 1e-3


def test_an_lllite_of_xl_works_for_other_sizes_of_picture_and_latent_and_in_its_part_of_the_run(xl):
    bench = bench_of(xl)
    model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
    both = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    patch = model_patch_loader(bench, "convolution.safetensors")
    steered = control_lllite_apply(model, patch, torch.cat([hint(30, 50), 1 - hint(30, 50)]), STRENGTH)
    latent = {"samples": torch.zeros(3, 4, 9, 13)}
    told = {"seed": 1, "steps": 1, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal"}
    found = ksampler(bench, steered, **told, positive=both[0], negative=both[1], latent_image=latent)
    assert vae_decode(bench, found, vae).shape == (3, 72, 104, 3)
    never = control_lllite_apply(model, patch, hint(64, 96), STRENGTH, 1.0, 1.0)
    assert torch.equal(xl_runs.ours(bench, never, *both, vae), xl_runs.ours(bench, model, *both, vae))
    assert control_lllite_apply(model, patch, hint(64, 96), 0.0) is model


def of_anima(tensors: dict[str, torch.Tensor], seen: torch.Tensor, dilations: tuple[int, ...]) -> dict[str, Any]:
    """The sums of github.com/invoke-ai/InvokeAI at commit 8e71a8a for each layer, by the library's path."""
    first = {
        name.split(".", 1)[1]: value for name, value in tensors.items() if name.startswith("lllite_conditioning1.")
    }

    def convolved(x: Any, name: str, **told: Any) -> Any:
        return functional.conv2d(x, first[f"{name}.weight"], first[f"{name}.bias"], **told)

    def normed(x: Any, name: str) -> Any:
        groups = next(one for one in (8, 4, 2, 1) if x.shape[1] % one == 0)
        return functional.silu(functional.group_norm(x, groups, first[f"{name}.weight"], first[f"{name}.bias"]))

    x = normed(convolved(seen, "conv1", stride=4), "norm1")
    x = normed(convolved(x, "conv2", padding=1), "norm2")
    x = normed(convolved(x, "conv3", stride=4), "norm3")
    inner = convolved(normed(x, "resblocks.0.norm1"), "resblocks.0.conv1", padding=1)
    x = x + convolved(normed(inner, "resblocks.0.norm2"), "resblocks.0.conv2", padding=1)
    if dilations:
        found = []
        for i, holes in enumerate(dilations):
            told = {} if holes == 1 else {"padding": holes, "dilation": holes}
            found.append(normed(convolved(x, f"aspp.branches.{i}.0", **told), f"aspp.branches.{i}.1"))
        mean = normed(convolved(x.mean((2, 3), keepdim=True), "aspp.global_conv.0"), "aspp.global_conv.1")
        joined = torch.cat([*found, mean.expand(-1, -1, *x.shape[-2:])], 1)
        x = normed(convolved(joined, "aspp.proj.0"), "aspp.proj.1")
    tokens = convolved(x, "proj").flatten(2).transpose(1, 2)
    tokens = functional.layer_norm(tokens, tokens.shape[-1:], first["out_norm.weight"], first["out_norm.bias"])

    def added(x: torch.Tensor, own: dict[str, torch.Tensor]) -> torch.Tensor:
        def linear(x: Any, name: str) -> Any:
            return functional.linear(x, own[f"{name}.weight"], own[f"{name}.bias"])

        here = (tokens + own["depth_embed"]).expand(len(x), -1, -1)
        gain, bias = linear(here, "cond_to_film").chunk(2, -1)
        inner = linear(torch.cat([here, functional.silu(linear(x, "down"))], -1), "mid")
        return STRENGTH * linear(functional.silu(inner * (1 + gain) + bias), "up")

    made: dict[str, Any] = {}
    for name in {one.split(".")[0] for one in tensors if one.startswith("lllite_dit_blocks_")}:
        number, layer = name.removeprefix("lllite_dit_blocks_").split("_", 1)
        own = {key.split(".", 1)[1]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        made[f"transformer_blocks.{number}.{ANIMA_PATHS[layer]}"] = lambda x, own=own: added(x, own)
    return made


@pytest.mark.parametrize(("name", "cfg"), [("any", 1.0), ("any", 4.0), ("inpainting", 4.0), ("no mask", 1.0)])
def test_an_lllite_of_anima_gives_the_picture_of_its_authors_sums(anima, name, cfg):
    bench = bench_of(anima)
    model, clip, vae = anima_runs.parts(bench)
    file = {"no mask": "inpainting"}.get(name, name)
    patch, seen = model_patch_loader(bench, f"{file}.safetensors"), hint(*anima_runs.SIDES)
    mask = torch.zeros(1, *anima_runs.SIDES)
    if name != "no mask":
        mask[:, :, 40:] = 0.6
    told = None if name == "no mask" else mask
    steered = anima_lllite_apply(model, patch, seen, STRENGTH, mask=told)
    both = text_encode(bench, anima_runs.PROMPT, clip), text_encode(bench, anima_runs.NEGATIVE, clip)
    made = picture(bench, steered, vae, *both, cfg, *anima_runs.SIDES)
    shown, dilations = seen.movedim(-1, 1) * 2 - 1, ()
    if file == "inpainting":
        where = (mask[:, None] >= 0.5).float()
        shown, dilations = torch.cat([shown * (1 - where), where * 2 - 1], 1), (1, 2)
    tensors = lllite_anima(masked=file == "inpainting").state_dict()
    with changed(anima.modules["transformer"], of_anima(tensors, shown, dilations)):
        expected = anima_runs.theirs(anima, model, cfg)
    assert float((made - expected).abs().max()) <= 1e-4
    assert float((made - picture(bench, model, vae, *both, cfg, *anima_runs.SIDES)).abs().max()) > 1e-3


def test_a_mask_is_nothing_to_a_patch_without_one_and_two_patches_add_up(anima):
    bench = bench_of(anima)
    model, clip, vae = anima_runs.parts(bench)
    patch, seen = model_patch_loader(bench, "any.safetensors"), hint(*anima_runs.SIDES)
    once = anima_lllite_apply(model, patch, seen, STRENGTH)
    assert anima_lllite_apply(model, patch, seen, STRENGTH, mask=torch.ones(1, 8, 8)).identity() == once.identity()
    other = model_patch_loader(bench, "inpainting.safetensors")
    masks = [None, torch.ones(1, 8, 8)]
    assert len({anima_lllite_apply(model, other, seen, STRENGTH, mask=one).identity() for one in masks}) == 2
    twice = anima_lllite_apply(once, other, torch.cat([seen, 1 - seen]), STRENGTH)
    both = text_encode(bench, anima_runs.PROMPT, clip), text_encode(bench, anima_runs.NEGATIVE, clip)
    made = picture(bench, twice, vae, *both, 1.0, 40, 72)  # an odd number of latent pixels
    assert float((made - picture(bench, once, vae, *both, 1.0, 40, 72)).abs().max()) > 1e-4


def test_what_does_not_belong_together_is_told_in_words(anima, xl):
    bench = bench_of(anima)
    model, clip, vae = anima_runs.parts(bench)
    both = [text_encode(bench, anima_runs.PROMPT, clip)] * 2

    def run(name: str) -> None:
        steered = anima_lllite_apply(model, model_patch_loader(bench, f"{name}.safetensors"), hint(48, 80))
        picture(bench, steered, vae, *both, 1.0, *anima_runs.SIDES)

    with pytest.raises(ModelError, match="this model patch is for Stable Diffusion XL, got Anima"):
        run("xl")
    with pytest.raises(
        ModelError, match="made for a model of width 48 with layers up to 1, the model has 2 of width 32"
    ):
        run("wide")
    with pytest.raises(CheckpointError, match=r"It is a Control-LLLite of Anima: load it by ModelPatchLoader"):
        bench.models.controlnet(anima.file("model_patches", "any.safetensors"))
    other = bench_of(xl)
    model, clip, vae = checkpoint_loader(other, "xl.safetensors")
    both = [text_encode(other, PROMPT, clip)] * 2
    steered = control_lllite_apply(model, model_patch_loader(other, "anima.safetensors"), hint(64, 96))
    with pytest.raises(ModelError, match=r"this model patch is for Anima, got Stable Diffusion XL"):
        xl_runs.ours(other, steered, *both, vae)
    steered = control_lllite_apply(model, model_patch_loader(other, "xl.safetensors"), hint(64, 96))
    with pytest.raises(
        ModelError, match=r"wants layers that see the whole picture.*Leave out .*PatchModelAddDownscale"
    ):
        xl_runs.ours(other, patch_model_add_downscale(steered, 1, 2.0, 0.0, 1.0), *both, vae)


def test_hooks_and_skipped_layers_work_on_with_it(anima):
    bench = bench_of(anima)
    model, clip, vae = anima_runs.parts(bench)
    patch, seen = model_patch_loader(bench, "any.safetensors"), hint(*anima_runs.SIDES)
    save(
        anima.file("loras", "change.safetensors"),
        under(
            "diffusion_model.",
            {f"transformer.{n}": p for n, p in low_rank(anima.modules["transformer"]).items()},
            paths({name: anima.modules[name].config for name in ("transformer", "text_conditioner")}),
        ),
    )
    both = text_encode(bench, anima_runs.PROMPT, clip), text_encode(bench, anima_runs.NEGATIVE, clip)
    steered = anima_lllite_apply(model, patch, seen, STRENGTH)
    changed_model = lora_loader_model_only(bench, steered, "change.safetensors", 0.5)
    hooked = [
        conditioning_set_properties(one, hooks=create_hook_lora_model_only(bench, "change.safetensors", 0.5))
        for one in both
    ]
    one = picture(bench, steered, vae, *hooked, 2.0, *anima_runs.SIDES)
    other = picture(bench, changed_model, vae, *both, 2.0, *anima_runs.SIDES)
    bare = picture(bench, steered, vae, *both, 2.0, *anima_runs.SIDES)
    assert float((one - other).abs().max()) <= 1e-5
    assert float((one - bare).abs().max()) > 1e-4
    skipped = skip_layer_guidance_dit(steered, "1", "1", 3.0, 0.0, 1.0)
    assert float((picture(bench, skipped, vae, *both, 2.0, *anima_runs.SIDES) - bare).abs().max()) > 1e-4


def test_an_lllite_of_another_size_names_the_layer_that_is_missing(tiny_sd, tmp_path):
    path = tmp_path / "xl.safetensors"
    save(path, lllite_xl().state_dict())
    bench: Any = bench_of(tiny_sd)
    model, clip, vae = checkpoint_loader(bench, "tiny.safetensors")
    steered = control_lllite_apply(model, bench.models.model_patch(path), hint(64, 64))
    both = [text_encode(bench, PROMPT, clip)] * 2
    with pytest.raises(
        ModelError, match=r"with a layer input_blocks_3_1_\w+ of width 64; Stable Diffusion 1.x has none"
    ):
        picture(bench, steered, vae, *both, 1.0, 64, 64)
