"""Every example runs on the bundled model through the command line, and its pictures are what it says they are."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[2]
FEW = {"steps": 3}


class Run:
    """What one `safelight run --json` gave."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        assert document["status"] == "done", document
        self.files = [Path(one["path"]) for one in document["outputs"]]

    def picture(self, prefix: str) -> NDArray[np.float32]:
        """The picture whose file name is `prefix` and a number, (H, W, 3) in 0..1."""
        [path] = [file for file in self.files if re.fullmatch(rf"{prefix}_\d+_\.png", file.name)]
        return np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255.0

    def status(self, class_type: str) -> list[str]:
        nodes = self.document["nodes"].values()
        return [node["status"] for node in nodes if node["class_type"] == class_type]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("base")


@pytest.fixture
def run(base: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Runs an example in this process, each time with a cache and a model manager of its own, as a new process has."""
    from engine.__main__ import main

    def run(source: str | Path, **values: Any) -> Run:
        path = source if isinstance(source, Path) else ROOT / "workflows" / f"{source}.json"
        sets = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
        capsys.readouterr()
        code = main(["run", str(path), "--json", "--base-directory", str(base), *sets])
        document = json.loads(capsys.readouterr().out)
        assert code == 0, document
        return Run(document)

    return run


def is_a_picture(pixels: NDArray[np.float32], height: int, width: int) -> bool:
    return pixels.shape == (height, width, 3) and float(pixels.std()) > 0.02


def test_text_to_image_reuses_everything_the_second_time(run):
    first = run("text_to_image", seed=3, **FEW)
    second = run("text_to_image", seed=3, **FEW)
    assert is_a_picture(first.picture("text_to_image"), 64, 64)
    assert second.document["summary"] == "reused 7 of 7"
    assert second.files == first.files


def test_another_prompt_reuses_checkpoint_and_empty_latent_and_another_seed_the_texts_too(run):
    first = run("text_to_image", seed=4, **FEW)
    prompt = run("text_to_image", seed=4, prompt="green apple", **FEW)
    assert prompt.status("CheckpointLoaderSimple") == prompt.status("EmptyLatent") == ["reused"]
    assert sorted(prompt.status("TextEncode")) == ["ran", "reused"]
    assert prompt.status("KSampler") == ["ran"]
    seed = run("text_to_image", seed=5, prompt="green apple", **FEW)
    assert seed.status("TextEncode") == ["reused", "reused"]
    assert seed.status("KSampler") == ["ran"]
    pictures = [one.picture("text_to_image") for one in (first, prompt, seed)]
    assert all(np.abs(a - b).max() > 0.05 for a, b in itertools.pairwise(pictures))


def test_the_picture_carries_the_graph_and_runs_again_from_it(run):
    from engine.media.embedded import read_embedded

    first = run("text_to_image", seed=6, prompt="green apple", **FEW)
    found = read_embedded(first.files[0].read_bytes())
    assert {node["class_type"] for node in found.prompt.values()} >= {"KSampler", "SaveImage"}
    assert {node["inputs"]["text"] for node in found.prompt.values() if "text" in node["inputs"]} == {"green apple", ""}
    assert found.workflow["extra"]["safelight"]["parameters"]
    assert run(first.files[0]).document["summary"] == "reused 7 of 7"


def test_a_new_process_that_reuses_everything_does_not_import_torch(run, base):
    run("text_to_image", seed=7, **FEW)
    code = (
        "import sys; from engine.__main__ import main\n"
        f"code = main(['run', {str(ROOT / 'workflows' / 'text_to_image.json')!r}, '--base-directory', {str(base)!r}, "
        "'--set', 'seed=7', '--set', 'steps=3'])\n"
        "print('torch' in sys.modules, code)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    assert done.stdout.splitlines()[-1] == "False 0"
    assert "reused 7 of 7" in done.stderr + done.stdout


def test_the_prompt_decides_the_colours(run):
    """Real pictures, at full steps: a red apple is red where a green one is green."""
    red = run("text_to_image", prompt="red apple", seed=1).picture("text_to_image")[24:48, 20:44].mean(axis=(0, 1))
    green = run("text_to_image", prompt="green apple", seed=1).picture("text_to_image")[24:48, 20:44].mean(axis=(0, 1))
    assert red[0] > red[1] + 0.2
    assert green[1] > green[0] + 0.05


def test_image_to_image_at_denoise_zero_only_reconstructs_and_more_denoise_moves_further(run):
    arguments = {"start_steps": 8, "steps": 4}
    start = run("image_to_image", denoise=0, **arguments)
    kept = start.picture("image_to_image")
    far = run("image_to_image", denoise=0.8, **arguments).picture("image_to_image")
    original = start.picture("image_to_image_start")
    assert is_a_picture(original, 64, 64)
    assert np.abs(kept - original).mean() < 0.03
    assert np.abs(far - original).mean() > 2 * np.abs(kept - original).mean()


def test_inpainting_keeps_the_unmasked_half_and_paints_the_other_anew(run):
    done = run("inpainting", start_steps=8, steps=4)
    start, result = done.picture("inpainting_start"), done.picture("inpainting")
    assert is_a_picture(result, 64, 64)
    assert np.array_equal(result[:, :32], start[:, :32])
    assert np.abs(result[:, 32:] - start[:, 32:]).mean() > 0.02


def test_hires_fix_doubles_the_size_and_keeps_the_composition(run):
    done = run("hires_fix", small_steps=8, steps=6)
    small, large = done.picture("hires_fix_small"), done.picture("hires_fix")
    assert is_a_picture(small, 64, 64)
    assert is_a_picture(large, 128, 128)
    shrunk = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.5


def test_prompts_by_area_give_each_half_its_own(run):
    both = run("area_prompts", left="red apple", right="green apple", **FEW).picture("area_prompts")
    other = run("area_prompts", left="green apple", right="red apple", **FEW).picture("area_prompts")
    assert is_a_picture(both, 64, 128)
    left, right = np.s_[:, :56], np.s_[:, 72:]
    assert np.abs(both[left] - other[left]).mean() > 0.02
    assert np.abs(both[right] - other[right]).mean() > 0.02


def cells(sheet: NDArray[np.float32], count: int, spacing: int) -> list[NDArray[np.float32]]:
    """The pictures of a contact sheet's only row, with what is beside and below them."""
    width = (sheet.shape[1] - spacing) // count - spacing
    return [sheet[:, spacing + (width + spacing) * at :][:, :width] for at in range(count)]


def test_the_sampler_grid_runs_the_sampler_once_for_each_name(run):
    # Not a sampler that adds noise: on the CPU its first draw is the initial noise once more, and three steps go euler's way.
    sheet = run("sampler_grid", samplers="euler\ndpmpp_2m\neuler", **FEW).picture("sampler_grid")
    euler, multistep, again = cells(sheet, 3, spacing=10)
    assert np.array_equal(euler, again)
    assert np.abs(euler - multistep)[:74].mean() > 0.1


def test_the_settings_grid_runs_the_sampler_once_for_each_pair_of_guidance_and_steps(run):
    sheet = run("settings_grid", guidances="1\n4\n4\n4", step_counts="4\n4\n2\n4", columns=4).picture("settings_grid")
    weak, strong, hasty, again = cells(sheet, 4, spacing=10)
    assert np.array_equal(strong[:74], again[:74])
    assert np.abs(weak - strong)[:74].mean() > 0.01
    assert np.abs(hasty - strong)[:74].mean() > 0.01


def test_the_forward_process_goes_from_the_picture_to_noise(run):
    sheet = run("forward_process", count=3, **FEW).picture("forward_process")
    for row in (np.s_[8:72], np.s_[88:152]):
        first, middle, last = (cell.ravel() for cell in cells(sheet[row], 3, spacing=8))
        assert 0.999 > np.corrcoef(first, middle)[0, 1] > np.corrcoef(first, last)[0, 1]
    upper, lower = cells(sheet[8:72], 3, spacing=8)[0], cells(sheet[88:152], 3, spacing=8)[0]
    assert np.abs(upper - lower).max() < 0.01
