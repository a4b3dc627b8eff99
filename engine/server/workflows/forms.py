"""Forms to try saved workflows, for the page that describes the routes: a person fills in, runs, and sees the picture.

They work without the script too: a browser then gets the picture as the answer. The script, which is part of the page, tells of
progress on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any, Final

from engine.server.workflows.operations import MEDIA

_BEGINNING: Final = "/api/v1/"
"""Where the page is: addresses are relative to it, as a proxy may show the server below a path."""

_ACCEPTS: Final = {"image": "image/*", "mask": "image/*", "audio": "audio/*", "video": "video/*"}
_LONG: Final = 40
"""Letters from which on a text has room for several lines."""

_STYLE: Final = """
form.run { display: grid; grid-template-columns: 9rem 1fr; gap: .4rem .8rem; align-items: start; margin: .6rem 0 }
form.run label { padding-top: .25rem; overflow-wrap: anywhere }
form.run :is(input, select, textarea) { font: inherit; width: 100%; box-sizing: border-box; padding: .2rem .4rem }
form.run small { opacity: .75; display: block }
form.run .actions { grid-column: 2; display: flex; gap: .6rem; align-items: center; flex-wrap: wrap }
form.run button { font: inherit; padding: .25rem 1rem; width: auto }
.result { display: flex; flex-wrap: wrap; gap: .8rem; margin-top: .6rem }
.result :is(img, video) { max-width: 100%; min-width: 8rem; max-height: 32rem; image-rendering: auto; background: #8882 }
.result pre { flex-basis: 100%; margin: 0; white-space: pre-wrap }
.wrong { color: light-dark(#b00, #f77) }
"""


def forms_of(operations: Sequence[Mapping[str, Any]]) -> str:
    """HTML of a form for each operation (`engine.server.workflows.operations`); empty without any."""
    if not operations:
        return ""
    parts = [f"<style>{_STYLE}</style><h2>Run a workflow</h2>", *(_form(one) for one in operations)]
    return "\n".join([*parts, f"<script>{_script()}</script>"])


@lru_cache(1)
def _script() -> str:
    return Path(__file__).with_name("forms.js").read_text(encoding="utf-8")


def _form(operation: Mapping[str, Any]) -> str:
    id, schema = operation["operation"]["operationId"], operation["schema"]
    required = schema.get("required", ())
    fields = (_field(id, name, one, name in required) for name, one in schema["properties"].items())
    action = escape(operation["path"].removeprefix(_BEGINNING))
    doc = escape(operation["operation"].get("description", "").partition("\n\n")[0].lstrip("# "))
    head = f"<b>run</b><code>{escape(operation['name'])}</code><span>{doc[:120]}</span>"
    actions = (
        "<div class=actions><button>Run</button><button type=button class=cancel hidden>Cancel</button>"
        "<progress hidden></progress><span class=state role=status></span></div>"
    )
    return (
        f"<details id='{escape(id)}'><summary>{head}</summary>"
        f"<form class=run method=post enctype=multipart/form-data action='{action}'>{''.join(fields)}{actions}</form>"
        "<div class=result></div></details>"
    )


def _field(form: str, name: str, schema: Mapping[str, Any], required: bool) -> str:
    id = escape(f"{form}.{name}")
    title = escape(str(schema.get("title", name)))
    attributes = f"id='{id}' name='{escape(name)}'{' required' if required else ''}"
    hint = escape(_hint(schema))
    told = f"<small>{hint}</small>" if hint else ""
    return f"<label for='{id}'>{title}</label><div>{_control(attributes, schema)}{told}</div>"


def _control(attributes: str, schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    if MEDIA in schema:
        return f"<input type=file {attributes} accept='{_ACCEPTS.get(schema[MEDIA], '')}'>"
    if "enum" in schema:
        return _select(attributes, schema["enum"], default)
    kind = schema.get("type", "text")
    if kind == "boolean":
        return _select(attributes, [True, False], default)
    if kind in ("integer", "number"):
        bounds = "".join(
            f" {word}='{schema[key]}'" for word, key in (("min", "minimum"), ("max", "maximum")) if key in schema
        )
        value = "" if default is None else f" value='{escape(str(default))}'"
        step = "1" if kind == "integer" else "any"
        return f"<input type=number data-json step={step} {attributes}{bounds}{value}>"
    text = "" if default is None else str(default)
    if "anyOf" in schema:
        return f"<input data-json {attributes} value='{escape(text)}'>"
    if len(text) > _LONG or "\n" in text or kind == "string":
        lines = min(12, 1 + text.count("\n") + len(text) // 80)
        return f"<textarea rows={lines} {attributes}>\n{escape(text)}</textarea>"
    return f"<input {attributes} value='{escape(text)}'>"


def _select(attributes: str, choices: Sequence[Any], default: Any) -> str:
    options = "".join(
        f"<option{' selected' if choice == default else ''}>{escape(_word(choice))}</option>" for choice in choices
    )
    typed = "" if all(isinstance(choice, str) for choice in choices) else " data-json"
    return f"<select {attributes}{typed}>{options}</select>"


def _word(choice: Any) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def _hint(schema: Mapping[str, Any]) -> str:
    """What a person should know of a field."""
    parts = [str(schema.get("description", ""))]
    if "minimum" in schema and "maximum" in schema:
        parts.append(f"From {schema['minimum']} to {schema['maximum']}.")
    if "anyOf" in schema:
        parts.append("A number, or random.")
    if MEDIA in schema and "default" in schema:
        parts.append(f"Left out: {schema['default']}.")
    return " ".join(part for part in parts if part)
