"""What the command line says, word for word, without starting it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli import doctor_machine, exits
from engine.cli.display import LISTED, Lines, duration
from engine.cli.exits import CliError
from engine.cli.findings import Finding, worst_of
from engine.cli.graph_source import parameter_lines
from engine.cli.outcome import Output, copied, failure_lines, summary
from engine.cli.pack_checks import schema_findings
from engine.cli.pack_new import _problem, _suggested
from engine.cli.terminal import columns
from engine.execute import events
from engine.execute.events import Counts, NodeFailed
from engine.graph.parameters import Parameter
from engine.graph.prompt import titles_of
from engine.graph.schema import InputSpec, NodeSpec, OutputSpec
from engine.paths import Paths
from engine.saved_workflows import workflow_files


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0049, "4.9 ms"),
        (0.0099, "9.9 ms"),
        (0.01, "10 ms"),
        (0.999, "999 ms"),
        (1.0, "1.0 s"),
        (59.94, "59.9 s"),
        (60.0, "1 min 0 s"),
        (3725.9, "62 min 5 s"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_summary_counts_each_node_once_and_names_what_there_is() -> None:
    assert summary(Counts(ran=2, reused=3, remade=1)) == "ran 2, reused 3 of 5 (made 1 again)"
    assert summary(Counts(failed=1, skipped=2, not_run=4, reused=1)) == "failed 1, skipped 2, not run 4, reused 1 of 8"


def test_a_failure_is_told_with_its_place_and_what_to_do_and_its_traceback_to_developers_alone() -> None:
    failed = NodeFailed(
        node="7.1", display_node="7", class_type="X", message="too large", input="size", expected="1", got="2",
        hint="Take less.", traceback="Traceback\n  here\n",
    )  # fmt: skip
    told = ['Sample (node 7.1), input "size" failed: too large', "  expected: 1", "  received: 2", "  hint: Take less."]
    assert failure_lines(failed, "Sample", debug=False) == told
    assert failure_lines(failed, "Sample", debug=True) == [*told, "Traceback\n  here"]


def told(event: events.Event) -> str:
    return Lines({"1": "Load", "2": "Sample"})._text(event)


def test_events_are_told_by_the_titles_of_their_nodes() -> None:
    many = [str(index) for index in range(1, LISTED + 3)]
    assert told(events.NodesCached(nodes=["1", "9"])) == "reused: Load, 9"
    assert told(events.NodesCached(nodes=[])) == ""
    assert told(events.NodesCached(nodes=many[:LISTED])).endswith(f", {LISTED}")
    assert told(events.NodesCached(nodes=many)).endswith(f", {LISTED} and 2 more")
    place = {"display_node": "2", "class_type": "X"}
    assert told(events.NodeFinished(node="2", seconds=2.0, **place)) == "Sample: 2.0 s"
    assert (
        told(events.NodeFinished(node="2.1", seconds=2.0, remade=True, **place)) == "Sample › 2.1: 2.0 s (made again)"
    )
    skipped = events.NodeSkipped(node="2", display_node="2", reason="upstream_failed", because="1")
    assert told(skipped) == "Sample: skipped, a node it needs failed"


def test_titles_are_those_that_people_gave_or_the_types() -> None:
    prompt = {"1": {"class_type": "A", "_meta": {"title": "Mine"}}, "2": {"class_type": "B", "_meta": None}, "3": {}}
    assert titles_of(prompt) == {"1": "Mine", "2": "B", "3": "3"}


def test_columns_are_aligned_but_the_last() -> None:
    assert columns([("a", "bb", "c"), ("ddd", "e", "")]) == ["  a    bb  c", "  ddd  e"]
    assert columns([]) == []


def test_a_long_value_is_cut_in_the_list_of_parameters() -> None:
    texts = {"p": "a  b\n" + "x" * 56, "q": "x" * 61}
    known = [Parameter(name=name, node="1", input="a", type="STRING", default=text) for name, text in texts.items()]
    first, second = parameter_lines(known)
    assert first.split(maxsplit=2)[2] == "a b " + "x" * 56
    assert second.split(maxsplit=2)[2] == "x" * 59 + "…"


def test_the_worst_finding_is_the_state_of_all() -> None:
    states = [Finding("a", state, "") for state in ("warn", "fail", "ok")]  # type: ignore[arg-type]
    assert [worst_of(states), worst_of(states[::2]), worst_of([])] == ["fail", "warn", "ok"]


def test_out_takes_what_was_saved_and_previews_only_where_nothing_was(tmp_path: Path) -> None:
    files = {folder: tmp_path / folder / "a.png" for folder in ("output", "temp")}
    for folder, path in files.items():
        path.parent.mkdir()
        path.write_bytes(folder.encode())
    outputs = [Output(node="1", kind="images", path=str(path), folder=folder) for folder, path in files.items()]
    saved, preview = copied(outputs, tmp_path / "out")
    assert (Path(saved.path).read_bytes(), Path(saved.path).parent) == (b"output", tmp_path / "out")
    assert preview.path == str(files["temp"])
    (only,) = copied(outputs[1:], tmp_path / "previews")
    assert Path(only.path).read_bytes() == b"temp"
    (text,) = copied([Output(node="1", kind="text", text="hello")], tmp_path / "texts")
    assert (text.text, text.path) == ("hello", "")


def test_a_workflow_of_the_base_directory_goes_before_one_of_the_user_and_one_that_was_shipped(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    for folder in (paths.base / "workflows", paths.user / "workflows"):
        folder.mkdir(parents=True)
        (folder / "mine.json").touch()
    (paths.user / "workflows" / "text_to_image.json").touch()
    found = workflow_files(paths)
    assert found["mine"] == paths.base / "workflows" / "mine.json"
    assert found["text_to_image"] == paths.user / "workflows" / "text_to_image.json"
    assert "inpainting" in found


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("MyPack", "my_pack"),
        ("my pack!", "my_pack"),
        ("class", "class_pack"),
        ("json", "json_pack"),
        ("3d", "d"),
        ("é", ""),
    ],
)
def test_a_name_that_will_not_do_has_one_near_it(name: str, suggested: str) -> None:
    assert _problem(name) is not None
    assert _suggested(name) == suggested


def test_a_name_of_64_letters_will_do() -> None:
    assert _problem("a" * 64) is None
    assert _problem("a" * 65) is not None


def found(spec: NodeSpec) -> list[tuple[str, str]]:
    listed = schema_findings([spec], {"KSampler"}, {"IMAGE"})
    return [(one.area, one.state) for one in listed if one.area not in ("nodes",)]


def number(**facts: object) -> InputSpec:
    return InputSpec(name="n", type="FLOAT", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (number(ge=1.0, le=1.0, default=1.0), []),
        (number(ge=2.0, le=1.0), [("inputs", "fail")]),
        (number(step=0.0), [("inputs", "warn")]),
        (number(ge=0.0, default=-1.0), [("inputs", "fail")]),
        (InputSpec(name="c", type="COMBO", choices=()), [("inputs", "warn")]),
        (InputSpec(name="c", type="COMBO", choices=("a",), default="b"), [("inputs", "fail")]),
        (InputSpec(name="i", type="IMAGE"), []),
        (InputSpec(name="m", type="MADE"), []),
        (InputSpec(name="m", type="ODD,IMAGE"), []),
        (InputSpec(name="m", type="ODD"), [("types", "warn")]),
        (InputSpec(name="m", type="ODD", widget="OWN"), []),
    ],
)
def test_what_is_wrong_with_an_input_is_found(given: InputSpec, expected: list[tuple[str, str]]) -> None:
    spec = NodeSpec(name="A", inputs=(given,), outputs=(OutputSpec(name="m", type="MADE"),), category="c", doc="d")
    assert found(spec) == expected


def test_a_gpu_that_torch_does_not_use_is_told_only_where_there_is_one() -> None:
    device = {"name": "cpu", "type": "cpu", "free": 2**30, "total": 2**31, "error": ""}
    facts = {"cuda": None, "devices": [device]}
    assert [one.state for one in doctor_machine._devices(facts, "")] == ["ok"]
    fine, warning = doctor_machine._devices(facts, "550.1")
    assert (fine.text, warning.state) == ("cpu, 1.0 of 2.0 GiB free", "warn")
    assert "without CUDA" in warning.text
    broken = {"cuda": "12", "devices": [{**device, "type": "cuda", "error": "no kernel"}]}
    assert [one.state for one in doctor_machine._devices(broken, "550.1")] == ["fail"]


def test_a_file_that_cannot_be_copied_ends_with_its_code(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outputs = [Output(node="1", kind="images", path=str(tmp_path / "file"), folder="output")]
    with pytest.raises(CliError) as refused:
        copied(outputs, tmp_path / "file")
    assert refused.value.code == exits.UNREADABLE
