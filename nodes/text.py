"""Working with text."""

from __future__ import annotations

import json
import re
import string as standard_string
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from engine.api import Choice, Growing, In, Out, Text, node
from nodes.dimensions import ONE_CHOICE
from nodes.patterns import Matcher

MAX_TEXT = 10_000_000
"""Most characters that a node makes."""

MAX_BRACES = 1000
"""How many braces are tried for the begin of a JSON object: each may read to the end of the text."""

_VALUES = {"input": {"optional": {"value": ["*", {}]}}, "min": 0, "names": list(standard_string.ascii_lowercase)}
"""What grows on a text to be filled in: values of any type, under the names a to z."""

CaseSensitive = Annotated[bool, In(tip="Whether A and a differ.")]
CaseInsensitive = Annotated[bool, In(tip="Whether A and a are the same.")]
Multiline = Annotated[bool, In(tip="^ and $ match at every line.")]
DotAll = Annotated[bool, In(tip=". matches line ends too.")]
Pattern = Annotated[str, In(multiline=True, tip="A regular expression in Python's notation.")]
Delimiter = Annotated[str, In(options={"multiline": False})]
Position = Annotated[int, In(tip="Counted from 0; negative counts from the end.")]


@node("StringConcatenate", category="utils/string", display_name="Concatenate")
def string_concatenate(string_a: Text, string_b: Text, delimiter: Delimiter = "") -> str:
    """Put two texts together with `delimiter` between them."""
    return f"{string_a}{delimiter}{string_b}"


@node("StringSubstring", category="utils/string", display_name="Substring")
def string_substring(string: Text, start: Position, end: Position) -> str:
    """Cut out the characters from `start` up to but without `end`."""
    return string[start:end]


@node("StringLength", category="utils/string", display_name="Length")
def string_length(string: Text) -> Annotated[int, Out(name="length")]:
    """Count the characters."""
    return len(string)


@node("CaseConverter", category="utils/string", display_name="Case Converter")
def case_converter(
    string: Text,
    mode: Annotated[
        Literal["UPPERCASE", "lowercase", "Capitalize", "Title Case"], In(options=ONE_CHOICE)
    ] = "UPPERCASE",
) -> str:
    """Change letters to capitals or small ones."""
    convert: Mapping[str, Callable[[str], str]] = {
        "UPPERCASE": str.upper,
        "lowercase": str.lower,
        "Capitalize": str.capitalize,
        "Title Case": str.title,
    }
    return convert[mode](string)


@node("StringTrim", category="utils/string", display_name="Trim")
def string_trim(
    string: Text, mode: Annotated[Literal["Both", "Left", "Right"], In(options=ONE_CHOICE)] = "Both"
) -> str:
    """Take white space off the ends."""
    trim: Mapping[str, Callable[[str], str]] = {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}
    return trim[mode](string)


@node("StringReplace", category="utils/string", display_name="Replace")
def string_replace(string: Text, find: Text, replace: Text) -> str:
    """Replace every `find` by `replace`; an empty `find` changes nothing."""
    if not find:
        return string
    return _bounded(string.replace, find, replace, size=len(string) + string.count(find) * (len(replace) - len(find)))


def _bounded(make: Callable[..., str], *args: Any, size: int) -> str:
    if size > MAX_TEXT:
        raise ValueError(f"The text would have {size} characters; at most {MAX_TEXT} are made.")
    return make(*args)


@node("StringContains", category="utils/string", display_name="Contains")
def string_contains(
    string: Text, substring: Text, case_sensitive: CaseSensitive = True
) -> Annotated[bool, Out(name="contains")]:
    """Say whether `substring` is in the text."""
    return _folded(substring, case_sensitive) in _folded(string, case_sensitive)


@node("StringCompare", category="utils/string", display_name="Compare")
def string_compare(
    string_a: Text,
    string_b: Text,
    mode: Annotated[Literal["Starts With", "Ends With", "Equal"], In(options=ONE_CHOICE)] = "Starts With",
    case_sensitive: CaseSensitive = True,
) -> bool:
    """Say whether `string_a` starts with, ends with or is `string_b`."""
    first, second = _folded(string_a, case_sensitive), _folded(string_b, case_sensitive)
    match mode:
        case "Starts With":
            return first.startswith(second)
        case "Ends With":
            return first.endswith(second)
    return first == second


def _folded(text: str, case_sensitive: bool) -> str:
    return text if case_sensitive else text.casefold()


@node("RegexMatch", category="utils/string", display_name="Regex Match")
def regex_match(
    string: Text,
    regex_pattern: Pattern,
    case_insensitive: CaseInsensitive = True,
    multiline: Multiline = False,
    dotall: DotAll = False,
) -> Annotated[bool, Out(name="matches")]:
    """Say whether the pattern is found anywhere in the text. Raises ValueError for a pattern that is none."""
    return _pattern("RegexMatch", regex_pattern, case_insensitive, multiline, dotall).found(string)


