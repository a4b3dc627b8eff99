"""Reading files: what is wrong with a bad one is said by name; a good one is mapped, not copied."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.models.checkpoints import fit, load_tensors, read_header, spread
from engine.models.errors import CheckpointError, ModelError
from engine.models.manager import ModelManager


@pytest.fixture
def checkpoint(tiny_sd: Any) -> Path:
    return tiny_sd.file("checkpoints", "tiny.safetensors")


def rewritten(source: Path, target: Path, change: Any) -> Path:
    """Copy a checkpoint with `change(tensors)` made to it, metadata kept."""
    tensors = load_tensors(source)
    change(tensors)
    save_file({name: value.clone() for name, value in tensors.items()}, target, read_header(source).metadata)
    return target


def test_a_header_gives_names_shapes_dtypes_and_metadata(tmp_path: Path) -> None:
    save_file(
        {"a": torch.zeros(2, 3), "b": torch.zeros(5, dtype=torch.float16)}, tmp_path / "x.safetensors", {"k": "v"}
    )
    header = read_header(tmp_path / "x.safetensors")
    assert header.shapes == {"a": (2, 3), "b": (5,)}
    assert header.dtypes == {"a": "F32", "b": "F16"}
    assert header.metadata == {"k": "v"}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_the_spread_of_a_tensor_is_the_deviation_of_its_values_in_every_dtype(
    tmp_path: Path, dtype: str, suffix: str
) -> None:
    tensors = {"other": torch.ones(7), "wanted": torch.tensor([1.0, 2.0, 3.0, 6.0]).to(getattr(torch, dtype))}
    path = tmp_path / f"x.{suffix}"
    save_file(tensors, path) if suffix == "safetensors" else torch.save(tensors, path)
    assert spread(path, "wanted") == pytest.approx(3.5**0.5)
    with pytest.raises(KeyError):
        spread(path, "missing")


def test_of_averaged_and_plain_parameters_the_averaged_ones_are_read(tmp_path: Path) -> None:
    torch.save({"params": {"a": torch.zeros(2)}, "params_ema": {"a": torch.ones(2)}}, tmp_path / "x.pth")
    assert torch.equal(load_tensors(tmp_path / "x.pth")["a"], torch.ones(2))


def test_opening_a_checkpoint_reads_no_weights_and_imports_no_torch(checkpoint: Path, tiny_sd: Any) -> None:
    lora = tiny_sd.file("loras", "kohya.safetensors")
    code = f"""
import sys
from pathlib import Path
from engine.models.manager import ModelManager
from engine.models.handles import decode_handle, encode_handle
manager = ModelManager()
model, clip, vae = manager.checkpoint(Path({str(checkpoint)!r}))
result = manager.lora(Path({str(lora)!r}), model, clip)
assert result.unmatched == (), result.unmatched
assert decode_handle(encode_handle(result.model)).identity() == result.model.identity()
assert "torch" not in sys.modules and "diffusers" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_float32_weights_on_the_cpu_stay_in_the_mapped_file(checkpoint: Path) -> None:
    manager = ModelManager()
    with manager.use(manager.checkpoint(checkpoint).model) as network:
        ranges = mapped_ranges(checkpoint)
        inside = [any(low <= p.data_ptr() < high for low, high in ranges) for p in network.module.parameters()]
    assert ranges
    assert all(inside)


def mapped_ranges(path: Path) -> list[tuple[int, int]]:
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        pytest.skip("needs /proc")
    found = [line.split()[0].split("-") for line in maps.read_text().splitlines() if line.endswith(str(path))]
    return [(int(low, 16), int(high, 16)) for low, high in found]


