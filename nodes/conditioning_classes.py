"""Conditioning without a text: none at all, or a class of pictures that the network was trained on."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.api import Conditioning, In, Model, node
from engine.models.labels import class_number, known_classes


def _nothing() -> torch.Tensor:
    """The tensor (1, 1, 1) of a conditioning that has no text."""
    return torch.zeros(1, 1, 1)


@node("UnconditionalConditioning", category="conditioning", display_name="Unconditional")
def unconditional_conditioning() -> Conditioning:
    """Nothing to go by: for networks that take no text, and for the side that a class is guided away from."""
    return [[_nothing(), {}]]


@node("ClassConditioning", category="conditioning", display_name="Class of Pictures")
def class_conditioning(
    model: Model,
    label: Annotated[str, In(tip="The number of a class, or its name where the model's folder tells names.")] = "0",
) -> Conditioning:
    """Let a network that was trained on classes of pictures, such as DiT, make one of a class."""
    return [[_nothing(), {"class_label": class_number(model, label)}]]


@node("ListClasses", category="conditioning", display_name="Classes of a Model")
def list_classes(model: Model) -> str:
    """Say which classes a network knows, one a line: its number, and its names where the model's folder tells them."""
    return "\n".join(known_classes(model))
