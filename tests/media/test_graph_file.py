"""One reader of bytes to a graph: the server and the command line find the same in the same file."""

from __future__ import annotations

import hashlib
import json

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.cli import graph_source as command_line
from engine.cli.exits import CliError
from engine.graph.problems import GraphError
from engine.graph.schema import Catalogue, InputSpec, NodeSpec
from engine.media.errors import MediaError
from engine.media.graph_file import read_graph_file
from engine.media.model_files import FolderFiles
from engine.paths import Paths
from engine.server.graph_source import read_graph

CATALOGUE = Catalogue([NodeSpec(name="Number", inputs=(InputSpec(name="value", type="INT"),), output_node=True)])
PROMPT = {"1": {"class_type": "Number", "inputs": {"value": 1}}}
OTHER = {"1": {"class_type": "Number", "inputs": {"value": 2}, "_meta": {"title": "Number"}}}
WORKFLOW = {"nodes": [{"id": 1, "type": "Number", "widgets_values": [2]}], "links": []}
NO_GRAPH = {"a": {"b": 1}}
SETTINGS = "cat\nSteps: 4, Sampler: Euler, CFG scale: 5, Seed: 7, Size: 64x64, Model: tiny, RNG: CPU, Version: v1.9"


def png(folder, **texts):
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text if isinstance(text, str) else json.dumps(text))
    path = folder / "file.png"
    Image.new("RGB", (2, 2)).save(path, pnginfo=info)
    return path.read_bytes()


TAKEN = {
    "the prompt of both": ({"prompt": PROMPT, "workflow": WORKFLOW}, PROMPT, WORKFLOW),
    "a prompt alone": ({"prompt": PROMPT}, PROMPT, None),
    "a workflow alone": ({"workflow": WORKFLOW}, OTHER, WORKFLOW),
    "the workflow where the prompt is none": ({"prompt": NO_GRAPH, "workflow": WORKFLOW}, OTHER, WORKFLOW),
    "the workflow where the prompt is words": ({"prompt": "a cat", "workflow": WORKFLOW}, OTHER, WORKFLOW),
    "a workflow where the prompt should be": ({"prompt": WORKFLOW}, OTHER, WORKFLOW),
    "the prompt beside settings": ({"prompt": PROMPT, "parameters": SETTINGS}, PROMPT, None),
}


@pytest.mark.parametrize("case", TAKEN)
def test_server_and_command_line_take_the_same_of_a_picture(case, tmp_path):
    texts, prompt, workflow = TAKEN[case]
    data = png(tmp_path, **texts)
    posted = read_graph(data, CATALOGUE)
    given = command_line.read_graph(str(tmp_path / "file.png"), Paths(tmp_path), CATALOGUE)
    for found in (posted, given):
        assert (found.prompt, found.workflow, found.problems) == (prompt, workflow, [])


@pytest.mark.parametrize("texts", [{"prompt": NO_GRAPH}, {"prompt": "a cat"}, {"parameters": "a cat"}, {}])
def test_server_and_command_line_refuse_the_same_of_a_picture(texts, tmp_path):
    data = png(tmp_path, **texts)
    with pytest.raises((GraphError, MediaError)):
        read_graph(data, CATALOGUE)
    with pytest.raises(CliError):
        command_line.read_graph(str(tmp_path / "file.png"), Paths(tmp_path), CATALOGUE)


def drawn(found):
    return [node["class_type"] for node in found.loaded.prompt.values()]


IMPORTED = ["CheckpointLoaderSimple", "CLIPTextEncode", "CLIPTextEncode", "EmptyLatentImage", "KSampler"]
IMPORTED += ["VAEDecode", "SaveImage"]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: ("(cat:1.2), [dog]" + text).encode(),
        lambda text: ("[cat] {" + text).encode(),
    ],
    ids=["plain", "mark", "UTF-16", "UTF-16 BE", "CR LF", "parenthesis", "bracket"],
)
def test_settings_of_the_web_ui_are_read_from_plain_text(encode):
    assert drawn(read_graph_file(encode(SETTINGS), CATALOGUE)) == IMPORTED


