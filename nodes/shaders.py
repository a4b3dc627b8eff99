"""Pictures through a fragment shader of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from torch import Tensor

from engine.api import Choosing, Context, Growing, Image, In, node
from nodes.dimensions import MAX_RESOLUTION

_PASSTHROUGH: Final = """#version 300 es
precision highp float;

uniform sampler2D u_image0;

in vec2 v_texCoord;
layout(location = 0) out vec4 fragColor0;

void main() {
    fragColor0 = texture(u_image0, v_texCoord);
}
"""


def _growing(kind: str, name: str, prefix: str, most: int, least: int = 0) -> dict[str, Any]:
    options = {"forceInput": True} if kind in ("FLOAT", "INT", "BOOLEAN", "CURVE") else {}
    section = "required" if least else "optional"
    return {"template": {"input": {section: {name: [kind, options]}}, "min": least, "prefix": prefix, "max": most}}


def _side(name: str) -> list[Any]:
    options = {
        "default": 512,
        "min": 1,
        "max": MAX_RESOLUTION,
        "step": 1,
        "tooltip": f"{name} of the results in pixels.",
    }
    return ["INT", options]


SIZES: Final[list[dict[str, Any]]] = [
    {"key": "from_input", "inputs": {"required": {}}},
    {"key": "custom", "inputs": {"required": {"width": _side("Width"), "height": _side("Height")}}},
]
"""How large the results are, with the inputs that it brings, as editors read them."""


class Outputs(NamedTuple):
    """What the shader wrote at its locations 0 to 3."""

    IMAGE0: Image
    IMAGE1: Image
    IMAGE2: Image
    IMAGE3: Image


@node("GLSLShader", category="image/shader", display_name="GLSL Shader", experimental=True)
def glsl_shader(
    ctx: Context,
    fragment_shader: Annotated[
        str, In(multiline=True, options={"code": "glsl"}, tip="GLSL ES 3.00, from `#version 300 es` on.")
    ] = _PASSTHROUGH,
    *,
    size_mode: Annotated[Choosing, In(tip="from_input is as large as the first picture.", options={"options": SIZES})],
    images: Annotated[Growing, In(tip="u_image0 to u_image4.", options=_growing("IMAGE", "image", "image", 5, 1))],
    floats: Annotated[Growing, In(tip="u_float0 to u_float19.", options=_growing("FLOAT", "float", "u_float", 20))],
    ints: Annotated[Growing, In(tip="u_int0 to u_int19.", options=_growing("INT", "int", "u_int", 20))],
    bools: Annotated[Growing, In(tip="u_bool0 to u_bool9.", options=_growing("BOOLEAN", "bool", "u_bool", 10))],
    curves: Annotated[Growing, In(tip="u_curve0 to u_curve3.", options=_growing("CURVE", "curve", "u_curve", 4))],
) -> Outputs:
    """Draw pictures with a fragment shader in GLSL ES 3.00: four results (B, H, W, 3), or (B, H, W, 4) where not opaque.

    The shader reads `sampler2D u_image0` to `u_image4` (linear filter, edges repeated) at `vec2 v_texCoord`, (0, 0) at the
    bottom left; `u_float…`, `u_int…`, `u_bool…`; curves as textures of 256 × 1; `vec2 u_resolution`, the size of the result;
    and writes vec4 outputs at locations 0 to 3. `#pragma passes N` (at most 64) draws N times, `int u_pass` counting, and
    `u_image0` is then what the pass before wrote at location 0. Each picture of a batch is drawn alone; shorter batches
    repeat. Inferred: numbers that are not linked are 0, curves straight lines, pictures black; results are not cut to 0..1.

    It needs the package moderngl and OpenGL 3.3, by a driver or by Mesa in software, and draws in a process of its own, which
    is ended when a picture takes more than two minutes. Raises ValueError with the line for what does not compile.
    """
    from engine.media.curves import curve_of, sampled_curve
    from engine.media.shaders.draw import draw, straight
    from engine.media.shaders.source import ShaderError

    pictures = {f"u_{name}": value for name, value in images.items() if value is not None}
    if not pictures:
        raise ValueError("GLSLShader: images has no picture; link at least one.")
    tables = {f"u_curve{at}": straight() for at in range(4)}
    for name, value in curves.items():
        if value is not None:
            tables[name] = sampled_curve(curve_of(value, f"GLSLShader: curves.{name}"))
    size = _size(size_mode, next(iter(pictures.values())))
    try:
        results = draw(fragment_shader, size, pictures, tables, _numbers(floats, ints, bools), ctx.progress)
    except ShaderError as error:
        raise ValueError(f"GLSLShader: {error}") from error
    return Outputs(*map(_opaque, results))


def _size(mode: Mapping[str, Any], first: Tensor) -> tuple[int, int]:
    if mode["size_mode"] == "custom":
        return mode["width"], mode["height"]
    return first.shape[2], first.shape[1]


def _numbers(floats: Mapping[str, Any], ints: Mapping[str, Any], bools: Mapping[str, Any]) -> dict[str, Any]:
    """The values of uniforms; whole numbers are cut to 32 bits, as shaders have them."""
    values: dict[str, Any] = {name: float(one) for name, one in floats.items() if one is not None}
    values |= {name: max(-(2**31), min(int(one), 2**31 - 1)) for name, one in ints.items() if one is not None}
    return values | {name: bool(one) for name, one in bools.items() if one is not None}


def _opaque(result: Tensor) -> Tensor:
    """Without alpha where all of it is 1, or nothing was drawn."""
    alpha = result[..., 3]
    plain = bool((alpha >= 1).all()) or not bool(result.any())
    return result[..., :3].contiguous() if plain else result
