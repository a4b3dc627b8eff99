"""The commands of docs/many_users.md, as they stand there, and what it says of answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.server.guards import Policy
from engine.server.token_file import FILE_NAME, PREFIX, create_token

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "many_users.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_commands_of_the_page_work(whole_servers, tmp_path):
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    commands = script.replace("safelight ", f"{sys.executable} -m engine ").replace("curl ", "curl --fail ")
    with whole_servers(Policy(tokens_file=tmp_path / "user" / FILE_NAME)) as server:
        commands = commands.replace("http://127.0.0.1:8188", server.url)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}
        done = subprocess.run(
            ["sh", "-ec", f'{commands}\necho\necho "$TOKEN"'],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "alice  read,run  30/min, 10 in the queue" in done.stdout
        assert '{"queue_running":[],"queue_pending":[]}' in done.stdout
        token = done.stdout.split()[-1]
        assert token.startswith(PREFIX)
        assert server.ask("GET", "/queue", None, {"Authorization": f"Bearer {token}"}).status == 401, "revoked"


def test_the_problem_on_the_page_is_the_one_that_is_answered(whole_servers, tmp_path):
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / FILE_NAME
    token = create_token(file, "alice", frozenset({"run"}), rate=1)
    prompt = json.dumps({"prompt": {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}}).encode()
    with whole_servers(Policy(tokens_file=file)) as server:
        answers = [server.ask("POST", "/prompt", prompt, {"Authorization": f"Bearer {token}"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]

    def words(problem):
        return (
            re.sub(r"\d+", "N", problem["error"]["message"]),
            problem["error"]["type"],
            [*problem["error"]["extra_info"]],
        )

    assert words(answers[1].json()) == words(json.loads(shown))
    assert answers[1].headers["Retry-After"] == str(answers[1].json()["error"]["extra_info"]["retry_after"])
