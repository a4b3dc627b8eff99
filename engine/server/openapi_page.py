"""The description of all routes as one page, with forms to run workflows: nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import msgspec

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
details { border: 1px solid #8884; border-radius: .5rem; margin: .4rem 0; padding: .4rem .8rem }
summary { cursor: pointer } summary span { opacity: .75; margin-left: .6rem }
b { display: inline-block; min-width: 4.5rem; font-family: monospace }
code, pre { font-family: ui-monospace, monospace } pre { overflow: auto; padding: .6rem; background: #8881 }
td, th { text-align: left; vertical-align: top; padding: .1rem 1rem .1rem 0 }
"""


def page_of(description: Mapping[str, Any], forms: str = "") -> str:
    """HTML for an OpenAPI description; `forms` stands before it."""
    info = description["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])}: routes</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}",
        "<p>For programs: <a href=../../openapi.json>openapi.json</a>",
        forms,
    ]
    for tag in description["tags"]:
        parts += [f"<h2>{escape(tag['name'])}</h2>", *_operations(description, tag["name"])]
    return "\n".join(parts)


def _operations(description: Mapping[str, Any], tag: str) -> Iterator[str]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield _operation(method.upper(), path, operation)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    head = f"<b>{method}</b><code>{escape(path)}</code><span>{escape(operation['summary'])}</span>"
    rows = [
        (f"<code>{escape(item['name'])}</code>", item["in"], escape(item.get("description", "")))
        for item in operation.get("parameters", ())
    ]
    body = [_media("Body", operation["requestBody"]["content"])] if "requestBody" in operation else []
    answers = [
        (status, escape(answer["description"]) + _media("", answer.get("content", {}) if status < "400" else {}))
        for status, answer in operation["responses"].items()
    ]
    return f"<details><summary>{head}</summary>{_table(rows)}{''.join(body)}{_table(answers)}</details>"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>" if rows else ""


def _media(title: str, content: Mapping[str, Any]) -> str:
    return "".join(
        f"<p>{title} <code>{escape(media)}</code>{_example(value.get('schema'))}" for media, value in content.items()
    )


def _example(schema: Any) -> str:
    if not schema:
        return ""
    text = msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
    return f"<pre>{escape(text)}</pre>"