def test_half_precision_files_compute_in_float32_on_the_cpu(checkpoint: Path, tmp_path: Path) -> None:
    tensors = {name: value.half() for name, value in load_tensors(checkpoint).items()}
    save_file(tensors, tmp_path / "half.safetensors", read_header(checkpoint).metadata)
    manager = ModelManager()
    with manager.use(manager.checkpoint(tmp_path / "half.safetensors").model) as network:
        assert {parameter.dtype for parameter in network.module.parameters()} == {torch.float32}
        assert network(torch.randn(1, 4, 8, 8), torch.tensor([5.0]), torch.randn(1, 3, 32)).isfinite().all()


def test_a_pickled_checkpoint_gives_the_same_model(checkpoint: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": load_tensors(checkpoint), "epoch": 3}, tmp_path / "model.ckpt")
    torch.save(load_tensors(checkpoint), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert read_header(tmp_path / "model.ckpt").shapes == read_header(checkpoint).shapes
    assert torch.equal(load_tensors(tmp_path / "old.pt")["model.diffusion_model.out.2.bias"],
                       load_tensors(checkpoint)["model.diffusion_model.out.2.bias"])  # fmt: skip
    assert ModelManager().checkpoint(tmp_path / "model.ckpt").model.in_channels == 4


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


@pytest.mark.parametrize("protocol", ["zip", 2, 4])
def test_a_pickle_that_tries_to_run_code_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str | int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.ckpt"
    if protocol == "zip":
        torch.save({"weights": Malicious()}, path)
    else:
        path.write_bytes(pickle.dumps({"weights": Malicious()}, protocol=protocol))
    with pytest.raises(CheckpointError, match=r"evil\.ckpt: refused.*Nothing was run") as caught:
        ModelManager().checkpoint(path)
    assert not (tmp_path / "ran").exists()
    assert "weights_only" not in str(caught.value)  # torch advises to turn the protection off; we do not
    if protocol == "zip":
        assert "exec" in str(caught.value)


def test_a_truncated_file_says_how_much_is_missing(checkpoint: Path, tmp_path: Path) -> None:
    data = checkpoint.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(data[:-1000])
    with pytest.raises(CheckpointError, match=rf"cut\.safetensors: truncated: .*{len(data)} bytes.*1000 are missing"):
        ModelManager().checkpoint(path)


BAD_FILES = {
    "empty": (b"", "not a safetensors file"),
    "three bytes": (b"abc", "not a safetensors file"),
    "cut in the header": (b"\xff\x03\x00\x00\x00\x00\x00\x00{", "not a safetensors file, or truncated"),
    "web page": (b"<!DOCTYPE html><html>404</html>", "text or web page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
    "header is a list": (b"\x02\x00\x00\x00\x00\x00\x00\x00[]", "no safetensors table"),
    "header is not JSON": (b"\x04\x00\x00\x00\x00\x00\x00\x00{{{{", "no safetensors table"),
    "entries are not tensors": (b"\x09\x00\x00\x00\x00\x00\x00\x00" + b'{"a": 5} ', "no safetensors table"),
    "no tensors": (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "not a checkpoint of a known family"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    data, reason = BAD_FILES[kind]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=reason) as caught:
        ModelManager().checkpoint(path)
    assert "bad.safetensors" in str(caught.value)


@pytest.mark.parametrize("name", ["bad.ckpt", "bad.pt"])
@pytest.mark.parametrize("data", [b"", b"not a pickle at all", b"PK\x03\x04 half a zip"])
def test_a_damaged_pickle_is_refused_by_name(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=name):
        ModelManager().checkpoint(tmp_path / name)


def test_a_pickle_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"a": 1}, tmp_path / "numbers.ckpt")
    with pytest.raises(CheckpointError, match="holds no tensors"):
        ModelManager().checkpoint(tmp_path / "numbers.ckpt")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors: there is no such file"):
        ModelManager().checkpoint(tmp_path / "nowhere.safetensors")


def test_missing_tensors_are_named_when_the_model_is_used(checkpoint: Path, tmp_path: Path) -> None:
    gone = [n for n in load_tensors(checkpoint) if "model.diffusion_model.middle_block" in n and n.endswith("bias")]

    def remove(tensors: dict[str, Any]) -> None:
        for name in gone:
            del tensors[name]

    path = rewritten(checkpoint, tmp_path / "holes.safetensors", remove)
    manager = ModelManager()
    handle = manager.checkpoint(path).model
    with (
        pytest.raises(
            CheckpointError, match=rf"holes\.safetensors: its U-Net.*{len(gone)} tensors missing .*and \d+ more"
        ),
        manager.use(handle),
    ):
        pass


def test_a_tensor_of_another_shape_is_named_with_both_shapes(checkpoint: Path, tmp_path: Path) -> None:
    name = "model.diffusion_model.time_embed.2.weight"

    def widen(tensors: dict[str, Any]) -> None:
        tensors[name] = torch.zeros(7, 7)

    manager = ModelManager()
    handle = manager.checkpoint(rewritten(checkpoint, tmp_path / "wide.safetensors", widen)).model
    with (
        pytest.raises(CheckpointError, match=r"time_embedding\.linear_2\.weight: expected \[128, 128\], got \[7, 7\]"),
        manager.use(handle),
    ):
        pass


def test_a_bad_checkpoint_leaves_the_manager_usable(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 100)
    manager = ModelManager()
    with pytest.raises(ModelError):
        manager.checkpoint(tmp_path / "bad.safetensors")
    with manager.use(manager.checkpoint(checkpoint).vae) as autoencoder:
        assert autoencoder.decode(torch.zeros(1, 4, 2, 2)).shape == (1, 16, 16, 3)


def test_a_file_with_nothing_but_a_vae_has_no_model_and_no_clip(tiny_sd: Any) -> None:
    opened = ModelManager().checkpoint(tiny_sd.file("vae", "tiny_vae.safetensors"))
    assert (opened.model, opened.clip) == (None, None)
    assert opened.vae is not None


def test_asking_a_file_for_a_part_it_lacks_names_the_part(tiny_sd: Any) -> None:
    manager = ModelManager()
    with pytest.raises(CheckpointError, match="holds no VAE"):
        manager.vae(tiny_sd.file("checkpoints", "no_vae.safetensors"))
    with pytest.raises(CheckpointError, match="not a ControlNet"):
        manager.controlnet(tiny_sd.file("checkpoints", "tiny.safetensors"))
    with pytest.raises(CheckpointError, match="holds no U-Net"):
        manager.denoiser(tiny_sd.file("vae", "tiny_vae.safetensors"))
    with pytest.raises(CheckpointError, match="holds no text encoder"):
        manager.text_encoder(tiny_sd.file("vae", "tiny_vae.safetensors"))


def test_a_folder_that_is_no_model_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model_index\.json"):
        ModelManager().checkpoint(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(CheckpointError, match="none of unet/, transformer/"):
        ModelManager().checkpoint(tmp_path)
    (tmp_path / "unet").mkdir()
    with pytest.raises(CheckpointError, match=r"config\.json: there is no such file"):
        ModelManager().checkpoint(tmp_path)
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"encoder_hid_dim_type": "text_proj"}))
    with pytest.raises(CheckpointError, match="no weights"):
        ModelManager().checkpoint(tmp_path)
    save_file({"conv_in.weight": torch.zeros(1)}, tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(CheckpointError, match="a network of a family not known here"):
        ModelManager().checkpoint(tmp_path)


def test_a_fit_lists_missing_unexpected_and_mismatched_tensors_and_shortens_long_lists() -> None:
    report = fit({"a": (1,), "b": (2,), "c": (3,)}, {"b": (5,), "c": (3,), "d": (4,)})
    assert (report.missing, report.unexpected, report.mismatched) == (["a"], ["d"], [("b", (2,), (5,))])
    assert not report.complete
    many = fit({f"t{i}": (1,) for i in range(100)}, {})
    assert "100 tensors missing (t0, t1, t2, t3 and 96 more)" in many.describe()
    assert fit({"a": (1,)}, {"a": (1,), "extra": (2,)}).complete
