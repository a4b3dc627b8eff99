from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path

import msgspec
import pytest

from engine.graph.schema import Catalogue, Files, InputSpec, NodeSpec, OutputSpec
from engine.paths import Paths
from engine.server.routes.object_info import ObjectInfo

ASKED_FOR_BY_ONE_EDITOR = [
    "CheckpointLoaderSimple",
    "ImageOnlyCheckpointLoader",
    "LoraLoader",
    "LoraLoaderModelOnly",
    "VAELoader",
    "ControlNetLoader",
    "UNETLoader",
    "UpscaleModelLoader",
    "GLIGENLoader",
]

SAMPLER = NodeSpec(
    name="Sampler",
    inputs=(
        InputSpec(name="model", type="MODEL", tip="The network."),
        InputSpec(name="seed", type="INT", default=0, ge=0, le=2**64 - 1, seed=True),
        InputSpec(name="cfg", type="FLOAT", default=8.0, ge=0, le=100, step=0.1, options={"round": 0.01}),
        InputSpec(name="sampler", type="COMBO", default="euler", choices=("euler", "heun")),
        InputSpec(name="text", type="STRING", default="", multiline=True, link_only=True),
        InputSpec(name="other", type="*", required=False, lazy=True, raw_link=True),
    ),
    outputs=(OutputSpec(name="latents", type="LATENT", is_list=True, tip="What came out."),),
    display_name="The Sampler",
    category="sampling",
    doc="Samples.",
    module="nodes.sampling",
    output_node=True,
    hidden={"prompt": "PROMPT"},
    experimental=True,
)
LOADER = NodeSpec(
    name="Loader", inputs=(InputSpec(name="name", type="COMBO", choices=Files("loras", extra=("None",))),)
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "base")


class Server:
    """A client of a server that has nothing but `/object_info`."""

    def __init__(self, client) -> None:
        self.client = client

    async def get(self, url: str = "/object_info", **headers: str):
        answer = await self.client.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
        body = await answer.read()
        return answer, json.loads(body) if body else None


def served(guarded, paths, catalogue, use):
    async def ready():
        return catalogue

    async def run():
        async with guarded(ObjectInfo(ready, paths).routes()) as client:
            return await use(Server(client))

    return asyncio.run(run())


def fetched(guarded, paths, *specs, url="/object_info", aliases=None):
    async def use(server):
        return (await server.get(url))[1]

    return served(guarded, paths, Catalogue(specs, aliases), use)


def test_a_definition_has_the_form_that_editors_read(guarded, paths):
    assert fetched(guarded, paths, SAMPLER)["Sampler"] == {
        "input": {
            "required": {
                "model": ["MODEL", {"tooltip": "The network."}],
                "seed": ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}],
                "cfg": ["FLOAT", {"default": 8.0, "min": 0, "max": 100, "step": 0.1, "round": 0.01}],
                "sampler": [["euler", "heun"], {"default": "euler"}],
                "text": ["STRING", {"default": "", "multiline": True, "forceInput": True}],
            },
            "optional": {"other": ["*", {"lazy": True, "rawLink": True}]},
            "hidden": {"prompt": "PROMPT"},
        },
        "input_order": {
            "required": ["model", "seed", "cfg", "sampler", "text"],
            "optional": ["other"],
            "hidden": ["prompt"],
        },
        "is_input_list": False,
        "output": ["LATENT"],
        "output_is_list": [True],
        "output_name": ["latents"],
        "output_tooltips": ["What came out."],
        "name": "Sampler",
        "display_name": "The Sampler",
        "description": "Samples.",
        "python_module": "nodes.sampling",
        "category": "sampling",
        "output_node": True,
        "deprecated": False,
        "experimental": True,
        "api_node": False,
    }


def test_a_node_without_a_display_name_says_so_and_hidden_inputs_of_the_field_are_told(guarded, paths):
    plain = NodeSpec(name="Plain", hidden={"unique_id": "UNIQUE_ID"}, told_hidden={"prompt": "PROMPT"})
    found = fetched(guarded, paths, plain)["Plain"]
    assert found["display_name"] is None
    assert found["input"]["hidden"] == {"unique_id": "UNIQUE_ID", "prompt": "PROMPT"}
    assert found["input_order"]["hidden"] == ["unique_id", "prompt"]


def test_one_definition_can_be_asked_for_by_name_or_alias(guarded, paths):
    aliases = {"OldSampler": "Sampler"}
    for name in ("Sampler", "OldSampler"):
        found = fetched(guarded, paths, SAMPLER, url=f"/api/object_info/{name}", aliases=aliases)
        assert list(found) == [name]
        assert found[name]["name"] == name
    assert fetched(guarded, paths, SAMPLER, url="/object_info/None") == {}


