"""Settings of the Stable Diffusion web UI, as it and others write them, become graphs; what is lost is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.graph.a1111 import settings_to_graph
from engine.graph.a1111_names import SAMPLERS, solver
from engine.graph.a1111_prompts import Lora, plain_prompt
from engine.graph.a1111_text import looks_like_settings, parse_settings
from engine.graph.problems import GraphError
from engine.graph.schema import Catalogue, InputSpec, NodeSpec
from engine.graph.workflow import workflow_to_prompt

PLAIN = """a red apple, (shiny:1.2)
Negative prompt: blurry
Steps: 4, Sampler: Euler a, Schedule type: Karras, CFG scale: 5.5, Seed: 77, Size: 64x64, Model hash: abcdef0123, \
Model: emoji-64, Clip skip: 2, Version: v1.9.0"""
HIRES = """cat
Negative prompt: bad
Steps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, Size: 512x768, Model: sd15, Denoising strength: 0.55, \
RNG: CPU, Hires upscale: 1.5, Hires steps: 12, Hires upscaler: Latent (nearest-exact), Version: v1.6.0"""
SAMPLER_NAMES = (
    *("euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "deis"),
    *("dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "ddpm"),
    *("lcm", "ipndm", "ipndm_v", "heunpp2", "ddim", "uni_pc", "euler_cfg_pp", "er_sde", "res_multistep"),
    *("gradient_estimation",),
)
SCHEDULES = ("simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic")
SCHEDULES += ("kl_optimal", "polyexponential")
CATALOGUE = Catalogue(
    [
        NodeSpec(
            name="KSampler",
            inputs=(
                InputSpec(name="sampler_name", type="COMBO", choices=SAMPLER_NAMES),
                InputSpec(name="scheduler", type="COMBO", choices=SCHEDULES),
            ),
        ),
        NodeSpec(name="ModelSamplingDiscrete"),
    ]
)


class Files:
    """The model files of a test."""

    def __init__(self, **folders):
        self.folders = {"checkpoints": ["emoji-64.safetensors", "sd15.safetensors"]} | folders
        self.hashes = {}

    def names(self, folder):
        return self.folders.get(folder, ())

    def hashed(self, folder, digest):
        return self.hashes.get((folder, digest))


def made(text, **folders):
    return settings_to_graph(text, CATALOGUE, Files(**folders))


def settings(**changes):
    """A whole text with some settings changed; None leaves one out."""
    values = {
        "Steps": "20",
        "Sampler": "Euler",
        "CFG scale": "7",
        "Seed": "1",
        "Size": "64x64",
        "Model": "sd15",
        "RNG": "CPU",
    } | {key.replace("_", " "): value for key, value in changes.items()}
    shown = ", ".join(f"{key}: {value}" for key, value in values.items() if value is not None)
    return f"cat\n{shown}, Version: v1.10"


def of(prompt, kind):
    return [node["inputs"] for node in prompt.values() if node["class_type"] == kind]


def fed(prompt, kind, name):
    """The node that feeds an input of the only node of a kind."""
    (inputs,) = of(prompt, kind)
    return prompt[inputs[name][0]]


def told(imported):
    return [(one.type, one.details) for one in imported.notes]


def test_the_settings_become_the_graph_that_draws_the_picture():
    prompt = made(PLAIN).prompt
    (sampling,) = of(prompt, "KSampler")
    plain = {key: value for key, value in sampling.items() if not isinstance(value, list)}
    assert plain == {
        "seed": 77,
        "steps": 4,
        "cfg": 5.5,
        "sampler_name": "euler_ancestral",
        "scheduler": "karras",
        "denoise": 1.0,
    }
    assert prompt[sampling["positive"][0]]["inputs"]["text"] == "a red apple, (shiny:1.2)"
    assert prompt[sampling["negative"][0]]["inputs"]["text"] == "blurry"
    assert of(prompt, "EmptyLatentImage") == [{"width": 64, "height": 64, "batch_size": 1}]
    assert of(prompt, "CheckpointLoaderSimple") == [{"ckpt_name": "emoji-64.safetensors"}]
    assert [one["stop_at_clip_layer"] for one in of(prompt, "CLIPSetLastLayer")] == [-2]
    assert fed(prompt, "SaveImage", "images")["class_type"] == "VAEDecode"


def test_what_is_the_same_by_name_only_is_told():
    kinds = [(kind, details.partition(":")[0]) for kind, details in told(made(PLAIN))]
    assert kinds == [("setting_approximated", "weights in the prompt"), ("setting_approximated", "Seed")]


def test_the_workflow_is_the_same_graph_with_the_notes_on_it():
    imported = made(PLAIN)
    note = next(node for node in imported.workflow["nodes"] if node["type"] == "MarkdownNote")
    assert "weights in the prompt" in note["widgets_values"][0]
    back = workflow_to_prompt(imported.workflow, CATALOGUE).prompt
    assert {node["class_type"] for node in back.values()} == {node["class_type"] for node in imported.prompt.values()}


@pytest.mark.parametrize(
    ("name", "schedule", "expected"),
    [
        ("Euler a", "", ("euler_ancestral", "normal")),
        ("Euler", "Uniform", ("euler", "normal")),
        ("DPM++ 2M Karras", "", ("dpmpp_2m", "karras")),
        ("DPM++ 2M", "", ("dpmpp_2m", "normal")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 2M SDE Exponential", "", ("dpmpp_2m_sde", "exponential")),
        ("DPM++ 2M SDE", "Automatic", ("dpmpp_2m_sde", "exponential")),
        ("DPM++ 2M SDE Heun Karras", "", ("dpmpp_2m_sde_heun", "karras")),
        ("DPM++ 3M SDE Karras", "", ("dpmpp_3m_sde", "karras")),
        ("DPM++ SDE", "SGM Uniform", ("dpmpp_sde", "sgm_uniform")),
        ("DPM++ 2S a Karras", "", ("dpmpp_2s_ancestral", "karras")),
        ("DPM2 a Karras", "", ("dpm_2_ancestral", "karras")),
        ("LMS Karras", "", ("lms", "karras")),
        ("UniPC", "", ("uni_pc", "normal")),
        ("LCM", "", ("lcm", "sgm_uniform")),
        ("DDIM", "Karras", ("ddim", "ddim_uniform")),
        ("Heun", "KL Optimal", ("heun", "kl_optimal")),
        ("DEIS", "Beta", ("deis", "beta")),
    ],
)
def test_samplers_and_schedules_have_our_names(name, schedule, expected):
    found = solver(name, schedule, SAMPLER_NAMES, SCHEDULES)
    assert (found.sampler, found.schedule) == expected
    assert found.sampler_exact
    assert found.schedule_exact


@pytest.mark.parametrize(
    ("name", "schedule", "expected"),
    [
        ("PLMS", "", ("ipndm", "ddim_uniform")),
        ("Restart", "Karras", ("heun", "karras")),
        ("A sampler of 2031", "", ("euler", "normal")),
        ("Euler", "Align Your Steps", ("euler", "kl_optimal")),
    ],
)
def test_the_nearest_is_taken_for_what_is_not_here_and_told(name, schedule, expected):
    imported = made(settings(Sampler=name, Schedule_type=schedule or None))
    (sampling,) = of(imported.prompt, "KSampler")
    assert (sampling["sampler_name"], sampling["scheduler"]) == expected
    assert [kind for kind, details in told(imported) if name in details or schedule in details] != []


def test_every_sampler_of_the_table_is_one_of_ours():
    assert {known.name for known in SAMPLERS.values()} <= set(SAMPLER_NAMES)


def test_an_older_engine_without_a_sampler_takes_the_next():
    found = solver("DPM++ 2M SDE Heun", "", ("dpmpp_2m_sde", "euler"), SCHEDULES)
    assert (found.sampler, found.sampler_exact) == ("dpmpp_2m_sde", False)


def test_latent_consistency_gets_its_own_levels():
    prompt = made(settings(Sampler="LCM")).prompt
    assert fed(prompt, "KSampler", "model")["inputs"]["sampling"] == "lcm"


# ---- hires fix


def test_hires_fix_is_a_second_pass_over_a_larger_latent():
    prompt = made(HIRES).prompt
    first, second = of(prompt, "KSampler")
    assert (first["steps"], first["denoise"], second["steps"], second["denoise"]) == (30, 1.0, 12, 0.55)
    assert {second[name] for name in ("seed", "cfg")} == {5, 7.0}
    assert (second["sampler_name"], second["scheduler"]) == ("dpmpp_2m", "karras")
    (larger,) = of(prompt, "LatentUpscale")
    assert (larger["upscale_method"], larger["width"], larger["height"]) == ("nearest-exact", 768, 1152)
    assert prompt[larger["samples"][0]]["inputs"] == first
    assert prompt[fed(prompt, "SaveImage", "images")["inputs"]["samples"][0]]["inputs"] == second


def test_a_hires_upscaler_that_is_a_model_enlarges_the_picture():
    text = HIRES.replace("Latent (nearest-exact)", "R-ESRGAN 4x+")
    imported = made(text)
    (scaled,) = of(imported.prompt, "ImageScale")
    assert (scaled["upscale_method"], scaled["width"], scaled["height"]) == ("lanczos", 768, 1152)
    assert ("setting_approximated", "Hires upscaler: R-ESRGAN 4x+ (here: lanczos)") in told(imported)
    specs = [*CATALOGUE, NodeSpec(name="UpscaleModelLoader"), NodeSpec(name="ImageUpscaleWithModel")]
    there = settings_to_graph(text, Catalogue(specs), Files(upscale_models=["R-ESRGAN_4x+.pth"]))
    assert fed(there.prompt, "ImageUpscaleWithModel", "upscale_model")["inputs"] == {"model_name": "R-ESRGAN_4x+.pth"}
    assert fed(there.prompt, "ImageScale", "image")["class_type"] == "ImageUpscaleWithModel"


def test_a_hires_size_sampler_scale_and_prompts_of_their_own_are_kept():
    more = {
        "Denoising_strength": "0.5",
        "Hires_resize": "128x96",
        "Hires_sampler": "Heun",
        "Hires_CFG_Scale": "3.5",
        "Hires_prompt": '"dog, sharp"',
    }
    prompt = made(settings(**more)).prompt
    second = of(prompt, "KSampler")[1]
    assert (second["sampler_name"], second["cfg"], second["steps"]) == ("heun", 3.5, 20)
    assert prompt[second["positive"][0]]["inputs"]["text"] == "dog, sharp"
    assert [(one["width"], one["height"]) for one in of(prompt, "LatentUpscale")] == [(128, 96)]


def test_a_picture_made_from_another_asks_for_it():
    imported = made(settings(Denoising_strength="0.4"))
    assert of(imported.prompt, "LoadImage") == [{}]
    assert [one["denoise"] for one in of(imported.prompt, "KSampler")] == [0.4]
    assert "picture_not_named" in [kind for kind, _ in told(imported)]


# ---- files


@pytest.mark.parametrize(
    ("named", "file"),
    [
        ("sd15", "sd15.safetensors"),
        ("SD15", "sd15.safetensors"),
        ("sd15.safetensors [abcdef0123]", "sd15.safetensors"),
        ("xl_base", "xl/base.safetensors"),
        ("base", "xl/base.safetensors"),
    ],
)
def test_a_model_is_found_by_the_names_that_the_web_ui_gives_it(named, file):
    files = {"checkpoints": ["sd15.safetensors", "xl/base.safetensors"]}
    imported = made(settings(Model=named), **files)
    assert of(imported.prompt, "CheckpointLoaderSimple") == [{"ckpt_name": file}]
    assert told(imported) == []


def test_a_model_of_another_name_is_found_by_its_hash_and_told():
    files = Files()
    files.hashes["checkpoints", "0011223344"] = "sd15.safetensors"
    imported = settings_to_graph(settings(Model="renamed", Model_hash="0011223344"), CATALOGUE, files)
    assert of(imported.prompt, "CheckpointLoaderSimple") == [{"ckpt_name": "sd15.safetensors"}]
    assert [kind for kind, _ in told(imported)] == ["setting_approximated"]


def test_files_that_are_not_here_are_named_and_told():
    text = settings(Model="elsewhere", VAE="other.pt").replace("cat", "cat <lora:pastel:0.5>")
    imported = made(text)
    assert of(imported.prompt, "CheckpointLoaderSimple") == [{"ckpt_name": "elsewhere.safetensors"}]
    assert of(imported.prompt, "VAELoader") == [{"vae_name": "other.pt"}]
    assert [one["lora_name"] for one in of(imported.prompt, "LoraLoader")] == ["pastel.safetensors"]
    wanted = ["elsewhere (checkpoints)", "pastel (loras)", "other.pt (vae)"]
    assert told(imported) == [("file_not_here", one) for one in wanted]


def test_two_files_of_one_name_are_not_guessed_between():
    imported = made(settings(Model="base"), checkpoints=["a/base.safetensors", "b/base.safetensors"])
    assert told(imported) == [("file_not_here", "base (checkpoints)")]


def test_a_text_that_names_no_model_leaves_it_open():
    imported = made(settings(Model=None))
    assert of(imported.prompt, "CheckpointLoaderSimple") == [{}]
    assert told(imported) == [("file_not_named", "the text names no model")]


def test_a_vae_that_is_none_or_automatic_is_the_checkpoints():
    for name in ("Automatic", "None"):
        assert of(made(settings(VAE=name)).prompt, "VAELoader") == []


def test_loras_stand_in_a_chain_and_not_in_the_text():
    text = settings().replace("cat", "cat <lora:one:0.8>, dog <lora:two:0.5:0.7> <lyco:three:te=0.1:unet=0.2>")
    imported = made(text, loras=["one.safetensors", "styles/two.safetensors", "three.safetensors"])
    chain = of(imported.prompt, "LoraLoader")
    strengths = [(one["lora_name"], one["strength_model"], one["strength_clip"]) for one in chain]
    assert strengths == [
        ("one.safetensors", 0.8, 0.8),
        ("styles/two.safetensors", 0.7, 0.5),
        ("three.safetensors", 0.2, 0.1),
    ]
    assert [imported.prompt[one["model"][0]]["class_type"] for one in chain] == [
        "CheckpointLoaderSimple",
        "LoraLoader",
        "LoraLoader",
    ]
    assert fed(imported.prompt, "KSampler", "positive")["inputs"]["text"] == "cat , dog"
    assert "two: 0.5 for the text encoder, 0.7 for the network" in [details for _, details in told(imported)]


# ---- prompts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[low]", "(low:0.909)"),
        ("[[low]]", "((low:0.909):0.909)"),
        ("a \\[b\\]", "a [b]"),
        ("[cat:dog:0.5]", "[cat:dog:0.5]"),
        ("[cat|dog]", "[cat|dog]"),
        ("[a [cat:dog:0.5]", "[a [cat:dog:0.5]"),
        ("[open", "[open"),
        ("<b:not a network>", "<b:not a network>"),
    ],
)
def test_brackets_mean_less_or_a_change_of_text(text, expected):
    found = plain_prompt(text, [])
    assert found.text == expected
    assert bool(found.unknown) == ("cat" in text)


def test_embeddings_are_named_as_files_where_they_stand_alone():
    found = plain_prompt("bad-hands, embedding:bad-hands, not-bad-hands, (bad-hands:1.2)", ["bad-hands"])
    assert found.text == "embedding:bad-hands, embedding:bad-hands, not-bad-hands, (embedding:bad-hands:1.2)"


@pytest.mark.parametrize("word", ["BREAK", "AND", "{a|b}", "<hypernet:x:1>"])
def test_what_a_prompt_has_beyond_words_is_told(word):
    assert len(plain_prompt(f"cat {word} dog", []).unknown) == 1


def test_a_weight_that_is_no_number_is_one():
    assert plain_prompt("<lora:a:much> <lora:b> <lora:c:1e9>", []).loras == [Lora(name, 1.0, 1.0) for name in "abc"]


# ---- the text


def test_quoted_values_may_hold_commas_and_line_breaks():
    found = parse_settings(settings(Template='"a, b: c\\nd"'))
    assert found.values["Template"] == "a, b: c\nd"
    assert found.values["Version"] == "v1.10"


def test_values_that_are_json_or_nearly_are_one_value():
    text = settings(Hashes='{"model": "ab", "lora:x": "cd"}', Tiled="{'Method': 'a', 'w': [1, 2]}")
    found = parse_settings(text)
    assert found.values["Hashes"] == '{"model": "ab", "lora:x": "cd"}'
    assert found.values["Tiled"] == "{'Method': 'a', 'w': [1, 2]}"
    assert found.unread == []


def test_lines_without_a_negative_prompt_and_with_carriage_returns_are_read():
    found = parse_settings(
        "a\r\nb\r\nSteps: 1, Sampler: Euler, CFG scale: 1, Seed: 1, Size: 8x8, Model: m\r\nsigned: me"
    )
    assert (found.positive, found.negative, found.values["signed"]) == ("a\nb", "", "me")


def test_settings_without_a_counterpart_are_told_one_by_one():
    text = settings(ENSD="31337", Refiner="xl [ab]").replace("Version", "words, Version")
    assert told(made(text)) == [
        ("setting_ignored", "ENSD: 31337"),
        ("setting_ignored", "Refiner: xl [ab]"),
        ("setting_ignored", "words"),
    ]


def test_resources_of_a_site_are_told():
    text = settings(Civitai_resources='[{"type":"checkpoint"},{"type":"lora","weight":0.8,"modelName":"Ink"}]')
    assert told(made(text)) == [("setting_ignored", "Civitai resource Ink (lora, weight 0.8)")]


def test_settings_that_may_end_early_are_told():
    assert "settings_may_end_early" in [kind for kind, _ in told(made(settings().partition(", Version")[0]))]


def problems_of(text):
    """Types of what is wrong with a text, or of what is told about it."""
    try:
        return {one.type for one in made(text).notes}
    except GraphError as error:
        return {one.type for one in error.problems}


@pytest.mark.parametrize("whole", [PLAIN, HIRES])
def test_a_text_cut_off_anywhere_is_refused_or_told(whole):
    cuts = [whole[:length] for length in range(whole.index("Version:"))]
    expected = {"settings_cut_off", "settings_may_end_early"}
    assert [text[-30:] for text in cuts if not problems_of(text) & expected] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cat\nNegative prompt: dog", "no line of settings"),
        ("cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Se", "'Se'"),
        ("cat\nSteps: 20, Sampler: Euler a, CFG scale: 7", "before Seed, Size"),
        ("cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Model: ", "Model has no value"),
        ('cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Lora hashes: "a: b', "no end"),
        ("cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x, Model: sd15", "width and a height"),
        (settings(Seed="many"), "expected a number"),
    ],
)
def test_what_is_missing_is_said(text, words):
    with pytest.raises(GraphError) as caught:
        made(text)
    assert caught.value.problems[0].type == "settings_cut_off"
    assert words in caught.value.problems[0].details


def test_other_text_is_not_taken_for_settings():
    assert not looks_like_settings("Dear reader,\nStepping out: 20 steps.")
    assert looks_like_settings(PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        "a\nSteps: 1, " + "A" + " " * 150_000,
        "<" * 150_000,
        "[" * 150_000,
        "a\nSteps: 1, K: {" * 10_000,
        "x" * 1_000_000,
    ],
)
def test_long_nonsense_is_refused_without_reading_it_over_and_over(text):
    with pytest.raises(GraphError):  # a reader that is quadratic takes hours
        made(text)


PIECES = st.sampled_from(
    [
        *("Steps: 2", ", ", "\n", "Seed: 1", "Size: 8x8", "Sampler: Euler a", "CFG scale: 1", "Model: sd15", '"', "{"),
        *("[", ":", "<lora:", ">", "Negative prompt:", "]", "\\", "(", "Hires upscale: 2", "Denoising strength: .5"),
    ]
)


@given(st.lists(PIECES | st.text(max_size=4), max_size=25).map("".join))
def test_whatever_the_text_the_only_error_is_ours(text):
    try:
        imported = made(text)
    except GraphError:
        return
    assert of(imported.prompt, "SaveImage")
