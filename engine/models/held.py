"""What a file holds in the place of what was asked for, in words. No torch."""

from __future__ import annotations

from engine.models import perception
from engine.models.families import family_named
from engine.models.handles import ClipHandle, ModelHandle, PerceptionHandle, VaeHandle


def held(model: ModelHandle | PerceptionHandle | None, clip: ClipHandle | None, vae: VaeHandle | None) -> str:
    """Return a sentence, with a space before, on the parts that are there and the nodes that load them; "" without any."""
    if isinstance(model, PerceptionHandle):
        kind = perception.kind_named(model.kind)
        return f" It holds {kind.TITLE}. Load it by {kind.LOADER}."
    found = {
        f"the network of {family_named(model.family).title}, which UNETLoader loads" if model else "": model,
        "a text encoder, which CLIPLoader loads": clip,
        "a VAE, which VAELoader loads": vae,
    }
    parts = [told for told, part in found.items() if part is not None]
    return f" It holds {' and '.join(parts)}." if parts else ""
