"""Guidance by gradients: the classifier against the original's logits, both kinds against formulas by autograd over a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.datatypes.parameterization import LatentFormat
from engine.denoising.records import Start
from engine.denoising.run import sample
from engine.models.autoencoder import Autoencoder
from engine.models.errors import ModelError
from engine.models.handles import ClipVisionHandle, PerceptionHandle, Source, VaeHandle
from engine.models.perception import noise_classifier
from engine.models.vision import VisionEncoder
from engine.sampling.guiders import CfgGuidance
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.pushes import Push, PushedDenoiser, spherical
from nodes.guidance_gradients import classifier_guidance, clip_guidance
from nodes.guidance_predictions import tcfg
from nodes.loaders import checkpoint_loader, denoiser_loader
from nodes.sampling import ksampler
from tests.families import save
from tests.guided_runs import EPS, FLOW, handle, live, network, text

POSITIVE, NEGATIVE = text(1), text(2)
GUIDED = CfgGuidance(POSITIVE, NEGATIVE, 3.0)
LEVELS = {"scaled_linear": [4.0, 1.5, 0.5, 0.0], "flow": [1.0, 0.6, 0.2, 0.0]}
SHAPE = (2, 4, 16, 16)


def in_the_original_naming() -> dict[str, Tensor]:
    """What guided diffusion's EncoderUNetModel(16, 4, 64, 3, 1, (2,), channel_mult=(1, 2), num_head_channels=64) holds."""
    shapes: dict[str, tuple[int, ...]] = {"time_embed.0": (256, 64), "time_embed.2": (256, 256)}
    shapes["input_blocks.0.0"] = (64, 4, 3, 3)

    def residual(place: str, before: int, after: int) -> None:
        shapes[f"{place}.in_layers.0"], shapes[f"{place}.out_layers.0"] = (before,), (after,)
        shapes[f"{place}.in_layers.2"], shapes[f"{place}.out_layers.3"] = (after, before, 3, 3), (after, after, 3, 3)
        shapes[f"{place}.emb_layers.1"] = (2 * after, 256)
        if before != after:
            shapes[f"{place}.skip_connection"] = (after, before, 1, 1)

    def attention(place: str, width: int) -> None:
        shapes[f"{place}.norm"] = (width,)
        shapes[f"{place}.qkv"], shapes[f"{place}.proj_out"] = (3 * width, width, 1), (width, width, 1)

    residual("input_blocks.1.0", 64, 64)
    residual("input_blocks.2.0", 64, 64)  # halves sides
    residual("input_blocks.3.0", 64, 128)
    attention("input_blocks.3.1", 128)
    residual("middle_block.0", 128, 128)
    attention("middle_block.1", 128)
    residual("middle_block.2", 128, 128)
    shapes |= {"out.0": (128,), "out.2.qkv_proj": (384, 128, 1), "out.2.c_proj": (3, 128, 1)}
    every = {f"{name}.weight": shape for name, shape in shapes.items()}
    every |= {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
    every["out.2.positional_embedding"] = (128, 65)
    return {
        name: (torch.sin(torch.arange(math.prod(every[name])) * 0.37 + number) * 0.2).reshape(every[name])
        for number, name in enumerate(sorted(every))
    }


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return in_the_original_naming()


def classifier_of(tensors: dict[str, Tensor]) -> Any:
    from engine.models.networks.noise_classifier import NoiseClassifier

    config = noise_classifier.config({name: tuple(value.shape) for name, value in tensors.items()}, {})
    module = noise_classifier.build(config).eval().requires_grad_(False)
    module.load_state_dict(noise_classifier.renamed(tensors, config))
    told = PerceptionHandle(source=Source("classifier.safetensors", "1"), kind="noise_classifier", config=config)
    return NoiseClassifier(module, told, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def classifier(tensors: dict[str, Tensor]) -> Any:
    """One whose weights are random, so that its gradients are large."""
    generator = torch.Generator().manual_seed(3)
    drawn = {name: torch.randn(value.shape, generator=generator) * 0.05 for name, value in sorted(tensors.items())}
    return classifier_of({name: value + 1.0 if name.endswith(NORMS) else value for name, value in drawn.items()})


NORMS = ("in_layers.0.weight", "out_layers.0.weight", "norm.weight", "out.0.weight")


def test_a_classifier_is_the_original_one(tensors: dict[str, Tensor]) -> None:
    """Logits as openai/guided-diffusion gives them for these weights, to the places that it prints."""
    classifier = classifier_of(tensors)
    x = torch.sin(torch.arange(2 * 4 * 16 * 16) * 0.11).reshape(2, 4, 16, 16)
    expected = [[-2.1398358, 1.4416957, -1.1800874], [-2.1397946, 1.4417176, -1.1801721]]
    assert torch.allclose(classifier(x, torch.tensor([20.0, 500.0])), torch.tensor(expected), atol=5e-6)
    with pytest.raises(ModelError, match=r"knows pictures or latents \(B, 4, 16, 16\), got \(1, 4, 8, 8\)"):
        classifier(x[:1, :, :8, :8], torch.tensor([1.0]))


def test_depth_is_read_off_attention_for_every_published_size() -> None:
    for depth, levels, first in ((4, 4, 1), (2, 5, 2), (2, 6, 3), (2, 7, 4)):  # 64, 128, 256 and 512 pixels
        total = levels * (depth + 1)
        attends = [n % (depth + 1) != 0 and n // (depth + 1) >= first for n in range(total)]
        assert noise_classifier._depth(total, attends) == depth
    with pytest.raises(KeyError, match="a depth that is the same at every size"):
        noise_classifier._depth(7, [False, True, False, True, True, False, True])


def run(model: Any, hold: Callable[[Any], Any], sampler: str = "euler", shape: tuple[int, ...] = SHAPE) -> Tensor:
    start = Start(torch.zeros(shape), noise(shape))
    levels = torch.tensor(LEVELS[model.parameterization.schedule])
    return sample(live(model, hold=hold), start, GUIDED, levels, sampler).samples


def noise(shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def predicted(model: Any, x: Tensor, sigma: float) -> Tensor:
    """x_0 of the run's network and guidance, through which gradients go."""
    schedule = NoiseSchedule.of(model.parameterization)
    t = torch.full((len(x),), schedule.timestep(sigma))
    scaled = x if schedule.is_flow else x / math.sqrt(1 + sigma**2)
    found = [network(scaled, t, one[0][0].expand(len(x), -1, -1)) for one in (POSITIVE, NEGATIVE)]
    return x - sigma * (found[1] + 3.0 * (found[0] - found[1]))


@pytest.mark.parametrize("process", [EPS, FLOW], ids=["eps", "flow"])
def test_a_classifier_steers_as_algorithm_2_of_dhariwal_and_nichol(classifier: Any, process: Any) -> None:
    """Of x_t = sqrt(abar) x_0 + ...: eps - sqrt(1 - abar) s grad; of a flow the same with t for that root."""
    model, scale = handle(process), 30.0
    schedule = NoiseSchedule.of(process)
    steered = classifier_guidance(model, classifier.handle, 1, scale)
    levels = LEVELS[process.schedule]
    x = noise() * levels[0]
    for sigma, following in zip(levels[:-1], levels[1:]):  # noqa: RUF007
        root = 1.0 if schedule.is_flow else math.sqrt(1 + sigma**2)
        seen = (x / root).requires_grad_()
        t = torch.full((2,), schedule.timestep(sigma))
        functional.log_softmax(classifier.module(seen, t), dim=1)[:, 1].sum().backward()
        clean = predicted(model, x, sigma)
        alpha = schedule.alpha(sigma)
        if alpha > 0:
            eps = (x - alpha * clean) / sigma - sigma / root * scale * seen.grad
            clean = (x - sigma * eps) / alpha
        x = clean + following / sigma * (x - clean)
    found = run(steered, lambda _: classifier)
    assert torch.allclose(found, x, atol=1e-4)
    assert float((found - run(model, lambda _: classifier)).abs().max()) > 1e-2
    assert torch.equal(
        run(classifier_guidance(model, classifier.handle, 1, 0.0), lambda _: classifier), run(model, None)
    )


class Seeing:
    """An image encoder and a VAE, both tiny, of the libraries' classes."""

    def __init__(self) -> None:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        with torch.random.fork_rng():
            torch.manual_seed(2)
            self.clip = CLIPVisionModelWithProjection(
                CLIPVisionConfig(
                    hidden_size=32,
                    intermediate_size=48,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    image_size=24,
                    patch_size=8,
                    projection_dim=12,
                )
            ).eval()
            self.kl = AutoencoderKL(block_out_channels=(32,), latent_channels=4, norm_num_groups=8).eval()
        cpu = torch.device("cpu")
        self.vision_handle = ClipVisionHandle(source=Source("v", "2"), family="clip", config={"image_size": 24})
        self.vae_handle = VaeHandle(source=Source("k", "3"), family="sd1", latent=LatentFormat(downscale=1))
        self.encoder = VisionEncoder(self.clip, self.vision_handle, cpu, torch.float32)
        self.vae = Autoencoder(self.kl, self.vae_handle, cpu, torch.float32)

    def hold(self, asked: Any) -> Any:
        return self.vae if isinstance(asked, VaeHandle) else self.encoder


@pytest.fixture(scope="module")
def seeing() -> Seeing:
    return Seeing()


def test_what_is_seen_in_the_prediction_steers_through_the_network(seeing: Seeing) -> None:
    space = LatentFormat(channels=4, scale=0.5, shift=0.1)
    model, scale, wanted = handle(latent=space), 40.0, torch.randn(3, 12, generator=torch.Generator().manual_seed(9))
    words = [[torch.zeros(1, 4, 8), {"pooled_output": wanted[:1]}]]
    pictures = seeing.encoder.encode(torch.rand(2, 30, 30, 3))
    pictures = type(pictures)(pictures.last_hidden_state, wanted[1:], pictures.penultimate_hidden_states)
    steered = clip_guidance(model, seeing.vision_handle, seeing.vae_handle, words, pictures, scale)
    shape = (2, 4, 8, 8)
    levels = LEVELS["scaled_linear"]
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).reshape(1, 3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).reshape(1, 3, 1, 1)
    x = noise(shape) * levels[0]
    for sigma, following in zip(levels[:-1], levels[1:]):  # noqa: RUF007
        leaf = x.clone().requires_grad_()
        clean = predicted(model, leaf, sigma)
        picture = seeing.kl.decode(clean / 0.5 + 0.1).sample.div(2).add(0.5).clamp(0, 1)
        small = functional.interpolate(picture, size=(24, 24), mode="bicubic", antialias=True)
        vectors = seeing.clip(pixel_values=(small - mean) / deviation).image_embeds
        angles = functional.cosine_similarity(vectors[:, None], wanted[None], dim=-1).acos()
        (angles.square() / 2).mean(dim=1).sum().backward()
        clean = (clean - scale * sigma**2 * leaf.grad).detach()
        x = clean + following / sigma * (x - clean)
    found = run(steered, seeing.hold, shape=shape)
    assert torch.allclose(found, x / 0.5 + 0.1, atol=2e-4)
    assert float((found - run(model, seeing.hold, shape=shape)).abs().max()) > 1e-2


def test_gradients_go_with_other_guidance_other_samplers_and_parts_of_a_run(classifier: Any) -> None:
    model = handle()
    steered = classifier_guidance(tcfg(model).patched_model, classifier.handle, 2, 12.0)
    for sampler in ("dpmpp_2m", "euler_cfg_pp", "ddpm"):
        assert not torch.equal(run(steered, lambda _: classifier, sampler), run(model, lambda _: classifier, sampler))
    late = classifier_guidance(model, classifier.handle, 2, 12.0, 0.99, 1.0)
    assert torch.equal(run(late, lambda _: classifier), run(model, lambda _: classifier))
    assert len({model.identity(), steered.identity(), late.identity()}) == 3
    one, other = (classifier_guidance(model, classifier.handle, label) for label in (0, 1))
    assert one.identity() != other.identity()


def test_what_cannot_be_is_refused_in_words(classifier: Any, seeing: Seeing) -> None:
    model = handle()
    with pytest.raises(ValueError, match="ClassifierGuidance: classifier: expected a classifier of noisy pictures"):
        classifier_guidance(model, model)
    with pytest.raises(ValueError, match="class_label is 3; this classifier knows the classes 0 to 2"):
        run(classifier_guidance(model, classifier.handle, 3), lambda _: classifier)
    with pytest.raises(
        ValueError, match=r"CLIPGuidance: expected a text with a pooled vector, pictures, or both .*got none"
    ):
        clip_guidance(model, seeing.vision_handle, seeing.vae_handle, [[torch.zeros(1, 2, 3), {}]])
    words = [[torch.zeros(1, 4, 8), {"pooled_output": torch.ones(1, 7)}]]
    narrow = clip_guidance(model, seeing.vision_handle, seeing.vae_handle, words)
    with pytest.raises(ValueError, match=r"the image encoder gives vectors of 12 numbers, and what .* given in 7"):
        run(narrow, seeing.hold, shape=(1, 4, 8, 8))
    with pytest.raises(
        ModelError, match=r"a classifier of noisy pictures .guided diffusion., which has no with_option"
    ):
        tcfg(classifier.handle)


def test_a_gradient_that_does_not_come_back_or_is_not_finite_is_a_problem_in_words() -> None:
    schedule, x = NoiseSchedule.of(EPS), noise()

    def push(likelihood: Any, through: bool) -> PushedDenoiser:
        one = Push(likelihood, 1.0, 10.0, 0.0, through_network=through)
        return PushedDenoiser(lambda at, sigma: at.detach() * 0.5, [one], schedule)

    with pytest.raises(ValueError, match="no gradient comes back through this model's network"):
        push(lambda x, sigma, x_0: x_0.sum(), True)(x, 1.0)
    with pytest.raises(ValueError, match=r"it is not finite at the noise level 1\. Lower the strength"):
        push(lambda x, sigma, x_0: (x - x).sqrt().sum(), False)(x, 1.0)
    assert torch.equal(push(lambda x, sigma, x_0: x.sum(), False)(x, 20.0), x * 0.5)


def test_the_angle_of_vectors_is_what_is_measured() -> None:
    one, others = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0], [1.0, 0.0]])
    assert float(spherical(one, others)) == pytest.approx((math.pi / 2) ** 2 / 4, abs=1e-5)
    assert float(spherical(one, -one)) == pytest.approx(math.pi**2 / 2, rel=1e-3)


