"""Pictures in, pictures out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.media.bounds import bounded
from engine.media.resizing import match_channels
from engine.media.shaders.process import Painter, painter
from engine.media.shaders.source import OUTPUTS, CompileError, ShaderError, Source, explained, read_source

Uniform = int | float | bool | list[float]

IMAGES: Final = 5
"""Pictures that a shader may read."""

_STRAIGHT: Final = np.linspace(0, 1, 256, dtype=np.float32)


def draw(
    text: str,
    size: tuple[int, int],
    images: Mapping[str, Tensor],
    curves: Mapping[str, NDArray[np.float32]],
    uniforms: Mapping[str, Uniform],
    progress: Callable[[int, int], None],
) -> list[Tensor]:
    """The four outputs (B, height, width, 4) of a fragment shader, float32; those that it does not write are 0.

    `size` is (width, height). `images` (b, h, w, C) and `curves` (n,) are textures by the names of their uniforms, the
    shorter batch repeating; grey pictures have three equal colours, what has no alpha is opaque, and pictures that are not
    given are black. `progress(done, all)` is called while it waits, and may raise. Raises ShaderError.
    """
    source = read_source(text)
    count = max((len(one) for one in images.values()), default=1)
    width, height = size
    bounded(count, height, width, 4 * len(source.outputs))
    outputs = source.outputs[-1] + 1
    results = [torch.zeros(count, height, width, 4) if at in source.outputs else None for at in range(OUTPUTS)]
    with painter() as process:
        _compile(process, source, outputs, lambda: progress(0, count))
        for index in range(count):
            names, arrays = _textures(images, curves, index)
            values = {"u_resolution": [float(width), float(height)], **uniforms}
            message = {"do": "draw", "size": [width, height], "textures": names, "uniforms": values}
            _, drawn = process.ask(message, arrays, lambda done=index: progress(done, count))  # type: ignore[misc]
            for result, pixels in zip(results, drawn):
                if result is not None:
                    result[index] = _picture(pixels, width, height)
    progress(count, count)
    empty = torch.zeros(1, 1, 1, 1).expand(count, height, width, 4)
    return [empty if one is None else one for one in results]


def _compile(process: Painter, source: Source, outputs: int, waiting: Callable[[], None]) -> None:
    message = {"do": "compile", "text": source.text, "passes": source.passes, "outputs": outputs}
    try:
        process.ask(message, (), waiting)
    except CompileError as error:
        raise ShaderError("The shader does not compile.\n" + explained(str(error), source.text)) from None


def _textures(
    images: Mapping[str, Tensor], curves: Mapping[str, NDArray[np.float32]], index: int
) -> tuple[list[dict[str, Any]], Sequence[Any]]:
    names: list[dict[str, Any]] = []
    arrays: list[Any] = []
    for name, batch in images.items():
        one = batch[index % len(batch)]
        names.append({"name": name, "size": [one.shape[1], one.shape[0]]})
        colours = one.expand(*one.shape[:2], 3) if one.shape[-1] == 1 else one
        arrays.append(match_channels(colours, 4).float().cpu().flip(0).contiguous().numpy())
    for at in range(IMAGES):
        if f"u_image{at}" not in images:
            names.append({"name": f"u_image{at}", "size": [1, 1]})
            arrays.append(np.array([0, 0, 0, 1], dtype=np.float32))
    for name, curve in curves.items():
        names.append({"name": name, "size": [len(curve), 1]})
        arrays.append(np.ascontiguousarray(np.repeat(curve[:, None], 4, axis=1)))
    return names, arrays


def _picture(pixels: bytearray, width: int, height: int) -> Tensor:
    """RGBA with the lowest row first as (height, width, 4) with the highest first, and 0 for what is no number."""
    return torch.frombuffer(pixels, dtype=torch.float32).view(height, width, 4).flip(0).nan_to_num(0.0)


def straight() -> NDArray[np.float32]:
    """The curve that changes nothing."""
    return _STRAIGHT.copy()
