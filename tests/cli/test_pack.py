"""`safelight pack new` and `safelight pack test`, as somebody uses them who writes a pack."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.harness import until

ROOT = Path(__file__).resolve().parents[2]


def new(base: Any, name: str = "my_pack") -> Path:
    base.run("pack", "new", name, apart=False)
    return Path(base.folder / "custom_nodes" / name)


def examined(base: Any, pack: Any, *options: str, code: int = 1) -> dict[str, Any]:
    return dict(base.json("pack", "test", str(pack), "--no-tests", *options, code=code, apart=False))


def texts(report: dict[str, Any], state: str) -> list[str]:
    return [f"{one['area']}: {one['text']}" for one in report["findings"] if one["state"] == state]


# -- new


def test_a_new_pack_has_nodes_that_run_at_once(base):
    new(base, "warm_colors")
    assert "0…1; default 0.5" in base.run("nodes", "WarmColorsFade").out
    graph = base.write("greet.json", {"1": {"class_type": "WarmColorsGreet", "inputs": {"name": "you"}}})
    assert "Hello you!" in base.run("run", graph).out


def test_a_new_pack_passes_its_own_tests_and_is_found_sound(base):
    report = base.json("pack", "test", str(new(base)), code=0, apart=False)
    assert report["status"] == "ok"
    assert report["nodes"] == ["MyPackFade", "MyPackGreet"]
    assert "tests: 2 passed" in " ".join(texts(report, "ok"))


def test_the_tests_of_a_new_pack_pass_with_plain_pytest(base):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=new(base), env=base.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_a_new_pack_is_written_as_our_own_code_is(base):
    pack = new(base)
    settings = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for check in (["format", "--check"], ["check"]):
        command = [sys.executable, "-m", "ruff", *check, *settings, str(pack)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_a_new_pack_can_be_installed_and_is_found_by_its_entry_point(base, tmp_path):
    pack = new(base, "wheel_pack")
    (pack / "web").mkdir()
    (pack / "web" / "safelight.js").write_text("export default () => {};\n")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    done = subprocess.run(command, cwd=pack, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        packed.extractall(tmp_path / "site")
    assert {"wheel_pack/__init__.py", "wheel_pack/web/safelight.js"} <= names
    assert not [name for name in names if not name.startswith("wheel_pack/") or "tests" in name]
    script = (
        "from engine.plugins.opening import load_library\n"
        "print([(one.pack, [spec.name for spec in one.specs]) for one in load_library((), ()).foreign])"
    )
    path = os.pathsep.join([str(ROOT), str(tmp_path / "site")])
    listed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.strip() == "[('wheel_pack', ['WheelPackFade', 'WheelPackGreet'])]"


def test_a_new_pack_can_be_made_elsewhere(base, tmp_path):
    said = base.run("pack", "new", "my_pack", "--into", str(tmp_path / "deep" / "er"), apart=False).out
    assert (tmp_path / "deep" / "er" / "my_pack" / "__init__.py").is_file()
    assert f"--custom-nodes {tmp_path / 'deep' / 'er'}" in said


@pytest.mark.parametrize(
    ("name", "reason", "suggested"),
    [
        ("My-Pack", "small letters, digits and _", "my_pack"),
        ("myPack", "small letters", "my_pack"),
        ("2fast", "begins with a letter", "fast"),
        ("../up", "small letters", "up"),
        ("class", "a word of Python's own", "class_pack"),
        ("json", "there is a module of that name", "json_pack"),
        ("torch", "there is a module of that name", "torch_pack"),
        ("nodes", "there is a module of that name", "nodes_pack"),
        ("été", "small letters", "t"),
        ("x" * 65, "at most 64 long", "x" * 64),
        ("", "small letters", ""),
    ],
)
def test_a_name_that_will_not_do_is_refused_with_one_that_would(base, name, reason, suggested):
    told = base.run("pack", "new", name, code=2, apart=False).said
    assert reason in told
    assert (f"Try {suggested}." in told) if suggested else ("Try" not in told)
    assert [path.name for path in (base.folder / "custom_nodes").iterdir()] == ["tiny_pack.py"]


def test_a_pack_that_is_there_is_never_touched(base):
    pack = new(base)
    (pack / "__init__.py").write_text("mine")
    assert f"There is {pack} already" in base.run("pack", "new", "my_pack", code=4, apart=False).said
    assert (pack / "__init__.py").read_text() == "mine"
    assert "tiny_pack.py already" in base.run("pack", "new", "tiny_pack", code=4, apart=False).said


def test_a_folder_that_cannot_be_written_is_told(base, tmp_path):
    (tmp_path / "file").write_text("")
    assert (
        "cannot be made"
        in base.run("pack", "new", "my_pack", "--into", str(tmp_path / "file"), code=4, apart=False).said
    )


# -- test


def test_the_example_pack_is_sound(base):
    report = examined(base, ROOT / "custom_nodes" / "example_pack", code=0)
    assert report["status"] == "ok", report["findings"]
    assert len(report["nodes"]) == 16
    assert "values: Palette comes back from disk as it was" in texts(report, "ok")


def test_a_pack_of_the_field_finds_torch_imported(base):
    base.write(
        "v1/__init__.py",
        textwrap.dedent("""
            import torch

            class Thing:
                DESCRIPTION = "A thing."
                CATEGORY = "things"
                RETURN_TYPES = ("INT",)
                FUNCTION = "go"

                @classmethod
                def INPUT_TYPES(cls):
                    return {"required": {"n": ("INT", {"default": 1, "min": 0})}}

                def go(self, n):
                    return (n,)

            NODE_CLASS_MAPPINGS = {"V1Thing": Thing}
        """),
    )
    report = examined(base, base.folder / "v1", code=0)
    assert report["nodes"] == ["V1Thing"]
    assert "torch: imported before the pack is, as for all packs of the field" in texts(report, "ok")


def test_a_nodes_name_may_be_that_of_the_same_pack_in_the_base_directory(base):
    """The base directory's catalogue has the pack that is tested, and what it calls its nodes."""
    pack = new(base)
    (pack / "__init__.py").write_text(
        (pack / "__init__.py").read_text() + '\nALIASES = {"MyPackHello": "MyPackGreet"}\n'
    )
    base.run("nodes")
    assert examined(base, pack, code=0)["status"] == "ok"


