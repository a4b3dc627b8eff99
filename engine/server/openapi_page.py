"""The description of all routes as one page, with forms to run workflows: nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import msgspec

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; --accent: light-dark(#f08a24, #ff9d3c);
  --on-accent: #1d1002; --link: light-dark(#9a4c00, #ffb063); --quiet: light-dark(#5b6270, #a5acb8);
  --line: light-dark(#d5d9e0, #3a404a); --code: light-dark(#f3f4f6, #20242a) }
body { max-width: 72rem; margin: 0 auto; padding: 2rem 1.2rem 4rem }
h1 { font-size: 1.7rem; margin: 0 } h1 small { font-weight: 400; color: var(--quiet); font-size: 1rem; margin-left: .3rem }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; scroll-margin-top: 1rem }
a { color: var(--link) } p { max-width: 46rem }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .4rem 0; padding: .45rem .9rem }
details[open] > summary { font-weight: 600 }
summary { cursor: pointer; overflow-wrap: anywhere } summary span { color: var(--quiet); font-weight: 400; margin-left: .7rem }
b { display: inline-block; min-width: 4rem; font: 600 .8rem ui-monospace, monospace; color: var(--link) }
code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { overflow: auto; padding: .7rem; background: var(--code); border-radius: .35rem }
table { border-collapse: collapse; margin: .6rem 0 } td { vertical-align: top; padding: .15rem 1.2rem .15rem 0 }
.schema { border: 0; padding: 0; margin: 0 } .schema summary { color: var(--quiet); font-weight: 400 }
"""


def page_of(description: Mapping[str, Any], forms: str = "") -> str:
    """HTML for an OpenAPI description; `forms` stand before the routes."""
    info = description["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])}: workflows and routes</title>",
        f"<link rel=icon href=../../favicon.svg><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        forms,
        f"<h2>Routes</h2><p>{_with_code(info['description'])}",
        "<p>For programs: <a href=../../openapi.json>openapi.json</a>, of which generators make clients.",
        f"<nav>{''.join(_link(tag['name']) for tag in description['tags'])}</nav>",
    ]
    for tag in description["tags"]:
        name = escape(tag["name"])
        parts += [f"<h2 id='{name}'>{name}</h2>", *_operations(description, tag["name"])]
    return "\n".join(parts)


def _link(tag: str) -> str:
    return f"<a href='#{escape(tag)}'>{escape(tag)}</a> "


def _with_code(text: str) -> str:
    """HTML of a text in which code stands between backticks."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


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
    return f"<details class=schema><summary>its form</summary><pre>{escape(text)}</pre></details>"
