"""Prompts that say where things are: elements with boxes, listed behind the text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from engine.api import In, Out, Socket, node

if TYPE_CHECKING:
    Elements: TypeAlias = list[dict[str, Any]]
else:

    class Elements(Socket, io_type="ARRAY"):
        """Elements of a picture: dicts with `bbox` [top, left, bottom, right] of 1000, `desc`, and `text` of lettering."""


@node("Flux3LayoutPrompt", category="advanced/conditioning/flux", display_name="FLUX 3 Image Layout Prompt")
def flux3_layout_prompt(
    prompt: Annotated[str, In(multiline=True, tip="Cite box N as <obj_N> to tie words to it.")] = "",
    element: Annotated[Elements | None, In(tip="Elements with boxes; without any the prompt stays as it is.")] = None,
) -> Annotated[str, Out(name="prompt")]:
    """List elements with their boxes behind a prompt, in the form in which FLUX.3 reads them: JSON rows of id, bbox and desc."""
    if not element:
        return prompt
    rows = [{"id": f"obj_{number}", **_row(one)} for number, one in enumerate(element, start=1)]
    return f"{prompt.strip()} {json.dumps(rows, ensure_ascii=False)}".lstrip()


def _row(element: dict[str, Any]) -> dict[str, Any]:
    """One element's box and description, in which lettering stands in double quotes."""
    box = element.get("bbox")
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise ValueError(
            f"Flux3LayoutPrompt: an element needs a bbox [top, left, bottom, right] of 0 to 1000, got {box!r}. "
            "Take the elements of Create Bounding Boxes."
        )
    text, description = str(element.get("text") or ""), str(element.get("desc") or "")
    lettering = json.dumps(text, ensure_ascii=False) if text else ""
    told = " ".join(part for part in (lettering, description) if part)
    return {"bbox": [round(min(max(float(side), 0.0), 1000.0)) for side in box], "desc": told}
