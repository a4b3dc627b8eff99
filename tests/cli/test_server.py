"""`safelight run --server`: a workflow of the server by its name, and a file of this machine."""

from __future__ import annotations

import asyncio
import io
import re
import shlex
from argparse import Namespace
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.cli.remote_events import Heard
from engine.client import NotAllowedError, TooManyRequestsError
from tests.cli.test_run_calls import GREETING, PICTURE
from tests.harness import ROOT, Server, free_port, new_base, served, until
from tests.serving.conftest import give_pack

COLOUR: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 6, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "there"}},
}
HOLD = {
    "1": {"class_type": "TestHold", "inputs": {"value": 1, "sign": "/never", "name": "held"}},
    "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "name": ""}},
}
FAIL = {
    "1": {"class_type": "TestFail", "inputs": {"value": 1, "message": "It went wrong."}},
    "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "name": ""}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory, core_catalogue):
    from tests.cli.conftest import Base

    folder = give_pack(new_base(tmp_path_factory.mktemp("server"), core_catalogue))
    there = Base(folder)
    there.write("workflows/greeting.json", GREETING)
    there.write("workflows/in/picture.json", PICTURE)
    there.write("workflows/fail.json", FAIL)
    there.write("workflows/hold.json", HOLD)
    with served(folder, "--token", "open-sesame") as found:
        yield found


@pytest.fixture
def call(here, server, monkeypatch):
    """Arguments of a run on the server, with its token."""
    monkeypatch.setenv("SAFELIGHT_TOKEN", "open-sesame")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return lambda *arguments: ["run", *arguments, "--server", server.url]


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 3), colour).save(file, "PNG")
    return file.getvalue()


def test_a_workflow_of_the_server_is_called_by_its_name_with_its_own_parameters(here, call):
    told = here.json(*call("greeting", "--who-is-it", "a cat", "--times", "7", "--loud", "--set", "out=given"))
    assert told["status"] == "done"
    assert told["values"] == {"who_is_it": "a cat", "times": 7, "loud": True, "out": "given"}
    assert [one["text"] for one in told["outputs"] if one["name"] == "greeting"] == ["a cat"]
    again = here.run(*call("greeting", "--who-is-it", "a cat", "--times", "7", "--loud", "--set", "out=given"))
    assert again.said.endswith("reused 8 of 8\n")
    assert "a cat\n" in again.out


def test_its_help_and_what_is_wrong_with_a_call_are_told_as_of_a_local_one(here, call):
    shown = here.run(*call("greeting", "--help")).out
    assert "Greets whoever is named." in shown
    assert "--times N" in shown
    refused = here.run(*call("greeting", "--tims", "3", "--times", "12"), code=2).said
    for told in ("3 problems", "Did you mean --times?", "INT from 1 to 9", "who_is_it: it has no default"):
        assert told in refused


def test_what_nobody_heard_is_told_at_the_end():
    told: list[Any] = []
    heard = Heard(told.append, {}, {"1": "A", "2": "B", "3": "C"})
    heard("accepted", {"job_id": "x"})
    heard("node", {"node": "1", "state": "running", "class_type": "A", "done": 0, "total": 3})
    for _ in range(2):  # again, as after a lost connection
        heard("node", {"node": "2", "state": "reused", "done": 1, "total": 3})
    heard("finished", {"ran": [{"node": "1", "seconds": 2.0}, {"node": "3", "seconds": 1.0}], "reused": ["2"]})
    assert [(type(one).__name__, getattr(one, "node", ""), getattr(one, "class_type", "")) for one in told] == [
        ("RunStarted", "", ""),
        ("NodeStarted", "1", "A"),
        ("NodeReused", "2", ""),
        ("NodeFinished", "1", "A"),
        ("NodeStarted", "3", "C"),
        ("NodeFinished", "3", "C"),
    ]


def test_files_are_sent_and_pictures_come_back_into_out(here, call, server, tmp_path):
    (tmp_path / "mine.jpeg").write_bytes(png())
    told = here.json(*call("in/picture", "--image", str(tmp_path / "mine.jpeg")))
    assert "tensor (1, 3, 5, 3)" in told["outputs"][0]["text"]
    assert [path.read_bytes() for path in (server.base / "input" / "calls").iterdir()] == [png()]
    file = here.write("colour.json", COLOUR)
    [path] = here.run(*call(file, "--set", "width=9", "--out", str(tmp_path / "out"))).out.split()
    assert Path(path).parent == tmp_path / "out"
    with Image.open(path) as picture:
        assert picture.size == (9, 6)
    [path] = here.run(*call(file, "--set", "width=9")).out.split()
    assert Path(path).parent == here.folder / "output"


def test_events_of_the_server_are_lines_as_those_of_a_local_run(here, call):
    file = here.write("colour.json", COLOUR)
    first = here.lines(*call(file, "--set", "width=10"))
    assert first[0]["event"] == "started"
    assert first[0]["nodes"] == 2
    told = [(one["node"], one["class_type"], one["status"]) for one in first if one["event"] == "node"]
    for node, kind in (
        ("1", "EmptyImage"),
        ("2", "SaveImage"),
    ):  # what was over before anyone listened is told at the end
        assert [one for one in told if one[0] == node] == [(node, kind, "started"), (node, kind, "finished")]
    assert (first[-2]["event"], first[-2]["name"], first[-2]["kind"]) == ("output", "image", "images")
    assert first[-1]["summary"] == "ran 2, reused 0 of 2"
    again = here.lines(*call(file, "--set", "width=10"))
    assert again[-1]["summary"] == "reused 2 of 2"
    assert again[0]["nodes"] == 2
    assert {node for one in again if one["event"] == "reused" for node in one["nodes"]} == {"1", "2"}


