"""What the source files say without running them: digests of their code, and which of them a module can reach."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
from xxhash import xxh3_128_hexdigest

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_TRIES = 5
_IMPORTERS = frozenset({"import_module", "__import__", "find_spec"})


class Source(msgspec.Struct, frozen=True):
    """One source file. `raw` is the digest of its bytes, `code` that of its syntax tree without comments and docstrings."""

    size: int
    mtime_ns: int
    raw: str
    code: str
    imports: tuple[str, ...]


class Sources:
    """The source files by module name, each read again only when its size or modification time is another."""

    def __init__(self, files: Mapping[str, Path], known: Mapping[str, Source]) -> None:
        """`known` are the sources of an earlier run, by path."""
        self._files = files
        self._known = known
        self.read: dict[str, Source] = {}
        """Every source asked for, by path; keep it for the next run."""

    def source(self, module: str) -> Source:
        """The source of `module`; one without code where its file cannot be read."""
        path = self._files[module]
        key = str(path)
        if key not in self.read:
            try:
                self.read[key] = self._source(module, path)
            except OSError as error:  # importing it will tell more
                self.read[key] = Source(0, 0, f"unreadable: {error}", f"unreadable: {error}", ())
        return self.read[key]

    def _source(self, module: str, path: Path) -> Source:
        facts = path.stat()
        old = self._known.get(str(path))
        if old is not None and (old.size, old.mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            return old
        return _read(path, module, facts.st_size, facts.st_mtime_ns)

    def names(self) -> list[str]:
        """Every known module."""
        return list(self._files)

    def reach(self, modules: Iterable[str], closed: Collection[str] = ()) -> list[str]:
        """`modules` and all known ones that they import, directly or not, at the top of a file or inside a function.

        One whose name stands in a text counts as imported too: it is looked up with importlib, or in a table of names. So do all
        modules of a package that looks into its own folder, unless it is one of `closed`.
        """
        pending, seen = list(modules), set()
        while pending:
            module = pending.pop()
            if module.endswith(".*") and module[:-2] not in closed:
                pending += [name for name in self._files if name.rpartition(".")[0] == module[:-2]]
            if module in self._files and module not in seen:
                seen.add(module)
                pending += self.source(module).imports
                pending.append(module.rpartition(".")[0])
        return sorted(seen)

    def code_digest(self, modules: Iterable[str]) -> str:
        """A digest of the code of `modules`: unchanged by comments, docstrings and layout."""
        return _digest(f"{module} {self.source(module).code}" for module in modules)

    def raw_digest(self, modules: Iterable[str]) -> str:
        """A digest of the very bytes of `modules`."""
        return _digest(f"{module} {self.source(module).raw}" for module in modules)


def fingerprint(files: Iterable[Path | str], *facts: str) -> str:
    """A digest of path, size and modification time of each file, and of `facts`; cheap, it reads no file."""
    return _digest([*facts, *(_stat_line(path) for path in files)])


def _stat_line(path: Path | str) -> str:
    try:
        found = os.stat(path)  # noqa: PTH116 - of text too
    except OSError:
        return f"{path} unreadable"
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def _digest(lines: Iterable[str]) -> str:
    return xxh3_128_hexdigest("\n".join(lines).encode())


def _read(path: Path, module: str, size: int, mtime_ns: int) -> Source:
    data = path.read_bytes()
    raw = xxh3_128_hexdigest(data)
    try:
        tree = _parsed(data)
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        _drop_docstrings(tree)
        imports = tuple(sorted({*_imports(tree, package), *_named(tree), *_listed(tree, package), *_asked(tree)}))
        code = xxh3_128_hexdigest(ast.dump(tree).encode("utf-8", "surrogatepass"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # too deeply nested, among others
        return Source(size, mtime_ns, raw, raw, ())
    return Source(size, mtime_ns, raw, code, imports)


def _parsed(data: bytes) -> ast.Module:
    """The tree of a source. Python 3.11 now and then loses count of how deep it is while other threads run, and says so."""
    for _ in range(_TRIES - 1):
        try:
            return ast.parse(data)
        except SystemError:
            continue
    return ast.parse(data)


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Names of all modules that may be imported; for `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def _named(tree: ast.Module) -> Iterator[str]:
    """Texts that may be names of modules: dotted ones, and what is given to functions that import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]  # of `module:name` too
            if _DOTTED.fullmatch(name):
                yield name
        elif isinstance(node, ast.Call) and _called(node.func) in _IMPORTERS:
            yield from (one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _listed(tree: ast.Module, package: str) -> Iterator[str]:
    """`package.*` for a package that looks into its own folder for modules: it may import any of them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func) == "iter_modules":
            yield f"{package}.*"


def _asked(tree: ast.Module) -> Iterator[str]:
    """`ctx.models.NAME` for what a node asks of its context: no module, but what records read off a node's code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ctx.models":
            yield f"ctx.models.{node.attr}"


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _drop_docstrings(tree: ast.Module) -> None:
    """Remove the strings that stand alone as statements: docstrings, and those that describe an attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_string(line)]


def _is_string(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
