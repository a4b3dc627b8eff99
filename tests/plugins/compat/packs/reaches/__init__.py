# ruff: noqa
"""Reaches for all that lies around nodes: routes of every kind, model folders, the editor's files, the core's folder."""

import asyncio
import inspect
import io as bytes_io
import os
import threading
import time

import aiohttp
import comfy
import folder_paths
import nodes
import server
from aiohttp import web
from PIL import Image
from server import BinaryEventTypes, PromptServer

HERE = os.path.dirname(__file__)
instance = PromptServer.instance
instance.reaches_own = {"attribute": 1}
assert "custom_nodes_from_web" in instance.supports and not instance.app.router.frozen
assert comfy.utils and comfy.samplers and comfy.model_management

folder_paths.folder_names_and_paths["reaches_models"] = (
    [os.path.join(folder_paths.models_dir, "reaches")],
    {".weights"},
)
folder_paths.add_model_folder_path("loras", os.path.join(HERE, "more_loras"))
os.makedirs(os.path.join(folder_paths.models_dir, "reaches"), exist_ok=True)
INPUTS = folder_paths.get_filename_list("a folder that nobody has")

core = os.path.dirname(folder_paths.__file__)
assert core == os.path.dirname(inspect.getfile(PromptServer))
os.makedirs(os.path.join(core, "web", "extensions", "reaches_copied"), exist_ok=True)
with open(os.path.join(core, "web", "extensions", "reaches_copied", "copied.js"), "w") as file:
    file.write("// copied")
nodes.EXTENSION_WEB_DIRS["reaches_named"] = os.path.join(HERE, "static")

instance.app.add_routes([web.static("/reaches/static", os.path.join(HERE, "static"))])


@instance.routes.get("/reaches/plain")
def plain(request):
    return web.json_response({"plain": True, "own": PromptServer.instance.reaches_own, "ran": RAN})


@instance.routes.post("/reaches/deep/{one}/{two:\\d+}")
async def deep(request):
    form = await request.post()
    return web.json_response({**request.match_info, "field": form["field"], "file": form["file"].file.read().decode()})


@instance.routes.patch("/reaches/patched")
async def patched(request):
    return web.json_response(await request.json())


@instance.routes.view("/reaches/view")
class View(web.View):
    async def get(self):
        return web.Response(text="got")

    async def delete(self):
        return web.Response(status=204)


@instance.routes.get("/reaches/stream")
async def stream(request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"first")
    await GO_ON.wait()
    await answer.write(b"second")
    return answer


@instance.routes.get("/reaches/go_on")
async def go_on(request):
    GO_ON.set()
    return web.Response()


@instance.routes.get("/reaches/nothing")
async def nothing(request):
    return None


@instance.routes.get("/reaches/redirect")
async def redirect(request):
    raise web.HTTPFound("/reaches/plain")


@instance.routes.get("/reaches/socket")
async def socket(request):
    found = web.WebSocketResponse(protocols=["reaches"])
    await found.prepare(request)
    await found.send_json({"protocol": found.ws_protocol, "query": dict(request.query)})
    async for message in found:
        if message.type is aiohttp.WSMsgType.BINARY:
            await found.send_bytes(message.data[::-1])
        elif message.data == "close":
            await found.close(code=4004)
        else:
            await found.send_str(f"heard {message.data}")
    return found


async def fails_at_start(app):
    raise RuntimeError("a pack's start-up hook")


instance.app.on_startup.append(fails_at_start)
GO_ON = asyncio.Event()
RAN = []


async def later():
    RAN.append("a task from import on")


assert asyncio.get_event_loop() is instance.loop
instance.loop.create_task(later())


def handler_that_fails(data):
    raise RuntimeError("a prompt handler that fails")


def handler_that_gives_nothing(data):
    data["extra_data"]["seen by"] = "reaches"


instance.add_on_prompt_handler(handler_that_fails)
instance.add_on_prompt_handler(handler_that_gives_nothing)


def tick():
    while True:
        PromptServer.instance.send_sync("reaches-tick", {"from": "import"})
        time.sleep(0.2)


threading.Thread(target=tick, daemon=True).start()


class Sends:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "hidden": {"id": "UNIQUE_ID", "extra": "EXTRA_PNGINFO"}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True
    NOT_IDEMPOTENT = True

    def go(self, id, extra):
        instance.send_sync(
            BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, ("PNG", Image.new("RGB", (64, 32)), 16), instance.client_id
        )
        instance.send_sync(901, memoryview(b"viewed"), instance.client_id)
        instance.send_sync("reaches odd", {"path": HERE[:0], "set": {1}, "nan": float("nan"), "key": {2: b"b"}})
        circle = []
        circle.append(circle)
        instance.send_sync("reaches circle", circle)
        instance.send_sync("nobody hears", {}, "a client that is not there")
        asyncio.run_coroutine_threadsafe(instance.send("reaches async", 1, instance.client_id), instance.loop).result(5)
        return {
            "ui": {"last": [instance.last_node_id], "number": [instance.number], "queue": [instance.get_queue_info()]}
        }


class Picks:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": (folder_paths.get_filename_list("reaches_models"),)}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, file):
        return {"ui": {"path": [folder_paths.get_full_path("reaches_models", file)]}}


NODE_CLASS_MAPPINGS = {"ReachesSends": Sends, "ReachesPicks": Picks}
