# ruff: noqa
import os

from aiohttp import web
from server import PromptServer

routes = PromptServer.instance.routes


@routes.get("/route_breaks/raises")
async def raises(request):
    raise RuntimeError("a route that raises")


@routes.get("/route_breaks/half")
async def half(request):
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b"half")
    raise RuntimeError("a route that raises in the middle")


@routes.get("/route_breaks/twice")
async def once(request):
    return web.Response(text="once")


@routes.get("/route_breaks/twice")
async def twice(request):
    return web.Response(text="twice")


@routes.get("no slash")
async def no_slash(request):
    return web.Response()


@routes.get("/route_breaks/kills")
async def kills(request):
    os._exit(9)


@routes.get("/route_breaks/works")
async def works(request):
    return web.Response(text="works")
