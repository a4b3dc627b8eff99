"""Files in the wrong place, of nobody's family, half fitting or damaged: what the message says to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.models.checkpoints import load_tensors
from engine.models.errors import CheckpointError, LoraError
from engine.models.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.loaders import denoiser_loader, diffusers_loader, lora_loader_model_only, text_encoder_loader, vae_loader
from tests.every_family import Parts, loaded, written
from tests.families import save
from tests.tiny_pixel import bench_of, write_folder
from tests.tiny_z_image import write_z_image

QKV = "diffusion_model.layers.0.attention.qkv"


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Parts:
    return loaded(written(tmp_path_factory.mktemp("wrong_files"), "z_image"), "z_image")


def put(parts: Parts, folder: str, tensors: dict[str, torch.Tensor]) -> str:
    save(parts.bench.paths.base / "models" / folder / "wrong.safetensors", tensors)
    return "wrong.safetensors"


def tensors_of(part: object) -> dict[str, torch.Tensor]:
    return dict(load_tensors(part.source.path))


def lora(rows: int = 192, rank: int = 2, value: float = 1.0) -> dict[str, torch.Tensor]:
    down, up = torch.full((2, 64), value), torch.ones(rows, rank)
    return {f"{QKV}.lora_A.weight": down, f"{QKV}.lora_B.weight": up}


def use(parts: Parts, tensors: dict[str, torch.Tensor]) -> None:
    model = lora_loader_model_only(parts.bench, parts.model, put(parts, "loras", tensors), 1.0)
    with parts.bench.models.use(model):
        pass


def test_what_a_file_holds_instead_is_told_with_its_loader(parts):
    bench = parts.bench
    vae, text, network = tensors_of(parts.vae), tensors_of(parts.clip), tensors_of(parts.model)
    with pytest.raises(CheckpointError, match=r"holds no U-Net\..* It holds a VAE, which VAELoader loads\."):
        denoiser_loader(bench, put(parts, "diffusion_models", vae))
    with pytest.raises(CheckpointError, match=r"holds no U-Net\..* It holds a text encoder, which CLIPLoader loads\."):
        denoiser_loader(bench, put(parts, "diffusion_models", text))
    with pytest.raises(
        CheckpointError, match=r"holds no VAE\..* It holds the network of Z-Image, which UNETLoader loads\."
    ):
        vae_loader(bench, put(parts, "vae", network))
    with pytest.raises(CheckpointError, match=r"holds no text encoder\..* It holds the network of Z-Image"):
        text_encoder_loader(bench, put(parts, "text_encoders", network), "stable_diffusion")


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_the_family_that_comes_near_is_told_with_what_is_missing(parts, prefix):
    some = {f"{prefix}{n}": value for n, value in tensors_of(parts.model).items() if "cap_embedder" not in n}
    with pytest.raises(CheckpointError) as refused:
        denoiser_loader(parts.bench, put(parts, "diffusion_models", some))
    assert "Nearest is Z-Image, but this lacks tensor cap_embedder." in str(refused.value)
    assert "width 0" not in str(refused.value)


def test_a_text_encoder_with_too_few_layers_for_a_family_says_whose_is_wanted(parts):
    from engine.models.families import family_named
    from engine.models.text_files import open_text_encoders

    [tower] = family_named("flux2_klein").towers
    path = Path(parts.clip.source.path)
    with pytest.raises(
        CheckpointError,
        match=rf"{path.name}: expected the text encoder {tower.name} of FLUX.2 klein 4B, which has a tensor "
        r"layers\.4\.input_layernorm\.weight, but this lacks it\. Load the file that belongs to FLUX.2 klein 4B",
    ):
        open_text_encoders([path], "flux2")


def test_a_lora_among_networks_is_called_one(parts):
    with pytest.raises(CheckpointError, match=r"It is a LoRA: put it into models/loras, and load it with LoraLoader"):
        denoiser_loader(parts.bench, put(parts, "diffusion_models", lora()))


def test_a_lora_with_nan_is_refused_before_a_step(parts):
    with pytest.raises(LoraError, match=rf"1 of its tensors hold NaN or infinity \({QKV}.lora_A.weight\)"):
        use(parts, lora(value=float("nan")))
    with parts.bench.models.use(parts.model) as network:
        assert all(torch.isfinite(value).all() for value in network.module.state_dict().values())


def test_halves_of_different_ranks_are_refused_with_their_shapes(parts):
    with pytest.raises(LoraError) as refused:
        use(parts, lora(rank=3))
    told = str(refused.value)
    assert f"{QKV}.lora_A.weight [2, 64], {QKV}.lora_B.weight [192, 3]" in told
    assert "mat1" not in told


def test_running_out_of_memory_is_not_a_fault_of_the_lora(parts, monkeypatch):
    from engine.models import deltas

    def full(*args, **told):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(deltas, "patched", full)
    monkeypatch.setattr(deltas, "factors", lambda *args: None)
    with pytest.raises(torch.OutOfMemoryError):
        use(parts, lora())


def test_what_a_lora_leaves_over_is_told_without_a_text_encoder_too(parts):
    """But not what is for the text encoder, which is not there to take it."""
    stray = {"diffusion_model.blocks.7.attn.lora_A.weight": torch.zeros(2, 64)}
    text = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.zeros(4, 2)}
    parts.bench.warned.clear()
    use(parts, lora() | text)
    assert parts.bench.warned == []
    use(parts, lora() | stray | text)
    assert parts.bench.warned == [
        f"wrong.safetensors: 1 tensors fit nothing in this model, such as {next(iter(stray))}."
    ]


def test_the_model_is_the_same_after_a_lora_was_refused(parts):
    with parts.bench.models.use(parts.model) as network:
        before = {name: value.clone() for name, value in network.module.state_dict().items()}
    with pytest.raises(LoraError):
        use(parts, lora(rows=96))
    with parts.bench.models.use(parts.model) as network:
        assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())


@pytest.mark.parametrize(
    ("gone", "place", "told"),
    [
        ("transformer", "MODEL", "holds no denoiser; load one with UNETLoader."),
        ("text_encoder", "CLIP", "holds no text encoder; load one with CLIPLoader."),
        ("vae", "VAE", "holds no VAE; load one with VAELoader."),
    ],
)
def test_a_folder_without_a_part_says_which_loader_brings_it(tmp_path, gone, place, told):
    """And gives the others."""
    made = write_z_image(tmp_path)
    write_folder(
        tmp_path / "models" / "diffusers" / "z",
        {name: part for name, part in made.modules.items() if name != gone},
        {"_class_name": "ZImagePipeline"},
        {},
    )
    found, kinds = (
        diffusers_loader(bench_of(tmp_path), "z")._asdict(),
        {"MODEL": ModelHandle, "CLIP": ClipHandle, "VAE": VaeHandle},
    )
    assert found.pop(place).message == f"z {told}"
    assert {type(part) for part in found.values()} == {ModelHandle, ClipHandle, VaeHandle} - {kinds[place]}
