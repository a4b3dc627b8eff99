from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.graph.layout import prompt_to_workflow
from engine.graph.problems import GraphError
from engine.graph.schema import Catalogue, InputSpec, NodeSpec, OutputSpec
from engine.media.errors import MediaError
from engine.media.png import encode_png, encode_webp
from engine.server.graph_source import read_graph

CATALOGUE = Catalogue(
    [
        NodeSpec(
            name="Number", inputs=(InputSpec(name="value", type="INT"),), outputs=(OutputSpec(name="n", type="INT"),)
        ),
        NodeSpec(name="Show", inputs=(InputSpec(name="source", type="*"),), output_node=True),
    ]
)
PROMPT = {
    "1": {"class_type": "Number", "inputs": {"value": 2**64 - 1}, "_meta": {"title": "Number"}},
    "2": {"class_type": "Show", "inputs": {"source": ["1", 0]}, "_meta": {"title": "Show"}},
}
OTHER = {"1": {"class_type": "Number", "inputs": {"value": 3}, "_meta": {"title": "Number"}}}
WORKFLOW = prompt_to_workflow(PROMPT, CATALOGUE) | {"id": "mine", "unknown": [1, {"kept": True}]}


def posted(value):
    return read_graph(value if isinstance(value, bytes) else json.dumps(value).encode(), CATALOGUE)


def picture(encode, prompt=None, workflow=None):
    return encode(Image.new("RGB", (2, 2)), prompt, workflow)


@pytest.mark.parametrize(
    "value",
    [
        PROMPT,
        WORKFLOW,
        {"prompt": PROMPT},
        {"prompt": WORKFLOW},
        {"workflow": WORKFLOW},
        {"output": PROMPT, "workflow": WORKFLOW},
        picture(encode_png, PROMPT, WORKFLOW),
        picture(encode_webp, PROMPT),
        picture(encode_png, None, WORKFLOW),
        picture(encode_png, WORKFLOW),
    ],
    ids=[
        "prompt",
        "workflow",
        "body",
        "body with workflow",
        "workflow key",
        "both",
        "png",
        "webp",
        "png workflow",
        "png odd",
    ],
)
def test_the_same_graph_is_found_in_every_form(value):
    found = posted(value)
    assert found.prompt == PROMPT
    assert found.problems == []
    assert found.envelope == {}


def test_a_workflow_keeps_its_unknown_keys():
    for value in (
        WORKFLOW,
        {"prompt": WORKFLOW},
        picture(encode_png, PROMPT, WORKFLOW),
        picture(encode_webp, WORKFLOW),
    ):
        assert posted(value).workflow == WORKFLOW


def test_of_a_picture_with_both_forms_the_prompt_is_what_runs():
    found = posted(picture(encode_png, OTHER, WORKFLOW))
    assert (found.prompt, found.workflow) == (OTHER, WORKFLOW)


def test_what_a_client_wants_comes_along():
    wishes = {"client_id": "me", "number": 3, "front": True, "partial_execution_targets": ["2"]}
    extra = {"extra_pnginfo": {"workflow": WORKFLOW}, "note": 1}
    found = posted({"prompt": PROMPT, "extra_data": extra, **wishes})
    assert (found.envelope, found.extra_data, found.workflow) == (wishes, extra, WORKFLOW)


def test_extra_data_that_is_no_object_is_left_for_the_check_of_fields():
    assert posted({"prompt": PROMPT, "extra_data": [1]}).envelope == {"extra_data": [1]}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\x00\x01", "invalid_json"),
        (b"{}", "no_prompt"),
        (b"[1]", "unknown_format"),
        (b'{"prompt": 5}', "unknown_format"),
    ],
)
def test_what_holds_no_graph_is_refused_by_its_kind(data, kind):
    with pytest.raises(GraphError) as caught:
        posted(data)
    assert caught.value.problems[0].type == kind


def test_a_picture_without_a_graph_is_refused_by_its_name():
    with pytest.raises(MediaError, match=r"cat\.png carries no workflow"):
        read_graph(picture(encode_png), CATALOGUE, "cat.png")


def test_it_is_read_without_torch_pillow_or_numpy(tmp_path):
    (tmp_path / "a.webp").write_bytes(picture(encode_webp, PROMPT))
    script = (
        "import sys, pathlib; from engine.graph.schema import Catalogue; from engine.server.graph_source import read_graph;"
        "read_graph(pathlib.Path(sys.argv[1]).read_bytes(), Catalogue([]));"
        "assert not {'PIL', 'torch', 'numpy', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.webp")], check=True)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "nodes",
                    "links",
                    "id",
                    "type",
                    "inputs",
                    "class_type",
                    "prompt",
                    "workflow",
                    "extra_data",
                    "definitions",
                    "subgraphs",
                    "1",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(ODD)
def test_whatever_the_json_the_only_errors_are_ours(value):
    try:
        data = json.dumps(value).encode()
        found = read_graph(data, CATALOGUE)
    except GraphError:
        return
    assert isinstance(found.prompt, dict)


@given(st.sampled_from(["PNG", "WEBP", "JPEG"]), ODD)
def test_whatever_a_picture_carries_the_only_errors_are_ours(kind, value):
    text = json.dumps(value)
    try:
        read_graph(carrying(kind, text), CATALOGUE)
    except (GraphError, MediaError):
        return


def carrying(kind, text):
    buffer = io.BytesIO()
    image = Image.new("RGB", (2, 2))
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("workflow", text)
        image.save(buffer, kind, pnginfo=info)
    else:
        exif = image.getexif()
        exif[0x010F] = f"workflow:{text}"
        image.save(buffer, kind, exif=exif)
    return buffer.getvalue()
