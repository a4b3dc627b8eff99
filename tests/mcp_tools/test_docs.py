"""What docs/mcp.md shows is true: its settings start the command, its program runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from engine.cli.parser import make_parser
from tests.harness import PATIENCE, ROOT, environ

PAGE = (ROOT / "docs" / "mcp.md").read_text()


def blocks(language: str) -> list[str]:
    """The code of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_settings_for_clients_name_options_that_there_are():
    first, second = (json.loads(block)["mcpServers"]["safelight"] for block in blocks("json"))
    assert first["command"] == "safelight"
    assert make_parser().parse_args(first["args"]).command == "mcp"
    assert second["url"].endswith(":8189/mcp")
    (command,) = [line for block in blocks("sh") for line in block.splitlines() if "--http" in line]
    assert make_parser().parse_args(command.split()[1:]).port == 8189


def test_the_program_runs(url: str, tmp_path: Path) -> None:
    (program,) = blocks("python")
    program = program.replace("http://127.0.0.1:8189/mcp", url)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "text_to_image ['prompt', 'negative', 'seed'" in done.stdout
    assert done.stdout.split()[-1] == "7"
    assert (tmp_path / "apple.png").read_bytes().startswith(b"\x89PNG")
