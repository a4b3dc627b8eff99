"""What a file holds in the place of what was asked for, in words. No torch."""

from __future__ import annotations

from engine.models.families import family_named
from engine.models.handles import ClipHandle, ModelHandle, VaeHandle


def held(model: ModelHandle | None, clip: ClipHandle | None, vae: VaeHandle | None) -> str:
    """Return a sentence, with a space before, on the parts that are there and the nodes that load them; "" without any."""
    found = {
        f"the network of {family_named(model.family).title}, which UNETLoader loads" if model else "": model,
        "a text encoder, which CLIPLoader loads": clip,
        "a VAE, which VAELoader loads": vae,
    }
    parts = [told for told, part in found.items() if part is not None]
    return f" It holds {' and '.join(parts)}." if parts else ""
