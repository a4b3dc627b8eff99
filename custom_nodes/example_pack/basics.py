"""Inputs, outputs, and what editors show. A typed function is the whole declaration of a node."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from engine.api import Image, In, Mask, Out, WithUi, node

# Facts of an input stand beside its type. Named once, they can be used by several nodes.
Amount = Annotated[float, In(ge=0, le=4, step=0.05, tip="0 is grey, 1 leaves the picture as it is.")]


@node("ExampleContrast", category="example/basics", display_name="Contrast (example)")
def contrast(
    image: Image,  # no default: must be linked
    amount: Amount = 1.5,  # a number with a range
    around: Literal["black", "middle", "mean"] = "middle",  # a choice
    mask: Mask | None = None,  # may be left out
) -> Image:
    """Spread the values of `image` (B, H, W, 3; 0..1), where `mask` (B, H, W) is 1 if there is one."""
    pivot = {"black": 0.0, "middle": 0.5}.get(around, float(image.mean()))
    changed = ((image - pivot) * amount + pivot).clamp(0, 1)
    if mask is None:
        return changed
    return image + (changed - image) * mask[..., None]  # a new tensor: never write into an input


class Measured(NamedTuple):
    """Several outputs: the fields' names are the outputs' names."""

    width: int
    height: int
    brightness: Annotated[float, Out(tip="Mean of all values, 0..1.")]


@node("ExampleMeasure", category="example/basics", display_name="Measure (example)")
def measure(image: Image) -> Measured:
    """Size and mean brightness of `image` (B, H, W, C)."""
    _, height, width, _ = image.shape
    return Measured(int(width), int(height), float(image.mean()))


@node("ExampleShow", category="example/basics", display_name="Show text (example)", output=True)
def show(text: Annotated[str, In(multiline=True)] = "") -> WithUi[str]:
    """Show a text on the node, and pass it on. `output=True`: a run is made for such nodes."""
    return WithUi(text, ui={"text": [text]})
