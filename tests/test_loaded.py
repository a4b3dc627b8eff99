"""Modules that another thread is importing are not looked into: torch has its functions before it has its types."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from engine.execute.measures import device_peak
from engine.loaded import loaded
from engine.plugins import traces

HALF = """
import threading
begun, go_on = threading.Event(), threading.Event()
def get_default_dtype():
    raise RuntimeError("unsupported scalarType")
class cuda:
    def is_initialized():
        raise RuntimeError("not yet")
begun.set()
go_on.wait(20)
"""


@pytest.fixture
def half_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A module that a thread is in the middle of importing; calling it lets the import end."""
    (tmp_path / "half_imported_module.py").write_text(HALF)
    monkeypatch.syspath_prepend(str(tmp_path))
    thread = threading.Thread(target=lambda: __import__("half_imported_module"))
    thread.start()
    while not hasattr(sys.modules.get("half_imported_module"), "go_on"):
        thread.join(0.001)
    module = sys.modules["half_imported_module"]
    assert module.begun.wait(20)

    def end() -> ModuleType:
        module.go_on.set()
        thread.join()
        return module

    yield end
    end()
    del sys.modules["half_imported_module"]


def test_a_module_is_there_once_its_import_has_ended(half_imported) -> None:
    assert loaded("half_imported_module") is None
    assert loaded("no_such_module") is None
    assert half_imported() is loaded("half_imported_module")


def test_torch_that_is_being_imported_is_left_alone(half_imported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys.modules["half_imported_module"])
    assert traces._default_type() is None
    assert device_peak() == 0


def test_looking_imports_nothing() -> None:
    code = "import sys; from engine.loaded import loaded; print(loaded('torch'), 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "None False\n"
