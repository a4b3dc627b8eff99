"""Control pictures as data on conditionings, and what they do to a run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models import sd_keys
from engine.models.errors import CheckpointError
from engine.models.handles import HookedModel, ModelHandle
from nodes.conditioning import conditioning_combine
from nodes.controlnet import (
    control_net_apply,
    control_net_apply_advanced,
    control_net_apply_for_inpainting,
    set_union_control_net_type,
)
from nodes.loaders import checkpoint_loader, control_net_loader, diff_control_net_loader, lora_loader_model_only
from nodes.sampling import ksampler


def entry(value: float = 0.0) -> list[list[Any]]:
    return [[torch.full((1, 77, 32), value), {}]]


@pytest.fixture
def edges(bench):
    return control_net_loader(bench, "edges.safetensors")


def test_the_hint_is_the_pictures_colours_channels_first(edges):
    picture = torch.rand(2, 16, 24, 4)
    [[_, options]] = control_net_apply(entry(), edges, picture, 0.5)
    use = options["control"]
    assert torch.equal(use.hint, picture[..., :3].movedim(-1, 1))
    assert (use.strength, use.start_percent, use.end_percent) == (0.5, 0.0, 1.0)
    assert options["control_apply_to_uncond"] is True


def test_strength_zero_changes_nothing(edges):
    given = entry()
    assert control_net_apply(given, edges, torch.rand(1, 8, 8, 3), 0.0) is given
    applied = control_net_apply_advanced(given, given, edges, torch.rand(1, 8, 8, 3), 0.0)
    assert applied.positive is given


def test_both_sides_of_guidance_share_one_control(edges):
    applied = control_net_apply_advanced(entry(), entry(), edges, torch.rand(1, 8, 8, 3), 1.0, 0.25, 0.75)
    control = applied.positive[0][1]["control"]
    assert applied.negative[0][1]["control"] is control
    assert (control.start_percent, control.end_percent) == (0.25, 0.75)
    assert applied.positive[0][1]["control_apply_to_uncond"] is False


def test_applications_chain_and_entries_with_different_pasts_stay_apart(edges):
    plain, once = entry(), control_net_apply(entry(), edges, torch.rand(1, 8, 8, 3), 1.0)
    both = control_net_apply(conditioning_combine(plain, once), edges, torch.rand(1, 8, 8, 3), 0.3)
    first, second = (options["control"] for _, options in both)
    assert first.previous is None
    assert second.previous is once[0][1]["control"]
    assert [use.strength for use in second.chain()] == [1.0, 0.3]
    assert once[0][1]["control"].previous is None


def run(bench, model, positive, negative) -> torch.Tensor:
    empty = {"samples": torch.zeros(1, 4, 8, 8)}
    settings = {"seed": 3, "steps": 3, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal"}
    return ksampler(bench, model, positive=positive, negative=negative, latent_image=empty, **settings)["samples"]


def test_a_control_changes_the_picture_and_outside_its_window_does_not(bench, edges):
    model, _, _ = checkpoint_loader(bench, "tiny.safetensors")
    picture = torch.rand(1, 64, 64, 3)
    bare = run(bench, model, entry(0.1), entry(0.2))
    always = control_net_apply_advanced(entry(0.1), entry(0.2), edges, picture, 1.0)
    never = control_net_apply_advanced(entry(0.1), entry(0.2), edges, picture, 1.0, 1.0, 1.0)
    assert not torch.allclose(run(bench, model, *always), bare, atol=1e-3)
    assert torch.allclose(run(bench, model, *never), bare, atol=1e-6)


def test_a_simple_control_on_the_positive_side_steers_the_negative_too(bench, edges):
    model, _, _ = checkpoint_loader(bench, "tiny.safetensors")
    picture = torch.rand(1, 64, 64, 3)
    simple = run(bench, model, control_net_apply(entry(0.1), edges, picture, 1.0), entry(0.2))
    advanced = run(bench, model, *control_net_apply_advanced(entry(0.1), entry(0.2), edges, picture, 1.0))
    assert torch.allclose(simple, advanced, atol=1e-5)


def test_control_pictures_are_repeated_for_each_picture_under_every_text(bench, edges):
    model, _, _ = checkpoint_loader(bench, "tiny.safetensors")
    pictures = torch.stack([torch.zeros(64, 64, 3), torch.ones(64, 64, 3)])

    def made(hints: torch.Tensor) -> torch.Tensor:
        both = control_net_apply_advanced(entry(0.1), entry(0.2), edges, hints, 100.0)
        empty = {"samples": torch.zeros(3, 4, 8, 8)}
        positive, negative = both
        given = {"positive": positive, "negative": negative, "latent_image": empty}
        given |= {"sampler_name": "euler", "scheduler": "normal"}
        return ksampler(bench, model, seed=3, steps=2, cfg=2.0, **given)["samples"]

    repeated = made(pictures[[0, 1, 0]])
    assert (made(pictures) - repeated).abs().max() < 1e-3
    assert (made(pictures) - made(pictures[[0, 1, 1]])).abs().max() > 5e-3
    assert (made(torch.cat([pictures, pictures])) - repeated).abs().max() < 1e-3


def test_the_cache_keeps_every_fact_of_a_control(edges):
    from dataclasses import fields

    from engine.__main__ import _CONTROL_FIELDS, _control_facts, _control_use
    from engine.models.handles import ControlUse

    assert tuple(field.name for field in fields(ControlUse)) == _CONTROL_FIELDS
    use = ControlUse(edges, torch.rand(1, 3, 8, 8), 0.5, mask=torch.rand(1, 1, 8, 8))
    again = _control_use(_control_facts(use))
    assert (again.handle, again.strength, again.vae) == (edges, 0.5, None)
    assert torch.equal(again.mask, use.mask)


def test_a_task_is_told_on_a_copy_and_auto_takes_it_back(edges):
    told = set_union_control_net_type(edges, "depth")
    assert (edges.mode, told.mode, set_union_control_net_type(told).mode) == ("", "depth", "")
    assert told.identity() != edges.identity()


def test_a_mask_is_brought_to_the_size_of_its_picture(bench, edges):
    vae = checkpoint_loader(bench, "tiny.safetensors").VAE
    mask = torch.zeros(1, 8, 8)
    mask[:, :4] = 1.0
    applied = control_net_apply_for_inpainting(entry(), entry(), edges, vae, torch.rand(1, 16, 24, 3), mask, 0.5)
    use = applied.positive[0][1]["control"]
    assert applied.negative[0][1]["control"] is use
    assert (use.mask.shape, use.vae, use.strength) == ((1, 1, 16, 24), vae, 0.5)
    assert (float(use.mask[..., :7, :].min()), float(use.mask[..., 9:, :].max())) == (1.0, 0.0)
    assert control_net_apply_for_inpainting(entry(), entry(), edges, vae, torch.rand(1, 8, 8, 3), mask, 0.0)


def test_one_kept_as_a_difference_is_added_to_the_models_weights(bench, tiny_sd, edges):
    """The same residuals as the whole one, when the difference is to this model; and a LoRA on the model counts."""
    from safetensors.torch import load_file

    from engine.models import weights
    from tests.conftest import _save as save

    path = tiny_sd.file("controlnet", "edges.safetensors")
    model = checkpoint_loader(bench, "tiny.safetensors").MODEL
    with bench.models.use(model) as network, bench.models.use(edges) as control:
        base = {name: value.clone() for name, value in network.module.state_dict().items()}
        whole = {name: value.clone() for name, value in control.module.state_dict().items()}
    shared = [name for name in whole if name in base and base[name].shape == whole[name].shape]
    assert "conv_in.weight" in shared
    names = {name: name for name in whole}
    original = sd_keys.controlnet_to_original(names, edges.config)
    tensors = {theirs: whole[ours] - base[ours] if ours in shared else whole[ours] for theirs, ours in original.items()}
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        save(tiny_sd.file("controlnet", "diff.safetensors"), {**tensors, "difference": torch.zeros(1)}, file.metadata())
    assert len(load_file(path)) == len(tensors)
    found = diff_control_net_loader(bench, model, "diff.safetensors")
    with bench.models.use(found) as control:
        made = control.module.state_dict()
    assert [name for name in whole if not torch.allclose(made[name], whole[name], atol=1e-6)] == []
    assert found.identity() != edges.identity()
    hooked = HookedModel(**{name: getattr(model, name) for name in ModelHandle.__struct_fields__}, hooks=object())
    assert diff_control_net_loader(bench, hooked, "diff.safetensors") == found
    lora = next(bench.paths.folders("loras")[0].glob("*.safetensors")).name
    steered = lora_loader_model_only(bench, model, lora, 1.0)
    with bench.models.use(diff_control_net_loader(bench, steered, "diff.safetensors")) as control:
        moved = control.module.state_dict()
    assert any(not torch.allclose(moved[name], whole[name], atol=1e-4) for name in shared)
    assert diff_control_net_loader(bench, model, "edges.safetensors") == edges
    with pytest.raises(CheckpointError, match=r"kept as the difference to a model\. Load it by DiffControlNetLoader"):
        control_net_loader(bench, "diff.safetensors")
    assert weights.parameter_shapes(found).keys() == whole.keys()
