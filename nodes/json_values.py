"""Lists and dictionaries as JSON, and prompts that are JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from engine.api import Choosing, In, Out, Socket, node
from nodes.layout_prompt import Elements
from nodes.text import MAX_TEXT

if TYPE_CHECKING:
    Dictionary: TypeAlias = dict[str, Any]
    Items: TypeAlias = list[Any]
    Colors: TypeAlias = list[str]
else:

    class Dictionary(Socket, io_type="DICT"):
        """Values by name."""

    class Items(Socket, io_type="ARRAY"):
        """Values in order."""

    class Colors(Socket, io_type="COLORS"):
        """Colours as #RRGGBB."""


MOST_COLORS: Final = 16

Indent = Annotated[int, In(ge=0, le=8, tip="Spaces of each level; 0 writes one line without spaces.")]

_STYLES: Final = [
    {"key": "none", "inputs": {}},
    {
        "key": "photo",
        "inputs": {
            "optional": {
                "photo": ["STRING", {"default": "", "tooltip": "Camera and lens, such as 35mm, f/1.4, bokeh."}]
            }
        },
    },
    {
        "key": "art_style",
        "inputs": {
            "optional": {
                "art_style": ["STRING", {"default": "", "tooltip": "Such as flat vector illustration, bold outlines."}]
            }
        },
    },
]


@node("ConvertArrayToString", category="utils", display_name="Convert Array to String")
def convert_array_to_string(
    array: Annotated[Items, In(tip="A list of texts, numbers, dictionaries, …")], indent: Indent = 2
) -> str:
    """Write a list as JSON. Raises ValueError for what JSON cannot hold, such as a picture."""
    return _written("ConvertArrayToString", array, indent)


@node("ConvertDictionaryToString", category="utils", display_name="Convert Dictionary to String")
def convert_dictionary_to_string(
    dictionary: Annotated[Dictionary, In(tip="Values by name.")], indent: Indent = 2
) -> str:
    """Write a dictionary as JSON. Raises ValueError for what JSON cannot hold, such as a picture."""
    return _written("ConvertDictionaryToString", dictionary, indent)


def _written(name: str, value: Any, indent: int) -> str:
    separators = None if indent else (",", ":")
    pieces, size = [], 0
    try:
        encoder = json.JSONEncoder(ensure_ascii=False, indent=indent or None, separators=separators)
        for piece in encoder.iterencode(value):
            size += len(piece)
            if size > MAX_TEXT:
                raise ValueError(f"the text would have more than {MAX_TEXT} characters")
            pieces.append(piece)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}: this is no JSON: {error}. Link texts, numbers, lists and dictionaries.") from None
    return "".join(pieces)


@node("BuildJsonPromptIdeogram", category="utils", display_name="Build JSON Prompt (Ideogram)")
def build_json_prompt_ideogram(
    element: Annotated[Elements, In(tip="The elements of Create Bounding Boxes.")],
    high_level_description: Annotated[str, In(multiline=True, tip="The picture in one or two sentences.")] = "",
    background: Annotated[str, In(multiline=True, tip="What is behind the elements; best told.")] = "",
    *,
    style: Annotated[Choosing, In(tip="Kind of style; none tells no style at all.", options={"options": _STYLES})],
    aesthetics: Annotated[str, In(multiline=True, tip="Such as moody, cinematic, desaturated.")] = "",
    lighting: Annotated[str, In(multiline=True, tip="Such as golden hour, rim light.")] = "",
    medium: Annotated[str, In(tip="Such as photograph, illustration, 3d_render, painting, graphic_design.")] = "",
    color_palette: Annotated[Colors | None, In(tip="Up to 16 colours, as #RRGGBB.")] = None,
) -> Annotated[Dictionary, Out(name="prompt")]:
    """Put together the JSON that Ideogram 4 reads: description, style, background and elements.

    Keys stand in the order of published prompts: aesthetics, lighting, photo, medium, art_style, color_palette; where
    art_style stands is inferred, and that an empty palette or description is left out. Raises ValueError for more than
    16 colours, and for elements that are no dictionaries.
    """
    elements = list(element or [])
    if not all(isinstance(one, dict) for one in elements):
        raise ValueError(
            "BuildJsonPromptIdeogram: an element is no dictionary; link `elements` of Create Bounding Boxes."
        )
    colors = list(color_palette or [])
    if len(colors) > MOST_COLORS:
        raise ValueError(f"BuildJsonPromptIdeogram: {len(colors)} colours; at most {MOST_COLORS} steer a picture.")
    prompt: dict[str, Any] = {"high_level_description": high_level_description} if high_level_description else {}
    kind = style.get("style", "none")
    if kind != "none":
        told = {"aesthetics": aesthetics, "lighting": lighting}
        told |= {"photo": style.get("photo", "")} if kind == "photo" else {}
        told["medium"] = medium
        told |= {"art_style": style.get("art_style", "")} if kind == "art_style" else {}
        prompt["style_description"] = {**told, "color_palette": colors} if colors else told
    prompt["compositional_deconstruction"] = {"background": background, "elements": elements}
    return prompt
