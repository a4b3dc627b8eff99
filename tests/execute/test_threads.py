"""The pool of threads."""

from __future__ import annotations

import threading

from engine.execute.threads import Threads


def test_what_waits_is_done_once_a_thread_is_free_and_before_the_pool_closes():
    pool = Threads(2, "test")
    barrier, seen, lock = threading.Barrier(2), [], threading.Lock()

    def meet(number: int) -> None:
        barrier.wait(timeout=20)  # two at a time, or it never ends
        with lock:
            seen.append(number)

    for number in range(8):
        pool.submit(meet, number)
    pool.close()
    assert sorted(seen) == list(range(8))


def test_threads_are_started_only_as_they_are_needed_and_used_again():
    pool = Threads(8, "test")
    names = set()
    for _ in range(5):
        done = threading.Event()
        pool.submit(lambda event: (names.add(threading.current_thread().name), event.set()), done)
        assert done.wait(timeout=20)
        while not pool._idle:
            pass
    pool.close()
    assert names == {"test-0"}
