"""Several LoRAs in one node, a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from engine.api import Clip, Context, In, Model, Socket, node
from nodes.loaders import lora_loader_model_only, with_lora

if TYPE_CHECKING:
    Rows = dict[str, Any]
else:

    class Rows(Socket, io_type="COMFY_DYNAMICGROUP_V3"):
        """Rows of inputs: a dict by number, of dicts by name. The option `template` says of what."""


_ROW: dict[str, Any] = {
    "group_name": "LoRA",
    "min": 1,
    "max": 20,
    "template": {
        "required": {
            "lora_name": ["COMBO", {"files": "loras", "tooltip": "A file in models/loras."}],
            "strength": [
                "FLOAT",
                {
                    "default": 1.0,
                    "min": -100.0,
                    "max": 100.0,
                    "step": 0.01,
                    "tooltip": "0 leaves it out, negative takes away.",
                },
            ],
            "enabled": ["BOOLEAN", {"default": True, "tooltip": "Off skips it."}],
        }
    },
}
Loras = Annotated[Rows, In(options=_ROW, tip="A LoRA in each row; they are put on from the first to the last.")]
_MOST: Final = 20


@node("LoadLoraModel", category="loaders", display_name="Load LoRA (Model)")
def load_lora_model(ctx: Context, model: Model, loras: Loras) -> Model:
    """Put up to 20 LoRAs on a denoiser, one after the other. Rows that are off, without a file or of strength 0 are skipped."""
    for name, strength in _wanted(loras):
        model = lora_loader_model_only(ctx, model, name, strength)
    return model


@node("LoadLoraTextEncoder", category="loaders", display_name="Load LoRA (Text Encoder)")
def load_lora_text_encoder(ctx: Context, clip: Clip, loras: Loras) -> Clip:
    """Put up to 20 LoRAs on a text encoder, one after the other; rows that are off, without file or of strength 0 are skipped."""
    for name, strength in _wanted(loras):
        clip = with_lora(ctx, name, None, clip, 0.0, strength)[1]
    return clip


def _wanted(loras: Rows) -> list[tuple[str, float]]:
    """The file and the strength of each row that counts, in order. Raises ValueError where there is no row, and for too many."""
    rows = [loras[number] for number in sorted(loras, key=int)]
    if not 1 <= len(rows) <= _MOST:
        raise ValueError(f"loras: expected 1 to {_MOST} rows, got {len(rows)}. Give a row for each LoRA.")
    told = [(row.get("lora_name") or "", float(row.get("strength", 1.0)), row.get("enabled", True)) for row in rows]
    return [(name, strength) for name, strength, enabled in told if name and strength and enabled]
