"""Guidance by perturbed, watched and normalized attention against the library's processors and the papers' formulas."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0
from diffusers.models.transformers.transformer_flux import apply_rotary_emb
from diffusers.pipelines.deprecated.stable_diffusion_sag import pipeline_stable_diffusion_sag as sag
from torch.nn import functional

from engine.denoising.inside.normalized import guided
from engine.denoising.live import live_model
from engine.denoising.records import Start
from engine.denoising.run import sample
from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.sampling.guiders import BasicGuidance, CfgGuidance
from engine.sampling.self_attention import blurred
from nodes.conditioning import text_encode
from nodes.guidance_attention import na_guidance, perturbed_attention_guidance, self_attention_guidance
from nodes.loaders import checkpoint_loader, denoiser_loader
from nodes.unet_patches import free_u
from tests.families import flux_to_original, flux_transformer, save
from tests.runs import bench_of, text

SIGMA = 5.0
X = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def parts(bench) -> Any:
    return checkpoint_loader(bench, "tiny.safetensors")


@pytest.fixture
def texts(bench, parts) -> Any:
    return [text_encode(bench, one, parts.CLIP) for one in ("red apple", "a blue dog")]


def x0(bench: Any, model: Any, guidance: Any, noise: torch.Tensor = X, **live: Any) -> torch.Tensor:
    """The guided prediction, in the network's space, at noise level SIGMA of that noise alone."""
    with bench.models.use(model), live_model(bench.models, model) as made:
        start = Start(torch.zeros_like(noise), noise)
        got = sample(replace(made, **live), start, guidance, torch.tensor([SIGMA, 0.0]))
    return model.latent.to_network(got.samples)


class Bare:
    """The U-Net of a checkpoint, called by the library's own means: x at SIGMA → x_0."""

    def __init__(self, bench: Any, model: Any) -> None:
        from engine.sampling.noise_schedule import NoiseSchedule

        self.schedule = NoiseSchedule.of(model.parameterization)
        self.model, self.bench = model, bench

    def __call__(self, x: torch.Tensor, context: torch.Tensor, processor: Any = None) -> torch.Tensor:
        scale = 1.0 / (SIGMA**2 + 1.0) ** 0.5
        with self.bench.models.use(self.model) as network, torch.no_grad():
            attention = network.module.mid_block.attentions[0].transformer_blocks[0].attn1
            before, rows = attention.processor, 1
            if processor is not None:
                attention.processor, rows = processor, 2 if "PAG" in type(processor).__name__ else 1
            t = torch.full((rows,), self.schedule.timestep(SIGMA))
            eps = network.module(torch.cat([x * scale] * rows), t, torch.cat([context] * rows)).sample[-1:]
            attention.processor = before
        return x - SIGMA * eps


def test_perturbed_attention_is_the_librarys_and_guided_away_from(bench, parts, texts):
    positive, negative = texts
    bare, x = Bare(bench, parts.MODEL), SIGMA * X
    right, wrong = (bare(x, one[0][0]) for one in texts)
    perturbed = bare(x, positive[0][0], PAGIdentitySelfAttnProcessor2_0())
    assert not torch.allclose(right, perturbed, atol=1e-4)
    model = perturbed_attention_guidance(parts.MODEL, 2.0)
    got = x0(bench, model, CfgGuidance(positive, negative, 3.0))
    assert torch.allclose(got, wrong + 3.0 * (right - wrong) + 2.0 * (right - perturbed), atol=1e-4)
    alone = x0(bench, model, BasicGuidance(positive))
    assert torch.allclose(alone, right + 2.0 * (right - perturbed), atol=1e-4)
    assert perturbed_attention_guidance(model, 0.0) is model


@pytest.mark.parametrize("cfg", [3.0, 1.0, None])
def test_self_attention_guidance_is_the_librarys(bench, parts, texts, cfg):
    positive, negative = texts
    bare, x = Bare(bench, parts.MODEL), SIGMA * X
    base = positive if cfg is None else negative
    right, wrong = (bare(x, one[0][0]) for one in texts)
    plain = right if cfg is None else wrong + cfg * (right - wrong)
    store = sag.CrossAttnStoreProcessor()
    predicted = bare(x, base[0][0], store)
    # The library masks in the space of x / sqrt(1 + sigma²), where x_0 is as it is; its noise level is put on again by us.
    heads = store.attention_probs.shape[0]
    told = SimpleNamespace(
        unet=SimpleNamespace(config=SimpleNamespace(attention_head_dim=heads)),
        scheduler=SimpleNamespace(add_noise=lambda latents, noise, timesteps: latents),
    )
    side = int(store.attention_probs.shape[1] ** 0.5)
    degraded = sag.StableDiffusionSAGPipeline.sag_masking(
        told, predicted, store.attention_probs, (side, side), torch.tensor(0), None
    )
    assert not torch.equal(degraded, predicted)
    expected = plain + 0.75 * (degraded - bare(degraded + (x - predicted), base[0][0]))
    model = self_attention_guidance(parts.MODEL, 0.75, 1.0)
    guidance = BasicGuidance(positive) if cfg is None else CfgGuidance(positive, negative, cfg)
    for most in (None, 1):
        assert torch.allclose(x0(bench, model, guidance, max_rows=most), expected, atol=1e-4)


