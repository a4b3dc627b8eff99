"""What Lotus reads: no text, by Stable Diffusion 2's text encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

from engine.api import Clip, Conditioning, Context, In, Out, node
from engine.models.errors import CheckpointError
from engine.models.packed import read_header

_WIDTH: Final = 1024
_TOKENS: Final = 2
"""Of an empty text without padding: its start and its end. What follows them changes nothing of them."""
_TABLE: Final = "token_embedding.weight"
_PLACES: Final = ("text_encoders", "checkpoints")


@node("LotusConditioning", category="conditioning/lotus")
def lotus_conditioning(
    ctx: Context,
    clip: Annotated[
        Clip | None, In(tip="Stable Diffusion 2's. Without one it is looked for in text_encoders and checkpoints.")
    ] = None,
) -> Annotated[Conditioning, Out(name="conditioning")]:
    """Give the conditioning (1, 2, 1024) of an empty text, which Lotus was trained with.

    The field has its numbers within; here they are computed by the text encoder of Stable Diffusion 2 (open_clip's ViT-H).
    """
    encoder: Any = clip if clip is not None else next(_encoders(ctx), None)
    if encoder is None:
        raise ValueError(
            "LotusConditioning: computes what Lotus reads by the text encoder of Stable Diffusion 2 (open_clip's ViT-H, width "
            f"{_WIDTH}), and there is none in {' or '.join(f'models/{folder}' for folder in _PLACES)}. Put its file into "
            "models/text_encoders, or link it to `clip`."
        )
    with ctx.models.use(encoder) as model:
        context = model.encode("", ctx.warn).context
    if context.shape[-1] != _WIDTH:
        raise ValueError(
            f"LotusConditioning: expected a text encoder of width {_WIDTH} (Stable Diffusion 2's), got {context.shape[-1]}."
        )
    return [[context[:, :_TOKENS].clone(), {}]]


def _encoders(ctx: Context) -> Iterator[Clip]:
    """Text encoders of that width in files. Of others headers alone are read; files that cannot be are passed over."""
    for folder in _PLACES:
        for name in ctx.paths.listing(folder):
            path = Path(ctx.paths.find(folder, name))
            with suppress(CheckpointError, OSError):
                tables = [shape for one, shape in read_header(path).shapes.items() if one.endswith(_TABLE)]
                if [shape[1] for shape in tables if len(shape) == 2] == [_WIDTH]:
                    yield ctx.models.text_encoder(path)
