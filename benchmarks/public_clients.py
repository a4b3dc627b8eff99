"""Programs of others that speak the field's protocol, unmodified, against our server: each makes a picture and checks it.

Installs pinned releases from the public registries into a folder (`--keep` it to be quicker the next time), starts a server, and
runs a small script with each client: a picture that is new, the same again (all reused), and where the client takes pictures
from the websocket, one of `SaveImageWebsocket`. Needs a network, and Node for two of them.

    python benchmarks/public_clients.py [--keep DIR] [--only NAME] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from server_process import ROOT, Server

SECONDS: Final = 300

CHECKED: Final = """
import io, json, os, sys
from PIL import Image as Pictures

URL, ROUNDS = os.environ["SERVER"], int(os.environ["ROUNDS"])
PROMPT = json.loads(os.environ["PROMPT"])
SAVE = next(id for id, node in PROMPT.items() if node["class_type"] == "SaveImage")
SAMPLER = next(id for id, node in PROMPT.items() if node["class_type"] == "KSampler")


def seeded(seed, class_type="SaveImage"):
    prompt = json.loads(json.dumps(PROMPT))
    prompt[SAMPLER]["inputs"]["seed"] = seed
    if class_type != "SaveImage":
        prompt[SAVE] = {"class_type": class_type, "inputs": {"images": prompt[SAVE]["inputs"]["images"]}}
    prompt[SAVE]["_meta"] = {"title": "Save Image"}
    return prompt


def check(data, kind):
    picture = Pictures.open(io.BytesIO(data))
    assert (picture.format, picture.size) == ("PNG", (64, 64)), (kind, picture)
    assert len(picture.getcolors(maxcolors=5000)) > 20, (kind, "the picture is empty")
"""

SIMPLIFIED: Final = (
    CHECKED
    + """
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper

api = ComfyApiWrapper(URL + "/")
for number in range(ROUNDS):
    for seed, kind in ((100, "SaveImage"), (100, "SaveImage"), (150, "SaveImageWebsocket")):
        with open("prompt.json", "w") as file:  # it connects after it has posted: what is reused would have been sent by then
            json.dump(seeded(seed + number, kind), file)
        pictures = api.queue_and_wait_images(ComfyWorkflowWrapper("prompt.json"), "Save Image")
        (data,) = pictures.values()
        check(data, kind)
"""
)

UTILS: Final = (
    CHECKED
    + """
import asyncio
from comfyui_utils import comfy


class Callbacks(comfy.Callbacks):
    def __init__(self):
        self.positions, self.steps, self.ends = [], [], []

    async def queue_position(self, position):
        self.positions.append(position)

    async def in_progress(self, node_id, progress, total):
        self.steps.append((node_id, progress, total))

    async def completed(self, outputs, cached):
        self.ends.append(outputs)


async def main():
    api = comfy.ComfyAPI(URL.removeprefix("http://"))

    async def checked(file):
        check(file.read(), "fetched")

    for number in range(ROUNDS):
        for again in (False, True):
            told = Callbacks()
            await api.submit(seeded(200 + number), told)
            (outputs,) = told.ends
            (picture,) = outputs["images"]
            await api.fetch(picture, checked)


asyncio.run(main())
"""
)

SCRIPT: Final = (
    CHECKED
    + """
from comfy_script.runtime import *

load(URL + "/", watch=True)
from comfy_script.runtime.nodes import *

name = next(node["inputs"]["ckpt_name"] for node in PROMPT.values() if "ckpt_name" in node["inputs"])
for number in range(ROUNDS):
    for again in (False, True):
        with Workflow(wait=True):
            model, clip, vae = CheckpointLoaderSimple(name)
            positive = CLIPTextEncode("red apple", clip)
            negative = CLIPTextEncode("", clip)
            latent = EmptyLatentImage(64, 64, 1)
            latent = KSampler(model, 300 + number, 4, 3.0, "euler", "normal", positive, negative, latent, 1.0)
            image = VAEDecode(latent, vae)
            pictures = util.get_images(image)
        (picture,) = pictures
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        check(buffer.getvalue(), "get_images")
"""
)

COMFY_CLI: Final = (
    CHECKED
    + """
