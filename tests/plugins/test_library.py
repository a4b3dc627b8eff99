from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.authoring.decorator import node
from engine.authoring.definition import NodeDefinition
from engine.plugins.importing import Loading
from engine.plugins.library import Library
from engine.plugins.loader import NodeLoadError
from engine.plugins.opening import load_library
from engine.sources import Sources

DOUBLE = '''
from engine.api import node

@node("Double{tag}", category="test")
def double(value: int = 1) -> int:
    """Twice the value."""
    return value * 2
'''


class Shelf:
    """A folder of packs, loaded in a fresh process each time, so that nothing is imported yet."""

    def __init__(self, root: Path) -> None:
        self.custom = root / "custom_nodes"
        self.custom.mkdir()
        self.store = root / "catalogue.msgpack"

    def write(self, name: str, source: str) -> None:
        path = self.custom / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        later = path.stat().st_mtime_ns + 1_000_000 * len(list(self.custom.rglob("*.py")))
        os.utime(path, ns=(later, later))

    def tell(self, expression: str, packages: str = "()", engine: Path | None = None) -> str:
        """What `expression` over `library` and `sys` prints in a new process that loads these packs.

        `engine` is the folder of another engine than this one.
        """
        script = (
            "import sys, pathlib\n"
            "from engine.plugins.opening import load_library\n"
            f"library = load_library({packages}, [pathlib.Path({str(self.custom)!r})], pathlib.Path({str(self.store)!r}))\n"
            f"print(({expression}))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=engine)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def version(self, node: str) -> str:
        return self.tell(f"library.catalogue.spec({node!r}).version")


IMPORTED = "sorted(name for name in sys.modules if name.startswith('custom_nodes.'))"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def tagged(tag: str) -> str:
    return DOUBLE.replace("{tag}", tag)


def test_a_file_and_a_folder_are_packs(shelf):
    shelf.write("one.py", tagged("One"))
    shelf.write("two-three/__init__.py", "from .inner.deep import double\n")
    shelf.write("two-three/inner/deep.py", tagged("Two"))
    shelf.write("two-three/inner/__init__.py", "")
    assert shelf.tell("[(spec.name, spec.pack) for spec in library.catalogue]") == (
        "[('DoubleOne', 'one'), ('DoubleTwo', 'two-three')]"
    )


def test_hidden_disabled_and_other_files_are_no_packs(shelf):
    for name in (".hidden.py", "_private.py", "off.disabled/__init__.py", "no_init/nodes.py", "readme.txt"):
        shelf.write(name, "raise Exception")
    assert shelf.tell("len(library.catalogue), library.problems") == "(0, [])"


def test_an_unchanged_catalogue_imports_no_pack_and_a_call_imports_only_its_own(shelf):
    shelf.write("one.py", tagged("One"))
    shelf.write("two.py", tagged("Two"))
    assert shelf.tell(IMPORTED) == "['custom_nodes.one', 'custom_nodes.two']"
    assert shelf.tell(IMPORTED) == "[]"
    assert shelf.tell(f"library.definition('DoubleTwo').run(value=4), {IMPORTED}") == "(8, ['custom_nodes.two'])"


def test_after_an_edit_only_the_edited_pack_is_imported(shelf):
    shelf.write("one.py", tagged("One"))
    shelf.write("two.py", tagged("Two"))
    shelf.tell("1")
    shelf.write("two.py", tagged("Two").replace("* 2", "* 3"))
    assert shelf.tell(IMPORTED) == "['custom_nodes.two']"
    assert shelf.tell("library.definition('DoubleTwo').run(value=4)") == "12"


def test_the_version_changes_with_code_and_not_with_comments_or_docs(shelf):
    shelf.write("one.py", tagged("One"))
    before = shelf.version("DoubleOne")
    shelf.write(
        "one.py", "# a comment\n" + tagged("One").replace("Twice", "Two times").replace("value * 2", "(value  *  2)")
    )
    assert shelf.version("DoubleOne") == before
    assert shelf.tell("library.catalogue.spec('DoubleOne').doc") == "Two times the value."
    shelf.write("one.py", tagged("One").replace("value * 2", "value * 3"))
    assert shelf.version("DoubleOne") != before


def test_the_version_changes_with_any_file_of_the_pack(shelf):
    shelf.write("pack/__init__.py", tagged("One"))
    shelf.write("pack/helper.py", "factor = 2")
    before = shelf.version("DoubleOne")
    shelf.write("pack/helper.py", "factor = 3")
    assert shelf.version("DoubleOne") != before


def test_the_definition_carries_the_version_of_the_catalogue(shelf):
    shelf.write("one.py", tagged("One"))
    assert shelf.tell("library.definition('DoubleOne').spec is library.catalogue.spec('DoubleOne')") == "True"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nothing_of_this_name", "line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("x = 1\ndef broken(:\n", "line 2: SyntaxError"),
        ("import sys\nsys.exit(3)", "line 2: SystemExit: 3"),
        ("raise Exception('no GPU here')", "line 1: Exception: no GPU here"),
        (
            "from engine.api import node\n@node('A')\ndef a(x): ...",
            "NodeDeclarationError: Node A: parameter 'x' has no type",
        ),
    ],
)
def test_a_broken_pack_is_reported_and_the_others_load(shelf, source, said):
    shelf.write("bad.py", source)
    shelf.write("good.py", tagged("Good"))
    assert said in shelf.tell("library.problems[0].message")
    assert shelf.tell("[spec.name for spec in library.catalogue]") == "['DoubleGood']"