def test_a_sweep_goes_over_the_server_and_its_sheet_is_made_here(here, call, tmp_path):
    file = here.write("colour.json", COLOUR)
    told = here.json(*call(file, "--sweep", "width=20,30", "--sweep", "color=255,0", "--out", str(tmp_path / "out")))
    assert [one["values"]["width"] for one in told["cells"]] == [20, 30, 20, 30]
    assert Path(told["sheet"]).parent == tmp_path / "out"
    assert "who_is_it, times, loud, out" in here.run(*call("greeting", "--sweep", "tims=1..3"), code=2).said
    swept = here.json(*call("greeting", "--who-is-it", "x", "--sweep", "times=1..3"))
    assert [one["status"] for one in swept["cells"]] == ["done"] * 3


def test_a_failed_job_an_unsound_graph_and_an_unknown_name_end_as_here(here, call):
    failed = here.json(*call("fail"), code=1)
    assert failed["failures"][0]["message"] == "It went wrong."
    assert "It went wrong." in here.run(*call("fail"), code=1).said
    unsound = here.write("unsound.json", {"1": {"class_type": "PreviewAny", "inputs": {"source": ["9", 0]}}})
    assert "node 1 (PreviewAny)" in here.run(*call(unsound), code=3).said
    assert "greeting" in here.run(*call("greting"), code=4).said
    assert "--no-cache is for runs on this machine" in here.run(*call("greeting", "--no-cache"), code=2).said
    assert "expected an address" in here.run("run", "x", "--server", "ftp://x", code=2).said


def test_a_token_that_is_missing_and_a_server_that_is_not_there_are_told(here, call, monkeypatch):
    monkeypatch.delenv("SAFELIGHT_TOKEN")
    assert "$SAFELIGHT_TOKEN" in here.run(*call("greeting"), code=5).said
    told = here.json(*call("greeting", "--who-is-it", "x", "--token", "open-sesame"))
    assert told["status"] == "done"
    nowhere = f"127.0.0.1:{free_port()}"
    assert "cannot be reached" in here.run("run", "greeting", "--server", nowhere, code=5).said


def test_a_refusal_of_the_server_says_what_to_do_and_when():
    from engine.cli.remote import _refused

    limited = _refused(TooManyRequestsError(429, "rate_limited", "Too many requests.", {}, 3.0))
    assert (limited.code, str(limited)) == (5, "Too many requests.\nTry again in 3 s.")
    forbidden = _refused(NotAllowedError(403, "scope", "The token may not run.", {}))
    assert (forbidden.code, "$SAFELIGHT_TOKEN" in str(forbidden)) == (5, True)


@pytest.mark.parametrize("name", ["hold", "here.json"])
def test_ctrl_c_cancels_the_job(here, call, server: Server, name):
    here.write("here.json", HOLD)
    server.notes.unlink(missing_ok=True)
    where = str(here.folder / name) if name != "hold" else name
    here.interrupted(*call(where, "--set", "value=2") if name != "hold" else call(where), when=server.notes)
    until(
        lambda: not server.ask("GET", "/prompt", headers=HEADERS)[1]["exec_info"]["queue_remaining"],
        "the end",
        server.log,
    )
    jobs = server.ask("GET", "/jobs?limit=1", headers=HEADERS)[1]["jobs"]
    assert jobs[0]["status"] == "cancelled"


def test_ctrl_c_while_the_graph_is_on_its_way_cancels_the_job_too():
    from engine.cli.remote import Remote
    from engine.graph.schema import Catalogue

    class Client:
        """A server that has the job, and answers once it is told to."""

        def __init__(self) -> None:
            self.posted, self.answers, self.cancelled = asyncio.Event(), asyncio.Event(), []

        @asynccontextmanager
        async def request(self, method, path, **options):
            self.posted.set()
            await self.answers.wait()
            yield self

        async def json(self):
            return {"prompt_id": "job"}

        async def cancel(self, job):
            self.cancelled.append(job)

    async def story() -> None:
        remote = Remote(
            app=None, options=Namespace(server="here", token=None, no_cache=False), load_catalogue=Catalogue
        )
        remote._client = client = Client()
        posting = asyncio.ensure_future(remote._posted({}))
        await client.posted.wait()
        posting.cancel()
        client.answers.set()
        with pytest.raises(asyncio.CancelledError):
            await posting
        assert client.cancelled == ["job"]

    asyncio.run(story())


def test_the_commands_of_the_page_for_a_server_work(here, call, server, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    commands = [shlex.split(line) for line in re.findall(r"^safelight run .*--server .*$", page, re.MULTILINE)]
    assert len(commands) == 2
    here.write("my_graph.json", (ROOT / "workflows" / "text_to_image.json").read_text())
    printed = [here.run(*(server.url if "://" in word else word for word in words[1:])).out for words in commands]
    paths = [Path(one) for told in printed for one in told.split()]
    assert [path.parent for path in paths] == [here.folder / "pictures", here.folder / "output"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


HEADERS = {"Authorization": "Bearer open-sesame"}