import subprocess, urllib.request
from pathlib import Path

HOST, PORT = URL.removeprefix("http://").split(":")
COMFY = [str(Path(sys.executable).with_name("comfy")), "--skip-prompt"]


def run(*arguments):
    command = [*COMFY, "run", "--wait", "--host", HOST, "--port", PORT, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True)
    told = next(json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"schema"'))
    assert told["ok"], told
    return told["data"]


for number in range(ROUNDS):
    for again in (False, True):
        with open("prompt.json", "w") as file:
            json.dump(seeded(800 + number), file)
        done = run("--workflow", "prompt.json")
        (picture,) = done["outputs"]
        check(urllib.request.urlopen(picture).read(), "run")
        ran = done["executed_node_ids"]
        assert (SAMPLER in ran) is not again, (again, ran)
saved = run("--workflow", os.environ["WORKFLOW"])  # the form that an editor saves
check(urllib.request.urlopen(saved["outputs"][0]).read(), "saved")
"""
)

CHECKED_JS: Final = """
const URL_ = process.env.SERVER, ROUNDS = Number(process.env.ROUNDS), PROMPT = JSON.parse(process.env.PROMPT);
const of = (type) => Object.keys(PROMPT).find((id) => PROMPT[id].class_type === type);
const SAVE = of("SaveImage"), SAMPLER = of("KSampler");

function seeded(seed, classType = "SaveImage") {
  const prompt = structuredClone(PROMPT);
  prompt[SAMPLER].inputs.seed = seed;
  if (classType !== "SaveImage") prompt[SAVE] = { class_type: classType, inputs: { images: prompt[SAVE].inputs.images } };
  return prompt;
}

function check(bytes, kind) {
  const view = new DataView(bytes.buffer ?? bytes, bytes.byteOffset ?? 0);
  const ok = view.getUint32(0) === 0x89504e47 && view.getUint32(16) === 64 && view.getUint32(20) === 64;
  if (!ok || view.byteLength < 1000) throw new Error(`${kind}: no PNG of 64 by 64 (${view.byteLength} bytes)`);
}
const fetched = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
"""

CANVAS: Final = (
    CHECKED_JS
    + """
import { Client, BasePipe } from "@stable-canvas/comfyui-client";
import WebSocket from "ws";

const client = new Client({ api_host: URL_.replace("http://", ""), WebSocket, fetch });
await client.connect();
for (let number = 0; number < ROUNDS; number++) {
  for (const kind of ["SaveImage", "SaveImage"]) {
    const { images } = await client.enqueue(seeded(400 + number, kind));
    if (images.length !== 1) throw new Error(`${kind}: ${images.length} pictures`);
    check(images[0].type === "buff" ? new Uint8Array(images[0].data) : await fetched(images[0].data), kind);
  }
  const polled = await client.enqueue_polling(seeded(500 + number));
  check(await fetched(polled.images[0].data), "polled");
  const sent = [];
  const prompt = seeded(600 + number, "SaveImageWebsocket");
  const off = client.on("image_data", (one) => sent.push(one));
  const done = new Promise((end) => client.on("execution_success", end));
  await client.queuePrompt(0, { prompt, workflow: {} });
  await done;
  if (sent.length !== 1) throw new Error(`SaveImageWebsocket: ${sent.length} pictures`);
  check(new Uint8Array(sent[0].image), "SaveImageWebsocket");
}
process.exit(0);
"""
)

SDK: Final = (
    CHECKED_JS
    + """
import { ComfyApi, CallWrapper, PromptBuilder } from "@saintno/comfyui-sdk";

const api = await new ComfyApi(URL_).init().waitForReady();
for (let number = 0; number < ROUNDS; number++) {
  for (const again of [false, true]) {
    const builder = new PromptBuilder(PROMPT, ["seed"], ["images"])
      .setInputNode("seed", `${SAMPLER}.inputs.seed`)
      .setOutputNode("images", SAVE)
      .input("seed", 700 + number);
    const previews = [];
    const output = await new CallWrapper(api, builder)
      .onPreview((picture) => previews.push(picture))
      .onFailed((error) => { console.error(error, error.cause); process.exit(1); })
      .run();
    if (!output) throw new Error("no output");
    check(await fetched(api.getPathImage(output.images.images[0])), again ? "reused" : "new");
  }
}
process.exit(0);
"""
)


class Client(NamedTuple):
    """A public client: its registry, what is installed, and the script."""

    name: str
    registry: str
    packages: tuple[str, ...]
    script: str


CLIENTS: Final = (
    Client("comfy-api-simplified", "pypi", ("comfy-api-simplified==1.6.0", "pillow"), SIMPLIFIED),
    Client("comfyui-utils", "pypi", ("comfyui-utils==0.0.1", "pillow"), UTILS),
    Client("comfy-script", "pypi", ("comfy-script[client,runtime]==0.6.1", "networkx"), SCRIPT),
    Client("comfy-cli", "pypi", ("comfy-cli==1.23.0", "pillow"), COMFY_CLI),
    Client("@stable-canvas/comfyui-client", "npm", ("@stable-canvas/comfyui-client@1.5.9", "ws@8.18.3"), CANVAS),
    Client("@saintno/comfyui-sdk", "npm", ("@saintno/comfyui-sdk@0.3.1", "ws@8.18.3"), SDK),
)


def main() -> None:
    """Run what the command line asks for; ends with 1 when a client fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="a folder for what is installed, kept for the next time")
    parser.add_argument("--only", help="the name of one client")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    clients = [one for one in CLIENTS if options.only in (None, one.name)]
    with folder(options.keep) as place, running() as server:
        prompt = converted(server)
        results = {one.name: failure(one, place, server, prompt, options.rounds) for one in clients}
    for one in clients:
        problem = results[one.name]
        print(f"{'fail' if problem else 'pass'}  {one.packages[0]}")
        if problem:
            print(f"      {problem}")
    sys.exit(any(results.values()))


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """Where clients are installed."""
    if keep is not None:
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def running() -> Iterator[Server]:
    """A server that has loaded everything."""
    with tempfile.TemporaryDirectory() as name:
        server = Server(Path(name))
        try:
            server.first_answer("/object_info")
            yield server
        finally:
            server.process.terminate()
            server.process.wait(60)


