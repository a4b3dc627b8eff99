"""Jobs through a real server and its workers, over HTTP."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness import PATIENCE, until


def chain(*steps: dict[str, Any]) -> dict[str, Any]:
    """Nodes one after the other, and one that shows the last."""
    prompt: dict[str, Any] = {}
    for index, step in enumerate(steps):
        inputs = {"value": [str(index - 1), 0] if index else 0, **step}
        prompt[str(index)] = {"class_type": inputs.pop("type", "TestStep"), "inputs": inputs}
    prompt["show"] = {"class_type": "TestShow", "inputs": {"value": [str(len(steps) - 1), 0]}}
    return prompt


def test_a_job_runs_and_an_equal_one_after_a_restart_reuses_everything(serve: Callable[..., Any]) -> None:
    server = serve()
    entry = server.run(chain({"name": "a"}, {"name": "b"}))
    assert entry["outputs"]["show"]["text"] == ["2"]
    assert entry["status"]["status_str"] == "success"
    assert {one["status"] for one in entry["nodes"].values()} == {"ran"}
    assert server.end() == 0
    again = serve()
    entry = again.run(chain({"name": "a"}, {"name": "b"}))
    assert {one["status"] for one in entry["nodes"].values()} == {"reused"}
    assert entry["outputs"]["show"]["text"] == ["2"]
    assert again.noted() == ["a", "b"]
    assert len(again.get("/history")) == 2


SETTINGS = """a red apple
Steps: 4, Sampler: Euler a, Schedule type: Karras, CFG scale: 5.5, Seed: 77, Size: 64x64, Model: emoji-64, ENSD: 31337, \
RNG: CPU, Version: v1.9.0"""


def test_settings_of_the_web_ui_are_queued_and_what_they_lose_is_answered(server: Any, wait: Any) -> None:
    long = server.post(chain({"seconds": 60.0}))  # the worker has something to do
    wait(lambda: [item[1] for item in server.get("/queue")["queue_running"]] == [long], "it to run")
    status, answer = server.ask("POST", "/prompt", SETTINGS.encode())
    assert (status, answer["node_errors"]) == (200, {})
    assert [(one["type"], one["details"]) for one in answer["notes"]] == [("setting_ignored", "ENSD: 31337")]
    (waiting,) = server.get("/queue")["queue_pending"]
    assert [waiting[1], "KSampler" in {node["class_type"] for node in waiting[2].values()}] == [
        answer["prompt_id"],
        True,
    ]
    status, refused = server.ask("POST", "/prompt", SETTINGS[:60].encode())
    assert (status, refused["error"]["type"]) == (400, "settings_cut_off")


def test_a_failing_node_is_named_and_the_next_job_runs(server: Any) -> None:
    entry = server.run(chain({"name": "before"}, {"type": "TestFail"}))
    kind, data = entry["status"]["messages"][-1]
    assert (kind, data["node_id"], data["node_type"]) == ("execution_error", "1", "TestFail")
    assert "It went wrong." in data["exception_message"]
    assert data["exception_type"] == "ValueError"
    assert entry["status"]["status_str"] == "error"
    assert server.run(chain({}))["status"]["completed"]


def test_a_node_that_kills_its_worker_costs_two_attempts_of_its_job_and_nothing_else(serve: Callable[..., Any]) -> None:
    server = serve()
    # Before the second one there are three results: of the first, and of the two nodes of the sound one.
    for how, words, kept in (("kill", "signal 9", 1), ("exit", "7", 4)):
        die = {"type": "TestDie", "how": how, "kept": kept}
        deadly = server.post(chain({"name": f"before-{how}", "seconds": 0.3}, die))
        sound = server.post(chain({"name": f"sound-{how}"}))
        entry = server.entry(deadly)
        message = entry["status"]["messages"][-1][1]
        assert words in message["exception_message"]
        assert message["node_id"] == "1"
        assert server.noted().count(f"before-{how}") == 1, "its finished node came from the cache at the second attempt"
        assert server.entry(sound)["status"]["completed"]
    assert server.get("/health")["workers"][0]["restarts"] == 4


def test_a_node_that_kills_its_worker_once_succeeds_at_the_second_attempt(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    server = serve()
    entry = server.run(
        chain({"name": "a"}, {"type": "TestDie", "once": str(tmp_path / "died"), "kept": 1}, {"name": "b"})
    )
    assert entry["status"]["completed"]
    assert entry["outputs"]["show"]["text"] == ["2"]
    assert server.noted() == ["a", "b"]


def test_a_node_that_calls_sys_exit_fails_only_its_job(server: Any) -> None:
    entry = server.run(chain({"type": "TestExit"}))
    assert entry["status"]["status_str"] == "error"
    assert server.run(chain({}))["status"]["completed"]


def test_a_node_that_prints_megabytes_does_no_harm(server: Any) -> None:
    jobs: list[str] = []

    def answered_meanwhile() -> bool:
        jobs.append(server.post(chain({"type": "TestLoud", "value": 7000 + len(jobs)})))
        while not server.get(f"/history/{jobs[-1]}"):
            assert "devices" in server.get("/system_stats")
            if server.get("/queue")["queue_running"]:
                return True
        return False  # it had ended before it was looked at

    until(answered_meanwhile, "answers while a node prints")
    assert all(server.entry(job)["status"]["completed"] for job in jobs)


def test_an_interrupt_ends_the_running_job_and_the_next_one_begins(server: Any, wait: Any) -> None:
    server.wait_for_worker()
    long = server.post(chain({"seconds": 60.0}))
    next_one = server.post(chain({"name": "next"}))
    wait(lambda: server.get("/queue")["queue_running"], "the job to begin")
    assert server.ask("POST", "/interrupt", {"prompt_id": "another"})[0] == 200
    assert server.get("/queue")["queue_running"], "another job was meant"
    server.ask("POST", "/interrupt")
    assert server.entry(long)["status"]["messages"][-1][0] == "execution_interrupted"
    assert server.entry(next_one)["status"]["completed"]


def test_the_queue_can_be_paused_reordered_and_emptied(server: Any, wait: Any) -> None:
    server.ask("POST", "/api/v1/queue/pause")
    ids = [server.post(chain({"name": name})) for name in "abcd"]
    front = server.post(chain({"name": "front"}), front=True)
    server.ask("POST", "/api/v1/queue/move", {"ids": [ids[3]], "before": ids[0]})
    server.ask("POST", "/queue", {"delete": [ids[1]]})
    waiting = [item[1] for item in server.get("/queue")["queue_pending"]]
    assert waiting == [front, ids[3], ids[0], ids[2]]
    server.ask("POST", "/api/jobs/cancel", {"job_ids": [ids[2]]})
    server.ask("POST", "/api/v1/queue/resume")
    for identifier in (front, ids[0], ids[3]):
        assert server.entry(identifier)["status"]["completed"]
    assert server.noted() == ["front", "d", "a"]
    assert server.get(f"/history/{ids[1]}") == {}
    wait(lambda: server.get(f"/api/jobs/{ids[2]}")["status"] == "cancelled", "its end to be recorded")


def test_two_workers_run_two_jobs_at_once(serve: Callable[..., Any], wait: Any) -> None:
    server = serve("--workers", "2")
    wait(lambda: len(server.workers()) == 2, "two workers")
    first, second = server.post(chain({"seconds": 60.0})), server.post(chain({"seconds": 60.5}))
    wait(lambda: len(server.get("/queue")["queue_running"]) == 2, "both to run")
    server.ask("POST", "/interrupt", {"prompt_id": second})
    assert server.entry(second)["status"]["messages"][-1][0] == "execution_interrupted"
    # What is in the history is among those that run for a moment yet.
    wait(lambda: [item[1] for item in server.get("/queue")["queue_running"]] == [first], "only the first to run")
    server.ask("POST", f"/api/jobs/{first}/cancel")
    assert server.entry(first)["status"]["messages"][-1][0] == "execution_interrupted"


def test_sigterm_lets_the_running_job_end_and_keeps_the_others(
    serve: Callable[..., Any], wait: Any, tmp_path: Path
) -> None:
    server = serve()
    server.wait_for_worker()
    sign = tmp_path / "go on"
    running = server.post(chain({"type": "TestHold", "sign": str(sign), "name": "begun"}, {"name": "ran"}))
    waiting = server.post(chain({"seconds": 0.01, "name": "waited"}))
    wait(lambda: server.noted() == ["begun"], "the job to begin")
    server.process.send_signal(signal.SIGTERM)
    wait(lambda: any('"SIGTERM"' in line for line in server.log), "the server to hear of it", server.log)
    sign.touch()
    assert server.process.wait(PATIENCE) == 0
    assert server.noted() == ["begun", "ran"]
    again = serve()
    assert again.get(f"/history/{running}")[running]["status"]["completed"]
    assert again.entry(waiting)["status"]["completed"]


def test_ctrl_c_ends_soon_and_the_running_job_runs_again_at_the_next_start(
    serve: Callable[..., Any], wait: Any, tmp_path: Path
) -> None:
    server = serve()
    server.wait_for_worker()
    sign = tmp_path / "go on"
    running = server.post(chain({"name": "before"}, {"type": "TestHold", "sign": str(sign)}, {"name": "long"}))
    wait(lambda: "before" in server.noted(), "the first node")
    assert server.end(signal.SIGINT) == 0
    sign.touch()
    again = serve()
    assert again.entry(running)["status"]["completed"]
    assert again.noted() == ["before", "long"]


def test_a_second_server_on_the_folder_is_refused_and_names_the_first(serve: Callable[..., Any]) -> None:
    first = serve()
    second = serve(wait=False)
    assert second.process.wait(PATIENCE) == 2
    told = "".join(second.log)
    assert first.url in told
    assert str(first.process.pid) in told
    assert first.get("/health")["status"] == "ok"


def test_a_worker_ends_with_its_server(serve: Callable[..., Any], wait: Any) -> None:
    import psutil

    server = serve()
    pid = server.wait_for_worker()
    server.post(chain({"type": "TestDeaf"}))
    wait(lambda: "deaf" in server.noted(), "the node to run")
    server.kill()
    wait(lambda: not psutil.pid_exists(pid), "the worker to end")


def test_metrics_count_what_happened(serve: Callable[..., Any]) -> None:
    server = serve()
    server.run(chain({}))
    server.run(chain({}))
    text = server.ask("GET", "/metrics")[1].decode()
    assert 'safelight_jobs_ended_total{status="done"} 2.0' in text
    assert 'safelight_nodes_total{outcome="ran"} 2.0' in text
    assert 'safelight_nodes_total{outcome="reused"} 2.0' in text
    assert 'safelight_worker_up{worker="0"} 1.0' in text
