"""The shape of a prompt: which nodes an output needs, in which order, and where it goes round in a circle.

All functions are iterative and linear in nodes and links. Links to nodes that do not exist are passed over. networkx is
imported only where a graph algorithm of its is used (cycles, layout): a run in which all is reused never pays for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from engine.graph.problems import GraphError, Problem, problem
from engine.graph.prompt import Link, NodeId, Prompt

if TYPE_CHECKING:
    import networkx as nx

Sources = Mapping[NodeId, Iterable[NodeId]]
"""Node → the nodes it reads, in the order of its inputs; may name a node twice, and nodes that are not there."""

_LONGEST_PATH_SHOWN = 12


def sources(prompt: Prompt) -> dict[NodeId, list[NodeId]]:
    """Node → the nodes it links to, in the order of its inputs."""
    return {
        node_id: [value.node for value in node.inputs.values() if type(value) is Link]
        for node_id, node in prompt.items()
    }


def consumers(prompt: Prompt) -> dict[NodeId, list[NodeId]]:
    """Node → the nodes that read it, each once, in the order of the prompt."""
    return consumers_of(sources(prompt))


def consumers_of(reads: Sources) -> dict[NodeId, list[NodeId]]:
    """`reads` turned round."""
    result: dict[NodeId, list[NodeId]] = {node: [] for node in reads}
    for node, read in reads.items():
        for source in dict.fromkeys(read):
            if source in result:
                result[source].append(node)
    return result


def needed(prompt: Prompt, outputs: Iterable[NodeId]) -> set[NodeId]:
    """The nodes that `outputs` need, themselves included."""
    return reachable(sources(prompt), outputs)


def reachable(reads: Sources, roots: Iterable[NodeId]) -> set[NodeId]:
    """The nodes that can be reached from `roots` along `reads`, the roots included."""
    found: set[NodeId] = set()
    waiting = [root for root in roots if root in reads]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(source for source in reads[node] if source in reads and source not in found)
    return found


def order(prompt: Prompt, outputs: Iterable[NodeId] | None = None) -> list[NodeId]:
    """The nodes that `outputs` (all nodes, by default) need, every node after the ones it reads.

    Depth first, in the order of outputs and inputs: a chain is finished before the next one begins, which frees values
    early. The same prompt always gives the same order.

    Raises GraphError (`dependency_cycle`) when there is none.
    """
    reads = sources(prompt)
    result: list[NodeId] = []
    done: set[NodeId] = set()
    for root in reads if outputs is None else outputs:
        if root in reads and root not in done and not _walk(reads, root, done, result):
            raise GraphError(cycle_problems(prompt, cycles(prompt)))
    return result


def _walk(reads: Sources, root: NodeId, done: set[NodeId], result: list[NodeId]) -> bool:
    """Append `root` and what it needs to `result`, sources first; False when a cycle is met."""
    open_nodes = {root}
    stack: list[tuple[NodeId, Iterator[NodeId]]] = [(root, iter(reads[root]))]
    while stack:
        node, rest = stack[-1]
        for source in rest:
            if source in done or source not in reads:
                continue
            if source in open_nodes:
                return False
            open_nodes.add(source)
            stack.append((source, iter(reads[source])))
            break
        else:
            stack.pop()
            open_nodes.discard(node)
            done.add(node)
            result.append(node)
    return True


def generations(prompt: Prompt) -> list[list[NodeId]]:
    """The nodes by the length of the longest way that leads to them: first those that read nothing, and so on.

    Raises GraphError (`dependency_cycle`).
    """
    depth: dict[NodeId, int] = {}
    for node_id in order(prompt):
        linked = [depth[link.node] for _, link in prompt[node_id].links() if link.node in depth]
        depth[node_id] = max(linked, default=-1) + 1
    result: list[list[NodeId]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node_id in prompt:
        result[depth[node_id]].append(node_id)
    return result


def groups(reads: Sources) -> list[list[NodeId]]:
    """All nodes, sources first, in groups of nodes that need each other: one node each, or all nodes of tangled circles."""
    readers = consumers_of(reads)
    waiting = dict.fromkeys(reads, 0)
    for found in readers.values():
        for reader in found:
            waiting[reader] += 1
    ready = [node for node, count in waiting.items() if count == 0]
    for node in ready:  # grows while it is read
        for reader in readers[node]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                ready.append(reader)
    if len(ready) == len(reads):
        return [[node] for node in ready]

    import networkx as nx

    condensed = nx.condensation(_digraph(reads))
    return [list(condensed.nodes[group]["members"]) for group in nx.topological_sort(condensed)]


def to_networkx(prompt: Prompt) -> nx.DiGraph[str]:
    """The prompt as a directed graph: an edge from each node to each node that reads it."""
    return _digraph(sources(prompt))


def _digraph(reads: Sources) -> nx.DiGraph[str]:
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(reads)
    graph.add_edges_from((source, node) for node, read in reads.items() for source in read if source in reads)
    return graph


def cycles(prompt: Prompt) -> list[list[NodeId]]:
    """Circles that together touch every node that is on one, each in the direction of the links; empty if there are none."""
    return cycles_of(sources(prompt))


def cycles_of(reads: Sources) -> list[list[NodeId]]:
    """`cycles` of a graph given by what each node reads."""
    import networkx as nx

    graph = _digraph(reads)
    position = {node: index for index, node in enumerate(reads)}
    result: list[list[NodeId]] = []
    for component in nx.strongly_connected_components(graph):
        first = min(component, key=position.__getitem__)
        if len(component) > 1 or graph.has_edge(first, first):
            result.extend(_cycles_within(graph, component, position))
    return sorted(result, key=lambda cycle: position[cycle[0]])


def _cycles_within(
    graph: nx.DiGraph[str], component: set[NodeId], position: Mapping[NodeId, int]
) -> list[list[NodeId]]:
    """Short circles through the nodes of one strongly connected component, until every node has been on one."""
    import networkx as nx

    inside = graph.subgraph(component)
    left = sorted(component, key=position.__getitem__)
    seen: set[NodeId] = set()
    result: list[list[NodeId]] = []
    for node in left:
        if node in seen:
            continue
        ways = nx.single_source_shortest_path(inside, node)
        back = min((source for source in inside.predecessors(node)), key=lambda source: len(ways[source]))
        result.append(ways[back])
        seen.update(ways[back])
        if len(result) >= _LONGEST_PATH_SHOWN:  # a dense tangle: the rest is named as one group
            rest = [other for other in left if other not in seen]
            return [*result, rest] if rest else result
    return result


def cycle_problems(prompt: Mapping[NodeId, object], circles: Iterable[list[NodeId]]) -> list[Problem]:
    """One `dependency_cycle` problem for each node that is on one of `circles`, naming the nodes in order."""
    found: dict[NodeId, Problem] = {}
    for circle in circles:
        details = _path_text(circle)
        for node_id in circle:
            class_type = getattr(prompt.get(node_id), "class_type", None)
            found.setdefault(
                node_id, problem("dependency_cycle", node_id=node_id, class_type=class_type, details=details)
            )
    return list(found.values())


def _path_text(circle: list[NodeId]) -> str:
    if len(circle) <= _LONGEST_PATH_SHOWN:
        return " → ".join([*circle, circle[0]])
    left_out = len(circle) - _LONGEST_PATH_SHOWN
    return " → ".join([*circle[:_LONGEST_PATH_SHOWN], f"({left_out} more)", circle[0]])