def test_settings_are_read_from_a_picture_where_its_prompt_is_none(tmp_path):
    for texts in ({"parameters": SETTINGS}, {"parameters": SETTINGS, "prompt": NO_GRAPH}):
        found = read_graph_file(png(tmp_path, **texts), CATALOGUE)
        assert drawn(found) == IMPORTED
        assert found.notes[0].type == "file_not_here"
        assert found.loaded.problems == []


def test_text_of_no_kind_is_refused_as_no_json():
    for data in (b"Dear reader", "{ü".encode("utf-16"), b"\xff\xfe\x00\xd8", b"\x00\x01\xff", b""):
        with pytest.raises(GraphError) as caught:
            read_graph_file(data, CATALOGUE)
        assert caught.value.problems[0].type == "invalid_json"


CLIP_SKIP = (
    "an apple\nNegative prompt: dull\nSteps: 4, Sampler: Euler a, CFG scale: 5.5, Seed: 77, Size: 64x64, Clip skip: 2"
)


@pytest.mark.parametrize("name", ["settings.png", "settings.txt"])
def test_settings_with_a_clip_skip_become_a_graph(name, tmp_path):
    data = png(tmp_path, parameters=CLIP_SKIP) if name.endswith("png") else CLIP_SKIP.encode()
    found = read_graph_file(data, CATALOGUE, name)
    sampling = next(node for node in found.loaded.prompt.values() if node["class_type"] == "KSampler")["inputs"]
    assert (sampling["seed"], sampling["steps"], sampling["cfg"]) == (77, 4, 5.5)
    assert drawn(found) == [IMPORTED[0], "CLIPSetLastLayer", *IMPORTED[1:]]


def test_of_a_file_of_tensors_the_command_line_reads_the_header_alone(tmp_path, monkeypatch):
    header = json.dumps({"__metadata__": {"prompt": json.dumps(PROMPT)}}).encode()
    path = tmp_path / "large.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(5000))
    monkeypatch.setattr(command_line, "MAX_BYTES", 4000)
    assert command_line.read_graph(str(path), Paths(tmp_path), CATALOGUE).prompt == PROMPT
    path.write_bytes(b" " * 5000)
    with pytest.raises(CliError, match="has more than"):
        command_line.read_graph(str(path), Paths(tmp_path), CATALOGUE)


@pytest.fixture
def folder(tmp_path):
    """Model files and where they are: one that is large enough for the web UI's first kind of hash, one that is not."""
    (tmp_path / "large.safetensors").write_bytes(bytes(0x100000) + b"\7" * 0x20000)
    (tmp_path / "small.safetensors").write_bytes(b"small")
    names = ("gone.safetensors", "large.safetensors", "small.safetensors")
    return FolderFiles(lambda folder: names if folder == "checkpoints" else (), lambda folder, name: tmp_path / name)


def test_files_are_found_by_both_kinds_of_hash(folder):
    new = hashlib.sha256(b"small").hexdigest()
    old = hashlib.sha256(b"\7" * 0x10000).hexdigest()[:8]
    assert folder.hashed("checkpoints", new[:10]) == "small.safetensors"
    assert folder.hashed("checkpoints", new.upper()) == "small.safetensors"
    assert folder.hashed("checkpoints", old) == "large.safetensors"
    for unknown in ("0" * 10, "0" * 8, new[:6], "not a hash", ""):
        assert folder.hashed("checkpoints", unknown) is None
    assert folder.hashed("loras", new) is None


def test_a_file_is_hashed_once_and_again_when_it_has_changed(folder, tmp_path, monkeypatch):
    first, second = (hashlib.sha256(data).hexdigest()[:10] for data in (b"small", b"other!"))
    assert folder.hashed("checkpoints", first) == "small.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "sha256", lambda: pytest.fail("it was hashed again"))
        assert folder.hashed("checkpoints", first) == "small.safetensors"
    (tmp_path / "small.safetensors").write_bytes(b"other!")
    assert folder.hashed("checkpoints", second) == "small.safetensors"
