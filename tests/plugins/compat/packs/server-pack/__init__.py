# ruff: noqa
import threading

from aiohttp import web
from server import PromptServer

routes = PromptServer.instance.routes


@routes.get("/server_pack/hello/{name}")
async def hello(request):
    return web.json_response({"hello": request.match_info["name"], "query": dict(request.query)})


@routes.post("/server_pack/echo")
async def echo(request):
    data = await request.read()
    return web.Response(body=data, status=201, headers={"X-Length": str(len(data))})


@routes.get("/server_pack/fails")
async def fails(request):
    raise RuntimeError("a route that fails")


@routes.get("/server_pack/leaves")
async def leaves(request):
    raise SystemExit(9)


@routes.get("/object_info")
async def takes_over(request):
    return web.json_response({"taken": "over"})


def on_prompt(data):
    for node in data["prompt"].values():
        if node.get("class_type") == "OneFile" and node["inputs"].get("n") == 1000:
            node["inputs"]["n"] = 7
    return data


PromptServer.instance.add_on_prompt_handler(on_prompt)


class Tell:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "x"})}, "hidden": {"id": "UNIQUE_ID"}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True
    NOT_IDEMPOTENT = True

    def go(self, text, id):
        server = PromptServer.instance
        server.send_sync("server-pack/own event", {"text": text, "node": id, "odd": [None, 1.5]}, server.client_id)
        server.send_progress_text(f"{text} so far", id)
        server.send_sync(77, b"\x00own", server.client_id)
        thread = threading.Thread(target=server.send_sync, args=("server-pack-thread", {"text": text}))
        thread.start()
        thread.join()
        return {"ui": {"client": [server.client_id], "node": [server.last_node_id]}}


class Thread:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self):
        def fail():
            raise RuntimeError("in a thread")

        threading.Thread(target=fail).start()
        return {"ui": {"went": ["on"]}}


NODE_CLASS_MAPPINGS = {"Tell": Tell, "FailingThread": Thread}