def test_bounds_that_no_64_bits_hold_are_kept_as_floats(shelf):
    """A whole number below -2^63 or from 2^64 on cannot be stored as one; before, it took every node away."""
    shelf.write(
        "wide.py",
        "from typing import Annotated\n"
        "from engine.api import In, node\n"
        "@node('Wide')\n"
        "def wide(seconds: Annotated[float, In(ge=-(2**64 - 1), le=2**64, tip='')] = 0.0) -> float: return seconds\n",
    )
    said = shelf.tell("[(one.ge, one.le) for one in library.catalogue.spec('Wide').inputs], library.problems")
    assert said == "([(-1.8446744073709552e+19, 1.8446744073709552e+19)], [])"


def test_a_mended_pack_loads(shelf):
    shelf.write("one.py", "import nothing_of_this_name")
    assert shelf.tell("len(library.problems)") == "1"
    shelf.write("one.py", tagged("One"))
    assert shelf.tell("len(library.problems), len(library.catalogue)") == "(0, 1)"


def test_of_two_packs_with_a_node_of_one_name_the_later_has_it_and_both_are_told(shelf):
    shelf.write("a.py", tagged("Same"))
    shelf.write("b.py", tagged("Same").replace("* 2", "* 5"))
    told = shelf.tell(
        "library.definition('DoubleSame').run(value=1), [(one.pack, one.message) for one in library.problems]"
    )
    assert told.startswith("(5, ")
    assert "('a', 'node DoubleSame is replaced by that of custom_nodes.b" in told
    assert "('b', 'node DoubleSame replaces that of custom_nodes.a" in told


def test_aliases_lead_to_the_node(shelf):
    shelf.write("one.py", tagged("One") + "\nALIASES = {'OldDouble': 'DoubleOne'}\n")
    for _ in range(2):
        assert shelf.tell("library.definition('OldDouble').run(value=3), library.catalogue.spec('OldDouble').name") == (
            "(6, 'DoubleOne')"
        )


@pytest.mark.parametrize("damage", [b"", b"not msgpack", b"\x81\xa6format\x63"])
def test_a_damaged_catalogue_is_made_again(shelf, damage):
    shelf.write("one.py", tagged("One"))
    shelf.tell("1")
    shelf.store.write_bytes(damage)
    assert shelf.tell("[spec.name for spec in library.catalogue]") == "['DoubleOne']"
    assert shelf.tell(IMPORTED) == "[]"


def test_a_folder_that_cannot_be_written_costs_only_time(shelf, tmp_path):
    shelf.write("one.py", tagged("One"))
    (tmp_path / "file").touch()
    shelf.store = tmp_path / "file" / "catalogue.msgpack"
    assert shelf.tell("len(library.catalogue)") == "1"


def test_an_unknown_node_is_an_error_by_name():
    with pytest.raises(NodeLoadError, match="'Nothing'"):
        Library([], [], []).definition("Nothing")


