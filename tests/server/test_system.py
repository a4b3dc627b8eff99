from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.jobs.messages import Device
from engine.paths import Paths
from engine.server.log_ring import LogRing
from engine.server.routes.logs import log_routes
from engine.server.routes.system import SystemInfo, system_routes


def ask(guarded, routes, method: str, url: str, body: bytes | None = None):
    async def send():
        async with guarded(routes) as client:
            answer = await client.request(method, url, data=body)
            return answer.status, await answer.json() if await answer.read() else None

    return asyncio.run(send())


def test_before_a_worker_has_spoken_the_device_is_the_processor(guarded):
    status, stats = ask(guarded, system_routes(SystemInfo(argv=["safelight", "serve"])), "GET", "/api/system_stats")
    system, (device,) = stats["system"], stats["devices"]
    assert status == 200
    assert system["ram_total"] > system["ram_free"] > 0
    assert system["argv"] == ["safelight", "serve"]
    assert [part.isdigit() for part in system["comfyui_version"].split(".")] == [True] * 3
    assert {"os", "python_version", "pytorch_version", "required_frontend_version", "embedded_python"} <= set(system)
    assert (device["type"], device["vram_total"]) == ("cpu", system["ram_total"])


def test_devices_and_torch_are_told_as_the_workers_say(guarded):
    devices = [Device("cuda:0 NVIDIA", "cuda", 0, vram_total=10, vram_free=4, torch_vram_total=3, torch_vram_free=2)]
    info = SystemInfo(devices=lambda: devices, torch_version=lambda: "9.9.9")
    stats = ask(guarded, system_routes(info), "GET", "/system_stats")[1]
    assert stats["system"]["pytorch_version"] == "9.9.9"
    assert stats["devices"] == [
        {"name": "cuda:0 NVIDIA", "type": "cuda", "index": 0, "vram_total": 10, "vram_free": 4}
        | {"torch_vram_total": 3, "torch_vram_free": 2}
    ]


def test_flags_are_told(guarded):
    routes = system_routes(SystemInfo(features={"max_upload_size": 5}))
    assert ask(guarded, routes, "GET", "/features") == (200, {"max_upload_size": 5})


@pytest.fixture
def logged():
    ring, logger = LogRing(capacity=3), logging.getLogger("tests.ring")
    logger.addHandler(ring)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield ring, logger
    logger.removeHandler(ring)


def test_the_latest_lines_are_kept_without_secrets(logged):
    ring, logger = logged
    for number in range(5):
        logger.info("line %d token=abc%d", number, number)
    ring.add("Authorization: Bearer hunter2")
    assert len(ring.entries()) == 3
    assert "line 3" in ring.text()
    assert "line 2" not in ring.text()
    assert "abc" not in ring.text()
    assert "hunter2" not in ring.text()
    assert all(entry.m.endswith("\n") for entry in ring.entries())


def test_listeners_hear_new_lines_until_they_leave_and_may_log_themselves(logged):
    ring, logger = logged
    heard = []

    def listener(entries):
        heard.extend(entry["m"] for entry in entries)
        logger.info("heard")

    leave = ring.listen(listener)
    logger.info("one")
    leave()
    logger.info("two")
    assert [line.split()[-1] for line in heard] == ["one"]
    assert [entry.m.split()[-1] for entry in ring.entries()] == ["one", "heard", "two"]


def test_the_log_is_read_over_http(guarded, logged, tmp_path):
    ring, logger = logged
    logger.warning("hello")
    routes = log_routes(ring, lambda client, enabled, owner: None, Paths(tmp_path))
    assert "hello" in ask(guarded, routes, "GET", "/internal/logs")[1]
    assert "hello" in ask(guarded, routes, "GET", "/api/logs")[1]
    raw = ask(guarded, routes, "GET", "/internal/logs/raw")[1]
    assert "hello" in raw["entries"][0]["m"]
    assert raw["entries"][0]["t"].endswith("Z")
    assert set(raw["size"]) == {"cols", "rows"}


def test_a_client_subscribes_to_the_log(guarded, tmp_path):
    told = []
    routes = log_routes(LogRing(), lambda client, enabled, owner: told.append((client, enabled)), Paths(tmp_path))
    path = "/internal/logs/subscribe"
    assert ask(guarded, routes, "PATCH", path, b'{"enabled": true, "clientId": "me"}')[0] == 200
    assert told == [("me", True)]
    for body in (b"", b"{}", b"[]", b'{"enabled": "yes", "clientId": 3}'):
        assert ask(guarded, routes, "PATCH", path, body)[0] == 400
    assert told == [("me", True)]


def test_folders_and_newest_files_are_told(guarded, tmp_path):
    paths = Paths(tmp_path)
    routes = log_routes(LogRing(), lambda client, enabled, owner: None, paths)
    assert ask(guarded, routes, "GET", "/internal/files/output") == (200, [])
    for age, name in enumerate(["new.png", "old.png"]):
        path = paths.directory("output") / name
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    assert ask(guarded, routes, "GET", "/internal/files/output") == (200, ["new.png", "old.png"])
    assert ask(guarded, routes, "GET", "/internal/files/user")[0] == 404
    folders = ask(guarded, routes, "GET", "/internal/folder_paths")[1]
    assert folders["loras"][0] == str(tmp_path / "models" / "loras")
    assert folders["custom_nodes"] == [str(tmp_path / "custom_nodes")]


def test_the_routes_of_files_need_neither_torch_nor_pillow_nor_sql_to_start():
    routes = ["frontend", "logs", "models", "object_info", "settings", "system", "templates", "uploads"]
    imports = "; ".join(f"import engine.server.routes.{name}" for name in [*routes, "userdata", "users", "view"])
    heavy = "{'torch', 'PIL', 'sqlalchemy', 'yaml', 'av', 'numpy', 'psutil'}"
    code = f"import sys; {imports}; print(sorted({heavy} & set(sys.modules)))"
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
