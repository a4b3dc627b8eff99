"""A whole text-to-image workflow by processes that share nothing but the base directory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.media.embedded import read_embedded

WITHOUT_TORCH = """
import sys
from engine.__main__ import main
code = main(sys.argv[1:])
heavy = {"torch", "rich", "networkx", "numpy", "PIL", "diffusers", "transformers"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""

TINY = ["--set", "checkpoint=tiny.safetensors", "--set", "steps=2"]


@pytest.fixture
def models(base, tiny_sd):
    (base.folder / "models").symlink_to(tiny_sd.base / "models")
    return base


@pytest.fixture
def run_here(base, capsys):
    """Run a command in this process, which has torch imported already; what `--json` printed."""

    def run(*arguments: str):
        capsys.readouterr()
        code = main([*arguments, "--json", "--base-directory", str(base.folder)])
        printed = capsys.readouterr()
        assert code == 0, printed
        return json.loads(printed.out)

    return run


def test_a_second_process_reuses_all_7_nodes_without_torch_and_finds_the_picture(models, run_here):
    arguments = ["run", "text_to_image", *TINY, "--set", "prompt=red apple", "--set", "seed=1"]
    first = run_here(*arguments)
    [picture] = [Path(one["path"]) for one in first["outputs"]]
    assert first["summary"] == "ran 7, reused 0 of 7"
    found = read_embedded(picture.read_bytes())
    assert found.prompt is not None
    assert found.workflow is not None
    for source in (arguments, ["run", str(picture)]):
        again = subprocess.run(
            [sys.executable, "-c", WITHOUT_TORCH, *source],
            capture_output=True,
            text=True,
            env=models.environment(),
            check=False,
        )
        assert again.returncode == 0, again.stderr
        assert again.stderr.endswith("reused 7 of 7\n")
        assert again.stdout.split() == [str(picture)]


def test_a_checkpoint_that_moved_is_read_where_it_is_now(base, run_here, tiny_sd):
    tiny = tiny_sd.file("checkpoints", "tiny.safetensors").read_bytes()
    base.write("models/checkpoints/a/tiny.safetensors", tiny)
    arguments = ["run", "text_to_image", "--set", "steps=2", "--set"]
    run_here(*arguments, "checkpoint=a/tiny.safetensors")
    (base.folder / "models/checkpoints/a").rename(base.folder / "models/checkpoints/b")
    document = run_here(*arguments, "checkpoint=b/tiny.safetensors", "--set", "seed=77")
    assert document["status"] == "done"


def test_the_bundled_model_makes_a_picture_of_64_pixels(base):
    from PIL import Image

    [path] = base.run("run", "text_to_image", "--set", "prompt=red apple", "--set", "steps=3").out.split()
    with Image.open(path) as picture:
        assert picture.size == (64, 64)
