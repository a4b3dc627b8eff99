"""Reading a graph off a Python script, as `script_write` writes it and people change it. Nothing is run: the text is parsed.

What is read: `g = Graph(…)` (or `with Graph(…) as g:`), calls of nodes on it whose arguments are constants, outputs and names of
either, and assignments of all these. Imports, docstrings, and what stands under `if __name__ == "__main__":` or
`if TYPE_CHECKING:` are passed over. Everything else is refused, with its line.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.graph.entries import Entries, named_inputs, plain_name
from engine.graph.jsontext import MAX_DEPTH, parse_json
from engine.graph.problems import GraphError, problem, shown
from engine.graph.prompt import Link
from engine.graph.schema import Catalogue

_BESIDE: Final = ("_id", "_title")
_MOST_DEEP: Final = 2 * MAX_DEPTH


class Script(NamedTuple):
    """A graph as a script builds it: the prompt form, and the saved workflow that the script carries, if it does."""

    prompt: dict[str, Any]
    canvas: dict[str, Any] | None


def looks_like_script(text: str) -> bool:
    """Whether a text may be a script that builds a graph."""
    return "engine.build" in text and "Graph(" in text


def read_script(text: str, catalogue: Catalogue) -> Script:
    """The graph that a script builds; nothing of it is run.

    Nodes need not be known, nor their values be right: that is for the check of the graph. Raises GraphError `invalid_script`
    with the line, for text that is no Python and for Python that does more than build a graph.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise _refusal(error.lineno or 1, f"{error.msg}", "Correct the line: it is no Python.") from error
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL byte; nested too deeply
        raise _refusal(1, str(error) or "nested too deeply", "Correct the file: it is no Python.") from error
    reader = _Reader(catalogue)
    reader.block(tree.body)
    return reader.result()


class _Node(NamedTuple):
    """What a call of a node gives."""

    id: str | int
    class_type: str
    slot: int = 0


class _Graph(NamedTuple):
    """What `Graph()` gives."""