def test_a_blur_is_the_librarys_and_none_leaves_what_it_is():
    assert torch.allclose(blurred(X, 2.0), sag.gaussian_blur_2d(X, 9, 2.0), atol=1e-6)
    assert blurred(X, 0.0) is X


def test_self_attention_guidance_leaves_what_is_too_small(bench, parts, texts):
    small = torch.randn(1, 4, 4, 16, generator=torch.Generator().manual_seed(1))
    guidance = CfgGuidance(*texts, 2.0)
    got = x0(bench, self_attention_guidance(parts.MODEL), guidance, small)
    assert torch.equal(got, x0(bench, parts.MODEL, guidance, small))


# --- normalized attention -------------------------------------------------------------------------------------------


def formula(z: torch.Tensor, scale: float, alpha: float, tau: float) -> torch.Tensor:
    """Z (positive, then negative) with the positive one guided: Chen et al. 2025, as their code has the scale."""
    good, bad = z.chunk(2)
    away = good * scale - bad * (scale - 1)
    ratio = away.norm(p=1, dim=-1, keepdim=True) / good.norm(p=1, dim=-1, keepdim=True)
    away = away * torch.minimum(ratio, torch.full_like(ratio, tau)) / ratio
    return torch.cat([away * alpha + good * (1 - alpha), bad])


def test_guided_attention_is_the_papers_formula_and_no_number_is_lost():
    z = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(3))
    for scale, alpha, tau in ((5.0, 0.5, 1.5), (2.0, 1.0, 10.0), (0.0, 0.25, 1.0)):
        got = guided(z[:1], z[1:], scale, alpha, tau)
        assert torch.allclose(got, formula(z, scale, alpha, tau)[:1], atol=1e-6)
    assert torch.isfinite(guided(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), 5.0, 0.5, 1.5)).all()


