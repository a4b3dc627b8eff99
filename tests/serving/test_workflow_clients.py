"""The description of workflows: it is valid, clients are made of it and run them, and it holds whatever is sent."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import shutil
import subprocess
import sys

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from schemathesis.generation import GenerationMode

from tests.harness import PATIENCE, ROOT, environ
from tests.serving.calling import STEP, asked, picture

OPERATIONS = {
    "run_step": "/api/v1/workflows/step/run",
    "run_portraits_framed": "/api/v1/workflows/portraits/framed/run",
    "run_text_to_image": "/api/v1/workflows/text_to_image/run",
}


@pytest.fixture
def description(called):
    return called.get("/openapi.json")


def only(description, *ids):
    """The description of some operations alone."""
    paths = {OPERATIONS[id]: description["paths"][OPERATIONS[id]] for id in ids}
    return {**description, "paths": paths, "tags": [{"name": "run"}]}


def test_each_workflow_is_a_typed_operation_of_a_valid_description(description):
    validate(description)
    found = {id: description["paths"][path]["post"] for id, path in OPERATIONS.items()}
    assert [one["operationId"] for one in found.values()] == list(OPERATIONS)
    schemas = description["components"]["schemas"]
    assert schemas["run_text_to_image_arguments"]["properties"]["steps"]["type"] == "integer"
    assert list(schemas["run_text_to_image_result"]["properties"]["outputs"]["properties"]) == ["image"]
    form = found["run_portraits_framed"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert (form["properties"]["image"]["format"], form["required"]) == ("binary", ["image"])
    assert "image/*" in found["run_text_to_image"]["responses"]["200"]["content"]
    assert {"409", "422", "429", "500", "503", "507"} <= set(found["run_step"]["responses"])


def test_it_is_made_anew_when_workflows_come_change_and_go(called):
    path = called.base / "workflows" / "late comer.json"
    url = "/api/v1/workflows/late%20comer/run"
    assert url not in called.get("/openapi.json")["paths"]
    path.write_text(json.dumps(STEP))
    try:
        assert called.get("/openapi.json")["paths"][url]["post"]["operationId"] == "run_late_comer"
        assert "late comer" in asked(called, "/api/v1/docs")[2].decode()
    finally:
        path.unlink()
    assert url not in called.get("/openapi.json")["paths"]


def test_a_client_that_is_generated_from_it_runs_workflows(called, description, tmp_path, monkeypatch):
    source, package = tmp_path / "openapi.json", tmp_path / "typed_client"
    source.write_text(json.dumps(only(description, "run_step", "run_portraits_framed")))
    (tmp_path / "config.json").write_text('{"post_hooks": []}')
    told = ["--path", str(source), "--output-path", str(package), "--meta", "none", "--fail-on-warning"]
    command = [
        sys.executable,
        "-m",
        "openapi_python_client",
        "generate",
        "--config",
        str(tmp_path / "config.json"),
        *told,
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environ(), check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr

    monkeypatch.syspath_prepend(tmp_path)
    client = importlib.import_module("typed_client").Client(called.url, timeout=PATIENCE)
    models = importlib.import_module("typed_client.models")
    types = importlib.import_module("typed_client.types")
    step = importlib.import_module("typed_client.api.run.run_step").sync
    result = step(client=client, body=models.RunStepArguments(value=30, name="generated"))
    assert result.outputs.text.texts == ["31"]
    wrong = step(client=client, body=models.RunStepArguments(value="x"))
    assert wrong.error.type_ == "invalid_arguments"
    with_file = importlib.import_module("typed_client.api.run.run_portraits_framed").sync
    file = types.File(payload=io.BytesIO(picture("yellow")), file_name="mine.png", mime_type="image/png")
    made = with_file(client=client, body=models.RunPortraitsFramedFilesBody(image=file))
    assert made.outputs.image.files[0].media_type == "image/png"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_commands_of_the_page_work(called, tmp_path):
    (tmp_path / "photo.png").write_bytes(picture("pink"))
    page = (ROOT / "docs" / "workflow_api.md").read_text(encoding="utf-8")
    commands = [line.partition("  #")[0] for line in page.splitlines() if line.startswith("curl ")]
    assert len(commands) == 5
    said = []
    for line in commands:
        told = line.replace("curl", "curl -sS --fail", 1).replace("http://127.0.0.1:8188", called.url)
        done = subprocess.run(["sh", "-c", told], cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert json.loads(said[1])["name"] == "text_to_image"
    assert json.loads(said[2])["values"]["seed"] == 7
    assert (tmp_path / "apple.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(said[4])["outputs"]["image"]["files"]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_call_fails_inside_whatever_is_sent(called, description, mode):
    schema = schemathesis.openapi.from_dict(only(description, "run_step", "run_portraits_framed"))
    statuses: dict[int, int] = {}
    for operation in [found.ok() for found in schema.get_all_operations()]:
        with contextlib.suppress(Unsatisfiable):
            ask_often(operation, mode, called, statuses)
    expected = {200} if mode is GenerationMode.POSITIVE else {422}
    assert expected <= set(statuses), statuses


def ask_often(operation, mode, called, statuses):
    @seeded(7)
    @settings(
        max_examples=15, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        if isinstance(case.body, dict) and isinstance(case.body.get("seconds"), int | float):
            case.body["seconds"] = 0  # it waits so long
        answer = case.call(base_url=called.url, timeout=PATIENCE, headers={"Accept": "application/json"})
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, f"{answer.text[:300]} for {case.as_curl_command()[:1000]}"
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error", "node_errors"}, case.as_curl_command()[:1000]

    ask()
