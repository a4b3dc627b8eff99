"""Hooks of conditionings under functions that packs put around a model, and text encoders under hooks in packs."""

from __future__ import annotations

from typing import Any

import torch

from engine.plugins.compat.values import from_pack, to_pack
from nodes.conditioning import text_encode
from nodes.conditioning_properties import conditioning_set_properties
from nodes.hook_keyframes import create_hook_keyframe
from nodes.hooks import create_hook_lora, create_hook_lora_model_only, set_clip_hooks, set_hook_keyframes
from nodes.loaders import lora_loader_model_only
from nodes.sampling import ksampler

NAME = "kohya.safetensors"


def put_on(model: Any) -> Any:
    """The model with the functions of a pack around it."""
    made = to_pack(model).clone()
    made.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 0.9)
    made.set_model_unet_function_wrapper(lambda apply, args: apply(args["input"], args["timestep"], **args["c"]))
    return from_pack(made)


def test_functions_of_a_pack_see_the_predictions_of_hooked_weights(node: Any, model: Any, texts: Any) -> None:
    positive, negative = from_pack(texts[0]), from_pack(texts[1])
    hooked = conditioning_set_properties(positive, hooks=create_hook_lora_model_only(node, NAME, 0.8))
    told = {"seed": 1, "steps": 3, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "negative": negative}
    told["latent_image"] = {"samples": torch.zeros(1, 4, 8, 8)}
    found = ksampler(node, put_on(model.handle), positive=hooked, **told)["samples"]
    patched = put_on(lora_loader_model_only(node, model.handle, NAME, 0.8))
    torch.testing.assert_close(
        found, ksampler(node, patched, positive=positive, **told)["samples"], atol=1e-5, rtol=1e-5
    )
    assert not torch.allclose(
        found, ksampler(node, put_on(model.handle), positive=positive, **told)["samples"], atol=1e-3
    )


def test_a_pack_encodes_under_hooks_as_our_node_does(node: Any, parts: Any) -> None:
    frames = create_hook_keyframe(0.0, 0.5, create_hook_keyframe(1.0, 0.0))
    hooks = set_hook_keyframes(create_hook_lora(node, NAME, 0.3, 0.7), frames)
    clip = set_clip_hooks(node, parts[1].handle, True, True, hooks)
    wrapped = to_pack(clip)
    found = wrapped.encode_from_tokens_scheduled(wrapped.tokenize("red apple"))
    expected = text_encode(node, "red apple", clip)
    assert len(found) == len(expected) == 2
    for (tokens, options), (wanted, told) in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.as_tensor(tokens), wanted)
        assert {"hooks", "clip_start_percent", "clip_end_percent"} <= options.keys() & told.keys()
