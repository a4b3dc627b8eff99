"""How far a sampler is, as a picture: by a tiny decoder when one is there and wanted, else by the latent's colours."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.api import Context
from engine.datatypes.latent_formats import tiny_decoder_name
from engine.models.errors import ModelError
from engine.models.handles import ModelHandle
from engine.models.tiny_decoder import TinyDecoder, find_tiny_decoder
from engine.sampling.previews import MAX_SIDE, MIN_SIDE, preview
from engine.sampling.samplers.steps import StepInfo

log = logging.getLogger("safelight.previews")


class PreviewMaker:
    """Makes the previews of one sampling run, as `ctx.preview_method` says. Looks for nothing before it is called."""

    def __init__(self, ctx: Context, model: ModelHandle) -> None:
        self._ctx = ctx
        self._format = model.latent
        self._decode: Callable[[Tensor], Tensor] | None = None
        self._looked = False

    def __call__(self, step: StepInfo) -> NDArray[np.uint8]:
        """Return a picture (H, W, 3) of the prediction of x_0 at this step."""
        if not self._looked:
            self._looked = True
            self._decode = self._tiny_decoder()
        on_cpu = self._decode is not None and self._ctx.models.device == "cpu"
        return preview(step, self._format, self._decode, MIN_SIDE if on_cpu else MAX_SIDE)

    def _tiny_decoder(self) -> Callable[[Tensor], Tensor] | None:
        name = tiny_decoder_name(self._format) if self._ctx.preview_method in ("auto", "taesd") else None
        file = find_tiny_decoder(self._ctx.paths, name) if name is not None else None
        try:
            decoder: TinyDecoder | None = self._ctx.models.tiny_decoder(file) if file is not None else None
        except ModelError as error:
            log.warning("%s Previews are made of the latent's colours instead.", error)
            return None
        return decoder.decode if decoder is not None else None
