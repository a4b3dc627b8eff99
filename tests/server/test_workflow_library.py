"""The saved workflows that a server knows: what is read, kept, read anew, and told of broken files."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from engine.graph.schema import Catalogue, InputSpec, NodeSpec, OutputSpec
from engine.paths import Paths
from engine.server.refusals import Refusal
from engine.server.workflows import library
from engine.server.workflows.library import BrokenWorkflow, SavedWorkflow, WorkflowLibrary

SPECS = [
    NodeSpec(
        name="Make",
        module="t",
        inputs=(InputSpec(name="seed", type="INT", default=0, ge=0, le=2**64 - 1, seed=True),),
        outputs=(OutputSpec(name="IMAGE", type="IMAGE"),),
    ),
    NodeSpec(
        name="Save",
        module="t",
        inputs=(InputSpec(name="images", type="IMAGE"), InputSpec(name="filename_prefix", type="STRING", default="")),
        output_node=True,
    ),
]


def graph(seed=1):
    return {
        "1": {"class_type": "Make", "inputs": {"seed": seed}},
        "2": {"class_type": "Save", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


@pytest.fixture
def known(tmp_path):
    """A library, and how to write a file of it."""
    found = {"catalogue": Catalogue(SPECS)}

    async def catalogue():
        return found["catalogue"]

    def write(name, value):
        path = tmp_path / "workflows" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    made = WorkflowLibrary(Paths(tmp_path), catalogue)
    made.catalogues = found
    return made, write


def get(made, name):
    return asyncio.run(made.find(name))


def test_a_workflow_has_its_signature_and_is_read_once(known):
    made, write = known
    write("portraits/soft", graph(7))
    first = get(made, "portraits/soft")
    assert isinstance(first, SavedWorkflow)
    assert [(one.name, one.default) for one in first.signature.parameters] == [("seed", 7)]
    assert [(one.name, one.kind) for one in first.signature.outputs] == [("image", "image")]
    assert get(made, "portraits/soft") is first


def test_a_file_that_changed_and_other_nodes_make_it_be_read_anew(known):
    made, write = known
    path = write("a", graph(1))
    first = get(made, "a")
    write("a", graph(2))
    os.utime(path, ns=(1, 1))
    second = get(made, "a")
    assert second.signature.parameters[0].default == 2
    made.catalogues["catalogue"] = Catalogue(SPECS[1:])
    third = get(made, "a")
    assert (first is second, second is third) == (False, False)
    assert third.signature.parameters == ()


def test_an_unknown_name_is_told_the_nearest_ones(known):
    made, write = known
    write("portrait", graph())
    with pytest.raises(Refusal) as raised:
        get(made, "potrait")
    assert (raised.value.status, raised.value.extra_info["nearest"]) == (404, ["portrait"])


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", ".hidden", "a/.b", "x\0", "", "\ud800"])
def test_names_lead_nowhere_else(known, tmp_path, name):
    made, write = known
    write("ok", graph())
    for outside in (tmp_path / "secret.json", tmp_path / "workflows" / ".hidden.json"):
        outside.write_text(json.dumps(graph()))
    with pytest.raises(Refusal) as raised:
        get(made, name)
    assert raised.value.status == 404


def test_files_that_are_no_workflows_are_told_beside_the_others(known, monkeypatch):
    made, write = known
    monkeypatch.setattr(library, "LARGEST", 2_000)
    write("good", graph())
    write("not_json", "{")
    write("something_else", [1, 2])
    write("large", json.dumps(graph()) + " " * 2_000)
    found = {one.name: one for one in asyncio.run(made.all()) if "_" not in one.name or one.name in NAMES}
    assert isinstance(found["good"], SavedWorkflow)
    broken = {name: found[name].message for name in ("not_json", "something_else", "large")}
    assert all(isinstance(found[name], BrokenWorkflow) and message.startswith(name) for name, message in broken.items())
    assert "MiB" in broken["large"]
    with pytest.raises(Refusal) as raised:
        asyncio.run(made.get("not_json"))
    assert (raised.value.status, raised.value.type) == (409, "workflow_broken")


NAMES = ("not_json", "something_else")


def test_what_has_no_end_or_is_not_there_is_no_workflow(known, tmp_path):
    """Reading a pipe would hold the whole server up, and reading a device would fill its memory."""
    made, write = known
    write("good", graph())
    os.mkfifo(tmp_path / "workflows" / "pipe.json")
    (tmp_path / "workflows" / "device.json").symlink_to("/dev/zero")
    (tmp_path / "workflows" / "gone.json").symlink_to("/nowhere.json")
    assert {one.name for one in asyncio.run(made.all())}.isdisjoint({"pipe", "device", "gone"})
    for name in ("pipe", "device", "gone"):
        with pytest.raises(Refusal) as raised:
            asyncio.run(made.get(name))
        assert raised.value.status == 404
        assert name not in raised.value.extra_info["nearest"]


def test_a_file_that_grows_while_it_is_read_is_read_to_the_bound_only(known, monkeypatch):
    made, write = known
    monkeypatch.setattr(library, "LARGEST", 20)
    monkeypatch.setattr(library, "_stamp", lambda path: (str(path), 10, 0, 0))
    write("grows", graph())
    assert isinstance(get(made, "grows"), BrokenWorkflow)


def test_what_is_kept_has_a_bound(known, monkeypatch):
    made, write = known
    size = len(json.dumps(graph()))
    monkeypatch.setattr(library, "KEPT_BYTES", 2 * size)
    for name in "abc":
        write(name, graph())
    first, second, third = (get(made, name) for name in "abc")
    assert get(made, "c") is third
    assert get(made, "b") is second
    assert get(made, "a") is not first
