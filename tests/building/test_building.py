"""Graphs built by calling nodes: what comes out, and that mistakes are told at the call."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.build import Graph, GraphError
from engine.graph.formats import load
from engine.graph.schema import Catalogue
from engine.graph.script_write import script
from engine.graph.stubs import stubs
from engine.graph.validate import check
from tests.harness import environ, mypy, new_base

ROOT = Path(__file__).parents[2]
MODELS = ["emoji-64.safetensors", "cat.png"]


@pytest.fixture
def g(builtin_catalogue) -> Graph:
    return Graph(builtin_catalogue, choices=lambda files: MODELS)


def text_to_image(g: Graph) -> Graph:
    model, clip, vae = g.CheckpointLoaderSimple(ckpt_name="emoji-64.safetensors")
    latent = g.KSampler(
        model=model,
        positive=g.CLIPTextEncode(text="red apple", clip=clip, _title="Prompt"),
        negative=g.CLIPTextEncode(text="", clip=clip),
        latent_image=g.EmptyLatentImage(width=64, height=64),
        seed=1,
        steps=20,
        cfg=4.0,
        sampler_name="dpmpp_2m",
        scheduler="karras",
    )
    g.SaveImage(images=g.VAEDecode(latent, vae), filename_prefix="apple", _id="out")
    return g


def test_a_graph_of_calls_is_a_sound_prompt_and_a_workflow(g, builtin_catalogue):
    with text_to_image(g):
        pass
    prompt = g.prompt()
    assert prompt["2"] == {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "red apple", "clip": ["1", 1]},
        "_meta": {"title": "Prompt"},
    }
    assert prompt["4"]["inputs"] == {"width": 64, "height": 64, "batch_size": 1}  # with the declared default
    assert prompt["out"]["inputs"]["images"] == ["6", 0]
    checked = check(prompt, builtin_catalogue, choices=lambda files: MODELS)
    assert (checked.problems, checked.outputs) == ([], ("out",))
    workflow = g.workflow()
    assert len({tuple(node["pos"]) for node in workflow["nodes"]}) == len(prompt) == len(workflow["nodes"])
    assert [entry["inputs"] for entry in load(workflow, builtin_catalogue).prompt.values()]


def test_a_script_that_is_run_builds_the_graph_that_it_was_made_of(builtin_catalogue, monkeypatch):
    monkeypatch.setattr("engine.building.graph.catalogue_here", lambda base: (builtin_catalogue, lambda files: MODELS))
    tried = 0
    for path in sorted((ROOT / "workflows").glob("*.json")):
        loaded = load(json.loads(path.read_text()), builtin_catalogue)
        names: dict = {"__name__": "script"}
        exec(compile(script(loaded.prompt, builtin_catalogue, loaded.workflow), path.name, "exec"), names)
        if path.stem != "image_to_image":  # its picture is no file here
            assert names["g"].prompt() == loaded.prompt
        assert names["g"].workflow() == loaded.workflow
        tried += 1
    assert tried >= 8


MISTAKES = {
    "g.KSamplr": ("KSampler",),
    "g.node('SaveImgae')": ("SaveImage",),
    "g.EmptyImage(widht=3)": ('input "widht"', "width"),
    "g.EmptyImage(width=0)": ("smaller", "from 1"),
    "g.EmptyImage(width='wide')": ("wrong type", "INT"),
    "g.EmptyImage(1, 2, 3, 4, 5)": ("by place", "width, height"),
    "g.EmptyImage(1, width=2)": ("by place and by name",),
    "g.ImageInvert()": ("Required input is missing", "IMAGE"),
    "g.ImageInvert(image=3)": ("a link to IMAGE",),
    "g.VAEDecode(samples=g.EmptyImage(), vae=1)": ("LATENT", "IMAGE from node"),
    "g.UpscaleModelLoader(model_name='emoji-46.safetensors')": ("Did you mean emoji-64.safetensors",),
    "g.ImageScale(image=g.EmptyImage(), upscale_method='bicubik', width=1, height=1, crop='disabled')": ("bicubic",),
    "g.EmptyImage(width=object())": ("wrong type",),
    "g.EmptyImage(_id='7'), g.EmptyImage(_id='7')": ("same id", "8 is free"),
    "g.PreviewAny(source={1: 2})": ("JSON",),
}


@pytest.mark.parametrize("code", MISTAKES)
def test_a_mistake_is_told_at_the_call_with_what_is_meant(code, g):
    with pytest.raises((GraphError, AttributeError)) as raised:
        eval(code)
    for words in MISTAKES[code]:
        assert words in str(raised.value)


def test_outputs_are_told_apart_and_stay_in_their_graph(g, builtin_catalogue):
    loaded = g.LoadImage(image="cat.png")
    assert (loaded[1].type, loaded.MASK.slot, len(loaded)) == ("MASK", 1, 2)
    with pytest.raises(AttributeError, match="Did you mean IMAGE"):
        _ = loaded.IMAGES
    with pytest.raises(IndexError, match="has 2 outputs"):
        _ = loaded[2]
    with pytest.raises(TypeError, match="give one of them"):
        g.ImageInvert(image=loaded)
    with pytest.raises(TypeError, match="single output"):
        _, _ = g.EmptyImage()
    with pytest.raises(TypeError, match="no value while the graph is built"):
        bool(loaded.MASK)
    other = Graph(builtin_catalogue)
    with pytest.raises(ValueError, match="another graph"):
        other.ImageInvert(image=loaded.IMAGE)


def test_a_context_ends_with_a_check_of_the_whole(g):
    with pytest.raises(GraphError, match="no outputs"), g:
        g.EmptyImage()
    with pytest.raises(ZeroDivisionError), g:  # what went wrong is not hidden by it
        _ = 1 / 0


def test_values_that_are_nearly_json_are_taken_as_what_they_are_declared(g):
    import numpy as np

    g.EmptyImage(width=np.float64(32), height=True)
    assert g.prompt()["1"]["inputs"]["width"] == 32
    json.dumps(g.prompt())


def test_inputs_that_grow_take_a_list_or_a_dict(g):
    one = g.EmptyImage()
    g.BatchImagesNode(images=[one, one])
    first, second = g.prompt()["2"]["inputs"]
    g.BatchImagesNode(images={first.partition(".")[2]: one, second.partition(".")[2]: one})
    assert g.prompt()["3"]["inputs"] == g.prompt()["2"]["inputs"]
    with pytest.raises(GraphError, match="at most"):
        g.BatchImagesNode(images=[one] * 1000)


def test_it_builds_from_the_stored_catalogue_without_torch(tmp_path, core_catalogue):
    base = new_base(tmp_path / "base", core_catalogue)
    code = """
