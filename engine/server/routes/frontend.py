"""The editor's own files: whatever no other route takes is looked for in its folder."""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from typing import Final

from aiohttp import web

from engine.paths import contained
from engine.server.refusals import Refusal
from engine.server.routing import Query, Route

EDITOR: Final = Path(__file__).resolve().parent.parent / "editor"
"""The editor, which the package's build puts there."""

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
"""Said here because what the system thinks of them differs from machine to machine, and browsers refuse the wrong ones."""

_HASHED: Final = "assets/"
"""A folder of files whose names change with their content."""

_FOREVER: Final = "public, max-age=31536000, immutable"


class FrontEnd:
    """Answers `/` with `index.html` of a folder, and other paths with its files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def routes(self) -> list[Route]:
        """One route for all paths; others come before it however late they are added, being more exact."""
        return [
            Route(
                method="GET",
                path="/{file:.*}",
                handler=self._get,
                summary="A file of the editor.",
                tag="front end",
                query=(Query(name="file", required=True),),
                answer={"type": "string", "format": "binary"},
                answer_type="*/*",
                refusals={404: "There is no such file."},
                api_only=True,
            )
        ]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"] or "index.html"
        path = await asyncio.to_thread(self._find, name)
        if path is None:
            raise Refusal(404, "not_found", f"There is no route and no file {request.path[:200]!r} here.")
        kind = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        lasting = name.startswith(_HASHED) and path.suffix != ".html"
        headers = {
            "Content-Type": kind,
            "Cache-Control": _FOREVER if lasting else "no-cache",
            "X-Content-Type-Options": "nosniff",
        }
        return web.FileResponse(path, headers=headers)

    def _find(self, name: str) -> Path | None:
        try:
            path = contained(self._root, name)
            hidden = any(part.startswith(".") for part in path.relative_to(self._root).parts)
            return path if path.is_file() and not hidden else None
        except (ValueError, OSError):
            return None


def frontend_routes(root: Path | None = None) -> list[Route]:
    """The route of a `FrontEnd` in `root`, or of the editor. Raises ValueError when `root` has no `index.html`."""
    if root is None and not (EDITOR / "index.html").is_file():
        return [_not_built_route()]
    root = root or EDITOR
    if not (root / "index.html").is_file():
        raise ValueError(f"{root} is no front end: it has no index.html. Name the folder that has it (`static`).")
    return FrontEnd(root).routes()


def _not_built_route() -> Route:
    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=_NOT_BUILT, content_type="text/html", status=503)

    return Route(
        method="GET", path="/", handler=tell, summary="Says how to build the editor.", tag="front end", api_only=True
    )


_NOT_BUILT: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Safelight</title>
<p>The server runs, but the editor is not built: run <code>make editor</code> in the checkout, then reload this page.
Programs can use the server all the same: <a href="api/v1/docs">its routes</a>.</p></html>
"""
