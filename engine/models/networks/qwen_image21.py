"""How Qwen-Image 2.1's transformer is called: text, pictures to go by and the picture itself as one row of tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.utils.weak import WeakIdKeyDictionary

from engine.models.encoded import PICTURE_SLOTS
from engine.models.errors import ModelError
from engine.models.layers import Stack
from engine.models.memory import is_out_of_memory
from engine.models.network import Network
from engine.models.networks.pooled import even
from engine.models.networks.prefix_cache import CACHE_OPTION, KeptPrefix
from engine.models.networks.references import references_of
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ModelHandle

_REFERENCE = "reference "
_SLOTS = "slots"
_TOKENS_PER_SLOT = 4
"""What the text encoder sees as one token of a picture is two by two latent pixels."""


class QwenImage21Network(Network):
    """Qwen-Image 2.1 (Qwen team 2026) under text (B, T, D), among which pictures to go by stand where the encoder saw them.

    Tokens see those before them, and within a picture one another: so what stands before the picture itself is the same at
    every step, and is kept.
    """

    double_layers = single_layers = Stack("transformer_blocks")

    def __init__(self, module: nn.Module, handle: ModelHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        place, precision = handle.options.get(CACHE_OPTION, ("auto", "default"))
        self._place, self._precision = place, precision
        self._left_out: tuple[int, ...] = ()
        self._kept: dict[tuple[int, ...], Any] = defaultdict(WeakIdKeyDictionary)

    @contextmanager
    def without_layers(self, double: Sequence[int], single: Sequence[int]) -> Iterator[None]:
        """Leave layers out. What is kept of a text is another thing without them. Raises ModelError when it has none of them."""
        before = self._left_out
        with super().without_layers(double, single):
            self._left_out = tuple(sorted({*double, *single}))
            try:
                yield
            finally:
                self._left_out = before

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `reference 0`… (b, C, h, w), pictures to go by in network space, and `slots`, the tokens where they stand.

        Raises ModelError for pictures that the text encoder did not see, or saw in another size.
        """
        references = [even(one) for one in references_of(self, options, _flat)]
        if not references:
            return {_SLOTS: ()}
        found = options.get(PICTURE_SLOTS)
        slots = tuple(found[0].nonzero().flatten().tolist()) if found is not None else ()
        wanted = sum(_slots(one) for one in references)
        if len(slots) != wanted:
            raise ModelError(
                f"{self.handle.source.path}: {len(references)} reference latents take {wanted} tokens of the text, the text "
                f"encoder saw pictures in {len(slots)}. Make both with TextEncodeQwenImage21."
            )
        space = self.handle.latent
        given: dict[str, Any] = {f"{_REFERENCE}{i}": space.to_network(one) for i, one in enumerate(references)}
        return {**given, _SLOTS: slots}

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        *,
        concat: Tensor | None = None,
        control: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Return the velocity (B, C, h, w) in the dtype and on the device of `x`.

        `t` (B,) from 0 to the schedule's number of timesteps; `context` (B, T, D), of a run the same tensor at every step;
        `options` is what `inputs` made, with a row for each of B. Sides that are odd are filled up from the other side.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["context_in_dim"]))
        given = options or {}
        pictures = [*(value for name, value in given.items() if name.startswith(_REFERENCE)), even(x)]
        slots = torch.zeros(x.shape[0], context.shape[1], dtype=torch.bool)
        slots[:, list(given.get(_SLOTS, ()))] = True
        own = torch.ones(x.shape[0], _slots(pictures[-1]), dtype=torch.bool)
        told = {
            "hidden_states": torch.cat([one.flatten(2).mT for one in pictures], dim=1).to(self.device, self.dtype),
            "encoder_hidden_states": context.to(self.device, self.dtype),
            "timestep": (t / self.handle.parameterization.timesteps).to(self.device, self.dtype),
            "img_shapes": [[(1, *one.shape[-2:]) for one in pictures]] * x.shape[0],
            "img_mask": torch.cat([slots, own], dim=1).to(self.device),
            "return_dict": False,
        }
        velocity = self._called(told, context)
        height, width = pictures[-1].shape[-2:]
        made = velocity[:, -height * width :].mT.reshape(x.shape[0], -1, height, width)
        return made[..., : x.shape[-2], : x.shape[-1]].to(x)

    def _called(self, told: dict[str, Any], context: Tensor) -> Tensor:
        """Call the network, which takes what it kept of the tokens of this context; without, where there is no room for it."""
        if self._place == "off":
            return cast("Tensor", self.module(**told)[0])
        known = self._kept[self._left_out]
        kept = known.get(context)
        mode = "extract" if kept is None else "cached"
        if kept is None:
            kept = KeptPrefix(int(self.handle.config["num_layers"]), self._place, self._precision)
        try:
            made: Tensor = self.module(**told, kv_cache=kept, kv_cache_mode=mode)[0]
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            self._place = "off"
        else:
            known[context] = kept
            return made
        self._kept.clear()
        return cast("Tensor", self.module(**told)[0])


def _flat(reference: Tensor) -> Tensor:
    """(B, C, h, w), of one that has a frame too."""
    return reference[:, :, 0] if reference.ndim == 5 else reference


def _slots(picture: Tensor) -> int:
    return picture.shape[-2] * picture.shape[-1] // _TOKENS_PER_SLOT
