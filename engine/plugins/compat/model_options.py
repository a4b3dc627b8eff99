"""The options of a model as packs keep them: nested dicts and lists that hold functions."""

from __future__ import annotations

from typing import Any


def copied(value: Any) -> Any:
    """A copy of the dicts and lists of `value`; what they hold stays the same object, as it may be a function or tensor."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def is_empty(options: dict[str, Any]) -> bool:
    """Whether the options change nothing."""
    return all(name == "transformer_options" and _is_blank(value) for name, value in options.items())


def _is_blank(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_blank, value.values()))


def merged(first: Any, second: Any) -> Any:
    """Both options in one: dicts are merged, lists joined, and anything else is the second's."""
    if isinstance(first, dict) and isinstance(second, dict):
        return {**first, **{key: merged(first[key], item) if key in first else item for key, item in second.items()}}
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    return second


def create_model_options_clone(orig_model_options: dict[str, Any]) -> dict[str, Any]:
    """A copy to change."""
    found: dict[str, Any] = copied(orig_model_options)
    return found


def create_hook_patches_clone(orig_hook_patches: dict[str, Any]) -> dict[str, Any]:
    """A copy to change."""
    found: dict[str, Any] = copied(orig_hook_patches)
    return found


def transformer_options(model_options: dict[str, Any]) -> dict[str, Any]:
    """The options for the network's inside, made when they are missing."""
    found: dict[str, Any] = model_options.setdefault("transformer_options", {})
    return found


def add_patch(model_options: dict[str, Any], patch: Any, name: str) -> dict[str, Any]:
    """Add a function that is called at the places called `name` (`attn1_patch`, `input_block_patch`, …)."""
    transformer_options(model_options).setdefault("patches", {}).setdefault(name, []).append(patch)
    return model_options


def set_model_options_patch_replace(
    model_options: dict[str, Any],
    patch: Any,
    name: str,
    block_name: str,
    number: int,
    transformer_index: int | None = None,
) -> dict[str, Any]:
    """Put a function in the place of attention `name` (`attn1`, `attn2`) in a block; the options change and come back."""
    place = (block_name, number) if transformer_index is None else (block_name, number, transformer_index)
    options = dict(transformer_options(model_options))
    replaced = dict(options.get("patches_replace", {}))
    replaced[name] = {**replaced.get(name, {}), place: patch}
    options["patches_replace"] = replaced
    model_options["transformer_options"] = options
    return model_options


def set_model_options_post_cfg_function(
    model_options: dict[str, Any], post_cfg_function: Any, disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """Add a function that changes the guided prediction."""
    return _appended(model_options, "sampler_post_cfg_function", post_cfg_function, disable_cfg1_optimization)


def set_model_options_pre_cfg_function(
    model_options: dict[str, Any], pre_cfg_function: Any, disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """Add a function that changes the predictions before they are guided."""
    return _appended(model_options, "sampler_pre_cfg_function", pre_cfg_function, disable_cfg1_optimization)


def _appended(model_options: dict[str, Any], name: str, function: Any, both: bool) -> dict[str, Any]:
    model_options[name] = [*model_options.get(name, []), function]
    if both:
        model_options["disable_cfg1_optimization"] = True
    return model_options
