"""The loaders under the names of the field's pack for GGUF files: they load as ours do."""

from __future__ import annotations

from typing import Any

import pytest

from engine.graph.validate import check
from engine.models.manager import ModelManager
from engine.paths import Paths
from nodes import loaders_gguf as gguf
from nodes.conditioning import text_encode
from nodes.loaders import dual_text_encoder_loader
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny, t5_tokenizer, write_flux
from tests.tiny_gguf import language, table_of, unigrams, write
from tests.tiny_packed import as_gguf

NAMES = (
    "UnetLoaderGGUF",
    "UnetLoaderGGUFAdvanced",
    "CLIPLoaderGGUF",
    "DualCLIPLoaderGGUF",
    "TripleCLIPLoaderGGUF",
    "QuadrupleCLIPLoaderGGUF",
)


@pytest.fixture(scope="module")
def flux(tiny_sd: Any, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    from engine.models.checkpoints import load_tensors

    files = tiny_sd.tokenizer_files
    made = write_flux(tmp_path_factory.mktemp("tiny_flux"), files, _tokenizer_json(files))
    as_gguf(made.file("diffusion_models", "flux.safetensors"), made.file("diffusion_models", "q8.gguf"), "Q8_0", "flux")
    tensors = language(
        load_tensors(made.file("text_encoders", "t5xxl.safetensors")), "t5encoder", heads=(3, 3), prefix=""
    )
    write(made.file("text_encoders", "t5.gguf"), "t5encoder", tensors, unigrams(table_of(t5_tokenizer())))
    return made


@pytest.fixture(scope="module")
def flux_bench(flux: Tiny) -> Bench:
    return Bench(ModelManager(tokenizer_dirs=[flux.base / "models" / "text_encoders"]), Paths(flux.base))


def test_they_load_what_our_loaders_load(flux_bench: Bench) -> None:
    model = gguf.denoiser_loader_gguf(flux_bench, "q8.gguf")
    assert model == gguf.denoiser_loader_gguf_advanced(flux_bench, "q8.gguf", "target", "float16", True)
    assert model.family == "flux"
    clip = gguf.dual_text_encoder_loader_gguf(flux_bench, "clip_l.safetensors", "t5.gguf", "flux")
    [[context, _]] = text_encode(flux_bench, "the red apple", clip)
    plain = dual_text_encoder_loader(flux_bench, "clip_l.safetensors", "t5xxl.safetensors", "flux")
    assert (context == text_encode(flux_bench, "the red apple", plain)[0][0]).all()
    assert gguf.text_encoder_loader_gguf(flux_bench, "clip_l.safetensors").config["hidden_size"] == 32


def test_a_workflow_with_their_names_and_inputs_has_no_problem(builtin_catalogue: Any) -> None:
    four = {f"clip_name{number}": "t5.gguf" for number in (1, 2, 3, 4)}
    two, three = ({name: one for name, one in four.items() if int(name[-1]) <= most} for most in (2, 3))
    inputs: dict[str, dict[str, Any]] = {
        "UnetLoaderGGUF": {"unet_name": "q8.gguf"},
        "UnetLoaderGGUFAdvanced": {
            "unet_name": "q8.gguf",
            "dequant_dtype": "default",
            "patch_dtype": "default",
            "patch_on_device": False,
        },
        "CLIPLoaderGGUF": {"clip_name": "t5.gguf", "type": "wan"},
        "DualCLIPLoaderGGUF": {**two, "type": "flux"},
        "TripleCLIPLoaderGGUF": three,
        "QuadrupleCLIPLoaderGGUF": four,
    }
    prompt: dict[str, Any] = {name: {"class_type": name, "inputs": inputs[name]} for name in NAMES}
    prompt |= {f"{name} seen": {"class_type": "PreviewAny", "inputs": {"source": [name, 0]}} for name in NAMES}
    checked = check(prompt, builtin_catalogue, choices=lambda files: ["q8.gguf", "t5.gguf"])
    assert checked.problems == []


def test_they_give_way_to_a_packs_own(builtin_catalogue: Any) -> None:
    assert {spec.name for spec in builtin_catalogue if spec.stand_in} == set(NAMES)
