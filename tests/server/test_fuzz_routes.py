"""Every route is asked what its description allows and forbids: nothing may fail inside, and nothing may hang."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

EXAMPLES = {GenerationMode.POSITIVE: 20, GenerationMode.NEGATIVE: 8}
SECONDS = 60
EXPECTED = {
    "/health": {503},
    "/ws": {101, 400, 426},
    "/api/v1/jobs/{job}/nodes/{node}/outputs/{slot}": {503},
}
"""A server without workers says that it is not well; the websocket wants a handshake."""


PLAIN = {"error", "node_errors"}
DOCUMENT = {"type", "title", "status", "detail", "code", "request_id", "error"}
"""Members of a problem document."""


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_route_fails_or_hangs_whatever_it_is_asked(whole, mode):
    statuses: dict[int, int] = {}
    schema = schemathesis.openapi.from_dict(whole.description)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 40
    for operation in operations:
        with contextlib.suppress(Unsatisfiable):  # what has no parameters and no body cannot be asked wrongly
            _ask_often(operation, mode, whole, statuses)
    assert whole.is_well()
    assert {200, 404} <= set(statuses), statuses


def _form(path):
    """The keys of a refusal: the field's second API and that of OpenAI have forms of their own."""
    return DOCUMENT if path.startswith("/api/v2/") else {"error"} if path.startswith("/v1/") else PLAIN


def _ask_often(operation, mode, whole, statuses):
    @seeded(len(operation.label))
    @settings(
        max_examples=EXAMPLES[mode],
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        answer = case.call(base_url=whole.url, timeout=SECONDS)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        fine = answer.status_code < 500 or answer.status_code in EXPECTED.get(operation.path, ())
        assert fine, f"{answer.status_code} {answer.text[:300]} for {case.as_curl_command()[:1000]}"
        if answer.status_code >= 400 and operation.path != "/health" and operation.method != "head":
            assert set(answer.json()) == _form(operation.path), case.as_curl_command()[:1000]

    ask()


ODD = [
    None, True, 0, -1, 2**31, 2**63, 2**70, 1.5, 1e308, -0.0, "", "x", "\u0000", "\U0001f600" * 50, "__proto__", "../..", [], [[]],
    ["1", 0], ["1", "0"], ["1", -1], ["1", 1e3], ["9", 0], {}, {"": {}}, {"class_type": 5}, "x" * 100_000, [0] * 1000,
    {"__value__": ["1", 0]}, [{}], [[[[[]]]]],
]  # fmt: skip

PROMPT = {
    "prompt": {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 3}, "_meta": {"title": "three"}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    },
    "client_id": "me",
    "prompt_id": None,
    "number": 1,
    "front": False,
    "extra_data": {"extra_pnginfo": {"workflow": {"id": "w", "nodes": []}}, "preview_method": "auto"},
    "partial_execution_targets": ["2"],
}


def _places(value, path=()):
    """The path of every value within `value`."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _with(value, path, odd):
    """A copy of `value` with `odd` at `path`."""
    if not path:
        return odd
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return value


def _post(whole, body, path="/prompt"):
    answer = whole.ask("POST", path, json.dumps(body).encode())
    assert answer.status in (200, 400, 409, 413), (answer.status, answer.body[:300], json.dumps(body)[:500])
    return answer


def test_an_odd_value_anywhere_in_a_posted_prompt_is_taken_or_refused_but_never_breaks_the_queue(whole):
    places = list(_places(PROMPT))
    assert len(places) > 25
    statuses = {_post(whole, _with(PROMPT, place, odd)).status for place in places for odd in ODD}
    assert {200, 400} <= statuses
    for path in ("/queue", "/jobs", "/history", "/prompt", "/metrics"):
        assert whole.ask("GET", path).status == 200, path
    assert whole.ask("POST", "/queue", b'{"clear": true}').status == 200
    assert whole.is_well()


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_workflow_is_taken_or_refused_but_never_fails_inside(whole, seed):
    draw = random.Random(seed)
    folder = Path(__file__).parents[2] / "workflows"
    workflows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    assert workflows
    for _ in range(60):
        body = draw.choice(workflows)
        for _ in range(draw.randint(1, 3)):
            body = _with(body, draw.choice(list(_places(body))), draw.choice(ODD))
            if not isinstance(body, dict):
                break
        _post(whole, body, draw.choice(["/prompt", "/api/v1/convert", "/api/v1/convert?to=workflow"]))
    assert whole.ask("POST", "/queue", b'{"clear": true}').status == 200
    assert whole.is_well()
