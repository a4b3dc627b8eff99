"""Hooks: LoRAs and other models' weights that hold for one conditioning only, changing on the way by keyframes.

A hook is data. The sampler predicts for conditionings with the same hooks in one call, under weights that are made once for
each strength; `ConditioningSetProperties` and its like put hooks on a conditioning, `SetClipHooks` on a text encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from engine.api import Clip, Context, Files, In, Out, Socket, node
from engine.models.handles import ClipHandle
from engine.models.hooked_text import hooked_at
from engine.models.hooks import HookedClip, WeightHook, combined
from engine.models.hooks import Hooks as HookGroup

if TYPE_CHECKING:
    from engine.models.hooks import HookKeyframes as HookKeyframes
    from engine.models.hooks import Hooks as Hooks
else:

    class Hooks(Socket, io_type="HOOKS"):
        """Changes to weights that are for one conditioning."""

    class HookKeyframes(Socket, io_type="HOOK_KEYFRAMES"):
        """How much hooks count, by the share of the sampling that is done."""


LoraName = Annotated[str, In(choices=Files("loras"), tip="A file in models/loras.")]
CheckpointName = Annotated[str, In(choices=Files("checkpoints"), tip="A file in models/checkpoints.")]
Strength = Annotated[float, In(ge=-20, le=20, step=0.01, tip="How much of it counts; negative takes away.")]
Earlier = Annotated[Hooks | None, In(tip="Hooks that hold beside this one.")]
Group = Annotated[Hooks | None, In(tip="Hooks that are to hold together with the others.")]
Named = Annotated[Hooks, Out(name="hooks")]


@node("CreateHookLora", category="advanced/hooks/create", display_name="Create Hook LoRA", experimental=True)
def create_hook_lora(
    ctx: Context,
    lora_name: LoraName,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    prev_hooks: Earlier = None,
) -> Hooks:
    """Make a hook of a LoRA: it counts for the conditionings and text encoders that the hook is put on, and no others.

    Whether it fits is told by `SetClipHooks` for the text encoder, and by the sampler for the denoiser.
    """
    if strength_model == 0.0 and strength_clip == 0.0:
        return prev_hooks or HookGroup()
    source = ctx.models.source(ctx.paths.find("loras", lora_name))
    return _after(prev_hooks, WeightHook(lora=source, strength=strength_model, strength_clip=strength_clip))


@node(
    "CreateHookLoraModelOnly", category="advanced/hooks/create", display_name="Create Hook LoRA (MO)", experimental=True
)
def create_hook_lora_model_only(
    ctx: Context, lora_name: LoraName, strength_model: Strength = 1.0, prev_hooks: Earlier = None
) -> Named:
    """Make a hook of a LoRA that is for the denoiser, and leaves text encoders as they are."""
    return create_hook_lora(ctx, lora_name, strength_model, 0.0, prev_hooks)


@node(
    "CreateHookModelAsLora",
    category="advanced/hooks/create",
    display_name="Create Hook Model as LoRA",
    experimental=True,
)
def create_hook_model_as_lora(
    ctx: Context,
    ckpt_name: CheckpointName,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    prev_hooks: Earlier = None,
) -> Hooks:
    """Make a hook of a checkpoint: a weight W becomes W + strength · (its own - W), so 1 is the other model itself.

    Inferred: that is what the field makes of a model that is taken for a LoRA; of several hooks models count before LoRAs.
    """
    if strength_model == 0.0 and strength_clip == 0.0:
        return prev_hooks or HookGroup()
    model, clip, _ = ctx.models.checkpoint(ctx.paths.find("checkpoints", ckpt_name))
    if model is None and strength_model:
        raise ValueError(
            f"ckpt_name: expected a checkpoint with a denoiser, got {ckpt_name}, which holds none. Choose another, or set "
            "strength_model to 0."
        )
    if clip is None and strength_clip:
        ctx.warn(f"{ckpt_name} holds no text encoder, so strength_clip changes nothing.")
    return _after(
        prev_hooks,
        WeightHook(
            model=None if model is None else model.weights_alone(),
            clip=clip,
            strength=strength_model if model else 0.0,
            strength_clip=strength_clip if clip else 0.0,
        ),
    )


@node(
    "CreateHookModelAsLoraModelOnly",
    category="advanced/hooks/create",
    display_name="Create Hook Model as LoRA (MO)",
    experimental=True,
)
def create_hook_model_as_lora_model_only(
    ctx: Context, ckpt_name: CheckpointName, strength_model: Strength = 1.0, prev_hooks: Earlier = None
) -> Named:
    """Make a hook of a checkpoint's denoiser, which leaves text encoders as they are."""
    return create_hook_model_as_lora(ctx, ckpt_name, strength_model, 0.0, prev_hooks)