class _Reader:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._entries: Entries | None = None
        self._canvas: dict[str, Any] | None = None
        self._known: dict[str, Any] = {}

    def result(self) -> Script:
        if self._entries is None:
            raise _refusal(1, "there is no Graph()", "Begin with g = Graph().")
        return Script(self._entries.prompt(), self._canvas)

    def block(self, statements: Iterable[ast.stmt]) -> None:
        for one in statements:
            if isinstance(one, ast.Import | ast.ImportFrom | ast.Pass) or _is_docstring(one):
                continue
            if isinstance(one, ast.If) and _is_aside(one.test):
                continue  # the other branch too: it is an import
            if isinstance(one, ast.With) and len(one.items) == 1 and self._is_graph(one.items[0].context_expr):
                self._assign(one.items[0].optional_vars, self._value(one.items[0].context_expr))
                self.block(one.body)
            elif isinstance(one, ast.Assign) and len(one.targets) == 1:
                self._assign(one.targets[0], self._value(one.value))
            elif isinstance(one, ast.AnnAssign) and one.value is not None:
                self._assign(one.target, self._value(one.value))
            elif isinstance(one, ast.Expr) and isinstance(one.value, ast.Call):
                self._call(one.value)
            else:
                raise _beyond(one)

    def _assign(self, target: ast.expr | None, value: Any) -> None:
        if isinstance(target, ast.Tuple | ast.List) and all(isinstance(one, ast.Name) for one in target.elts):
            if type(value) is not _Node:
                raise _refusal(target.lineno, "only the outputs of a node can be unpacked")
            spec = self._catalogue.spec(value.class_type)
            if spec is not None and not spec.more_outputs and len(spec.outputs) != len(target.elts):
                has = f"{value.class_type} has {len(spec.outputs)} outputs, and {len(target.elts)} names are given"
                raise _refusal(target.lineno, has, "Give a name to each; _ where one is not used.")
            for slot, one in enumerate(target.elts):
                self._known[one.id] = value._replace(slot=slot)  # type: ignore[attr-defined]  # a name
        elif isinstance(target, ast.Name):
            self._known[target.id] = value
        elif target is not None:
            raise _beyond(target)

    def _is_graph(self, value: ast.expr) -> bool:
        return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Graph"

    def _value(self, value: ast.expr, depth: int = 0) -> Any:
        """What an expression stands for: a constant, a list or dict of them, a node."""
        if depth > _MOST_DEEP:
            raise _refusal(value.lineno, "nested too deeply")
        if isinstance(value, ast.Constant) and (value.value is None or type(value.value) in (str, int, float, bool)):
            return value.value
        if isinstance(value, ast.Name):
            if value.id not in self._known:
                raise _refusal(value.lineno, f"{value.id} is not known here", "Assign it before it is used.")
            return self._known[value.id]
        if isinstance(value, ast.List | ast.Tuple):
            return [self._value(one, depth + 1) for one in value.elts]
        if isinstance(value, ast.Dict):
            return self._dict(value, depth)
        if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub | ast.UAdd):
            inner = self._value(value.operand, depth + 1)
            if type(inner) in (int, float):
                return -inner if isinstance(value.op, ast.USub) else inner
        if isinstance(value, ast.Subscript | ast.Attribute):
            return self._part(value, depth)
        if isinstance(value, ast.Call):
            return self._call(value)
        raise _beyond(value)

    def _dict(self, value: ast.Dict, depth: int) -> dict[str, Any]:
        result = {}
        for key, one in zip(value.keys, value.values):
            if not isinstance(key, ast.Constant) or type(key.value) is not str:
                raise _refusal(value.lineno, "the keys of a dict must be texts")
            result[key.value] = self._value(one, depth + 1)
        return result

    def _part(self, value: ast.Subscript | ast.Attribute, depth: int) -> _Node:
        """`loaded[2]`, `loaded.VAE`: an output of a node."""
        node = self._value(value.value, depth + 1)
        if type(node) is not _Node:
            raise _beyond(value)
        if isinstance(value, ast.Subscript):
            if not isinstance(value.slice, ast.Constant) or type(value.slice.value) is not int:
                raise _refusal(value.lineno, "the number of an output must stand there")
            return node._replace(slot=value.slice.value)
        spec = self._catalogue.spec(node.class_type)
        names = [plain_name(one.name) for one in spec.outputs] if spec is not None else []
        if value.attr not in names:
            has = f"It has {', '.join(names)}." if names else "Give the number of the output, such as [0]."
            raise _refusal(value.lineno, f"{node.class_type} has no output {value.attr}", has)
        return node._replace(slot=names.index(value.attr))

    def _call(self, call: ast.Call) -> Any:
        function = call.func
        if isinstance(function, ast.Name) and function.id == "float" and len(call.args) == 1:
            return self._float(call)
        if self._is_graph(call):
            return self._begin(call)
        if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
            raise _beyond(call)
        if self._entries is None or type(self._known.get(function.value.id)) is not _Graph:
            raise _refusal(call.lineno, f"{function.value.id} is no graph", "Begin with g = Graph().")
        places, names = self._arguments(call)
        try:
            return self._on_graph(self._entries, function.attr, places, names, call.lineno)
        except GraphError as error:
            raise GraphError([_at(one, call.lineno) for one in error.problems]) from error
        except (TypeError, ValueError) as error:
            raise _refusal(call.lineno, f"g.{function.attr}: {error}") from error

    def _begin(self, call: ast.Call) -> _Graph:
        if self._entries is not None:
            raise _refusal(call.lineno, "there is more than one Graph()", "Put each graph into a file of its own.")
        given = {one.arg: self._value(one.value) for one in call.keywords}
        if call.args or not given.keys() <= {"titles"} or type(given.get("titles", False)) is not bool:
            raise _refusal(call.lineno, "Graph() takes titles=True here, and nothing else")
        self._entries = Entries(self._catalogue, titles=given.get("titles", False))
        return _Graph()

    def _float(self, call: ast.Call) -> float:
        told = self._value(call.args[0])
        if type(told) is str and told.lower() in ("nan", "inf", "-inf"):
            return float(told)
        raise _beyond(call)

    def _arguments(self, call: ast.Call) -> tuple[list[Any], dict[str, Any]]:
        names: dict[str, Any] = {}
        for one in call.keywords:
            value = self._value(one.value)
            if one.arg is not None:
                names[one.arg] = value
            elif isinstance(value, dict):
                names |= value
            else:
                raise _beyond(one.value)
        return [self._value(one) for one in call.args], names

    def _on_graph(self, entries: Entries, name: str, places: Sequence[Any], names: dict[str, Any], line: int) -> Any:
        if name == "link":
            node_id, slot = _shaped(places, (str, int), (int,))
            return _Node(node_id, "", slot)
        if name == "order":
            return entries.order(_shaped(places, *[(str,)] * len(places)))
        if name == "entry":
            node_id, entry = _shaped(places, (str,), (object,))
            return entries.put(node_id, _plain(entry))
        if name == "drawn":
            (canvas,) = _shaped(places, (str, dict))
            canvas = parse_json(canvas) if isinstance(canvas, str) else canvas
            if not isinstance(canvas, dict):
                raise TypeError("a workflow is a JSON object")
            self._canvas = canvas
            return None
        if name == "node":
            class_type, *places = places
            if type(class_type) is not str:
                raise TypeError("the first argument is the class of the node, as text")
            inputs = places.pop(0) if places and type(places[0]) is dict else {}
            return self._add(entries, class_type, places, names, inputs)
        return self._add(entries, name, places, names, {})

    def _add(
        self,
        entries: Entries,
        class_type: str,
        places: Sequence[Any],
        names: dict[str, Any],
        inputs: Mapping[str, Any],
    ) -> _Node:
        beside = {key: names.pop(key, None) for key in _BESIDE}
        names = {**inputs, **names}
        if not all(value is None or type(value) is str for value in beside.values()):
            raise TypeError("_id and _title are texts")
        node_id = beside["_id"] if beside["_id"] is not None else entries.next_id()
        given = named_inputs(node_id, class_type, self._catalogue.spec(class_type), places, names)
        read = {name: Link(*_end(value)) if type(value) is _Node else _plain(value) for name, value in given.items()}
        entries.add(node_id, class_type, read, beside["_title"])
        return _Node(node_id, class_type)


