"""The process that draws: it holds the OpenGL context, so that a driver that hangs or dies takes no worker with it.

It ends with its parent, and after a minute in which nothing is asked.
"""

from __future__ import annotations

import os
import re
import struct
import sys
import threading
from typing import Any, Final

from engine.media.shaders.frames import IDLE_SECONDS, receive, send

_FIRST: Final = re.compile(r"#version\s+300\s+es")
_VERTEX: Final = """#version 300 es
in vec2 in_position;
out vec2 v_texCoord;
void main() {
    v_texCoord = in_position * 0.5 + 0.5;
    gl_Position = vec4(in_position, 0.0, 1.0);
}
"""


class UnusableError(Exception):
    """No context, no such program, or a size that the device does not take: (kind, text)."""


class Canvas:
    """A context, a program in it, and what is drawn with it."""

    def __init__(self) -> None:
        self._gl: Any = _context()
        self._program: Any = None
        self._shape: Any = None
        self._passes = 1
        self._outputs = 1

    def compile(self, message: dict[str, Any]) -> dict[str, Any]:
        """Make the program that later requests draw with."""
        self.forget()
        self._program = self._linked(message["text"])
        corners = self._gl.buffer(b"".join(_float(one) for one in (-1, -1, 1, -1, -1, 1, 1, 1)))
        self._shape = self._gl.vertex_array(self._program, [(corners, "2f", "in_position")])
        self._passes, self._outputs = message["passes"], message["outputs"]
        return {"renderer": self._gl.info["GL_RENDERER"]}

    def _linked(self, text: str) -> Any:
        """The program, as desktop GLSL of the same age, else as what it is.

        Desktop GLSL takes nearly all of GLSL ES 3.00 and has full precision everywhere, where ES reads textures with low
        precision unless told otherwise, and Mesa then does it with 16 bits.
        """
        import moderngl

        versions = ["#version 330 core"]
        if "GL_ARB_ES3_compatibility" in self._gl.extensions:
            versions.append("#version 300 es")
        for version in versions:
            sources = [_FIRST.sub(version, source, count=1) for source in (_VERTEX, text)]
            try:
                return self._gl.program(vertex_shader=sources[0], fragment_shader=sources[1])
            except moderngl.Error as error:
                told = str(error)
        raise UnusableError("compile", told)

    def draw(self, message: dict[str, Any], arrays: list[bytearray]) -> list[bytes]:
        """The outputs, float32 RGBA, the lowest row first."""
        width, height = message["size"]
        sizes = [(width, height), *(one["size"] for one in message["textures"])]
        most = self._gl.info["GL_MAX_TEXTURE_SIZE"]
        if max(max(size) for size in sizes) > most:
            raise UnusableError(
                "size", f"A side of {max(max(size) for size in sizes)} pixels is more than {most}, the most here."
            )
        held: list[Any] = []
        try:
            self._bind(message, arrays, held)
            first = self._first_passes(message, (width, height), held)
            targets = [self._texture((width, height), None, held) for _ in range(self._outputs)]
            self._draw_into(targets, self._passes - 1, first, held)
            return [target.read() for target in targets]
        finally:
            for one in held:
                one.release()

    def forget(self) -> None:
        """Let the program go."""
        for one in (self._shape, self._program):
            if one is not None:
                one.release()
        self._shape = self._program = None

    def _bind(self, message: dict[str, Any], arrays: list[bytearray], held: list[Any]) -> None:
        units = 0
        for one, array in zip(message["textures"], arrays):
            if one["name"] in self._program:
                texture = self._texture(tuple(one["size"]), array, held)
                texture.use(units)
                self._set(one["name"], units)
                units += 1
                if one["name"] == "u_image0":
                    message["first"] = units - 1
        for name, value in message["uniforms"].items():
            if name in self._program:
                self._set(name, tuple(value) if isinstance(value, list) else value)

    def _first_passes(self, message: dict[str, Any], size: tuple[int, int], held: list[Any]) -> tuple[int, Any] | None:
        """All passes but the last, each into one texture of two that the next one reads as `u_image0`."""
        if self._passes == 1:
            return None
        pair = [self._texture(size, None, held) for _ in range(2)]
        before: tuple[int, Any] | None = None
        for number in range(self._passes - 1):
            self._draw_into([pair[number % 2]], number, before, held)
            unit = message.get("first")
            before = None if unit is None else (unit, pair[number % 2])
        return before

    def _draw_into(self, targets: list[Any], number: int, source: tuple[int, Any] | None, held: list[Any]) -> None:
        import moderngl

        if source is not None:
            source[1].use(source[0])
        if "u_pass" in self._program:
            self._set("u_pass", number)
        buffer = self._gl.framebuffer(color_attachments=targets)
        held.append(buffer)
        buffer.use()
        buffer.clear()
        self._shape.render(moderngl.TRIANGLE_STRIP)
        self._gl.finish()

    def _texture(self, size: Any, data: bytearray | None, held: list[Any]) -> Any:
        import moderngl

        texture = self._gl.texture(tuple(size), 4, data, dtype="f4")
        held.append(texture)
        texture.filter = (moderngl.LINEAR, moderngl.LINEAR)
        texture.repeat_x = texture.repeat_y = False
        return texture

    def _set(self, name: str, value: Any) -> None:
        try:
            self._program[name].value = value
        except (struct.error, TypeError, ValueError, AttributeError) as error:
            raise UnusableError(
                "uniform", f"`{name}` is declared with a type that it does not have ({error})."
            ) from error


def _context() -> Any:
    """A context without a window. Raises UnusableError where there is none."""
    try:
        import moderngl
    except ImportError as error:
        raise UnusableError("missing", str(error)) from error
    told = []
    backends: tuple[dict[str, Any], ...] = ({"backend": "egl"}, {}) if sys.platform.startswith("linux") else ({},)
    for backend in backends:
        try:
            return moderngl.create_context(standalone=True, require=330, **backend)
        except Exception as error:  # loaders of drivers raise nearly anything
            told.append(f"{backend.get('backend', 'the default')}: {error}")
    raise UnusableError("context", "; ".join(told))


def _float(value: float) -> bytes:
    return struct.pack("f", value)


def main() -> None:
    """Answer requests from standard input until it ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what drivers print must not come between answers
    canvas: Canvas | None = None
    while True:
        clock = threading.Timer(IDLE_SECONDS, os._exit, (0,))
        clock.daemon = True
        clock.start()
        request = receive(requests)
        clock.cancel()
        if request is None:
            os._exit(0)  # without the driver's own tidying, which may hang
        message, arrays = request
        try:
            canvas = canvas or Canvas()
            if message["do"] == "compile":
                send(answers, canvas.compile(message))
            else:
                send(answers, {}, canvas.draw(message, arrays))
        except UnusableError as error:
            send(answers, {"kind": error.args[0], "error": error.args[1]})
        except Exception as error:
            send(answers, {"kind": "draw", "error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
