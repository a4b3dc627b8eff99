"""What tests of called workflows share: the workflows, whoever hears of webhooks, and ways to ask. Its fixtures are in conftest."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from tests.harness import PATIENCE

STEP = {
    "1": {"class_type": "TestStep", "inputs": {"value": 1, "seconds": 0.0, "name": ""}},
    "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "name": ""}},
}
HOLD = {
    "1": {"class_type": "TestHold", "inputs": {"value": 1, "sign": "", "name": "held"}},
    "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "name": ""}},
}
FAIL = {
    "1": {"class_type": "TestFail", "inputs": {"value": 1, "message": "It went wrong."}},
    "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "name": ""}},
}
PICTURE = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "not_here.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "called"}},
}
TWICE = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 2, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "twice"}},
}
LACKING = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "nobody_has_it.safetensors"}},
    "2": {"class_type": "NodeOfNobody", "inputs": {"model": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
}


def declared(graph, *parameters):
    """A saved file that declares (name, node, input) and its graph."""
    named = [{"name": name, "node": node, "input": input} for name, node, input in parameters]
    return {"prompt": graph, "workflow": {"nodes": [], "links": [], "extra": {"safelight": {"parameters": named}}}}


WORKFLOWS = {
    "step": declared(STEP, ("value", "1", "value"), ("seconds", "1", "seconds"), ("name", "1", "name")),
    "hold": declared(HOLD, ("value", "1", "value"), ("sign", "1", "sign"), ("name", "1", "name")),
    "fail": declared(FAIL, ("message", "1", "message")),
    "portraits/framed": PICTURE,
    "twice": TWICE,
    "lacking": LACKING,
}


class Receiver(http.server.ThreadingHTTPServer):
    """What webhooks come to; the first two of each job are refused."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], Any]] = []
        super().__init__(("127.0.0.1", 0), Taking)

    def of(self, job: str) -> list[Any]:
        return [(headers, body) for headers, body in self.heard if body["data"]["job_id"] == job]


class Taking(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append(({key.lower(): value for key, value in self.headers.items()}, body))
        self.send_response(204 if len(self.server.of(body["data"]["job_id"])) > 2 else 500)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens."""
    with Receiver() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def give_workflows(base: Path) -> Path:
    """The workflows in a base directory, and a file among them that is none."""
    for name, value in WORKFLOWS.items():
        path = base / "workflows" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    (base / "workflows" / "broken.json").write_text("{")
    return base


def webhook_settings(receiver: Receiver) -> str:
    """Settings by which webhooks may go to a receiver."""
    hosts = f'hosts = ["127.0.0.1:{receiver.server_port}"]'
    secret = base64.b64encode(b"k" * 32).decode()
    return f'[webhooks]\n{hosts}\nsecret = "whsec_{secret}"\nfirst_wait = 0.001\n'


def run(server, name, arguments=None, query="", **headers):
    """Status and answer of a call."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return server.ask("POST", f"/api/v1/workflows/{name}/run{query}", {} if arguments is None else arguments, named)


def asked(server, path, headers=None, body=None, method="GET"):
    """The whole answer: status, headers (small letters), bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def form(fields):
    """A body of multipart/form-data, and its headers; a file is (name, bytes)."""
    parts = []
    for name, value in fields:
        filename, data = value if isinstance(value, tuple) else (None, value.encode())
        more = f'; filename="{filename}"' if filename is not None else ""
        parts.append(
            f'--limit\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"
        )
    body = b"".join(parts) + b"--limit--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=limit"}


def picture(colour="red", size=(6, 4)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def state_of(server, job):
    return server.get(f"/api/v1/jobs/{job}")["state"]


def events_of(answer):
    """(event, data) of a stream of events, as they come."""
    name = ""
    for line in answer:
        key, _, value = line.decode().rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)