import sys
from engine.build import Graph
with Graph() as g:
    g.PreviewImage(images=g.EmptyImage(width=8, height=8))
heavy = {"torch", "numpy", "PIL", "diffusers", "networkx", "aiohttp"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(SAFELIGHT_BASE=str(base)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


SCRIPT = """
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safelight_nodes import Graph
else:
    from engine.build import Graph

g = Graph()
model, clip, vae = g.CheckpointLoaderSimple(ckpt_name="a.safetensors")
text = g.CLIPTextEncode(text="a", clip=clip)
image, mask = g.LoadImage(image="cat.png")
g.SaveImage(images=g.VAEDecode(g.VAEEncode(image, vae), vae))
"""
WRONG = {
    "g.CLIPTextEncode(text=1, clip=clip)": "arg-type",
    "g.CLIPTextEncode(text='a', clip=vae)": "arg-type",
    "g.CLIPTextEncode(txt='a', clip=clip)": "call-arg",
    "g.KSamplerSelect(sampler_name='eulr')": "arg-type",
    "g.NoSuchNode()": "attr-defined",
    "one, two = g.CheckpointLoaderSimple(ckpt_name='a')": "misc",
}


def test_a_type_checker_knows_the_nodes(tmp_path, builtin_catalogue):
    (tmp_path / "safelight_nodes.pyi").write_text(stubs(builtin_catalogue))
    (tmp_path / "sound.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(SCRIPT + "\n".join(WRONG) + "\n")
    files = [tmp_path / name for name in ("safelight_nodes.pyi", "sound.py", "wrong.py")]
    said = mypy(*files, only=("engine.build", "engine.building.graph", "engine.building.handles")).splitlines()
    found = [line for line in said if ": error:" in line]
    begin = SCRIPT.count("\n") + 1
    assert [line.partition("wrong.py:")[2].partition(":")[0] for line in found] == [
        str(begin + at) for at in range(len(WRONG))
    ], "\n".join(said)
    assert [line.rpartition("[")[2].rstrip("]") for line in found] == list(WRONG.values())


def test_stubs_of_an_empty_catalogue_are_python():
    compile(stubs(Catalogue()), "stubs", "exec")
