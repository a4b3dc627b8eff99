"""In which lane a test runs: its markers, and which modules begin first when several processes share the suite.

`make test` runs everything, one process a core, each with a module at a time; `make test-fast` leaves out what drives a
browser or a real server, and what is slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MARKERS: Final[Mapping[str, tuple[str, ...]]] = {
    "browser": ("tests/web/",),
    "server": (
        "tests/web/",
        "tests/serving/",
        "tests/plugins/compat/",
        "tests/plugins/compat_models/",
        "tests/cli/test_server.py",
        "tests/plugins/test_example_pack.py",
        "tests/worker/test_worker.py",
    ),
    "command": (
        "tests/cli/",
        "tests/mcp_tools/",
        "tests/test_writing_packs.py",
        "tests/plugins/test_attempts.py",
        "tests/plugins/test_library.py",
    ),
    "parity": ("tests/parity/",),
    "slow": (
        "tests/authoring/test_typing.py",
        "tests/building/test_building.py",
        "tests/test_imports.py",
        *(f"tests/plugins/compat_shim/test_{name}.py" for name in ("model_hooks", "network_hooks", "pack_samplers")),
        "tests/plugins/compat_shim/test_weight_patches.py",
        "tests/sampling/test_samplers.py",
        "tests/server/test_fuzz_",
        "tests/training/test_run.py",
        "tests/workflows/test_reuse_with_models.py",
        "tests/workflows/test_running_examples.py",
    ),
}
"""Marker → beginnings of the paths of its modules."""

FIRST: Final = (
    *("tests/web/", "tests/serving/", "tests/cli/", "tests/parity/", "tests/plugins/", "tests/workflows/"),
    *("tests/worker/", "tests/mcp_tools/", "tests/sampling/"),
)
"""What takes longest for a module, or waits more than it computes, begins first: no lane is left with it alone at the end."""


TIMED: Final = (
    *(
        "tests/web/",
        "tests/serving/",
        "tests/server/",
        "tests/client/",
        "tests/remote/",
        "tests/nodes/test_remote_images.py",
    ),
    *MARKERS["server"],
    *MARKERS["command"],
)
"""Where a test waits for other processes. In CI one of these that fails is tried once more, and the end of the output names it."""


def markers(path: str) -> list[str]:
    """The markers of the tests of a module, given as a path below the root."""
    return [marker for marker, beginnings in MARKERS.items() if path.startswith(beginnings)]


def timed(path: str) -> bool:
    """Whether the tests of a module wait for other processes."""
    return path.startswith(TIMED)


def turn(path: str) -> int:
    """Modules with smaller numbers begin earlier."""
    return next((number for number, folder in enumerate(FIRST) if path.startswith(folder)), len(FIRST))