def _end(node: _Node) -> tuple[Any, int]:
    return node.id, node.slot


def _shaped(places: Sequence[Any], *kinds: tuple[type, ...]) -> Sequence[Any]:
    if len(places) != len(kinds) or not all(isinstance(one, kind) for one, kind in zip(places, kinds)):
        raise TypeError("its arguments are not those that it takes")
    return places


def _plain(value: Any) -> Any:
    """A constant; an output within a list or a dict is none. Raises TypeError."""
    if isinstance(value, _Node | _Graph):
        raise TypeError("an output can only be given to an input itself")
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _is_docstring(one: ast.stmt) -> bool:
    return isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)


def _is_aside(test: ast.expr) -> bool:
    """`__name__ == "__main__"` and `TYPE_CHECKING`."""
    if isinstance(test, ast.Compare):
        return isinstance(test.left, ast.Name) and test.left.id == "__name__"
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _beyond(one: ast.AST) -> GraphError:
    """The refusal of what is Python, and more than is read."""
    try:
        said = ast.unparse(one).partition("\n")[0]
    except (RecursionError, ValueError):
        said = type(one).__name__
    return _refusal(getattr(one, "lineno", 1), shown(said))


def _at(one: Any, line: int) -> Any:
    return problem(**{**_facts(one), "details": f"line {line}: {one.details or one.message}"})


def _facts(one: Any) -> Mapping[str, Any]:
    names = ("type", "message", "hint", "node_id", "class_type", "input_name", "expected")
    return {name: getattr(one, name) for name in names}


def _refusal(line: int, what: str, hint: str = "") -> GraphError:
    return GraphError([problem("invalid_script", details=f"line {line}: {what}", hint=hint)])
