"""IP-Adapters of Stable Diffusion (Ye et al. 2023): pictures as prompts, looked at beside the text. No torch.

Plain ones take the vector that an image encoder made, plus and full ones its tokens. Those for face vectors are refused: what
makes such vectors is in no library here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.errors import CheckpointError
from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "IP-Adapter of Stable Diffusion"
PATCH: Final = True
MODULE: Final = "engine.models.networks.ip_adapter:ImagePrompts"
CALL: Final = "engine.models.networks.ip_adapter:IpAdapter"
_KEY: Final = re.compile(r"ip_adapter\.(\d+)\.(to_[kv]_ip)\.weight")
_SEEN: Final = "image_proj."
_HEAD: Final = 64
"""Numbers of a head of what makes tokens in plus adapters."""

_TOKENS: Final = 4
"""Of a plain one's picture."""


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors."""
    return "ip_adapter.1.to_k_ip.weight" in shapes and any(name.startswith(_SEEN) for name in shapes)


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `ImagePrompts`. Raises CheckpointError for one that takes face vectors."""
    seen = {name.removeprefix(_SEEN): shape for name, shape in shapes.items() if name.startswith(_SEEN)}
    keys = sorted((int(match[1]), name) for name in shapes if (match := _KEY.fullmatch(name)) and match[2] == "to_k_ip")
    layers = [list(shapes[name]) for _, name in keys]
    return {"layers": layers, **_projection(seen)}


def _projection(seen: Shapes) -> dict[str, Any]:
    if "proj.weight" in seen:
        made, width = seen["proj.weight"]
        return {"kind": "plain", "sizes": {"seen": width, "made": made // _TOKENS, "tokens": _TOKENS}}
    if "proj.3.weight" in seen:
        return {"kind": "full", "sizes": {"seen": seen["proj.0.weight"][1], "made": seen["proj.3.weight"][0]}}
    if "latents" not in seen:
        raise CheckpointError(
            "an IP-Adapter for faces (FaceID), which takes vectors of a network for faces (insightface) that is not here. Use "
            "one that takes pictures as CLIP sees them: plain, plus, plus-face or full-face."
        )
    width, inner = seen["proj_in.weight"][1], seen["latents"][2]
    sizes = {"seen": width, "made": seen["proj_out.weight"][0], "tokens": seen["latents"][1], "width": inner}
    heads = seen["layers.0.0.to_q.weight"][0] // _HEAD
    return {"kind": "plus", "sizes": {**sizes, "heads": heads, "depth": count(seen, "layers.")}}


_NAMES: Final = {
    "plain": ((r"proj\.", "image_embeds."),),
    "full": ((r"proj\.0\.", "ff.net.0.proj."), (r"proj\.2\.", "ff.net.2."), (r"proj\.3\.", "norm.")),
    "plus": (
        (r"(layers\.\d+)\.0\.norm1", r"\1.ln0"),
        (r"(layers\.\d+)\.0\.norm2", r"\1.ln1"),
        (r"(layers\.\d+)\.0\.to_out", r"\1.attn.to_out.0"),
        (r"(layers\.\d+)\.0\.", r"\1.attn."),
        (r"(layers\.\d+)\.1\.0", r"\1.ff.0"),
        (r"(layers\.\d+)\.1\.1", r"\1.ff.1.net.0.proj"),
        (r"(layers\.\d+)\.1\.3", r"\1.ff.1.net.2"),
    ),
}
"""The authors' names of what makes tokens → the library's."""


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of `ImagePrompts`."""
    numbers = sorted({int(match[1]) for name in tensors if (match := _KEY.fullmatch(name))})
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if match := _KEY.fullmatch(name):
            found[f"layers.{numbers.index(int(match[1]))}.{match[2]}.weight"] = value
        elif name.startswith(_SEEN):
            new = _renamed(name.removeprefix(_SEEN), config["kind"])
            if ".to_kv." in new:
                half = len(value) // 2
                found[f"projection.{new.replace('to_kv', 'to_k')}"] = value[:half]
                found[f"projection.{new.replace('to_kv', 'to_v')}"] = value[half:]
            else:
                found[f"projection.{new}"] = value
    return found


def _renamed(name: str, kind: str) -> str:
    for pattern, word in _NAMES[kind]:
        new = re.sub(f"^{pattern}", word, name)
        if new != name:
            return new
    return name
