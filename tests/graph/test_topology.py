from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.graph import topology
from engine.graph.problems import GraphError
from engine.graph.prompt import Link, Node


def graph(**reads):
    """A prompt in which each node reads the nodes named in a string."""
    return {
        name: Node("N", {f"in{at}": Link(source, 0) for at, source in enumerate(sources.split())})
        for name, sources in reads.items()
    }


DIAMOND = graph(save="join", join="left right", left="source", right="source", source="", alone="")


def test_needed_is_what_an_output_reads_and_no_more():
    assert topology.needed(DIAMOND, ["left"]) == {"left", "source"}
    assert topology.needed(DIAMOND, ["save", "nowhere"]) == {"save", "join", "left", "right", "source"}


def test_the_order_puts_sources_first_and_finishes_a_branch_before_the_next():
    assert topology.order(DIAMOND, ["save"]) == ["source", "left", "right", "join", "save"]
    assert topology.order(DIAMOND)[-1] == "alone"


def test_generations_stand_by_the_longest_way():
    late = graph(a="", b="a", c="b", d="a c")
    assert topology.generations(late) == [["a"], ["b"], ["c"], ["d"]]
    assert topology.generations({}) == []


def test_consumers_are_named_once():
    twice = graph(a="", b="a a", c="a")
    assert topology.consumers(twice) == {"a": ["b", "c"], "b": [], "c": []}


def test_an_order_of_a_circle_is_refused_with_its_nodes_in_order():
    with pytest.raises(GraphError, match="a → b → c → a"):
        topology.order(graph(a="c", b="a", c="b"))


def test_links_to_nowhere_are_passed_over():
    assert topology.order(graph(a="gone", b="a")) == ["a", "b"]
    assert set(topology.to_networkx(graph(a="gone", b="a")).edges) == {("a", "b")}


def test_a_chain_of_ten_thousand_is_no_deeper_than_any_other():
    chain = {str(n): Node("N", {"x": Link(str(n - 1), 0)} if n else {}) for n in reversed(range(10_000))}
    assert topology.order(chain) == [str(n) for n in range(10_000)]
    assert len(topology.generations(chain)) == 10_000


edges = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25)


def prompt_of(pairs):
    reads = {str(n): [] for n in range(10)}
    for source, target in pairs:
        reads[str(target)].append(str(source))
    return graph(**{name: " ".join(sources) for name, sources in reads.items()})


def test_a_reader_is_listed_once_however_many_links_it_has():
    assert topology.consumers(graph(a="", b="a a", c="a b")) == {"a": ["b", "c"], "b": ["c"], "c": []}


@pytest.mark.parametrize(("length", "told"), [(12, ""), (13, "(1 more)")])
def test_a_long_circle_is_told_up_to_its_twelfth_node(length, told):
    circle = [f"n{index}" for index in range(length)]
    (found, *_) = topology.cycle_problems({}, [circle])
    shown = [*circle[:12], *([told] if told else []), "n0"]
    assert found.details == " → ".join(shown)


@settings(max_examples=150)
@given(edges)
def test_orders_and_circles_agree_with_networkx(pairs):
    prompt = prompt_of(pairs)
    reference = topology.to_networkx(prompt)
    circles = topology.cycles(prompt)
    assert bool(circles) != nx.is_directed_acyclic_graph(reference)
    on_a_circle = {
        node
        for part in nx.strongly_connected_components(reference)
        for node in part
        if len(part) > 1 or reference.has_edge(node, node)
    }
    assert {node for circle in circles for node in circle} == on_a_circle
    for circle in circles:
        if len(circles) < 12:
            assert all(reference.has_edge(a, b) for a, b in zip(circle, [*circle[1:], circle[0]]))
    if not circles:
        place = {node: at for at, node in enumerate(topology.order(prompt))}
        assert all(place[a] < place[b] for a, b in reference.edges)
        assert [sorted(part) for part in topology.generations(prompt)] == [
            sorted(part) for part in nx.topological_generations(reference)
        ]


@settings(max_examples=100)
@given(edges)
def test_groups_hold_every_node_once_with_sources_first(pairs):
    prompt = prompt_of(pairs)
    reads = topology.sources(prompt)
    groups = topology.groups(reads)
    place = {node: at for at, group in enumerate(groups) for node in group}
    assert sorted(node for group in groups for node in group) == sorted(prompt)
    assert all(place[source] <= place[node] for node, read in reads.items() for source in read)
