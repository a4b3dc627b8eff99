"""What an answer cost: the tokens that it says it used, by the prices of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.remote.services import Service

_MILLION: Final = 1_000_000


class Cost(msgspec.Struct, frozen=True):
    """What one answer took. `amount` is in `currency`; None where the settings have no prices of the model."""

    service: str
    model: str
    pictures: int
    input_tokens: int = 0
    output_tokens: int = 0
    amount: float | None = None
    currency: str = ""

    @property
    def words(self) -> str:
        """In words: `openai (gpt-image-2): 1 picture, 50 tokens in, 1,056 out, 0.0425 USD`."""
        told = f"{self.service} ({self.model})" if self.model else self.service
        parts = [f"{self.pictures} picture{'s' if self.pictures != 1 else ''}"]
        if self.input_tokens or self.output_tokens:
            parts.append(f"{self.input_tokens:,} tokens in, {self.output_tokens:,} out")
        if self.amount is not None:
            parts.append(f"{self.amount:.4f} {self.currency}")
        return f"{told}: {', '.join(parts)}"


def cost_of(service: Service, model: str, pictures: int, usage: Mapping[str, Any] | None) -> Cost:
    """The cost of an answer with `usage` as the API gives it; tokens of the input are split where it says how."""
    usage = usage or {}
    inside, outside = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    details = usage.get("input_tokens_details")
    of_pictures = min(_count(details.get("image_tokens")), inside) if isinstance(details, Mapping) else 0
    price = service.settings.prices.get(model)
    amount = None
    if price is not None:
        tokens = (inside - of_pictures) * price.input + of_pictures * price.input_image + outside * price.output
        amount = tokens / _MILLION + pictures * price.picture
    return Cost(service.name, model, pictures, inside, outside, amount, service.settings.currency)


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
