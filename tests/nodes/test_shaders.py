"""Shaders that are drawn, where a graphics driver or Mesa's software one is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.media.curves import curve_of, sampled_curve
from engine.media.shaders.process import painter
from engine.media.shaders.source import ShaderError
from nodes.shaders import _PASSTHROUGH, glsl_shader

BODY = """#version 300 es
precision highp float;
uniform sampler2D u_image0, u_image1, u_curve0, u_curve1;
uniform vec2 u_resolution;
uniform float u_float0, u_float1;
uniform int u_int0, u_pass;
uniform bool u_bool0;
in vec2 v_texCoord;
layout(location = 0) out vec4 fragColor0;
"""
NEAR = 2e-3
"""Where texture coordinates fall between pixels is exact to some bits only."""


class Ticks:
    def __init__(self) -> None:
        self.done: list[tuple[float, float]] = []

    def progress(self, value: float, total: float) -> None:
        self.done.append((value, total))


@pytest.fixture(scope="module", autouse=True)
def _drawing() -> None:
    message = {"do": "compile", "text": _PASSTHROUGH, "passes": 1, "outputs": 1}
    try:
        with painter() as process:
            process.ask(message, (), lambda: None)
    except ShaderError as error:
        pytest.skip(f"nothing draws here: {error}")


def picture(height: int = 6, width: int = 9, channels: int = 3, batch: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))


def drawn(shader: str, *images: torch.Tensor, **given: Any) -> Any:
    groups: dict[str, dict[str, Any]] = {"floats": {}, "ints": {}, "bools": {}, "curves": {}}
    for name, value in given.items():
        groups.get(f"{name.rstrip('0123456789')}s", {})[f"u_{name}"] = value
    size = given.get("size")
    mode = {"size_mode": "from_input"} if size is None else {"size_mode": "custom", "width": size[0], "height": size[1]}
    named = {f"image{at}": image for at, image in enumerate(images)}
    return glsl_shader(given.get("ctx", Ticks()), shader, size_mode=mode, images=named, **groups)


def main(body: str) -> str:
    return BODY + "void main() { " + body + " }"


def test_pictures_pass_through_and_what_is_not_written_is_black() -> None:
    ticks = Ticks()
    image = picture(batch=3)
    first, *others = drawn(_PASSTHROUGH, image, ctx=ticks)
    assert torch.allclose(first, image, atol=NEAR)
    assert all(one.shape == (3, 6, 9, 3) and not one.any() for one in others)
    assert ticks.done[-1] == (3, 3)
    assert torch.allclose(drawn(_PASSTHROUGH, image[..., :1])[0], image[..., :1].expand(-1, -1, -1, 3), atol=NEAR)


def test_alpha_is_there_where_it_is_not_one() -> None:
    image = picture(channels=4)
    assert torch.allclose(drawn(_PASSTHROUGH, image)[0], image, atol=NEAR)


def test_the_origin_is_at_the_bottom_left_and_numbers_are_not_cut() -> None:
    ramp = drawn(main("fragColor0 = vec4(gl_FragCoord.xy, u_resolution.x, 1.0);"), picture())[0][0]
    rows, columns = np.mgrid[0:6, 0:9]
    assert np.array_equal(ramp[..., 0].numpy(), columns + 0.5)
    assert np.array_equal(ramp[..., 1].numpy(), 5 - rows + 0.5)
    assert (ramp[..., 2] == 9).all()
    assert (drawn(main("fragColor0 = vec4(vec3(0.0 / u_float0), 1.0);"), picture())[0] == 0).all()


def test_numbers_reach_their_uniforms_and_are_zero_unlinked() -> None:
    shader = main("fragColor0 = vec4(u_float0, float(u_int0) + u_float1, u_bool0 ? 1.0 : 0.0, 1.0);")
    pixel = drawn(shader, picture(), float0=0.25, int0=-7, bool0=True)[0][0, 0, 0]
    assert pixel.tolist() == [0.25, -7, 1]
    assert not drawn(shader, picture())[0].any()
    large = drawn(main("fragColor0 = vec4(u_int0 == 2147483647, 0.0, 0.0, 1.0);"), picture(), int0=2**40)[0]
    assert (large[..., 0] == 1).all()


def test_two_pictures_are_mixed_and_the_shorter_batch_repeats() -> None:
    first, second = picture(batch=3), picture(batch=2, seed=2)
    shader = main("fragColor0 = mix(texture(u_image0, v_texCoord), texture(u_image1, v_texCoord), u_float0);")
    mixed = drawn(shader, first, second, float0=0.25)[0]
    assert torch.allclose(mixed, torch.lerp(first, second[[0, 1, 0]], 0.25), atol=NEAR)
    alone = drawn(shader, first, float0=1.0)[0]
    assert not alone[..., :3].any()


def test_curves_are_tables_of_256_and_straight_unlinked() -> None:
    curve = {"points": [[0, 0], [0.3, 0.6], [1, 1]], "interpolation": "monotone_cubic"}
    shader = main(
        "float x = texelFetch(u_curve0, ivec2(int(gl_FragCoord.x), 0), 0).r;"
        "fragColor0 = vec4(x, texture(u_curve1, vec2(0.5)).r, float(textureSize(u_curve0, 0).x), 1.0);"
    )
    result = drawn(shader, picture(1, 256), curve0=curve)[0][0, 0]
    assert np.array_equal(result[:, 0].numpy(), sampled_curve(curve_of(curve, "")))
    assert float(result[0, 1]) == pytest.approx(0.5, abs=NEAR)
    assert result[0, 2] == 256


def test_four_outputs_are_four_pictures() -> None:
    outputs = "".join(f"layout(location = {at}) out vec4 more{at};\n" for at in (1, 3))
    image = picture()
    shader = (
        BODY
        + outputs
        + "void main() { vec4 c = texture(u_image0, v_texCoord); fragColor0 = c.bgra; more1 = c; more3 = c.gggg; }"
    )
    first, second, third, fourth = drawn(shader, image)
    assert torch.allclose(first, image.flip(-1), atol=NEAR)
    assert torch.allclose(second, image, atol=NEAR)
    assert third.shape == (1, 6, 9, 3)
    assert not third.any()
    assert torch.allclose(fourth, image[..., 1:2].expand(-1, -1, -1, 4), atol=NEAR)


@pytest.mark.parametrize("passes", [2, 3, 4])
def test_each_pass_reads_what_the_one_before_wrote(passes: int) -> None:
    shader = BODY.replace("#version 300 es\n", f"#version 300 es\n#pragma passes {passes}\n")
    shader += "void main() { fragColor0 = vec4(texture(u_image0, v_texCoord).rgb * 0.5 + float(u_pass), 1.0); }"
    image = picture()
    wanted = image
    for number in range(passes):
        wanted = wanted * 0.5 + number
    assert torch.allclose(drawn(shader, image)[0], wanted, atol=2 * NEAR)


def test_a_size_of_ones_own_and_edges_that_repeat() -> None:
    image = picture(4, 4)
    result = drawn(main("fragColor0 = texture(u_image0, v_texCoord * 3.0 - 1.0);"), image, size=(12, 24))[0]
    assert result.shape == (1, 24, 12, 3)
    assert torch.allclose(result[0, 2, 6], result[0, 7, 6], atol=NEAR)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("fragColor0 = textur(u_image0, v_texCoord);", r"line 10: .*textur[\s\S]*10 \| void main"),
        ("fragColor0 = vec4(1.0)", "line 10: "),
    ],
)
def test_what_does_not_compile_is_told_with_its_line(body: str, told: str) -> None:
    with pytest.raises(ValueError, match=rf"GLSLShader: The shader does not compile\.\n{told}"):
        drawn(main(body), picture())


def test_wrong_types_sizes_and_inputs_are_told() -> None:
    wrong = main("fragColor0 = vec4(1.0);").replace("uniform float u_float0,", "uniform vec3 u_float0; uniform float")
    wrong = wrong.replace("vec4(1.0)", "vec4(u_float0, 1.0)")
    with pytest.raises(ValueError, match="GLSLShader: `u_float0` is declared with a type"):
        drawn(wrong, picture(), float0=1.0)
    with pytest.raises(ValueError, match=r"GLSLShader: A side of \d+ pixels is more than"):
        drawn(_PASSTHROUGH, picture(), size=(10_000_000, 1))
    with pytest.raises(ValueError, match="images has no picture"):
        drawn(_PASSTHROUGH)
    with pytest.raises(ValueError, match=r"curves\.u_curve0 .*points"):
        drawn(_PASSTHROUGH, picture(), curve0=3)
    assert torch.allclose(drawn(_PASSTHROUGH, picture())[0], picture(), atol=NEAR)  # the process still draws
