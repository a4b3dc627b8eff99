"""Names, inputs and slots are the field's: what was saved elsewhere validates here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.graph.formats import load
from engine.graph.validate import check

EXAMPLES = Path(__file__).parent.parent / "interop" / "examples"
OF_PACKS = ("of_a_pack", "captioned")
"""Examples with nodes that nobody has."""
SAVED = sorted(path for path in EXAMPLES.glob("*.workflow.json") if path.name.split(".")[0] not in OF_PACKS)


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.name.removesuffix(".workflow.json"))
def test_a_workflow_saved_elsewhere_whose_nodes_are_known_has_no_problem(path, builtin_catalogue):
    loaded = load(json.loads(path.read_text()), builtin_catalogue)
    types = {node["class_type"] for node in loaded.prompt.values()}
    assert {name for name in types if name not in builtin_catalogue} == set()
    texts = [value for node in loaded.prompt.values() for value in node["inputs"].values() if isinstance(value, str)]
    checked = check(loaded.prompt, builtin_catalogue, choices=lambda files: texts)  # as if every file were here
    assert [str(one) for one in loaded.problems + checked.problems] == []
    assert checked.outputs


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("CheckpointLoaderSimple", "ckpt_name", "MODEL CLIP VAE"),
        ("LoraLoader", "model clip lora_name strength_model strength_clip", "MODEL CLIP"),
        ("LoraLoaderModelOnly", "model lora_name strength_model", "MODEL"),
        ("CLIPTextEncode", "text clip", "CONDITIONING"),
        ("CLIPSetLastLayer", "clip stop_at_clip_layer", "CLIP"),
        ("ConditioningAverage", "conditioning_to conditioning_from conditioning_to_strength", "CONDITIONING"),
        ("ConditioningSetMask", "conditioning mask strength set_cond_area", "CONDITIONING"),
        (
            "ControlNetApplyAdvanced",
            "positive negative control_net image strength start_percent end_percent vae",
            "CONDITIONING CONDITIONING",
        ),
        (
            "InpaintModelConditioning",
            "positive negative vae pixels mask noise_mask",
            "CONDITIONING CONDITIONING LATENT",
        ),
        ("VAEEncodeForInpaint", "pixels vae mask grow_mask_by", "LATENT"),
        ("VAEDecodeTiled", "samples vae tile_size overlap temporal_size temporal_overlap tiling", "IMAGE"),
        (
            "KSampler",
            "model seed steps cfg sampler_name scheduler positive negative latent_image denoise",
            "LATENT",
        ),
        (
            "KSamplerAdvanced",
            "model add_noise noise_seed steps cfg sampler_name scheduler positive negative latent_image "
            "start_at_step end_at_step return_with_leftover_noise",
            "LATENT",
        ),
        (
            "SamplerCustom",
            "model add_noise noise_seed cfg positive negative sampler sigmas latent_image",
            "LATENT LATENT",
        ),
        ("SamplerCustomAdvanced", "noise guider sampler sigmas latent_image", "LATENT LATENT"),
        ("BasicScheduler", "model scheduler steps denoise", "SIGMAS"),
        ("SplitSigmas", "sigmas step", "SIGMAS SIGMAS"),
        ("AddNoise", "model noise sigmas latent_image", "LATENT"),
        ("ModelSamplingDiscrete", "model sampling zsnr", "MODEL"),
    ],
)
def test_inputs_and_outputs_are_those_of_the_field_and_widgets_stand_in_its_order(
    builtin_catalogue, name, inputs, outputs
):
    spec = builtin_catalogue.spec(name)
    assert [one.name for one in spec.inputs] == inputs.split()
    assert [one.type for one in spec.outputs] == outputs.split()