def test_a_name_with_a_slash_is_found_encoded_and_decoded_as_some_proxies_pass_it_on(guarded, paths):
    spec = NodeSpec(name="Masks/Grow")
    for url in ("/object_info/Masks%2FGrow", "/object_info/Masks/Grow"):
        assert fetched(guarded, paths, spec, url=url)["Masks/Grow"]["name"] == "Masks/Grow"


def test_aliases_are_listed_beside_the_nodes(guarded, paths):
    found = fetched(guarded, paths, SAMPLER, aliases={"OldSampler": "Sampler", "Dead": "None"})
    assert found["OldSampler"] == {**found["Sampler"], "name": "OldSampler", "alias_of": "Sampler"}
    assert "Dead" not in found


def test_the_ten_loaders_that_one_editor_wants_are_there(guarded, paths, builtin_catalogue):
    async def use(server):
        return (await server.get())[1]

    found = served(guarded, paths, builtin_catalogue, use)
    assert set(ASKED_FOR_BY_ONE_EDITOR) <= set(found)
    for name in ASKED_FOR_BY_ONE_EDITOR:
        assert any(isinstance(one[0], list) for one in found[name]["input"]["required"].values()), name
    assert found["ImageOnlyCheckpointLoader"]["deprecated"]
    assert not found["GLIGENLoader"]["deprecated"]
    assert not found["CheckpointLoaderSimple"]["deprecated"]


def test_every_builtin_node_is_told(guarded, paths, builtin_catalogue):
    async def use(server):
        return (await server.get())[1]

    found = served(guarded, paths, builtin_catalogue, use)
    assert {spec.name for spec in builtin_catalogue} | set(builtin_catalogue.aliases) <= set(found)


def test_a_new_file_shows_at_the_next_request(guarded, paths):
    folder = paths.base / "models" / "loras"

    async def use(server):
        seen = []
        for name in ("b.safetensors", "a.safetensors"):
            seen.append((await server.get())[1]["Loader"]["input"]["required"]["name"][0])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        seen.append((await server.get())[1]["Loader"]["input"]["required"]["name"][0])
        return seen

    seen = served(guarded, paths, Catalogue([LOADER]), use)
    assert seen == [["None"], ["None", "b.safetensors"], ["None", "a.safetensors", "b.safetensors"]]


def test_a_client_that_has_the_answer_is_not_sent_it_again(guarded, paths):
    async def use(server):
        first, _ = await server.get()
        same, nothing = await server.get(If_None_Match=first.headers["ETag"])
        (paths.base / "models" / "loras").mkdir(parents=True)
        (paths.base / "models" / "loras" / "a.safetensors").touch()
        changed, body = await server.get(If_None_Match=first.headers["ETag"])
        return same.status, nothing, changed.status, body

    same, nothing, changed, body = served(guarded, paths, Catalogue([LOADER]), use)
    assert (same, nothing) == (304, None)
    assert (changed, set(body) >= {"Loader"}) == (200, True)


def test_the_answer_is_compressed_when_the_client_takes_that(guarded, paths):
    async def use(server):
        zipped, one = await server.get(Accept_Encoding="gzip, br")
        plain, other = await server.get(Accept_Encoding="identity")
        return zipped.headers.get("Content-Encoding"), plain.headers.get("Content-Encoding"), one == other

    assert served(guarded, paths, Catalogue([SAMPLER]), use) == ("gzip", None, True)


def test_the_answer_is_made_once_until_something_changes(paths):
    async def use():
        catalogues = [Catalogue([SAMPLER])]

        async def current():
            return catalogues[-1]

        info = ObjectInfo(current, paths)
        first = await info.body()
        kept = await info.body() is first
        catalogues.append(Catalogue([LOADER]))
        changed = await info.body()
        return kept, gzip.decompress(changed.zipped) == changed.plain, "Sampler" in msgspec.json.decode(changed.plain)

    assert asyncio.run(use()) == (True, True, False)


def test_a_broken_node_takes_no_other_away(guarded, paths):
    broken = [
        NodeSpec(name="Odd", inputs=(InputSpec(name="a", type="INT", default=object()),)),
        NodeSpec(name="Odder", inputs=None),  # type: ignore[arg-type]
        NodeSpec(name="Endless", inputs=(InputSpec(name="a", type="COMBO", choices=Files("a folder of its own")),)),
    ]
    found = fetched(guarded, paths, *broken, SAMPLER)
    assert "Sampler" in found
    assert not {"Odd", "Odder"} & set(found)
    assert found["Endless"]["input"]["required"]["a"][0] == []


def test_numbers_that_json_has_not_become_null(guarded, paths):
    spec = NodeSpec(name="Odd", inputs=(InputSpec(name="a", type="FLOAT", default=float("nan"), le=float("inf")),))
    assert fetched(guarded, paths, spec)["Odd"]["input"]["required"]["a"][1] == {"default": None, "max": None}
