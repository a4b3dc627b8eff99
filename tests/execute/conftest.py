"""A laboratory for the executor: small nodes, graphs written in one line each, and runs told as a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.api import node
from engine.authoring.decorator import definition_of
from engine.authoring.definition import NodeDefinition
from engine.cache.facade import Cache
from engine.execute import events
from engine.execute.executor import Executor
from engine.execute.phases import MOVES, NAMES
from engine.execute.result import RunResult
from engine.execute.services import Services
from engine.execute.state import NodeState
from engine.graph.prompt import Link, Node, Prompt
from engine.graph.schema import Catalogue


def graph(**nodes: tuple[str, dict[str, Any]]) -> Prompt:
    """A prompt from `id=(type, inputs)`; the text "@id" or "@id:slot" is a link."""
    return {node_id: Node(kind, {n: _input(v) for n, v in inputs.items()}) for node_id, (kind, inputs) in nodes.items()}


def _input(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("@"):
        name, _, slot = value[1:].partition(":")
        return Link(name, int(slot or 0))
    return value


def tell(event: events.Event) -> str | None:
    """One line of the log, or None for events that it leaves out."""
    match event:
        case events.NodesCached(nodes=nodes) if nodes:
            return f"reused {', '.join(nodes)}"
        case events.NodeReused():
            return f"reused {event.node}"
        case events.NodeFinished():
            return f"{'remade' if event.remade else 'ran'} {event.node}"
        case events.NodeExpanded():
            return f"expanded {event.node} into {', '.join(event.nodes)}"
        case events.NodeSkipped():
            return f"skipped {event.node} ({event.reason})"
        case events.NodeFailed():
            return f"failed {event.node}: {event.message}"
        case events.Warned():
            return f"warned of {event.node}"
    return None


class Lab:
    """An executor with its cache and its nodes; `reopen` is what a new process would see."""

    def __init__(self, folder: Path | None = None, services: Services | None = None, **cache: Any) -> None:
        self.folder = folder
        self.services = services
        self.cache_options = cache
        self.definitions: dict[str, NodeDefinition] = {}
        self.catalogue = Catalogue()
        self.events: list[events.Event] = []
        self.imported: list[str] = []
        self._open()

    def node(self, name: str, *, trusted: bool = False, **options: Any) -> Callable[[Any], Any]:
        """The `@node` decorator, and the node becomes known here; `trusted` as the built-in ones are."""

        def declare(target: Any) -> Any:
            definition = definition_of(node(name, **options)(target))
            assert definition is not None
            definition.trusted = trusted
            self.add(definition)
            return target

        return declare

    def add(self, definition: NodeDefinition) -> None:
        self.definitions[definition.spec.name] = definition
        self.catalogue.add(definition.spec)

    def run(self, prompt: Prompt, *outputs: str, **options: Any) -> str:
        """Run and tell: one line per notable event."""
        self.events = []
        self.result: RunResult = self.executor.run_sync(
            prompt, outputs, sink=self.events.append, values=outputs, **options
        )
        return "\n".join(line for event in self.events if (line := tell(event)) is not None)

    def values(self, name: str) -> tuple[Any, ...]:
        return self.result.values[name]

    def value(self, name: str) -> Any:
        return self.result.values[name][0]

    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, events.Warned)]

    def reopen(self, **cache: Any) -> None:
        self.close()
        self.cache_options = {**self.cache_options, **cache}
        self._open()

    def close(self) -> None:
        self.executor.close()
        self.cache.close()

    def _open(self) -> None:
        self.cache = Cache(self.folder, **self.cache_options)
        self.executor = Executor(self._definition, self.catalogue, self.cache, services=self.services)

    def _definition(self, name: str) -> NodeDefinition:
        self.imported.append(name)
        return self.definitions[name]


def add_arithmetic(lab: Lab) -> None:
    """The nodes that most tests use."""

    @lab.node("Add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    @lab.node("Halve")
    def halve(a: int) -> int:
        return a // 2

    @lab.node("Show", output=True)
    def show(ctx: Any, a: int) -> None:
        from engine.api import WithUi

        return WithUi(ui={"text": [str(a)]})


@pytest.fixture(autouse=True)
def only_legal_moves(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Holds every move between phases against the table, in every run of these tests."""
    enter, wrong = NodeState.enter, set[str]()

    def checked(state: NodeState, phase: int) -> None:
        if phase not in MOVES[state.phase]:
            wrong.add(f"{NAMES[state.phase]} → {NAMES[phase]}")
        enter(state, phase)

    monkeypatch.setattr(NodeState, "enter", checked)
    yield
    assert wrong == set()


@pytest.fixture
def make_lab() -> Iterator[Callable[..., Lab]]:
    """Makes laboratories and closes them."""
    made: list[Lab] = []

    def make(*args: Any, **options: Any) -> Lab:
        lab = Lab(*args, **options)
        add_arithmetic(lab)
        made.append(lab)
        return lab

    yield make
    for lab in made:
        lab.close()


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A laboratory with a cache in RAM."""
    return make_lab()


@pytest.fixture(name="graph")
def graph_fixture() -> Callable[..., Prompt]:
    """Writes graphs: `graph(a=("Add", {"a": 1}), b=("Add", {"a": "@a"}))`."""
    return graph
