"""The conditioning of Stable Diffusion 3 out of three text encoders."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from engine.models.encoded import Encoded


def joined(found: Mapping[str, Encoded], width: int) -> Encoded:
    """Return the context (1, T, D) and the pooled text (1, P) of what each tower gave, by name; T5 may be left out.

    D is T5's width, without T5 `width`; the tokens of the CLIP towers, side by side, are filled up with zeros to it.
    """
    clips = [found[name] for name in ("clip_l", "clip_g") if name in found]
    length = min(context.shape[1] for context, _ in clips)
    beside = torch.cat([context[:, :length] for context, _ in clips], dim=-1)
    last = found["t5xxl"][0] if "t5xxl" in found else None
    filled = functional.pad(beside, (0, (width if last is None else last.shape[-1]) - beside.shape[-1]))
    context = filled if last is None else torch.cat([filled, last], dim=1)
    pooled = torch.cat([options["pooled_output"] for _, options in clips], dim=-1)
    return Encoded(context, {"pooled_output": pooled})
