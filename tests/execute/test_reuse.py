"""What runs, what is reused, told as logs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import pytest

from engine.api import Files, In, Mentions, WithUi
from engine.execute.services import Services


class Thing:
    """A value whose content nobody can hash."""

    def __init__(self, number: int) -> None:
        self.number = number


class Handle:
    """A value that is named by what it was made from."""

    def __init__(self, name: str, load: int) -> None:
        self.name, self.load = name, load

    def identity(self) -> str:
        return self.name


class Pair(NamedTuple):
    small: int
    large: int


ChosenFile = Annotated[str, In(choices=Files("input"))]


def chain(graph: Any, first: int = 1, second: int = 2) -> Any:
    return graph(
        a=("Add", {"a": first, "b": 2}),
        b=("Halve", {"a": "@a"}),
        c=("Add", {"a": "@b", "b": second}),
        show=("Show", {"a": "@c"}),
    )


def test_a_first_run_runs_everything_and_a_second_nothing(lab, graph):
    assert lab.run(chain(graph), "show") == "ran a\nran b\nran c\nran show"
    assert lab.result.ui == {"show": {"text": ["3"]}}
    assert lab.run(chain(graph), "show") == "reused a, b, c, show"
    assert lab.result.ui == {"show": {"text": ["3"]}}
    assert lab.result.counts.reused == 4


def test_only_what_the_outputs_need_runs(lab, graph):
    prompt = chain(graph) | graph(other=("Add", {"a": 5}))
    assert lab.run(prompt, "b") == "ran a\nran b"
    assert lab.value("b") == 1


def test_a_changed_constant_runs_its_node_and_what_follows(lab, graph):
    lab.run(chain(graph), "show")
    assert lab.run(chain(graph, second=3), "show") == "reused a, b\nran c\nran show"


def test_equal_output_of_a_node_that_ran_again_leaves_everything_below_untouched(lab, graph):
    lab.run(chain(graph, first=0), "show")
    assert lab.run(chain(graph, first=1), "show") == "ran a\nran b\nreused c\nreused show"


def test_a_node_is_known_by_what_it_is_and_not_by_its_id(lab, graph):
    lab.run(chain(graph), "show")
    renamed = graph(x=("Add", {"b": 2, "a": 1}), y=("Halve", {"a": "@x"}))
    assert lab.run(renamed, "y") == "reused x, y"


def test_equal_nodes_of_one_run_run_once_and_both_report(lab, graph):
    prompt = graph(a=("Add", {"a": 1}), b=("Add", {"a": 1}), s=("Show", {"a": "@a"}), t=("Show", {"a": "@b"}))
    log = lab.run(prompt, "s", "t").split("\n")
    assert sorted(log) == ["ran a", "ran s", "reused b", "reused t"]
    assert lab.result.ui == {"s": {"text": ["1"]}, "t": {"text": ["1"]}}


@pytest.mark.parametrize(
    ("before", "after"), [(1, 1.0), (1, True), (0.0, -0.0), ("1", 1), ([1], (1,)), ({"a": 1}, {"a": 2})]
)
def test_constants_that_differ_in_type_or_sign_are_different(lab, graph, before, after):
    @lab.node("Repr")
    def represent(a: Any) -> str:
        return repr(a)

    lab.run(graph(a=("Repr", {"a": before})), "a")
    assert lab.run(graph(a=("Repr", {"a": after})), "a") == "ran a"
    assert lab.value("a") == repr(after)


def test_a_node_with_another_version_runs_again(lab, graph):
    import msgspec

    lab.run(chain(graph), "show")
    old = lab.definitions["Halve"]
    lab.add(type(old)(msgspec.structs.replace(old.spec, version="2"), old.run, old.read, wants_ctx=False))
    assert lab.run(chain(graph), "show") == "reused a\nran b\nreused c\nreused show"


def test_a_node_that_declares_itself_uncacheable_runs_every_time_but_cuts_off_below(lab, graph):
    runs = []

    @lab.node("Clock", cache=False)
    def clock() -> int:
        runs.append(1)
        return 7

    prompt = graph(a=("Clock", {}), b=("Clock", {}), c=("Add", {"a": "@a", "b": "@b"}))
    assert sorted(lab.run(prompt, "c").split("\n")) == ["ran a", "ran b", "ran c"]
    assert sorted(lab.run(prompt, "c").split("\n")) == ["ran a", "ran b", "reused c"]
    assert len(runs) == 4


def test_values_without_content_are_known_by_the_action_that_made_them(lab, graph):
    @lab.node("Make")
    def make(a: int) -> Thing:
        return Thing(a)

    @lab.node("Use")
    def use(thing: Thing, b: int) -> int:
        return thing.number + b

    prompt = graph(a=("Make", {"a": 1}), b=("Use", {"thing": "@a", "b": 1}))
    lab.run(prompt, "b")
    assert lab.run(prompt, "b") == "reused a, b"
    assert lab.run(graph(a=("Make", {"a": 2}), b=("Use", {"thing": "@a", "b": 1})), "b") == "ran a\nran b"
    assert lab.value("b") == 3


def test_such_values_of_uncacheable_nodes_are_new_in_every_run(lab, graph):
    runs = []

    @lab.node("Fresh", cache=False)
    def fresh() -> Thing:
        runs.append(1)
        return Thing(len(runs))

    @lab.node("Open")
    def opened(thing: Thing) -> int:
        return thing.number

    prompt = graph(f=("Fresh", {}), o=("Open", {"thing": "@f"}))
    for expected in (1, 2):
        lab.run(prompt, "o")
        assert lab.value("o") == expected


def test_model_like_values_are_known_by_their_identity(lab, graph):
    @lab.node("Load")
    def load(name: str, again: int) -> Handle:
        return Handle(name, again)

    @lab.node("Name")
    def name_of(model: Handle) -> str:
        return model.name

    def prompt(name: str, again: int) -> Any:
        return graph(m=("Load", {"name": name, "again": again}), n=("Name", {"model": "@m"}))

    lab.run(prompt("x", 1), "n")
    assert lab.run(prompt("x", 2), "n") == "ran m\nreused n"
    assert lab.run(prompt("y", 2), "n") == "ran m\nran n"


def test_a_chosen_file_counts_by_its_content(make_lab, graph, tmp_path):
    lab = make_lab(services=Services(find_file=lambda folder, name: tmp_path / folder / name))
    (tmp_path / "input").mkdir()
    picture = tmp_path / "input" / "a.txt"

    @lab.node("Read")
    def read(ctx: Any, file: ChosenFile) -> str:
        return picture.read_text()

    picture.write_text("one")
    prompt = graph(a=("Read", {"file": "a.txt"}))
    lab.run(prompt, "a")
    assert lab.run(prompt, "a") == "reused a"
    picture.write_text("two")
    assert lab.run(prompt, "a") == "ran a"
    assert lab.value("a") == "two"


def test_a_file_that_is_read_with_the_chosen_one_counts_too(make_lab, graph, tmp_path):
    beside = tmp_path / "tower"
    services = Services(
        find_file=lambda folder, name: tmp_path / name, files_beside=lambda path: [beside] if beside.is_file() else []
    )
    lab = make_lab(services=services)

    @lab.node("Read")
    def read(file: ChosenFile) -> str:
        return beside.read_text() if beside.is_file() else "alone"

    (tmp_path / "a.txt").write_text("one")
    prompt = graph(a=("Read", {"file": "a.txt"}))
    lab.run(prompt, "a")
    for content in ("there", "changed"):
        beside.write_text(content)
        assert lab.run(prompt, "a") == "ran a"
        assert lab.value("a") == content
        assert lab.run(prompt, "a") == "reused a"
    beside.unlink()
    lab.run(prompt, "a")
    assert lab.value("a") == "alone"


def test_a_file_chosen_through_a_link_counts_by_its_content_too(make_lab, graph, tmp_path):
    lab = make_lab(services=Services(find_file=lambda folder, name: tmp_path / name))

    @lab.node("Name")
    def name(text: str) -> str:
        return text

    @lab.node("Read")
    def read(file: ChosenFile) -> str:
        return (tmp_path / file).read_text()

    prompt = graph(n=("Name", {"text": "a.txt"}), r=("Read", {"file": "@n"}))
    for content in ("one", "two"):
        (tmp_path / "a.txt").write_text(content)
        lab.run(prompt, "r")
        assert lab.value("r") == content
        assert lab.run(prompt, "r") == "reused n, r"


@pytest.mark.parametrize("linked", [False, True], ids=["typed", "linked"])
def test_a_file_that_a_text_mentions_counts_by_its_content(make_lab, graph, tmp_path, linked):
    def find(folder: str, name: str) -> Path | None:
        path = tmp_path / name
        return path if path.exists() else None

    lab = make_lab(services=Services(find_file=find))

    @lab.node("Name")
    def name(text: str) -> str:
        return text

    @lab.node("Encode")
    def encode(text: Annotated[str, In(mentions=Mentions("embedding:", "embeddings", (".pt",)))]) -> str:
        return text + (tmp_path / "style.pt").read_text()

    text = "a cat, (embedding:style:1.2)"
    prompt = graph(n=("Name", {"text": text}), r=("Encode", {"text": "@n" if linked else text}))
    for content in ("one", "two"):
        (tmp_path / "style.pt").write_text(content)
        assert "ran r" in lab.run(prompt, "r") or "ran n, r" in lab.run(prompt, "r")
        assert lab.value("r") == text + content
        assert lab.run(prompt, "r") == ("reused n, r" if linked else "reused r")


@pytest.mark.parametrize(
    "text",
    ["embedding:sub/style", "embedding:sub\\style", "(embedding:sub/style:1.2)", "((embedding:sub/style), x:1.1)",
     "a embedding: sub/style.pt, b", "embedding:sub/style[1]"],
)  # fmt: skip
def test_a_file_that_a_text_mentions_makes_the_node_run_again_when_it_is_put_there(make_lab, graph, tmp_path, text):
    def find(folder: str, name: str) -> Path | None:
        path = tmp_path / name
        return path if path.is_file() else None

    lab = make_lab(services=Services(find_file=find))

    @lab.node("Encode")
    def encode(text: Annotated[str, In(mentions=Mentions("embedding:", "embeddings", (".pt",)))]) -> str:
        return text

    prompt = graph(r=("Encode", {"text": text}))
    assert lab.run(prompt, "r") == "ran r"
    assert lab.run(prompt, "r") == "reused r"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "style.pt").write_text("one")
    assert lab.run(prompt, "r") == "ran r"
    assert lab.run(prompt, "r") == "reused r"


def test_a_file_that_cannot_be_found_is_the_nodes_to_report(make_lab, graph):
    def find(folder: str, name: str) -> Path:
        raise ValueError(f"no {name} in {folder}")

    lab = make_lab(services=Services(find_file=find))

    @lab.node("Read")
    def read(file: ChosenFile) -> str:
        return find("input", file).read_text()

    assert lab.run(graph(r=("Read", {"file": "b.txt"})), "r") == "failed r: no b.txt in input"


def test_an_output_node_whose_file_is_gone_runs_again(make_lab, graph, tmp_path):
    lab = make_lab(services=Services(ui_file=lambda entry: tmp_path / entry["filename"]))

    @lab.node("Save", output=True)
    def save(a: int) -> None:
        (tmp_path / f"{a}.txt").write_text(str(a))
        return WithUi(ui={"images": [{"filename": f"{a}.txt", "subfolder": "", "type": "output"}]})

    prompt = graph(a=("Add", {"a": 4}), s=("Save", {"a": "@a"}))
    lab.run(prompt, "s")
    assert lab.run(prompt, "s") == "reused a, s"
    (tmp_path / "4.txt").unlink()
    assert lab.run(prompt, "s") == "reused a\nran s"
    assert (tmp_path / "4.txt").read_text() == "4"


def test_a_node_that_reads_its_own_id_shares_nothing(lab, graph):
    import msgspec

    @lab.node("Named")
    def named(a: int, me: str = "") -> str:
        return f"{me}:{a}"

    old = lab.definitions["Named"]
    lab.add(
        type(old)(msgspec.structs.replace(old.spec, hidden={"me": "UNIQUE_ID"}), old.run, old.read, wants_ctx=False)
    )
    prompt = graph(p=("Named", {"a": 1}), q=("Named", {"a": 1}))
    lab.run(prompt, "p", "q")
    assert (lab.value("p"), lab.value("q")) == ("p:1", "q:1")
    assert sorted(lab.run(prompt, "p", "q").removeprefix("reused ").split(", ")) == ["p", "q"]


def test_a_fingerprint_is_part_of_the_key_and_nan_never_matches(lab, graph):
    state = {"print": 1.0, "runs": 0}

    @lab.node("Watch")
    class Watch:
        def run(self, a: int) -> int:
            state["runs"] += 1
            return a

        @staticmethod
        def fingerprint(a: int) -> float:
            return state["print"]

    prompt = graph(w=("Watch", {"a": 1}), h=("Halve", {"a": "@w"}))
    lab.run(prompt, "h")
    assert lab.run(prompt, "h") == "reused w, h"
    state["print"] = 2.0
    assert lab.run(prompt, "h") == "ran w\nreused h"
    state["print"] = float("nan")
    lab.run(prompt, "h")
    assert lab.run(prompt, "h") == "ran w\nreused h"


def test_an_instance_stays_with_its_node_between_runs(lab, graph):
    @lab.node("Counter", cache=False)
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def run(self) -> int:
            self.count += 1
            return self.count

    prompt = graph(a=("Counter", {}), b=("Counter", {}))
    lab.run(prompt, "a", "b")
    lab.run(prompt, "a")
    assert lab.value("a") == 2


def test_a_class_node_that_was_edited_runs_as_it_is_now_and_not_by_its_old_instance(lab, graph):
    for says in ("old", "new"):

        @lab.node("Says", cache=False)
        class Says:
            says = ""

            def run(self) -> str:
                return self.says

        Says.says = says
        lab.run(graph(a=("Says", {})), "a")
        assert lab.value("a") == says


def test_several_outputs_have_a_digest_each(lab, graph):
    @lab.node("Split")
    def split(a: int) -> Pair:
        return Pair(a % 10, a // 10)

    def prompt(number: int) -> Any:
        return graph(p=("Split", {"a": number}), s=("Halve", {"a": "@p:0"}), l=("Halve", {"a": "@p:1"}))

    lab.run(prompt(47), "s", "l")
    assert sorted(lab.run(prompt(57), "s", "l").split("\n")) == ["ran l", "ran p", "reused s"]


def test_results_survive_a_restart_and_no_node_is_imported_for_them(make_lab, graph, tmp_path):
    lab = make_lab(tmp_path)
    lab.run(chain(graph), "show")
    lab.reopen()
    lab.imported.clear()
    lab.events = []
    result = lab.executor.run_sync(chain(graph), ["show"])
    assert (result.counts.reused, result.counts.ran) == (4, 0)
    assert result.ui == {"show": {"text": ["3"]}}
    assert lab.imported == []


def test_a_value_that_is_gone_is_made_again_with_what_it_needs_and_no_more(make_lab, graph, tmp_path):
    lab = make_lab(tmp_path)

    @lab.node("Wrap")
    def wrap(a: int) -> Thing:
        return Thing(a)

    @lab.node("Unwrap")
    def unwrap(thing: Thing, b: int = 0) -> int:
        return thing.number + b

    def prompt(b: int) -> Any:
        return graph(
            n=("Add", {"a": 1}),
            w=("Wrap", {"a": "@n"}),
            u=("Unwrap", {"thing": "@w", "b": b}),
            other=("Wrap", {"a": 5}),
            v=("Unwrap", {"thing": "@other"}),
        )

    lab.run(prompt(1), "u", "v")
    lab.reopen()  # a Thing has no codec, so only its record survives
    log = lab.run(prompt(2), "u", "v")
    assert log.split("\n")[1:] == ["remade w", "ran u"]
    assert lab.value("u") == 3
    assert lab.result.nodes["w"].status == "remade"
    counts = lab.result.counts
    assert (counts.ran, counts.reused, counts.remade) == (1, 4, 1)


def test_everything_works_when_nothing_fits_in_memory(make_lab, graph):
    lab = make_lab(ram_bytes=0)
    assert lab.run(chain(graph), "show") == "ran a\nran b\nran c\nran show"
    log = lab.run(chain(graph, second=5), "show")
    assert sorted(log.split("\n")) == ["ran c", "ran show", "remade a", "remade b", "reused a, b"]
    assert lab.result.ui == {"show": {"text": ["6"]}}


def test_a_value_is_held_until_the_last_node_that_needs_it(make_lab, graph):
    lab = make_lab(ram_bytes=0)
    prompt = graph(a=("Add", {"a": 1}))
    for index in range(5):
        prompt |= graph(**{f"b{index}": ("Add", {"a": "@a", "b": index})})
    lab.run(prompt, *[f"b{index}" for index in range(5)])
    assert lab.result.counts.remade == 0
    assert [lab.value(f"b{index}") for index in range(5)] == [1, 2, 3, 4, 5]


def test_wall_time_is_recorded_per_node(lab, graph):
    @lab.node("Sleep")
    def sleep(a: int) -> int:
        time.sleep(0.02)
        return a

    prompt = graph(s=("Sleep", {"a": 1}))
    lab.run(prompt, "s")
    assert lab.result.nodes["s"].seconds >= 0.02
    lab.run(prompt, "s")
    assert lab.result.nodes["s"].seconds == 0


def test_a_chain_of_ten_thousand_nodes_runs_and_is_reused(lab, graph):
    prompt = graph(n0=("Add", {"a": 0}))
    for index in range(1, 10_000):
        prompt |= graph(**{f"n{index}": ("Add", {"a": f"@n{index - 1}", "b": 1})})
    result = lab.executor.run_sync(prompt, ["n9999"], values=["n9999"])
    assert result.values["n9999"] == (9999,)
    assert result.counts.ran == 10_000
    events = []
    result = lab.executor.run_sync(prompt, ["n9999"], sink=events.append)
    assert result.counts.reused == 10_000
    assert len(events) == 3


def test_the_number_of_events_is_linear_in_the_number_of_nodes(lab, graph):
    def count(size: int) -> int:
        prompt = graph(n0=("Add", {"a": size * 1000}))
        for index in range(1, size):
            prompt |= graph(**{f"n{index}": ("Add", {"a": f"@n{index - 1}", "b": 1})})
        lab.run(prompt, f"n{size - 1}")
        return len(lab.events)

    assert count(200) - count(100) == 2 * 100


def test_a_saved_folder_is_left_with_a_database_and_no_half_written_files(make_lab, graph, tmp_path: Path):
    lab = make_lab(tmp_path)
    lab.run(chain(graph), "show")
    lab.close()
    assert (tmp_path / "cache.sqlite").exists()
    assert not list(tmp_path.rglob("*.part"))


class Counted:
    """Counts how many of its kind are alive."""

    alive = 0
    most = 0

    def __init__(self) -> None:
        Counted.alive += 1
        Counted.most = max(Counted.most, Counted.alive)

    def __del__(self) -> None:
        Counted.alive -= 1


def test_values_are_let_go_as_soon_as_nothing_needs_them(make_lab, graph):
    lab = make_lab(ram_bytes=0)

    @lab.node("First")
    def first() -> Counted:
        return Counted()

    @lab.node("Next")
    def following(value: Counted, salt: int) -> Counted:
        return Counted()

    prompt = graph(n0=("First", {}))
    for index in range(1, 40):
        prompt |= graph(**{f"n{index}": ("Next", {"value": f"@n{index - 1}", "salt": index})})
    Counted.most = Counted.alive
    lab.executor.run_sync(prompt, ["n39"])
    assert Counted.most <= 3
    assert Counted.alive == 0


def test_a_finished_run_leaves_no_reference_cycles_for_the_garbage_collector(lab, graph):
    import gc

    prompt = graph(n0=("Add", {"a": 1}))
    for index in range(1, 200):
        prompt |= graph(**{f"n{index}": ("Add", {"a": f"@n{index - 1}", "b": 1})})
    lab.run(prompt, "n199")
    gc.collect()
    gc.disable()
    try:
        lab.executor.run_sync(prompt | graph(x=("Add", {"a": "@n199", "b": 5})), ["x"])
        assert gc.collect() < 200  # the event loop's own, but nothing per node
    finally:
        gc.enable()


def test_values_without_content_of_two_nodes_that_are_not_remembered_are_two(lab, graph):
    @lab.node("Fresh", cache=False)
    def fresh() -> Thing:
        return Thing(1)

    @lab.node("Same")
    def same(a: Thing, b: Thing) -> bool:
        return a is b

    prompt = graph(
        x=("Fresh", {}), y=("Fresh", {}), one=("Same", {"a": "@x", "b": "@x"}), two=("Same", {"a": "@x", "b": "@y"})
    )
    lab.run(prompt, "one", "two")
    assert (lab.value("one"), lab.value("two")) == (True, False)


@pytest.mark.parametrize("outputs", [0, 2])
def test_a_record_of_another_number_of_outputs_is_not_taken(lab, graph, outputs):
    prompt = graph(x=("Add", {"a": 1}))
    assert lab.run(prompt, "x") == "ran x"
    ((key, record),) = lab.cache.actions._known.items()
    lab.cache.actions.put(key, msgspec.structs.replace(record, outputs=record.outputs * outputs))
    assert lab.run(prompt, "x") == "ran x"
    assert lab.values("x") == (1,)
