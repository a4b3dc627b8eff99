"""Text by a language model that is there as a text encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, cast

from engine.api import Audio, Choosing, Clip, Context, Image, In, Out, node
from engine.models.errors import ModelError
from engine.models.writing import Sampling, thought_apart, write, writer_among

if TYPE_CHECKING:
    from engine.models.towers.language_encoder import LanguageEncoder

VIDEO_FPS: Final = 24
"""Frames a second that a video is taken to have."""

MTP: Final = ("auto", "off", "2", "3", "4", "5", "tree2s1", "tree2s2", "tree3s1", "tree4s1m8")


class Generated(NamedTuple):
    """The answer, and the thinking before it; "" where there was none."""

    generated_text: Annotated[str, Out(name="generated_text")]
    thinking: Annotated[str, Out(name="thinking")]


def _number(kind: str, default: float, low: float, high: float, tip: str, **more: Any) -> list[Any]:
    step = {"step": 0.01} if kind == "FLOAT" else {}
    return [kind, {"default": default, "min": low, "max": high, "tooltip": tip, **step, **more}]


SAMPLED: Final = {
    "temperature": _number("FLOAT", 0.7, 0.01, 2.0, "Lower is more predictable."),
    "top_k": _number("INT", 64, 0, 1000, "Only so many of the likeliest tokens; 0 is any number."),
    "top_p": _number("FLOAT", 0.95, 0.0, 1.0, "Only the likeliest tokens that together have this probability."),
    "min_p": _number("FLOAT", 0.05, 0.0, 1.0, "Only tokens that have this share of the likeliest one's probability."),
    "repetition_penalty": _number("FLOAT", 1.05, 0.0, 5.0, "Makes tokens that were written less likely; 1 is none."),
    "seed": _number("INT", 0, 0, 0xFFFFFFFFFFFFFFFF, "The draw."),
}
_PRESENCE: Final = _number("FLOAT", 0.0, 0.0, 5.0, "Taken off the scores of tokens that were written.")
MODES: Final = [
    {"key": "on", "inputs": {"required": SAMPLED, "optional": {"presence_penalty": _PRESENCE}}},
    {"key": "off", "inputs": {"required": {}}},
]


@node("TextGenerate", category="textgen", display_name="Generate Text")
def text_generate(
    ctx: Context,
    clip: Annotated[Clip, In(tip="A language model: Qwen3, Qwen2.5-VL, Qwen3-VL, Gemma 3, Llama 3.1, Mistral.")],
    prompt: Annotated[str, In(multiline=True, options={"dynamicPrompts": True}, tip="What is asked.")] = "",
    max_length: Annotated[int, In(ge=1, le=32_768, tip="Tokens that it writes at most.")] = 512,
    *,
    sampling_mode: Annotated[
        Choosing, In(tip="Whether tokens are drawn, or the likeliest taken.", options={"options": MODES})
    ],
    image: Annotated[Image | None, In(tip="Pictures to look at, for models that see.")] = None,
    video: Annotated[
        Image | None, In(tip="Frames, 24 a second, of which the model sees one a second, as pictures after the others.")
    ] = None,
    audio: Annotated[Audio | None, In(tip="Not known to any model here.")] = None,
    thinking: Annotated[bool | None, In(tip="Let a model that can think do so first.")] = False,
    use_default_template: Annotated[
        bool | None, In(tip="Put the prompt as the model's chats are; off: as it is.")
    ] = True,
    mtp: Annotated[
        str | None, In(choices=MTP, tip="Drafts of several tokens; without effect, as no model here has the weights.")
    ] = "auto",
    system_prompt: Annotated[str | None, In(link_only=True, tip="In the place of the model's own.")] = "",
) -> Generated:
    """Write a text by a language model, which is shown as it grows. Thinking that it opens with is given apart.

    The frames of a video are given as single pictures, not by the models' own way of taking videos (inferred).

    Raises ModelError where no encoder of `clip` writes, or sees or hears what it is given.
    """
    if audio is not None:
        raise ModelError("audio: no language model here hears. Leave it unconnected.")
    seen = [images for images in (image, None if video is None else video[::VIDEO_FPS]) if images is not None]
    pictures = [images[index : index + 1, ..., :3] for images in seen for index in range(len(images))]
    handle, chat = writer_among(clip, sees=bool(pictures))
    asked = chat.text(prompt, system_prompt or "", pictures=len(pictures), thinking=bool(thinking))
    text = asked if use_default_template is not False else chat.picture * len(pictures) + prompt
    with ctx.models.use(handle) as used:
        encoder = cast("LanguageEncoder", used.encoders[0])
        written = write(
            encoder, text, max_length, chat.ends, _sampling(sampling_mode), pictures, ctx.progress, ctx.show_text
        )
    return Generated(*thought_apart(text, written))


def _sampling(mode: Choosing) -> Sampling | None:
    if mode["sampling_mode"] == "off":
        return None
    return Sampling(
        temperature=float(mode["temperature"]),
        top_k=int(mode["top_k"]),
        top_p=float(mode["top_p"]),
        min_p=float(mode["min_p"]),
        repetition=float(mode["repetition_penalty"]),
        presence=float(mode.get("presence_penalty", 0.0)),
        seed=int(mode["seed"]),
    )