def converted(server: Server) -> dict[str, Any]:
    """The bundled text-to-image workflow as programs post it."""
    workflow = (ROOT / "workflows" / "text_to_image.json").read_bytes()
    with urllib.request.urlopen(f"{server.url}/api/v1/convert?to=prompt", workflow) as answer:
        told = json.load(answer)
    return told.get("prompt", told)  # type: ignore[no-any-return]


def failure(client: Client, place: Path, server: Server, prompt: dict[str, Any], rounds: int) -> str:
    """What went wrong with a client; empty when all went well."""
    home = place / client.name.replace("/", "_").replace("@", "")
    home.mkdir(parents=True, exist_ok=True)
    try:
        command = installed(client, home)
    except (OSError, subprocess.SubprocessError) as error:
        return f"it could not be installed: {error}"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "SERVER": server.url,
        "ROUNDS": str(rounds),
        "PROMPT": json.dumps(prompt),
        "WORKFLOW": str(ROOT / "workflows" / "text_to_image.json"),
        "HOME": str(home),
        "DO_NOT_TRACK": "1",
    }
    try:
        ran = subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {SECONDS} s"
    return "" if ran.returncode == 0 else "\n      ".join((ran.stdout + ran.stderr).strip().splitlines()[-12:])


def installed(client: Client, home: Path) -> list[str]:
    """Install a client, unless that was done before; the command that runs its script."""
    if client.registry == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise OSError("there is no npm")
        if not (home / "node_modules").is_dir():
            subprocess.run(
                [npm, "install", "--silent", "--no-audit", "--no-fund", *client.packages], cwd=home, check=True
            )
        (home / "script.mjs").write_text(client.script, encoding="utf-8")
        return ["node", "script.mjs"]
    python = home / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *client.packages], check=True)
    (home / "script.py").write_text(client.script, encoding="utf-8")
    return [str(python), "script.py"]


if __name__ == "__main__":
    main()
