"""Memory that was freed goes back to the system, also when something small stands behind it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from engine.jobs import heap

MIB = 1024 * 1024

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 // MIB

if sys.argv[1] == "apart":
    heap.large_apart(MIB)
first = b"x" * (30 * MIB)  # having freed this, glibc keeps room for others up to its size
del first
before = resident()
pairs = [(b"x" * (4 * MIB), b"x" * 5000) for _ in range(20)]
small = [pair[1] for pair in pairs]
del pairs
print(resident() - before)
"""


def kept(way: str) -> int:
    """MiB that the process still has after it has freed 80."""
    return int(subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is done")
def test_large_blocks_go_back_though_small_ones_stay_behind_them():
    if kept("as it is") < 40:
        pytest.skip("this C library gives back by itself")
    assert kept("apart") < 8
