"""Functions of packs inside a U-Net: around its attention, and where its blocks begin and end.

Packs name places by the layout that Stable Diffusion was published in: input blocks 0 (the first convolution) and up, one
for each residual block or downsampling; the middle; output blocks, one for each residual block. Here these are modules of
diffusers: attention is replaced by processors, blocks are watched by forward hooks, for the time of one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from engine.models.networks.unet_places import Attended, Layout, pairs
from engine.plugins.compat.absent import refuse
from engine.plugins.compat.attention import attention_pytorch

ATTENTION: Final = ("attn1", "attn2")
_AROUND: Final = frozenset(
    {"middle_patch"} | {f"{name}{end}" for name in ATTENTION for end in ("_patch", "_output_patch")}
)
_BLOCKS: Final = frozenset({"input_block_patch", "input_block_patch_after_skip", "output_block_patch", "emb_patch"})
_LACKING: Final = frozenset({"forward_timestep_embed_patch", "middle_block_patch", "middle_block_after_patch"})
"""Places that U-Nets of the field have and ours do not. Any other name is one of other networks, which no U-Net calls."""
_BEFORE: Final = "safelight_tokens"
_NEEDS: Final = "that place in our U-Net; there are attn1, attn2, input and output blocks, and the embedding of time"


def _noted(sizes: list[Any]) -> Any:
    """A hook that notes the height and width of what an input block gives."""

    def after(module: nn.Module, arguments: Any, result: Any) -> None:
        sizes.append(tuple((result[0] if isinstance(result, tuple) else result).shape[-2:]))

    return after


def _remember(told: dict[str, Any]) -> Any:
    """A hook before the first normalisation of a transformer block: it keeps the tokens that the attention is added to."""

    def before(module: nn.Module, arguments: Any) -> None:
        told[_BEFORE] = arguments[0]

    return before


@contextmanager
def inside(layout: Layout | None, options: Mapping[str, Any], x: Tensor) -> Iterator[None]:
    """Let the functions in `options`, a pack's transformer options, work inside the network for the call on `x`.

    Functions at places of other kinds of networks are not called, as in the field. Raises CompatError for the places of
    U-Nets that this one does not have, and for all of them in a network that is no U-Net.
    """
    patches, replaced = options.get("patches") or {}, options.get("patches_replace") or {}
    patches = {name: functions for name, functions in patches.items() if functions}
    replaced = {name: functions for name, functions in replaced.items() if functions}
    override = options.get("optimized_attention_override")
    if not patches and not replaced and override is None:
        yield
        return
    for name in [*patches, *replaced]:
        if layout is None or name in _LACKING:
            refuse(f"a function inside the network at {name!r}", _NEEDS)
    assert layout is not None
    call = _Call({**options, "original_shape": list(x.shape), "transformer_index": 0}, patches, replaced)
    with ExitStack() as hooks:
        if replaced or override is not None or _AROUND & patches.keys():
            call.watch_attention(layout, hooks)
        if _BLOCKS & patches.keys():
            call.watch_blocks(layout, hooks)
        yield


class _Call:
    """The functions of one call of the network, and the options that they are told."""

    def __init__(self, options: dict[str, Any], patches: Mapping[str, Any], replaced: Mapping[str, Any]) -> None:
        self.options = options
        self.patches = patches
        self.replaced = replaced

    def watch_attention(self, layout: Layout, hooks: ExitStack) -> None:
        for attended in layout.attended:
            told: dict[str, Any] = {}
            for name in ATTENTION:
                attention = getattr(attended.module, name, None)
                if attention is not None:
                    hooks.callback(setattr, attention, "processor", attention.processor)
                    attention.processor = _Attention(self, attended, name, told)
            if "middle_patch" in self.patches:
                hooks.callback(attended.module.norm1.register_forward_pre_hook(_remember(told)).remove)

    def watch_blocks(self, layout: Layout, hooks: ExitStack) -> None:
        if "emb_patch" in self.patches:
            hooks.callback(layout.time.register_forward_hook(self._embedded(layout.width)).remove)
        following = [first for first, _ in layout.inputs[1:]] + layout.middle
        for number, (_, last) in enumerate(layout.inputs):
            after, skipped = self._input_hooks(("input", number))
            if "input_block_patch" in self.patches:
                hooks.callback(last.register_forward_hook(after).remove)
            if "input_block_patch_after_skip" in self.patches:
                hooks.callback(following[number].register_forward_pre_hook(skipped).remove)
        if "output_block_patch" in self.patches:
            self._watch_outputs(layout, hooks)

    def _watch_outputs(self, layout: Layout, hooks: ExitStack) -> None:
        sizes: list[Any] = []
        for _, last in layout.inputs:
            hooks.callback(last.register_forward_hook(_noted(sizes)).remove)
        for block, number in layout.outputs:
            hooks.callback(delattr, block, "forward")
            block.forward = _Outputs(self, block, number, sizes)

    def _input_hooks(self, place: tuple[str, int]) -> tuple[Any, Any]:
        def after(module: nn.Module, arguments: Any, result: Any) -> Any:
            if isinstance(result, tuple):
                return (self._changed("input_block_patch", place, result[0]), *result[1:])
            return self._changed("input_block_patch", place, result)

        def skipped(module: nn.Module, arguments: Any) -> Any:
            return (self._changed("input_block_patch_after_skip", place, arguments[0]), *arguments[1:])

        return after, skipped

    def _embedded(self, width: int) -> Any:
        def after(module: nn.Module, arguments: Any, embedding: Tensor) -> Tensor:
            for function in self.patches["emb_patch"]:
                embedding = function(embedding, width, self.options)
            return embedding

        return after

    def _changed(self, name: str, place: tuple[str, int], h: Tensor) -> Tensor:
        self.options["block"] = place
        for function in self.patches[name]:
            h = function(h, self.options)
        return h

    def joined(self, number: int, h: Tensor, skipped: Tensor) -> Tensor:
        """Return what output block `number` gets: h (B, C, h', w') and what comes over the skip connection, both changed."""
        self.options["block"] = ("output", number)
        for function in self.patches["output_block_patch"]:
            h, skipped = function(h, skipped, self.options)
        return torch.cat([h, skipped], dim=1)


class _Outputs:
    """The forward of a module that holds output blocks: the functions of packs come before both inputs are joined.

    They may have changed the size of h on the way down, so upsampling goes to the size of the next skip connection.
    """

    def __init__(self, call: _Call, block: Any, number: int, sizes: list[Any]) -> None:
        self._call, self._block, self._number, self._sizes = call, block, number, sizes

    def __call__(
        self,
        hidden_states: Tensor,
        res_hidden_states_tuple: tuple[Tensor, ...],
        temb: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        upsample_size: Any = None,
        **arguments: Any,
    ) -> Tensor:
        """Return h (B, C, h', w') after the blocks."""
        h = hidden_states
        for number, (resnet, attention) in enumerate(pairs(self._block), self._number):
            skipped, res_hidden_states_tuple = res_hidden_states_tuple[-1], res_hidden_states_tuple[:-1]
            h = resnet(self._call.joined(number, h, skipped), temb)
            if attention is not None:
                h = attention(h, encoder_hidden_states=encoder_hidden_states, return_dict=False)[0]
        following = self._number + len(self._block.resnets)
        for sampler in self._block.upsamplers or ():
            size = self._sizes[::-1][following]
            h = sampler(h, upsample_size if size == (h.shape[-2] * 2, h.shape[-1] * 2) else size)
        return h


class _Attention:
    """The processor of one attention: what packs put before it, in its place and after it."""

    def __init__(self, call: _Call, attended: Attended, name: str, told: dict[str, Any]) -> None:
        self._call, self._attended, self._name, self._told = call, attended, name, told

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **arguments: Any,
    ) -> Tensor:
        """Return the attention's output (B, N, D) for its input; `encoder_hidden_states` (B, T, D') is what is attended."""
        told = self._tell(attn)
        query, key, value = hidden_states, encoder_hidden_states, None
        for function in self._call.patches.get(f"{self._name}_patch", ()):
            key = query if key is None else key
            query, key, value = function(query, key, key if value is None else value, told)
        key = query if key is None else key
        q, k, v = attn.to_q(query), attn.to_k(key), attn.to_v(key if value is None else value)
        function = self._replacement()
        found: Tensor
        if function is not None:
            found = function(q, k, v, told)
        elif (override := told.get("optimized_attention_override")) is not None:
            found = override(attention_pytorch, q, k, v, attn.heads, transformer_options=told)
        else:
            found = attention_pytorch(q, k, v, attn.heads)
        for layer in attn.to_out:
            found = layer(found)
        for function in self._call.patches.get(f"{self._name}_output_patch", ()):
            found = function(found, told)
        return self._between(found, told) if self._name == "attn1" else found

    def _between(self, found: Tensor, told: dict[str, Any]) -> Tensor:
        """Let functions change the tokens between the two attentions, by what the first one adds to them."""
        before: Tensor | None = told.pop(_BEFORE, None)
        if before is None:
            return found
        tokens: Tensor = before + found
        for function in self._call.patches["middle_patch"]:
            tokens = function(tokens, told)
        return tokens - before

    def _tell(self, attn: Any) -> dict[str, Any]:
        """What the functions are told; one dict for both attentions of a block, so that what one writes the other reads."""
        attended, told = self._attended, self._told
        if self._name == "attn1":
            before = told.get(_BEFORE)
            told.clear()
            told.update({} if before is None else {_BEFORE: before})
        if "block" not in told:
            told.update({k: v for k, v in self._call.options.items() if k not in ("patches", "patches_replace")})
            told["block"], told["block_index"] = attended.place, attended.index
            told["transformer_index"] = attended.transformer
            told["attn_precision"] = None
        told["n_heads"], told["dim_head"] = attn.heads, attn.to_q.out_features // attn.heads
        return told

    def _replacement(self) -> Any:
        functions, place = self._call.replaced.get(self._name, {}), self._attended.place
        return functions.get((*place, self._attended.index), functions.get(place))