@node("SetHookKeyframes", category="advanced/hooks/scheduling", display_name="Set Hook Keyframes", experimental=True)
def set_hook_keyframes(
    hooks: Hooks,
    hook_kf: Annotated[
        HookKeyframes | None, In(tip="Counts for all of the hooks, in the place of earlier ones.")
    ] = None,
) -> Named:
    """Let hooks change their strength on the way, as keyframes say."""
    return hooks if hook_kf is None else hooks.with_keyframes(hook_kf)


@node("CombineHooks2", category="advanced/hooks/combine", display_name="Combine Hooks [2]", experimental=True)
def combine_hooks_2(hooks_A: Group = None, hooks_B: Group = None) -> Named:
    """Let two groups of hooks hold together."""
    return combined((hooks_A, hooks_B)) or HookGroup()


@node("CombineHooks4", category="advanced/hooks/combine", display_name="Combine Hooks [4]", experimental=True)
def combine_hooks_4(
    hooks_A: Group = None,
    hooks_B: Group = None,
    hooks_C: Group = None,
    hooks_D: Group = None,
) -> Hooks:
    """Let up to four groups of hooks hold together."""
    return combined((hooks_A, hooks_B, hooks_C, hooks_D)) or HookGroup()


@node("CombineHooks8", category="advanced/hooks/combine", display_name="Combine Hooks [8]", experimental=True)
def combine_hooks_8(
    hooks_A: Group = None,
    hooks_B: Group = None,
    hooks_C: Group = None,
    hooks_D: Group = None,
    hooks_E: Group = None,
    hooks_F: Group = None,
    hooks_G: Group = None,
    hooks_H: Group = None,
) -> Hooks:
    """Let up to eight groups of hooks hold together."""
    groups = (hooks_A, hooks_B, hooks_C, hooks_D, hooks_E, hooks_F, hooks_G, hooks_H)
    return combined(groups) or HookGroup()


@node("SetClipHooks", category="advanced/hooks/clip", display_name="Set CLIP Hooks", experimental=True)
def set_clip_hooks(
    ctx: Context,
    clip: Clip,
    apply_to_conds: Annotated[bool, In(tip="Put the hooks on the conditionings that it makes too.")] = True,
    schedule_clip: Annotated[
        bool, In(tip="Encode a text once for each stretch between keyframes; else without keyframes.")
    ] = False,
    hooks: Annotated[Hooks | None, In(tip="Without any nothing changes.")] = None,
) -> Annotated[Clip, Out(name="clip")]:
    """Put hooks on a text encoder: what it encodes is encoded under their changes.

    With a schedule a text becomes a conditioning for each stretch of the sampling over which the hooks' strengths stay.
    """
    if hooks is None or not hooks.hooks:
        return clip
    fields = {name: getattr(clip, name) for name in ClipHandle.__struct_fields__}
    made = HookedClip(**fields, under=hooks, scheduled=schedule_clip, passed_on=apply_to_conds)
    hooked_at(ctx.models, made, 0.0)  # what does not fit is told here
    return made


def _after(earlier: Hooks | None, hook: WeightHook) -> Hooks:
    return combined((earlier, HookGroup((hook,)))) or HookGroup()
