"""Texts changed one by one, as captions of data sets are; the field keeps these for older workflows, and lists of texts."""

from __future__ import annotations

from typing import Annotated, Any

from engine.api import In, Out, node
from nodes.text import string_replace

Line = Annotated[str, In(options={"multiline": False})]
Given = Annotated[str, In(link_only=True, tip="The text to change.")]
Changed = Annotated[str, Out(name="text")]
_CATEGORY = "dataset/text"


@node("AddTextPrefix", category=_CATEGORY, display_name="Add Text Prefix (DEPRECATED)", deprecated=True)
def add_text_prefix(text: Given, prefix: Line = "") -> Changed:
    """Put `prefix` before a text."""
    return prefix + text


@node("AddTextSuffix", category=_CATEGORY, display_name="Add Text Suffix (DEPRECATED)", deprecated=True)
def add_text_suffix(text: Given, suffix: Line = "") -> Changed:
    """Put `suffix` behind a text."""
    return text + suffix


@node("ReplaceText", category=_CATEGORY, display_name="Replace Text (DEPRECATED)", deprecated=True)
def replace_text(text: Given, find: Line = "", replace: Line = "") -> Changed:
    """Replace every `find` by `replace`; an empty `find` changes nothing. Raises ValueError for results that are too long."""
    return string_replace(text, find, replace)


@node("StripWhitespace", category=_CATEGORY, display_name="Strip Whitespace (DEPRECATED)", deprecated=True)
def strip_whitespace(text: Given) -> Changed:
    """Take spaces, tabs and line ends off both ends."""
    return text.strip()


@node("TextToLowercase", category=_CATEGORY, display_name="Text to Lowercase (DEPRECATED)", deprecated=True)
def text_to_lowercase(text: Given) -> Changed:
    """Change letters to small ones."""
    return text.lower()


@node("TextToUppercase", category=_CATEGORY, display_name="Text to Uppercase (DEPRECATED)", deprecated=True)
def text_to_uppercase(text: Given) -> Changed:
    """Change letters to capitals."""
    return text.upper()


@node("TruncateText", category=_CATEGORY, display_name="Truncate Text")
def truncate_text(
    text: Given, max_length: Annotated[int, In(ge=1, le=10_000, tip="Most characters to keep.")] = 77
) -> Annotated[str, Out(name="string")]:
    """Cut a text off after `max_length` characters."""
    return text[:max_length]


@node(
    "MergeTextLists",
    category=_CATEGORY,
    display_name="Merge Text Lists (DEPRECATED)",
    deprecated=True,
    input_is_list=True,
)
def merge_text_lists(
    texts: Annotated[str, In(link_only=True, tip="Texts, or lists of them.")],
) -> Annotated[list[str], Out(name="texts")]:
    """Give all texts that come as one list."""
    given: Any = texts
    return [text for one in given for text in (one if isinstance(one, list | tuple) else [one])]
