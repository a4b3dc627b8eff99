"""Two pictures over one another, with a line to draw across."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from engine.api import Context, Image, In, Socket, WithUi, node

if TYPE_CHECKING:
    CompareView: TypeAlias = object
else:

    class CompareView(Socket, io_type="IMAGECOMPARE"):
        """What editors show there: both pictures. It has no value."""


@node(
    "ImageCompare",
    category="image",
    display_name="Compare Images",
    output=True,
    hidden={"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
)
def image_compare(
    ctx: Context,
    compare_view: Annotated[CompareView, In(tip="Both pictures; move over them.")],
    image_a: Annotated[Image | None, In(tip="The picture on the left.")] = None,
    image_b: Annotated[Image | None, In(tip="The picture on the right.")] = None,
) -> WithUi[None]:
    """Show two pictures (B, H, W, C) over one another, without keeping them. One that is not linked is left empty."""
    sides = {"a": image_a, "b": image_b}
    return WithUi(
        ui={
            f"{side}_images": [] if images is None else list(ctx.save_images(images, f"comfy.compare.{side}", "temp"))
            for side, images in sides.items()
        }
    )
