"""Shaders up to where a graphics driver is needed: their text, and the process that draws."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from engine.media.shaders import child, process
from engine.media.shaders.frames import receive, send
from engine.media.shaders.process import Painter, refused
from engine.media.shaders.source import ShaderError, explained, read_source

HEAD = "#version 300 es\nprecision highp float;\n"


def test_outputs_and_passes_are_read_off_the_text() -> None:
    assert read_source(HEAD + "out vec4 fragColor;")[1:] == (1, (0,))
    many = HEAD + "#pragma passes 3\nlayout(location = 2) out highp vec4 b;\nlayout( location=0 ) out vec4 a;"
    assert read_source("\ufeff\n" + many)[1:] == (3, (0, 2))
    hidden = HEAD + "// #pragma passes 9\n/* layout(location = 7) out vec4 x; */ out vec4 fragColor;"
    assert read_source(hidden)[1:] == (1, (0,))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "first line must be `#version 300 es`"),
        ("#version 330\nout vec4 a;", "'#version 330'"),
        (HEAD + "void main() {}", "has no output"),
        (HEAD + "layout(location = 4) out vec4 a;", "location 4"),
        (HEAD + "#pragma passes 65\nout vec4 a;", "from 1 to 64"),
        (HEAD + "#pragma passes x\nout vec4 a;", "from 1 to 64"),
        (HEAD + " " * 200_001, "letters"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_a_compiler_sees_it(text: str, told: str) -> None:
    with pytest.raises(ShaderError, match=told):
        read_source(text)


@pytest.mark.parametrize(
    "log",
    [
        "GLSL Compiler failed\n\nfragment_shader\n===============\n0:2(25): error: no such thing\n",
        "0(2) : error: no such thing",
        "ERROR: 0:2: error: no such thing",
    ],
)
def test_places_of_compilers_are_shown_with_their_line(log: str) -> None:
    assert explained(log, "a\nb = c;\n") == "line 2: error: no such thing\n    2 | b = c;"
    assert explained("something else", "") == "something else"
    assert explained("0:99(1): error: x", "a") == "line 99: error: x"


def test_messages_and_arrays_come_as_they_were_sent() -> None:
    stream = io.BytesIO()
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    send(stream, {"do": "draw", "é": 1}, [numbers, b""])
    stream.seek(0)
    message, arrays = receive(stream) or ({}, [])
    assert message == {"do": "draw", "é": 1}
    assert [bytes(one) for one in arrays] == [numbers.tobytes(), b""]
    assert receive(stream) is None
    assert receive(io.BytesIO(stream.getvalue()[:-9])) is None


@pytest.fixture
def standing_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Painter]]:
    """Makes painters whose process runs the code that is put in `code`."""
    made: list[Painter] = []

    def start(code: str) -> Painter:
        monkeypatch.setattr(process, "python_command", lambda *_: [sys.executable, "-c", code])
        made.append(Painter())
        return made[-1]

    yield start  # type: ignore[misc]
    for one in made:
        one.end()


def test_one_that_does_not_answer_is_ended(standing_in) -> None:
    painter = standing_in("import time; time.sleep(600)")
    with pytest.raises(ShaderError, match=r"longer than 0\.1 seconds .* goes on for ever"):
        painter.ask({}, (), lambda: None, seconds=0.1)
    assert painter._process.poll() is not None


def test_one_that_dies_is_told_of(standing_in) -> None:
    painter = standing_in("import sys; sys.stdin.buffer.read(1); sys.exit(3)")
    with pytest.raises(ShaderError, match="ended without an answer"):
        painter.ask({}, (), lambda: None)
    assert painter._process.poll() is not None


def test_whoever_waits_may_give_up(standing_in) -> None:
    class Cancelled(BaseException):
        pass

    def cancel() -> None:
        raise Cancelled

    painter = standing_in("import time; time.sleep(600)")
    with pytest.raises(Cancelled):
        painter.ask({}, (), cancel)
    assert painter._process.poll() is not None


def test_a_machine_that_draws_nothing_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(child.UnusableError) as missing:
        child._context()
    with pytest.raises(ShaderError, match=r"pip install moderngl"):
        refused({"kind": missing.value.args[0], "error": missing.value.args[1]})

    class Broken:
        @staticmethod
        def create_context(**_: object) -> None:
            raise OSError("libEGL.so.1 not found")

    monkeypatch.setitem(sys.modules, "moderngl", Broken)
    with pytest.raises(child.UnusableError) as none:
        child._context()
    with pytest.raises(ShaderError, match=r"libEGL\.so\.1 not found.*libgl1-mesa-dri"):
        refused({"kind": none.value.args[0], "error": none.value.args[1]})
    refused({})