class Guided:
    """Attention to the text with the formula between it and the layer after it."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        q, k, v = attn.to_q(hidden_states), attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        q, k, v = (one.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for one in (q, k, v))
        z = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return attn.to_out[0](formula(z, 4.0, 0.5, 1.5))


def test_a_u_nets_attention_to_the_text_is_guided(bench, parts, texts):
    positive, negative = texts
    scale = 1.0 / (SIGMA**2 + 1.0) ** 0.5
    with bench.models.use(parts.MODEL) as network, torch.no_grad():
        attentions = [one.attn2 for one in network.module.modules() if hasattr(one, "attn2")]
        before = [one.processor for one in attentions]
        for one in attentions:
            one.processor = Guided()
        t = torch.full((2,), Bare(bench, parts.MODEL).schedule.timestep(SIGMA))
        eps = network.module(torch.cat([SIGMA * X * scale] * 2), t, torch.cat([positive[0][0], negative[0][0]])).sample
        for one, processor in zip(attentions, before):
            one.processor = processor
    right, wrong = SIGMA * X - SIGMA * eps[:1], SIGMA * X - SIGMA * eps[1:]
    model = na_guidance(parts.MODEL, 4.0)
    for most in (None, 1):
        got = x0(bench, model, CfgGuidance(positive, negative, 1.0), max_rows=most)
        assert torch.allclose(got, right, atol=1e-4)
    got = x0(bench, model, CfgGuidance(positive, negative, 2.0))
    assert torch.allclose(got, wrong + 2.0 * (right - wrong), atol=1e-4)
    assert not torch.allclose(right, x0(bench, parts.MODEL, BasicGuidance(positive)), atol=1e-4)


class GuidedJoint:
    """FLUX's joint attention, with the formula on the picture's tokens."""

    def __init__(self, words: int) -> None:
        self.words = words

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, image_rotary_emb=None):
        def heads(layers, tokens):
            return [layer(tokens).unflatten(-1, (attn.heads, -1)) for layer in layers]

        q, k, v = heads((attn.to_q, attn.to_k, attn.to_v), hidden_states)
        q, k = attn.norm_q(q), attn.norm_k(k)
        if encoder_hidden_states is not None:
            eq, ek, ev = heads((attn.add_q_proj, attn.add_k_proj, attn.add_v_proj), encoder_hidden_states)
            eq, ek = attn.norm_added_q(eq), attn.norm_added_k(ek)
            q, k, v = (torch.cat(pair, dim=1) for pair in ((eq, q), (ek, k), (ev, v)))
        q, k = (apply_rotary_emb(one, image_rotary_emb, sequence_dim=1) for one in (q, k))
        q, k, v = (one.transpose(1, 2) for one in (q, k, v))
        z = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        words, picture = z[:, : self.words], formula(z[:, self.words :], 4.0, 0.5, 1.5)
        if encoder_hidden_states is None:
            return torch.cat([words, picture], dim=1)
        return attn.to_out[0](picture), attn.to_add_out(words)


def test_flux_guides_what_its_picture_attends_to(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "flux.safetensors"
    told = {"safelight.config": json.dumps({"unet": {"axes": [2, 6, 8]}})}
    save(path, flux_to_original(flux_transformer(guidance=False).state_dict(), ""), told)
    manager = ModelManager("cpu")
    model = manager.denoiser(path)
    width = int(model.config["joint_attention_dim"])
    pooled = text(1, int(model.config["pooled_projection_dim"]), 9)[:, 0]
    conditionings = [[[text(6, width, seed), {"pooled_output": pooled}]] for seed in (1, 2)]
    noise = torch.randn(1, 16, 8, 6, generator=torch.Generator().manual_seed(4))

    def velocity(made: Any, guidance: Any, **live: Any) -> torch.Tensor:
        with live_model(manager, made) as found:
            start = Start(torch.zeros_like(noise), noise)
            return sample(replace(found, **live), start, guidance, torch.tensor([1.0, 0.0])).samples

    with manager.use(model) as network, torch.no_grad():
        blocks = [*network.module.transformer_blocks, *network.module.single_transformer_blocks]
        before = [one.attn.processor for one in blocks]
        for one in blocks:
            one.attn.processor = GuidedJoint(6)
        given = {"pooled": pooled.repeat(2, 1)}
        context = torch.cat([one[0][0] for one in conditionings])
        found = network(
            torch.cat([noise] * 2), torch.full((2,), float(model.parameterization.timesteps)), context, options=given
        )
        for one, processor in zip(blocks, before):
            one.attn.processor = processor
    expected = model.latent.from_network(noise - found[:1])
    guided_model = na_guidance(model, 4.0)
    for most in (None, 1):
        got = velocity(guided_model, CfgGuidance(*conditionings, 1.0), max_rows=most)
        assert torch.allclose(got, expected, atol=1e-4)
    assert not torch.allclose(expected, velocity(model, BasicGuidance(conditionings[0])), atol=1e-4)
    shorter = [conditionings[0], [[text(4, width, 2), {"pooled_output": pooled}]]]
    got = velocity(guided_model, CfgGuidance(*shorter, 1.0))
    assert torch.isfinite(got).all()
    assert not torch.allclose(got, velocity(model, CfgGuidance(*shorter, 1.0)), atol=1e-4)


def test_a_guider_without_a_negative_conditioning_has_nothing_to_guide_away_from(bench, parts, texts):
    with pytest.raises(ValueError, match=r"NAGuidance: the guider has no negative conditioning .* Use CFGGuider"):
        x0(bench, na_guidance(parts.MODEL), BasicGuidance(texts[0]))


def test_what_is_nothing_leaves_the_model(parts):
    assert na_guidance(parts.MODEL, nag_alpha=0.0) is parts.MODEL
    assert na_guidance(parts.MODEL, nag_scale=1.0) is parts.MODEL
    assert self_attention_guidance(parts.MODEL, 0.0) is parts.MODEL


def test_models_without_such_attention_are_refused(tmp_path):
    from tests.tiny_z_image import write_z_image

    model = denoiser_loader(bench_of(write_z_image(tmp_path)), "z_image.safetensors")
    for name, node in (
        ("PerturbedAttentionGuidance", perturbed_attention_guidance),
        ("SelfAttentionGuidance", self_attention_guidance),
        ("NAGuidance", na_guidance),
    ):
        with pytest.raises(ModelError, match=rf"{name}: model: .* is Z-Image"):
            node(model)


def test_a_guidance_of_a_packs_own_has_no_further_predictions(bench, parts):
    class Own:
        def denoiser(self, network, around, max_rows):
            return lambda x, sigma: x

        def mask_at(self, sigma, mask):
            return mask

    for node in (perturbed_attention_guidance, self_attention_guidance):
        with pytest.raises(
            ValueError, match=r"Guidance: a pack has put functions around this model, or guides by itself"
        ):
            x0(bench, node(parts.MODEL), Own())
    assert torch.isfinite(x0(bench, parts.MODEL, Own())).all()


def test_guidance_by_attention_and_patches_work_together(bench, parts, texts):
    guidance = CfgGuidance(*texts, 2.0)
    made = [
        parts.MODEL,
        perturbed_attention_guidance(parts.MODEL),
        na_guidance(perturbed_attention_guidance(parts.MODEL)),
        self_attention_guidance(na_guidance(perturbed_attention_guidance(parts.MODEL))),
        free_u(self_attention_guidance(na_guidance(perturbed_attention_guidance(parts.MODEL)))),
    ]
    found = [x0(bench, model, guidance) for model in made]
    assert all(torch.isfinite(one).all() for one in found)
    assert all(not torch.allclose(a, b, atol=1e-5) for n, a in enumerate(found) for b in found[:n])
    assert torch.equal(x0(bench, parts.MODEL, guidance), found[0])
