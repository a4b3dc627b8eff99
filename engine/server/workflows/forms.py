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

_ABOUT: Final = (
    "<p>Each saved workflow is a function: fill in what it takes, and see what it makes, with the request by which a program "
    "does the same. The same values give the same result, and what was made before is reused."
)

_STYLE: Final = """
.try { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 2rem; margin: .8rem 0 .4rem }
form.run { display: grid; grid-template-columns: repeat(12, 1fr); gap: .9rem .8rem; align-content: start }
form.run > div { grid-column: span 6; min-width: 0 } form.run > .wide { grid-column: span 12 }
form.run > .short { grid-column: span 4 }
form.run label { display: block; font-weight: 600; overflow-wrap: anywhere }
form.run label i { font-weight: 400; font-style: normal; color: var(--link) }
form.run :is(input, select, textarea) { font: inherit; width: 100%; box-sizing: border-box; padding: .35rem .5rem;
  border: 1px solid var(--line); border-radius: .35rem; background: Field; color: FieldText }
form.run textarea { field-sizing: content; min-height: 2.4rem; resize: vertical }
form.run small { color: var(--quiet); display: block; line-height: 1.35; margin-top: .15rem }
form.run .actions { grid-column: span 12; display: flex; gap: .8rem; align-items: center; flex-wrap: wrap }
form.run button { font: inherit; font-weight: 600; padding: .4rem 1.6rem; width: auto; border-radius: .35rem; cursor: pointer;
  border: 1px solid var(--accent); background: var(--accent); color: var(--on-accent) }
form.run button.cancel { background: none; color: inherit; border-color: var(--line); padding: .4rem 1rem }
form.run button:disabled { opacity: .5; cursor: default }
form.run progress { accent-color: var(--link) }
.made { position: sticky; top: 1rem; align-self: start; min-width: 0 }
.result { display: flex; flex-wrap: wrap; gap: .8rem; min-height: 16rem; align-content: start; justify-content: center }
.result:empty { border: 1px dashed var(--line); border-radius: .5rem }
.result:empty::before { content: "What it makes is shown here"; color: var(--quiet); margin: auto }
.result :is(img, video) { max-width: 100%; min-width: min(16rem, 100%); max-height: 32rem;
  object-fit: contain; border-radius: .35rem; background: var(--code) }
.result audio { width: 100% }
.made pre { flex-basis: 100%; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem }
.made .request pre { white-space: pre; overflow-wrap: normal }
.made h4 { margin: 1rem 0 .3rem; font-weight: 600 }
.wrong { color: light-dark(#b00020, #ff8a80); white-space: pre-line }
@media (max-width: 52rem) { .try { grid-template-columns: minmax(0, 1fr) } form.run > .short { grid-column: span 6 } }
"""


def forms_of(operations: Sequence[Mapping[str, Any]]) -> str:
    """HTML of a form for each operation (`engine.server.workflows.operations`); empty without any."""
    if not operations:
        return ""
    parts = [f"<style>{_STYLE}</style><h2>Run a workflow</h2>", _ABOUT, *(_form(one) for one in operations)]
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
    head = f"<code>{escape(operation['name'])}</code><span>{doc[:120]}</span>"
    actions = (
        "<div class=actions><button>Run</button><button type=button class=cancel hidden>Cancel</button>"
        "<progress hidden></progress><span class=state role=status></span></div>"
    )
    return (
        f"<details id='{escape(id)}'><summary>{head}</summary><div class=try>"
        f"<form class=run method=post enctype=multipart/form-data action='{action}'>{''.join(fields)}{actions}</form>"
        "<div class=made><div class=result></div><div class=request hidden><h4>The same as a request</h4><pre></pre></div></div>"
        "</div></details>"
    )


def _field(form: str, name: str, schema: Mapping[str, Any], required: bool) -> str:
    id = escape(f"{form}.{name}")
    title = escape(str(schema.get("title", name)))
    attributes = f"id='{id}' name='{escape(name)}'{' required' if required else ''}"
    hint = escape(_hint(schema))
    told = f"<small>{hint}</small>" if hint else ""
    star = " <i title='It must be given.'>*</i>" if required else ""
    control = _control(attributes, schema)
    return f"<div class={_width(schema, control)}><label for='{id}'>{title}{star}</label>{control}{told}</div>"


def _width(schema: Mapping[str, Any], control: str) -> str:
    """How much of a row a field takes: texts and files all of it, numbers a third."""
    if MEDIA in schema or control.startswith("<textarea"):
        return "wide"
    return "short" if schema.get("type") in ("integer", "number") or "anyOf" in schema else "half"


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
