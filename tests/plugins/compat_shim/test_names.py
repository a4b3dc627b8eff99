"""Every name that packs import can be imported, and those with nothing behind them say so when they are used."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.plugins.compat.absent import CompatError
from engine.plugins.compat.host import Host

LISTS = Path(__file__).parent / "names.txt"


def listed(name: str) -> list[tuple[str, str]]:
    """(module, name or "") of one of the two lists."""
    section = re.split(r"^# (\w+)$", LISTS.read_text(), flags=re.MULTILINE)
    lines = section[section.index(name) + 1].strip().splitlines()
    pairs = [line.split(": ") if ": " in line else (line.rstrip(":"), "") for line in lines]
    return [(module, one) for module, names in pairs for one in (names.split() or [""])]


@pytest.mark.parametrize("which", ["T90", "full"])
def test_every_listed_name_can_be_imported(host: Host, which: str) -> None:
    missing = []
    for module, name in listed(which):
        found = importlib.import_module(module)
        if name and not hasattr(found, name):
            missing.append(f"{module}.{name}")
    assert len(listed(which)) > 90
    assert missing == ["nodes.VHSLoadFormats"], "packs ask for that one with hasattr, and set it themselves"


def test_the_names_cannot_be_imported_before_a_worker_installs_them() -> None:
    code = "import engine.plugins.compat\ntry:\n    import folder_paths\nexcept ImportError:\n    print('none')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"


def test_installing_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom engine.paths import Paths\nfrom engine.plugins.compat import Host, install_shim\n"
        f"install_shim(Host(Paths({str(tmp_path)!r})))\nimport folder_paths, server, comfy_api.latest, nodes\n"
        "print(nodes.MAX_RESOLUTION, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["16384", "False"]


def test_a_module_that_is_not_on_the_list_is_not_there(host: Host) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"comfy\.nothing_of_that_name"):
        importlib.import_module("comfy.nothing_of_that_name")
    with pytest.raises(ImportError, match="no_such_name"):
        exec("from comfy.utils import no_such_name")


def test_submodules_are_attributes_after_importing_the_package_alone(host: Host) -> None:
    import comfy

    assert comfy.utils.ProgressBar
    assert comfy.model_management.get_torch_device()


def test_an_absent_class_can_be_subclassed_and_tells_what_it_needs_when_it_is_made(host: Host) -> None:
    from comfy.sdxl_clip import SDXLClipModel

    class Mine(SDXLClipModel):
        pass

    with pytest.raises(CompatError, match=r"comfy\.sdxl_clip\.SDXLClipModel.*two towers"):
        Mine()


def test_absent_names_are_true_and_any_use_of_them_tells_their_name(host: Host) -> None:
    from comfy.sdxl_clip import SDXLClipModel
    from comfy.supported_models import models

    assert SDXLClipModel
    assert models
    assert not isinstance(3, SDXLClipModel)
    for use in (lambda: list(models), lambda: models[0], lambda: "a" in SDXLClipModel, lambda: len(SDXLClipModel)):
        with pytest.raises(CompatError, match=r"comfy\.(supported_models\.models|sdxl_clip\.SDXLClipModel)"):
            use()
    assert not hasattr(models, "append")


def test_a_class_of_a_pack_on_an_absent_one_has_only_its_own_attributes(host: Host) -> None:
    from comfy.sdxl_clip import SDXLClipModel

    class Mine(SDXLClipModel):
        FUNCTION = "go"

    assert Mine.FUNCTION == "go"
    assert not hasattr(Mine, "define_schema")
    with pytest.raises(CompatError, match=r"comfy\.sdxl_clip\.SDXLClipModel\.encode"):
        Mine.encode  # noqa: B018 - asked for


def test_the_error_names_the_pack_that_called(host: Host) -> None:
    from comfy.context_windows import create_prepare_sampling_wrapper as load

    file = host.paths.custom_nodes / "seeing-pack" / "nodes.py"
    found: dict[str, Any] = {"load": load}
    exec(compile("def look(): return load('x')", str(file), "exec"), found)
    with pytest.raises(CompatError, match=r"pack seeing-pack uses comfy\.context_windows\..*windows of frames"):
        found["look"]()


def test_what_a_pack_puts_into_a_module_stays_there(host: Host) -> None:
    import comfy.sample

    import nodes

    assert not hasattr(nodes, "VHSLoadFormats")
    nodes.VHSLoadFormats = {"a": 1}
    before, comfy.sample.sample = comfy.sample.sample, "mine"
    again = importlib.import_module("comfy.sample")
    assert again.sample == "mine"
    comfy.sample.sample = before
    del nodes.VHSLoadFormats


def test_the_core_files_that_packs_look_for_are_real_and_in_one_writable_folder(host: Host) -> None:
    import inspect

    import folder_paths
    from server import PromptServer

    one, other = Path(folder_paths.__file__), Path(inspect.getfile(PromptServer))
    assert one.is_file()
    assert other.is_file()
    assert one.parent == other.parent
    (one.parent / "web" / "extensions" / "mine").mkdir()
