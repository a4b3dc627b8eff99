"""Hostile input all the way to a real worker: nothing of it runs, and nothing of it ends server or worker."""

from __future__ import annotations

import os
import pickle

import pytest

ODD = [
    None,
    True,
    -1,
    2**63,
    1e308,
    "",
    "x" * 100_000,
    "\U0001f600",
    [],
    [[]],
    ["1"],
    {},
    {"": {}},
    [{"a": [None]}],
    [0] * 1000,
]


class Malicious:
    """When it is unpickled, it makes a directory."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_checkpoint_that_runs_code_when_it_is_read_is_refused_and_runs_none(serve, base, protocol):
    folder = base / "models" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "evil.ckpt").write_bytes(pickle.dumps({"state_dict": Malicious(str(base / "owned"))}, protocol))
    server = serve()
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "evil.ckpt"}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "error"
    [failed] = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    assert failed["node_type"] == "CheckpointLoaderSimple"
    assert "refused" in failed["exception_message"]
    assert not (base / "owned").exists()
    pickle.loads((folder / "evil.ckpt").read_bytes())
    assert (base / "owned").exists(), "the file must be one that does run code where nobody refuses it"


def test_odd_values_that_are_accepted_run_to_their_end_and_the_worker_lives(server):
    worker = server.wait_for_worker()
    posted = []
    for odd in ODD:
        bodies = [
            {"prompt": _graph(odd)},
            {"prompt": _graph("x"), "extra_data": odd},
            {"prompt": _graph("x"), "extra_data": {"extra_pnginfo": odd, "client_id": odd, "preview_method": odd}},
            {"prompt": _graph("x"), "extra_data": {"extra_pnginfo": {"workflow": odd, "x": odd}}},
            {"prompt": _graph("x"), "number": odd, "front": odd},
            {"prompt": _graph("x"), "client_id": odd},
            {"prompt": _graph("x"), "prompt_id": None if odd == "\U0001f600" else odd},
            {"prompt": {**_graph("x"), "3": odd, "4": {"class_type": "PreviewAny", "inputs": odd, "_meta": odd}}},
        ]
        for body in bodies:
            status, answer = server.ask("POST", "/prompt", body)
            assert status in (200, 400), (status, body)
            posted += [answer["prompt_id"]] if status == 200 else []
    assert len(posted) > 30
    ended = [server.entry(job)["status"]["status_str"] for job in posted]
    assert "success" in ended
    assert server.workers() == [worker]
    assert server.get("/health")["workers"][0]["restarts"] == 0


def _graph(value):
    return {"2": {"class_type": "PreviewAny", "inputs": {"source": value}}}
