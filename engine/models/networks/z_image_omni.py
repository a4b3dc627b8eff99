"""What Z-Image Omni's network takes: pieces of text, and between them pictures as latents and as an image encoder sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.networks.pooled import even
from engine.models.networks.references import references_of

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Network
    from engine.models.vision import Seen

PIECES = "text_pieces"
"""Option of a conditioning: how many tokens each piece of its text has, (1, n)."""
SEEN = "seen_pictures"
"""Option of a conditioning: what an image encoder sees in pictures to go by, tokens (H, W, D) each."""
_REFERENCE, _SEEN = "reference ", "seen "


def grid_of(seen: Seen) -> Tensor:
    """Return what an image encoder saw in one picture as rows and columns of tokens, (H, W, D)."""
    tokens = seen.last_hidden_state[0]
    side = math.isqrt(tokens.shape[0])
    return torch.unflatten(tokens, 0, seen.grid or (side, side))


def inputs(network: Network, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `text_pieces` (1, n), `reference 0`… (1, C, h, w) and `seen 0`… (1, H, W, D).

    Raises ModelError for what an image encoder of another width saw.
    """
    given: dict[str, Any] = {} if options.get(PIECES) is None else {PIECES: options[PIECES]}
    for number, one in enumerate(references_of(network, options)):
        given[f"{_REFERENCE}{number}"] = even(network.handle.latent.to_network(one))
    width = int(network.handle.config["siglip_feat_dim"])
    for number, tokens in enumerate(options.get(SEEN, ())):
        if tokens.shape[-1] != width:
            raise ModelError(
                f"{network.handle.source.path}: Z-Image Omni goes by what an image encoder of width {width} (SigLIP 2) saw, got "
                f"{tokens.shape[-1]}. Load the image encoder that belongs to the model."
            )
        given[f"{_SEEN}{number}"] = tokens[None]
    return given


def predicted(
    network: Network,
    pictures: Tensor,
    time: Tensor,
    context: Tensor,
    given: Mapping[str, Any],
    control: Mapping[str, Any] | None,
) -> Tensor:
    """Return the velocity (B, C, 1, h, w), from noise to picture, of `pictures` (B, C, 1, h, w) at `time` (B,) 0..1.

    `context` (B, T, D) is cut into its pieces, of which there is one more than pictures, and one behind the last. Pictures that
    are known in one way alone count as padding in the other. Raises ModelError where a control net is to add to it.
    """
    if control:
        raise ModelError(
            f"{network.handle.source.path}: control nets of Z-Image do not know Omni. Load Z-Image or its Turbo."
        )
    references, seen = (
        [value for name, value in given.items() if name.startswith(prefix)] for prefix in (_REFERENCE, _SEEN)
    )
    number = max(len(references), len(seen))
    text = context.to(network.device, network.dtype)
    rows: dict[str, list[Any]] = {"x": [], "cap_feats": [], "siglip_feats": []}
    for row in range(len(pictures)):
        latents = [one[row].to(network.device, network.dtype)[:, None] for one in references]
        told = [one[row].to(network.device, network.dtype) for one in seen]
        rows["x"].append([*latents, *[None] * (number - len(latents)), pictures[row]])
        rows["cap_feats"].append(list(torch.split(text[row], list(_lengths(text.shape[1], given, row, number)))))
        rows["siglip_feats"].append([*told, *[None] * (number - len(told)), None] if told else None)
    found: list[Tensor] = network.module(
        t=time.to(network.device), image_noise_mask=[[0] * number + [1]] * len(pictures), return_dict=False, **rows
    )[0]
    return torch.stack(found)


def _lengths(words: int, given: Mapping[str, Any], row: int, pictures: int) -> Sequence[int]:
    """How many tokens each piece of a text has; of one that was changed since, and where pictures stand nowhere, near its end."""
    told = given.get(PIECES)
    lengths = [int(one) for one in told[row].tolist()] if told is not None else []
    if sum(lengths) == words and len(lengths) > pictures:
        return lengths
    last = min(pictures, words - 1)  # what is left has a token for each picture to stand before
    return [words - last, *[1] * last] if pictures and last == pictures else [words]