def test_a_node_that_left_its_module_is_an_error_that_says_so(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.write("leaving.py", tagged("Leaving"))
    shelf.tell("1")
    library = load_library((), [shelf.custom], shelf.store)
    shelf.write("leaving.py", "")
    with pytest.raises(NodeLoadError, match=r"leaving\.py no longer has the node DoubleLeaving"):
        library.definition("DoubleLeaving")


def test_threads_that_ask_at_once_get_one_import(tmp_path):
    shelf = Shelf(tmp_path)
    count = tmp_path / "count"
    shelf.write("slow.py", f"import time\nopen({str(count)!r}, 'a').write('x')\ntime.sleep(0.05)\n" + tagged("Slow"))
    shelf.tell("1")
    count.write_text("")
    library = load_library((), [shelf.custom], shelf.store)
    gate = threading.Barrier(4)

    def ask(_: int) -> NodeDefinition:
        gate.wait()
        return library.definition("DoubleSlow")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert all(one is found[0] for one in found)
    assert count.read_text() == "x"


def test_results_of_packs_are_void_once_what_stands_between_them_and_the_engine_is_another(shelf, tmp_path):
    other = tmp_path / "other_engine"
    for package in ("engine", "nodes"):
        source = Path(__file__).parents[2] / package
        shutil.copytree(source, other / package, ignore=shutil.ignore_patterns("editor", "__pycache__"))
    shelf.write("one.py", tagged("One"))
    names = "('DoubleOne', 'ImageInvert')"
    asked = f"[sys.modules['engine'].__file__, *(library.catalogue.spec(name).version for name in {names})]"

    def versions() -> list[str]:
        found, *versions = ast.literal_eval(shelf.tell(asked, "('nodes',)", other))
        assert Path(found).is_relative_to(other)
        return versions

    before = versions()
    for name in ("adapters/results.py", "compat/resizing.py"):
        path = other / "engine" / "plugins" / name
        path.write_text(path.read_text() + "\nANOTHER = 1\n")
        after = versions()
        assert after[0] != before[0], name
        assert after[1] == before[1], "of a built-in node"
        before = after
    mask = other / "nodes" / "mask.py"
    mask.write_text(mask.read_text() + "\nANOTHER = 1\n")
    after = versions()
    assert after[0] != before[0], "packs get every core node as a class"
    assert after[1] == before[1], "of a built-in node of another family"


def reach_of(tmp_path: Path, code: str) -> list[str]:
    """What a module `shelf.asker` with `code` reaches among modules of a package `shelf`."""
    files = {}
    for name, text in {"asker": code, "named": "", "other": "from shelf import behind", "behind": ""}.items():
        files[f"shelf.{name}"] = tmp_path / f"{name}.py"
        files[f"shelf.{name}"].write_text(text)
    files["tool"] = tmp_path / "tool.py"
    files["tool"].write_text("")
    return Sources(files, {}).reach(["shelf.asker"])


@pytest.mark.parametrize(
    "code",
    [
        "from shelf import other",
        "def later():\n    from . import other",
        "import importlib\nmodule = importlib.import_module('shelf.other')",
        "from importlib import import_module as load\nTABLE = {'field.other': 'shelf.other'}\nload(TABLE['field.other'])",
        "import sys\nmodule = sys.modules['shelf.other']",
    ],
    ids=["import", "inside a function", "importlib", "table of names", "sys.modules"],
)
def test_a_module_reaches_what_it_looks_up_by_name(tmp_path, code):
    assert reach_of(tmp_path, code) == ["shelf.asker", "shelf.behind", "shelf.other"]


def test_a_word_is_a_module_only_where_it_is_imported(tmp_path):
    assert reach_of(tmp_path, "WORD = 'tool'") == ["shelf.asker"]
    assert reach_of(tmp_path, "find_spec('tool')") == ["shelf.asker", "tool"]
    assert reach_of(tmp_path, '"""shelf.other"""') == ["shelf.asker"]


def test_an_adapter_finds_nodes_of_another_style(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.write("foreign.py", "STYLE = 'other'\n")

    @node("Adapted")
    def adapted() -> int:
        return 1

    def adapter(module, problems):
        return [adapted.__safelight_node__] if getattr(module, "STYLE", "") == "other" else []

    library = load_library((), [shelf.custom], None, Loading(adapters=(adapter,)))
    assert library.definition("Adapted").run() == 1
    assert library.catalogue.spec("Adapted").pack == "foreign"


def test_a_familys_page_makes_void_what_its_own_models_gave_and_no_other(shelf, tmp_path):
    other = tmp_path / "other_engine"
    for package in ("engine", "nodes"):
        source = Path(__file__).parents[2] / package
        shutil.copytree(source, other / package, ignore=shutil.ignore_patterns("editor", "__pycache__"))
    named = ("CheckpointLoaderSimple", "VAELoader", "KSampler", "CLIPTextEncode", "VAEDecode")
    versions = f"*(library.catalogue.spec(name).version for name in {named})"
    code = "__import__('engine.models.rooms', fromlist=['code_of']).code_of"
    asked = f"[{versions}, {code}('flux'), {code}('sdxl'), {code}('', 'flux2'), {code}('', 'kl')]"
    names = [*named, "flux", "sdxl", "flux2 VAE", "KL VAE"]

    def changed(before: list[str], path: str) -> tuple[set[str], list[str]]:
        file = other / "engine" / "models" / path
        file.write_text(file.read_text() + "\nANOTHER = 1\n")
        after = ast.literal_eval(shelf.tell(asked, "('nodes',)", other))
        return {name for name, old, new in zip(names, before, after, strict=True) if old != new}, after

    before = ast.literal_eval(shelf.tell(asked, "('nodes',)", other))
    opening = {"CheckpointLoaderSimple", "VAELoader"}
    for path, own in (
        ("families/flux.py", {"flux"}),
        ("networks/flux.py", {"flux"}),
        ("towers/t5_encoder.py", {"flux"}),
        ("autoencoders/flux2.py", {"flux2 VAE"}),
        ("families/sdxl.py", {"sdxl"}),
    ):
        found, before = changed(before, path)
        assert found == opening | own, path
    found, _ = changed(before, "network.py")
    assert {"KSampler", "CheckpointLoaderSimple"} <= found, "what all families share"
