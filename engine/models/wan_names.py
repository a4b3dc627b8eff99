"""Names in Wan 2.2's autoencoder, whose levels hold their blocks, in its own layout and in the library's. No torch."""

from __future__ import annotations

import re
from typing import Final

FIRST: Final = "encoder.downsamples.0.downsamples.0.residual.2.weight"
"""Of files in the original layout."""

_LEVEL: Final = re.compile(r"(encoder|decoder)\.(?:down|up)samples\.(\d+)\.(?:down|up)samples\.(\d+)\.(.+)")
_MIDDLE: Final = re.compile(r"(encoder|decoder)\.middle\.(\d)\.(.+)")
_RESIDUAL: Final = {
    "residual.0.": "norm1.",
    "residual.2.": "conv1.",
    "residual.3.": "norm2.",
    "residual.6.": "conv2.",
    "shortcut.": "conv_shortcut.",
}
_ENDS: Final = {
    "conv1.": "quant_conv.",
    "conv2.": "post_quant_conv.",
    "encoder.conv1.": "encoder.conv_in.",
    "decoder.conv1.": "decoder.conv_in.",
    "encoder.head.0.": "encoder.norm_out.",
    "decoder.head.0.": "decoder.norm_out.",
    "encoder.head.2.": "encoder.conv_out.",
    "decoder.head.2.": "decoder.conv_out.",
}


def library_name(name: str) -> str:
    """Return the library's name of a tensor; one that is not of the original layout is kept."""
    if level := _LEVEL.fullmatch(name):
        half, number, block, rest = level.groups()
        down = half == "encoder"
        if rest.startswith(("resample.", "time_conv.")):
            return f"{half}.{'down' if down else 'up'}_blocks.{number}.{'down' if down else 'up'}sampler.{rest}"
        return f"{half}.{'down' if down else 'up'}_blocks.{number}.resnets.{block}.{_begun(rest, _RESIDUAL)}"
    if middle := _MIDDLE.fullmatch(name):
        half, number, rest = middle.groups()
        part = "attentions.0" if number == "1" else f"resnets.{int(number) // 2}"
        return f"{half}.mid_block.{part}.{_begun(rest, _RESIDUAL)}"
    return _begun(name, _ENDS)


def _begun(name: str, beginnings: dict[str, str]) -> str:
    """A name with another beginning, where it has one of these."""
    old = next((old for old in beginnings if name.startswith(old)), "")
    return beginnings[old] + name[len(old) :] if old else name