def test_files_steer_a_real_u_net(bench: Any, tiny_sd: Any, tensors: dict[str, Tensor]) -> None:
    path = tiny_sd.file("diffusion_models", "noisy_classes.safetensors")
    save(path, tensors)
    try:
        found = denoiser_loader(bench, path.name)
        assert (found.kind, found.config["classes"], found.config["image_size"]) == ("noise_classifier", 3, 16)
        model = checkpoint_loader(bench, "tiny.safetensors").MODEL

        def made(steered: Any) -> Tensor:
            both = [[[torch.full((1, 77, 32), value), {}]] for value in (0.1, 0.3)]
            settings = {"seed": 3, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"}
            empty = {"samples": torch.zeros(1, 4, 16, 16)}
            return ksampler(bench, steered, positive=both[0], negative=both[1], latent_image=empty, **settings)[
                "samples"
            ]

        assert not torch.equal(made(classifier_guidance(model, found, 1, 20.0)), made(model))
    finally:
        path.unlink()


def test_a_real_u_net_is_gone_back_through(bench: Any, tiny_sd: Any, seeing: Seeing) -> None:
    """One step from level 2 to 0, whose end is the prediction pushed; networks are called without gradients otherwise."""
    model = checkpoint_loader(bench, "tiny.safetensors").MODEL
    wanted, shape, sigma = torch.randn(1, 12, generator=torch.Generator().manual_seed(9)), (1, 4, 8, 8), 2.0
    words = [[torch.zeros(1, 4, 8), {"pooled_output": wanted}]]
    steered = clip_guidance(model, seeing.vision_handle, seeing.vae_handle, words, None, 5.0)
    texts = [torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    how = CfgGuidance([[texts[0], {}]], [[texts[1], {}]], 3.0)
    with bench.models.use(model) as used:
        running = replace(live(steered, hold=seeing.hold), network=used, device=used.device)
        start = Start(torch.zeros(shape), noise(shape))
        found = sample(running, start, how, torch.tensor([sigma, 0.0])).samples
    x = (noise(shape) * sigma).requires_grad_()
    t = torch.tensor([NoiseSchedule.of(EPS).timestep(sigma)])
    eps = [tiny_sd.modules["unet"](x / math.sqrt(1 + sigma**2), t, one).sample for one in texts]
    clean = x - sigma * (eps[1] + 3.0 * (eps[0] - eps[1]))
    decoded = seeing.kl.decode(clean / 0.18215).sample.div(2).add(0.5).clamp(0, 1)
    small = functional.interpolate(decoded, size=(24, 24), mode="bicubic", antialias=True)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).reshape(1, 3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).reshape(1, 3, 1, 1)
    vectors = seeing.clip(pixel_values=(small - mean) / deviation).image_embeds
    (functional.cosine_similarity(vectors, wanted).acos().square() / 2).sum().backward()
    expected = (clean - 5.0 * sigma**2 * x.grad).detach() / 0.18215
    assert torch.allclose(found, expected, atol=1e-3, rtol=1e-4)
    assert float((5.0 * sigma**2 * x.grad).abs().max()) > 1e-3
