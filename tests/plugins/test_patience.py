"""Work of packs that is waited for, and not for ever."""

from __future__ import annotations

import threading
from types import ModuleType

import pytest

from engine.plugins.patience import TookTooLongError, within


def test_what_work_returns_or_raises_comes_back_with_and_without_a_limit() -> None:
    def leave() -> int:
        raise SystemExit(4)

    for seconds in (None, 60.0):
        assert within(seconds, "it", lambda: 5) == 5
        with pytest.raises(SystemExit, match="4"):
            within(seconds, "it", leave)


def test_without_a_limit_work_stays_on_its_thread_and_with_one_it_does_not() -> None:
    here = threading.current_thread()
    assert within(None, "it", threading.current_thread) is here
    assert within(60.0, "it", threading.current_thread) is not here


def test_work_that_takes_too_long_is_told_with_its_place_and_goes_on_alone() -> None:
    go_on, done = threading.Event(), threading.Event()

    def work() -> None:
        while not go_on.is_set():
            pass  # here it stands
        done.set()

    with pytest.raises(TookTooLongError, match=r"0\.05 s; it stands at .*"):
        within(0.05, "it", work)
    assert not done.is_set()
    go_on.set()
    assert done.wait(60)


def test_the_time_of_compilers_is_not_counted() -> None:
    """The same wait, in a function of a compiler and in one of a pack."""
    code = "def work(go_on, seconds):\n    go_on.wait(seconds)\n    return 'done'\n"
    answers, go_on = {}, threading.Event()
    for name, seconds in (("numba.core", 0.5), ("a_pack", 60)):
        module = ModuleType(name)
        exec(compile(code, f"<{name}>", "exec"), vars(module))
        try:
            answers[name] = within(0.1, "it", lambda: module.work(go_on, seconds))  # noqa: B023 - called at once
        except TookTooLongError:
            answers[name] = "too long"
    go_on.set()
    assert answers == {"numba.core": "done", "a_pack": "too long"}
