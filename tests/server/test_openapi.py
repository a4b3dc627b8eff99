from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from engine.server.openapi import describe, openapi_routes
from engine.server.refusals import json_response
from engine.server.routing import Query, Route


class Order(msgspec.Struct):
    """What to print."""

    name: str
    copies: int = 1


async def _ok(request: web.Request) -> web.Response:
    return json_response({})


ROUTES = [
    Route(
        method="POST",
        path="/orders/{shop}/{file:[^/]{1,3}.*}",
        handler=_ok,
        summary="Order <b>prints</b>",
        tag="orders",
        query=(Query(name="shop", doc="Which shop"), Query(name="fast", schema={"type": "boolean"}, required=True)),
        body=Order,
        answer=list[Order],
        status=201,
        refusals={409: "Ordered already."},
    ),
    Route(method="PUT", path="/file", handler=_ok, summary="", tag="files", body_type="raw"),
    Route(
        method="POST",
        path="/form",
        handler=_ok,
        summary="",
        tag="files",
        body_type="multipart",
        body={"type": "object", "properties": {"image": {"type": "string", "format": "binary"}}},
    ),
    Route(method="GET", path="/file", handler=_ok, summary="", tag="files", answer_type="image/png"),
]


def test_parts_of_a_path_and_its_query_are_parameters():
    operation = describe(ROUTES)["paths"]["/orders/{shop}/{file}"]["post"]
    shop, file, fast = operation["parameters"]
    assert (shop["name"], shop["in"], shop["required"], shop["description"]) == ("shop", "path", True, "Which shop")
    assert (file["name"], file["in"], file["schema"]) == ("file", "path", {"type": "string"})
    assert (fast["name"], fast["in"], fast["required"], fast["schema"]) == ("fast", "query", True, {"type": "boolean"})


def test_types_become_components_that_bodies_and_answers_refer_to():
    description = describe(ROUTES)
    operation = description["paths"]["/orders/{shop}/{file}"]["post"]
    ref = {"$ref": "#/components/schemas/Order"}
    assert operation["requestBody"]["content"]["application/json"]["schema"] == ref
    assert operation["responses"]["201"]["content"]["application/json"]["schema"] == {"type": "array", "items": ref}
    assert description["components"]["schemas"]["Order"]["required"] == ["name"]


def test_every_refusal_has_the_form_of_a_problem():
    responses = describe(ROUTES)["paths"]["/orders/{shop}/{file}"]["post"]["responses"]
    assert responses["409"]["description"] == "Ordered already."
    for status in ("400", "403", "409"):
        assert responses[status]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_files_and_forms_are_bodies_of_their_own_kind():
    paths = describe(ROUTES)["paths"]
    assert list(paths["/file"]["put"]["requestBody"]["content"]) == ["application/octet-stream"]
    assert paths["/form"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"] == ROUTES[2].body
    assert "requestBody" not in paths["/file"]["get"]
    assert list(paths["/file"]["get"]["responses"]["200"]["content"]) == ["image/png"]


def test_operations_have_names_of_their_own():
    paths = describe(ROUTES)["paths"]
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(names) == len(set(names)) == len(ROUTES)


def test_the_description_and_its_page_are_served_and_tell_of_themselves(guarded):
    async def asked() -> tuple[dict[str, Any], str, dict[str, Any]]:
        async with guarded([*ROUTES, *openapi_routes(ROUTES)]) as client:
            async with client.get("/openapi.json") as answer:
                description = await answer.json()
            async with client.get("/api/openapi.json") as answer:
                again = await answer.json()
            async with client.get("/api/v1/docs") as answer:
                assert answer.content_type == "text/html"
                return description, await answer.text(), again

    description, page, again = asyncio.run(asked())
    assert description == again
    assert description["openapi"].startswith("3.1")
    assert {"/openapi.json", "/api/v1/docs", "/file"} <= set(description["paths"])
    assert "/orders/{shop}/{file}" in page
    assert "Order &lt;b&gt;prints&lt;/b&gt;" in page
    assert "http://" not in page and "https://" not in page  # noqa: PT018 - nothing is loaded from elsewhere
