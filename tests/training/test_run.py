"""The whole run on a tiny data set: stages, resumption, the file it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from engine.training.progress import TrainingProgress
from engine.training.recipe import RecipeError
from engine.training.run import train


class KilledError(Exception):
    """Stands for a process that is killed in the middle of a run."""


def test_one_call_runs_every_stage_in_order_and_writes_a_checkpoint(recipe_path, data_dir, tmp_path):
    events: list[TrainingProgress] = []
    result = train(recipe_path, work_dir=tmp_path / "work", data_dir=data_dir, on_progress=events.append)
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages == ["fetch", "prepare", "tokenizer", "vae", "latents", "diffusion", "decoder", "evaluate", "export"]
    assert result.finished
    assert result.steps == 4
    assert result.score is not None
    assert result.score.total == 2
    assert [event.step for event in events if event.stage == "diffusion"] == [1, 2, 3, 4]
    assert all(event.loss is not None and event.loss > 0 for event in events if event.stage in {"vae", "diffusion"})
    assert (tmp_path / "work" / "contact_sheet.png").stat().st_size > 100


@pytest.mark.parametrize(
    ("stage", "step"), [("vae", 1), ("vae", 3), ("diffusion", 1), ("diffusion", 3), ("decoder", 1)]
)
def test_a_killed_run_goes_on_to_the_same_weights(recipe_path, data_dir, tmp_path, stage, step):
    output = tmp_path / "models" / "tiny.safetensors"
    train(recipe_path, work_dir=tmp_path / "whole", data_dir=data_dir)
    whole = load_file(output)

    def kill(event: TrainingProgress) -> None:
        if (event.stage, event.step) == (stage, step):
            raise KilledError

    with pytest.raises(KilledError):
        train(recipe_path, work_dir=tmp_path / "cut", data_dir=data_dir, on_progress=kill)
    train(recipe_path, work_dir=tmp_path / "cut", data_dir=data_dir)
    resumed = load_file(output)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_time_that_is_up_saves_and_says_so_and_a_later_call_finishes(recipe_path, data_dir, tmp_path):
    work = tmp_path / "work"
    first = train(recipe_path, work_dir=work, data_dir=data_dir, max_minutes=0)
    assert not first.finished
    assert first.checkpoint is None
    second = train(recipe_path, work_dir=work, data_dir=data_dir)
    assert second.finished


def test_a_finished_run_is_not_trained_again(recipe_path, data_dir, tmp_path):
    train(recipe_path, work_dir=tmp_path / "work", data_dir=data_dir)
    events: list[TrainingProgress] = []
    train(recipe_path, work_dir=tmp_path / "work", data_dir=data_dir, on_progress=events.append)
    assert {event.stage for event in events}.isdisjoint({"vae", "diffusion", "decoder"})


def test_a_work_folder_of_other_networks_is_refused_until_started_afresh(recipe_path, data_dir, tmp_path):
    train(recipe_path, work_dir=tmp_path / "work", data_dir=data_dir)
    recipe_path.write_text(recipe_path.read_text().replace("widths = [16, 32]", "widths = [16, 16]"))
    with pytest.raises(RecipeError, match="resume=False"):
        train(recipe_path, work_dir=tmp_path / "work", data_dir=data_dir)
    assert train(recipe_path, work_dir=tmp_path / "work", data_dir=data_dir, resume=False).finished


def test_the_file_has_the_original_names_half_precision_and_all_facts(recipe_path, data_dir, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "notes.txt").write_text("by hand\n")
    path = train(recipe_path, work_dir=tmp_path / "work", data_dir=data_dir).checkpoint
    assert path is not None
    tensors = load_file(path)
    assert tensors["model.diffusion_model.input_blocks.0.0.weight"].shape == (16, 4, 3, 3)
    assert tensors["first_stage_model.quant_conv.weight"].shape == (8, 8, 1, 1)
    table = tensors["cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"]
    assert table.shape == (20, 16)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["safelight.config"])
    assert config["unet"]["head_dim"] == 8
    assert config["parameterization"]["prediction"] == "v"
    assert len(config["rgb_factors"]) == 4
    assert config["text"]["eos"] == json.loads(metadata["safelight.tokenizer"])["added_tokens"][-1]["id"]
    provenance = json.loads(metadata["safelight.provenance"])
    assert [package["name"] for package in provenance["data"]] == ["pictures", "keywords"]
    assert provenance["evaluation"]["of"] == 2
    assert provenance["notes"] == "by hand"
    assert metadata["modelspec.license"] == "Apache-2.0"


def test_the_file_loads_as_a_checkpoint_of_the_family(recipe_path, data_dir, tmp_path):
    from engine.models.checkpoints import read_header
    from engine.models.detect import detect

    path = train(recipe_path, work_dir=tmp_path / "work", data_dir=data_dir).checkpoint
    assert isinstance(path, Path)
    header = read_header(path)
    found = detect(header.shapes, header.metadata)
    assert found.parameterization.prediction == "v"
    assert found.latent.channels == 4
    assert found.latent.scale == 1.0