@node("RegexExtract", category="utils/string", display_name="Regex Extract")
def regex_extract(
    string: Text,
    regex_pattern: Pattern,
    mode: Annotated[
        Literal["First Match", "All Matches", "First Group", "All Groups"], In(options=ONE_CHOICE)
    ] = "First Match",
    case_insensitive: CaseInsensitive = True,
    multiline: Multiline = False,
    dotall: DotAll = False,
    group_index: Annotated[int, In(ge=0, le=100, tip="Which group the Group modes take.")] = 1,
) -> str:
    """Give what the pattern (or a group of it) matches, all of them one a line; nothing found gives an empty text.

    Raises ValueError for a pattern that is none, and for a group that it does not have.
    """
    matcher = _pattern("RegexExtract", regex_pattern, case_insensitive, multiline, dotall)
    group, groups = group_index if mode.endswith(("Group", "Groups")) else 0, matcher.pattern.groups
    if group > groups:
        raise ValueError(f"RegexExtract: the pattern has {groups} groups and no group {group}; lower group_index.")
    found = (match[group] or "" for match in matcher.matches(string))
    return next(found, "") if mode.startswith("First") else "\n".join(found)


@node("RegexReplace", category="utils/string", display_name="Regex Replace")
def regex_replace(
    string: Text,
    regex_pattern: Pattern,
    replace: Annotated[str, In(multiline=True, tip=r"\1 or \g<name> stands for a group.")],
    case_insensitive: CaseInsensitive | None = True,
    multiline: Multiline | None = False,
    dotall: DotAll | None = False,
    count: Annotated[int | None, In(ge=0, le=100, tip="Most replacements; 0 replaces all.")] = 0,
) -> str:
    """Replace what the pattern matches.

    Raises ValueError for a pattern that is none, for groups that it does not have, and for results that are too long.
    """
    matcher = _pattern("RegexReplace", regex_pattern, bool(case_insensitive), bool(multiline), bool(dotall))
    made = 0

    def expanded(match: Any) -> str:
        nonlocal made
        text: str = match.expand(replace)
        made += len(text)
        if made > MAX_TEXT:
            raise ValueError(f"RegexReplace: the text would have more than {MAX_TEXT} characters; replace by less.")
        return text

    try:
        return matcher.replaced(string, expanded, count or 0)
    except (matcher.error, IndexError, OverflowError) as error:
        raise ValueError(
            f"RegexReplace: the replacement {replace[:200]!r} does not fit the pattern: {error}."
        ) from None


def _pattern(name: str, pattern: str, case_insensitive: bool, multiline: bool, dotall: bool) -> Matcher:
    return Matcher(name, pattern, case_insensitive=case_insensitive, multiline=multiline, dotall=dotall)


@node("JsonExtractString", category="utils/string", display_name="Extract Text from JSON")
def json_extract_string(
    json_string: Annotated[str, In(multiline=True, tip="Text with a JSON object somewhere in it.")],
    key: Annotated[str, In(options={"multiline": False}, tip="Name of the value to take.")],
) -> str:
    """Give the value of `key` in the first JSON object of a text, or an empty text when there is none, or it is null.

    Values that are no texts are given as Python writes them: 0.5, True, {'a': 1}.
    """
    value = _first_object(json_string).get(key)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _first_object(text: str) -> dict[str, Any]:
    """What the first brace that begins a whole JSON object begins; empty when none does."""
    decoder = json.JSONDecoder()
    at, tries = text.find("{"), 0
    while at >= 0 and tries < MAX_BRACES:
        try:
            found: dict[str, Any] = decoder.raw_decode(text, at)[0]
            return found
        except (ValueError, RecursionError):
            at, tries = text.find("{", at + 1), tries + 1
    return {}


@node("StringFormat", category="utils/string", display_name="Format Text")
def string_format(
    f_string: Annotated[
        str, In(multiline=True, tip="{a}, {b}, {c}, … stand for the values; {a:03d} and {b:.2f} format numbers.")
    ] = "{a}",
    *,
    values: Annotated[Growing, In(tip="What stands as {a}, {b}, {c}, … in the text.", options={"template": _VALUES})],
) -> str:
    """Fill values into a text. Raises ValueError for names, formats and braces that do not fit, and for texts too long."""
    try:
        return _ValuesOnly().vformat(f_string, (), values)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        what = f"{error} is not linked" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"StringFormat: cannot fill {f_string[:80]!r}: {what}. Linked: {', '.join(values) or 'nothing'}; "
            "write {a} for a value and {{ }} for braces."
        ) from None


class _ValuesOnly(standard_string.Formatter):
    """`str.format` without attributes and items, which would reach into objects, and without huge widths."""

    def __init__(self) -> None:
        self._made = 0

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        if not field_name.isidentifier():
            raise ValueError(f"{{{field_name}}} is not the name of a value")
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if any(int(digits) > 1000 for digits in re.findall(r"\d+", format_spec)):
            raise ValueError(f"the format {format_spec[:20]!r} is wider than 1000 characters")
        text = str(format(value, format_spec))
        self._made += len(text)
        if self._made > MAX_TEXT:
            raise ValueError(f"the text would have more than {MAX_TEXT} characters")
        return text


@node("TextAsChoice", category="utils/string", display_name="Text as Choice")
def text_as_choice(text: Annotated[str, In(tip="Exactly one of the choices of the input that it goes to.")]) -> Choice:
    """Give a text to an input with choices, such as a sampler's name or a file's."""
    return text


@node("TextLines", category="utils/list", display_name="Lines of Text")
def text_lines(
    text: Annotated[str, In(multiline=True, tip="One item a line; empty lines are left out.")] = "",
) -> Annotated[list[str | Choice], Out(name="STRING")]:
    """Give the lines of a text as a list: nodes linked to it run once per line, with other prompts or samplers say.

    Raises ValueError when there is no line.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("TextLines: the text is empty, so nothing would run; write at least one line.")
    return lines