def test_a_pack_of_v3_classes_is_tested_too(base):
    source = (ROOT / "tests" / "plugins" / "compat" / "packs" / "v3pack" / "__init__.py").read_text()
    base.write("v3/__init__.py", source)
    report = examined(base, base.folder / "v3")
    assert report["nodes"] == ["V3Later", "V3Sum"]
    assert "nodes: node Bad is left out: line 49: ValueError: no schema" in texts(report, "fail")


NODE = "from typing import Annotated\nfrom engine.api import *\nfrom engine.api import In, Socket, node\n"

WRONG = {
    "raises": ("1 / 0", "import: {path}: line 1: ZeroDivisionError: division by zero"),
    "no_python": ("x = (", "import: {path}: line 1: SyntaxError: '(' was never closed"),
    "exits": ("import sys; sys.exit(3)", "import: {path}: line 1: SystemExit: 3"),
    "kills": ("import os; os._exit(0)", "process: while importing it, the process was ended: it ended with code 0"),
    "signals": (
        "import os; os.kill(os.getpid(), 9)",
        "process: while importing it, the process was ended: signal 9 ended it",
    ),
    "empty": ("", "nodes: custom_nodes.empty has no nodes, files for the editor, or routes"),
    "torch": (
        NODE + "import torch\n@node('T')\ndef t(n: int) -> int: ...",
        "torch: importing the pack imports torch (torch.py line 4), which takes seconds",
    ),
    "core": (NODE + "@node('KSampler')\ndef t(n: int) -> int: ...", "nodes: KSampler is the name of a built-in node"),
    "alias": (
        NODE + "@node('CLIPTextEncode')\ndef t(n: int) -> int: ...",
        "nodes: CLIPTextEncode is the name of a built-in node",
    ),
    "twice": (
        NODE + "@node('T')\ndef t(n: int) -> int: ...\n@node('T')\ndef u(n: int) -> int: ...",
        "nodes: node T is declared 2 times; the last one stays. Rename the others.",
    ),
    "range": (
        NODE + "@node('T')\ndef t(n: Annotated[int, In(ge=3, le=5)] = 9) -> int: ...",
        "inputs: T, input n: the default is 9, and it takes INT from 3 to 5",
    ),
    "bounds": (
        NODE + "@node('T')\ndef t(n: Annotated[int, In(ge=5, le=3)]) -> int: ...",
        "inputs: T, input n: no value lies between 5 and 3",
    ),
    "choice": (
        NODE + "@node('T')\ndef t(n: Annotated[str, In(choices=('a', 'b'))] = 'c') -> int: ...",
        "inputs: T, input n: the default is 'c', and it takes one of a, b",
    ),
    "nan": (
        NODE + "@node('T')\ndef t(n: Annotated[int, In(options={'scale': float('nan')})] = 1) -> int: ...",
        "json: T: input.required.n would reach editors as something else",
    ),
    "object": (
        NODE + "class P: ...\n@node('T')\ndef t(p: P = P()) -> int: ...",
        "Node T: the default of 'p' is a P, and editors keep JSON.",
    ),
    "fact": (
        NODE + "@node('T')\ndef t(n: Annotated[int, In(minimum=1)]) -> int: ...",
        "Unexpected keyword argument 'minimum'",
    ),
    "web": (
        NODE + "WEB_DIRECTORY = 'nowhere'\n@node('T')\ndef t(n: int) -> int: ...",
        "web: WEB_DIRECTORY is 'nowhere', and {folder} has no such folder",
    ),
    "value": (
        NODE
        + "class P(Socket):\n def to_plain(self): return 1\n @classmethod\n def from_plain(cls, plain): return 2\n"
        + "@node('T')\ndef t(n: int) -> P: ...",
        "values: P comes back from disk as another: 2 instead of",
    ),
    "unkept": (
        NODE
        + "class P(Socket):\n def to_plain(self): return object()\n @classmethod\n def from_plain(cls, plain): return cls()\n"
        + "@node('T')\ndef t(n: int) -> P: ...",
        "values: P cannot be kept on disk: No codec for this value of type P: builtins.object is not registered",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_pack_is_told(base, name):
    source, expected = WRONG[name]
    path = base.write(f"{name}.py", source)
    report = examined(base, path)
    found = expected.format(path=path, folder=Path(path).parent)
    assert any(found in text for text in texts(report, "fail")), report["findings"]


def test_all_problems_are_told_at_once_for_people(base):
    path = base.write("many.py", NODE + "@node('KSampler')\ndef t(n: Annotated[int, In(ge=5, le=3)] = 9) -> int: ...")
    told = base.run("pack", "test", path, code=1, apart=False).out
    for part in ("fail  nodes", "fail  inputs", "without category: KSampler", "without docs: KSampler", "→"):
        assert part in told


def test_a_type_that_nobody_makes_is_only_a_warning(base):
    path = base.write(
        "odd_type.py", NODE + "class Gizmo: ...\n@node('T', category='c')\ndef t(p: Gizmo) -> int:\n '''T.'''"
    )
    assert texts(examined(base, path, code=0), "warn") == [
        "types: no node of this pack or built in makes GIZMO, as T.p want"
    ]


def test_megabytes_of_print_do_not_come_through(base):
    loud = "import sys\nfor _ in range(400): sys.stdout.write('x' * 65536)\nprint('the end')\n1 / 0"
    report = examined(base, base.write("loud.py", loud))
    assert len(report["printed"]) < 10_000
    assert "the end" in report["printed"]
    assert "ZeroDivisionError" in report["printed"]


def test_what_a_sound_pack_prints_is_not_shown(base):
    path = base.write("chatty.py", "print('chat')\n" + NODE + "@node('T')\ndef t(n: int) -> int: ...")
    assert examined(base, path, code=0)["printed"] == ""


def test_a_pack_that_hangs_is_ended_and_it_is_shown_where_it_stood(base):
    path = base.write("hangs.py", "def wait():\n    while True: pass\n\nwait()")
    report = examined(base, path, "--seconds", "10")
    assert texts(report, "fail") == ["process: importing it took longer than 10 s"]
    assert "line 2 in wait" in report["printed"]


def test_what_a_pack_starts_is_gone_with_it(base):
    sleeper = (
        "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    )
    path = base.write("starts.py", sleeper + f"open({str(base.folder / 'pid')!r}, 'w').write(str(child.pid))")
    examined(base, path)
    import psutil

    number = int((base.folder / "pid").read_text())

    def is_gone() -> bool:
        try:
            return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(is_gone, "it to end")


def test_a_pack_leaves_nothing_in_the_base_directory(base):
    before = sorted(base.folder.rglob("*"))
    path = base.write(
        "writes.py", "import folder_paths, os\nopen(os.path.join(folder_paths.base_path, 'here'), 'w').close()"
    )
    examined(base, path)
    assert [one for one in sorted(base.folder.rglob("*")) if one not in before] == [Path(path)]


def test_tests_that_fail_fail_the_pack(base):
    pack = new(base)
    (pack / "tests" / "test_nodes.py").write_text("def test_it():\n    assert 1 == 2\n")
    report = base.json("pack", "test", str(pack), code=1, apart=False)
    assert "tests: 1 failed" in texts(report, "fail")[0]
    assert "assert 1 == 2" in report["printed"]


def test_a_package_that_is_missing_is_named_with_where_to_get_it(base):
    base.write("needs/requirements.txt", "no-such-package\n")
    base.write("needs/__init__.py", "import no_such_package\n")
    [found] = examined(base, base.folder / "needs")["findings"]
    assert "ModuleNotFoundError: No module named 'no_such_package'" in found["text"]
    assert found["advice"] == f"pip install -r {base.folder / 'needs' / 'requirements.txt'}"


def test_what_is_no_pack_is_told(base, tmp_path):
    assert "There is no" in base.run("pack", "test", str(tmp_path / "none"), code=4, apart=False).said
    (tmp_path / "folder").mkdir()
    assert texts(examined(base, tmp_path / "folder"), "fail") == [f"import: {tmp_path / 'folder'} is no pack"]


def test_hyphens_and_dots_in_the_name_of_a_folder_are_no_problem(base):
    base.write("odd-pack.v2/__init__.py", "from .inner import t\n")
    base.write("odd-pack.v2/inner.py", NODE + "@node('T')\ndef t(n: int) -> int: ...")
    assert examined(base, base.folder / "odd-pack.v2", code=0)["nodes"] == ["T"]
