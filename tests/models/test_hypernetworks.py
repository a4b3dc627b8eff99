"""Hypernetworks: what files say, and keys and values of a run against sums by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import CheckpointError, ModelError
from nodes.loaders import checkpoint_loader, denoiser_loader, hypernetwork_loader
from nodes.sampling import ksampler
from tests.conftest import _save as save

WIDTH = 32
"""Of the tiny model's text."""


def table(seed: int, *, norms: bool = False, old: bool = False, width: int = WIDTH) -> dict[str, torch.Tensor]:
    """Two matrices, to twice the width and back; with an activation between, and norms."""
    generator = torch.Generator().manual_seed(seed)

    def linear(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(rows, columns, generator=generator) * 0.2, torch.randn(rows, generator=generator) * 0.2

    places = iter((0, 1) if old else (0, 2, 3, 5) if norms else (0, 2))
    found: dict[str, torch.Tensor] = {}
    for rows, columns in ((2 * width, width), (width, 2 * width)):
        place = next(places)
        name = f"linear{place + 1}" if old else f"linear.{place}"
        found[f"{name}.weight"], found[f"{name}.bias"] = linear(rows, columns)
        if norms:
            place = next(places)
            found[f"linear.{place}.weight"] = 1 + torch.randn(rows, generator=generator) * 0.1
            found[f"linear.{place}.bias"] = torch.randn(rows, generator=generator) * 0.1
    return found


def write(bench: Any, name: str, width: int = WIDTH, norms: bool = False, old: bool = False, **told: Any) -> str:
    folder = bench.paths.folders("hypernetworks")[0]
    folder.mkdir(parents=True, exist_ok=True)
    pair = tuple(table(seed, norms=norms, old=old, width=width) for seed in (1, 2))
    torch.save({width: pair, "step": 10, "name": "marble", "sd_checkpoint": None, **told}, folder / name)
    return name


def by_hand(
    tensors: dict[str, torch.Tensor], x: torch.Tensor, activation: Any, at_end: bool, norms: bool
) -> torch.Tensor:
    values = list(tensors.values())
    matrices = [values[0:2], values[4:6]] if norms else [values[0:2], values[2:4]]
    scales = [values[2:4], values[6:8]] if norms else [None, None]
    for number, ((weight, bias), scale) in enumerate(zip(matrices, scales, strict=True)):
        x = x @ weight.T + bias
        if number == 0 or at_end:
            x = activation(x)
        if scale is not None:
            x = torch.nn.functional.layer_norm(x, x.shape[-1:], *scale)
    return x


def predicted(bench: Any, model: Any, context: torch.Tensor) -> torch.Tensor:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    with bench.models.use(model) as network:
        return network(x, torch.tensor([500.0]), context)


CASES = {
    "linear": ({}, lambda x: x, True, False),
    "relu": ({"activation_func": "relu", "activate_output": False}, torch.relu, False, False),
    "swish": ({"activation_func": "swish", "activate_output": True}, torch.nn.functional.hardswish, True, False),
    "mish, normed": (
        {"activation_func": "mish", "is_layer_norm": True, "activate_output": False},
        torch.nn.functional.mish,
        False,
        True,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_keys_and_values_are_made_of_what_it_gives(bench, case):
    told, activation, at_end, norms = CASES[case]
    model = checkpoint_loader(bench, "tiny.safetensors").MODEL
    name = write(bench, f"{case.split(',')[0]}.pt", norms=norms, **told)
    steered = hypernetwork_loader(bench, model, name, 0.6)
    context = torch.randn(1, 7, WIDTH, generator=torch.Generator().manual_seed(6))
    made = predicted(bench, steered, context)
    with bench.models.use(model) as network:
        hooks = []
        for path, attention in network.module.named_modules():
            if path.endswith((".attn1", ".attn2")):
                for part, seed in (("to_k", 1), ("to_v", 2)):
                    layer = getattr(attention, part)
                    tensors = table(seed, norms=norms)

                    def before(_: Any, given: Any, tensors: Any = tensors) -> Any:
                        x = given[0]
                        return (x + 0.6 * by_hand(tensors, x, activation, at_end, norms),)

                    if layer.in_features == WIDTH:
                        hooks.append(layer.register_forward_pre_hook(before))
        x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
        expected = network(x, torch.tensor([500.0]), context)
        for hook in hooks:
            hook.remove()
    assert hooks
    assert torch.allclose(made, expected, atol=1e-5)
    bare = predicted(bench, model, context)
    assert float((made - bare).abs().max()) > 1e-4
    assert torch.equal(predicted(bench, model, context), bare)


def test_the_oldest_names_and_several_on_one_model(bench):
    model = checkpoint_loader(bench, "tiny.safetensors").MODEL
    context = torch.randn(1, 7, WIDTH)
    new, old = write(bench, "new.pt"), write(bench, "old.pt", old=True)
    once = predicted(bench, hypernetwork_loader(bench, model, new, 0.5), context)
    assert torch.allclose(predicted(bench, hypernetwork_loader(bench, model, old, 0.5), context), once, atol=1e-6)
    twice = hypernetwork_loader(bench, hypernetwork_loader(bench, model, new, 0.5), old, 0.5)
    assert float((predicted(bench, twice, context) - once).abs().max()) > 1e-5
    assert hypernetwork_loader(bench, model, new, 0.0) is model
    recipes = {one.identity() for one in (model, twice, hypernetwork_loader(bench, model, new, 0.5))}
    assert len(recipes) == 3


def test_it_steers_a_run(bench):
    model = checkpoint_loader(bench, "tiny.safetensors").MODEL
    both = [[[torch.full((1, 77, WIDTH), value), {}]] for value in (0.1, 0.2)]

    def made(one: Any) -> torch.Tensor:
        settings = {"seed": 3, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal"}
        empty = {"samples": torch.zeros(1, 4, 8, 8)}
        return ksampler(bench, one, positive=both[0], negative=both[1], latent_image=empty, **settings)["samples"]

    steered = hypernetwork_loader(bench, model, write(bench, "run.pt"), 1.0)
    assert float((made(steered) - made(model)).abs().max()) > 1e-4


def test_what_it_is_not_for_is_told_in_words(bench):
    model = checkpoint_loader(bench, "tiny.safetensors").MODEL
    wide = hypernetwork_loader(bench, model, write(bench, "wide.pt", width=24))
    with pytest.raises(ModelError, match=r"wide\.pt: a hypernetwork for the widths 24, the model has .*32"):
        predicted(bench, wide, torch.zeros(1, 7, WIDTH))
    odd = hypernetwork_loader(bench, model, write(bench, "odd.pt", activation_func="wavy"))
    with pytest.raises(CheckpointError, match=r"odd\.pt: its activation 'wavy' is not known"):
        predicted(bench, odd, torch.zeros(1, 7, WIDTH))
    torch.save({"a": torch.ones(2)}, bench.paths.folders("hypernetworks")[0] / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt: not a hypernetwork"):
        predicted(bench, hypernetwork_loader(bench, model, "other.pt"), torch.zeros(1, 7, WIDTH))
    from tests.families import flux_transformer

    torch.manual_seed(1)
    save(bench.paths.folders("diffusion_models")[0] / "flux.safetensors", flux_transformer(guidance=False).state_dict())
    with pytest.raises(ModelError, match="hypernetworks are for U-Nets, got a model of FLUX"):
        hypernetwork_loader(bench, denoiser_loader(bench, "flux.safetensors"), "wide.pt")
