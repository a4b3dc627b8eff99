"""How many threads tensor maths uses, and what they do while they wait: told to the libraries before they are loaded.

PyTorch's own OpenMP (GNU's on Linux, LLVM's elsewhere) spins while its threads wait for each other. On cores that others use
too that is what the others, and the thread that is waited for, do not get: a picture of one second took up to 45. So threads
sleep while they wait. And OpenMP counts the cores of the machine, where a container may have been given two of 64.

The count for a model is always the same, as another one changes the rounding of sums, and with it the digests of results: one
for a small network, whose sums end sooner than a second thread wakes up, all for others (`engine.models.cores`).
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Final

WAITING: Final = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Any of them says how threads wait."""

COUNTS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""MKL and NumExpr go by the first one; OpenBLAS, which NumPy and SciPy bring, has threads of its own."""

OWN_CHOICE: Final = "SAFELIGHT_OWN_THREAD_COUNT"
"""Is in the environment when the count is our choice, and neither a setting's nor the user's."""

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def tell_libraries(environment: MutableMapping[str, str], count: int | None = None) -> None:
    """Put into `environment` (of this process before torch is imported, or of another before it starts) what is not there yet.

    `count` is the number of threads that was set; None: one for each core that this process may use. What the user has put
    into the environment stays.
    """
    if not any(name in environment for name in WAITING):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    if COUNTS[0] in environment:  # OpenBLAS goes by it too
        return
    if count is None:
        environment[OWN_CHOICE] = "1"
    threads = str(count or usable_cores())
    for name in COUNTS:
        environment.setdefault(name, threads)


def usable_cores() -> int:
    """How many cores this process may use: those that the machine has, its user allows, and its container pays for."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _physical_cores() or allowed, _quota() or allowed))


def _physical_cores() -> int | None:
    """Two threads on one core share its arithmetic units, and wait for each other."""
    cores = set()
    with suppress(OSError):
        for text in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list"):
            cores.add(text.read_text())
    if cores:
        return len(cores)
    import psutil

    found: int | None = psutil.cpu_count(logical=False)
    return found


def _quota() -> int | None:
    """The cores' worth of time that a container gets, rounded up."""
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text().split()
        return math.ceil(int(quota) / int(period))
    return None
