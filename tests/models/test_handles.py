"""Handles are data: named by content, cheap to change, and the same after a round trip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.datatypes.identity import Identified
from engine.models.handles import (
    ClipHandle,
    ControlNetHandle,
    ControlUse,
    ModelHandle,
    Patch,
    Source,
    VaeHandle,
    decode_handle,
    digest_file,
    encode_handle,
)
from engine.models.manager import ModelManager


def patch(digest: str = "lora", strength: float = 1.0) -> Patch:
    return Patch(kind="lora", source=Source("l.safetensors", digest), strength=strength)


@pytest.fixture
def handles(tiny_sd: Any) -> tuple[ModelHandle, ClipHandle, VaeHandle, ControlNetHandle]:
    manager = ModelManager()
    opened = manager.checkpoint(tiny_sd.file("checkpoints", "tiny.safetensors"))
    return *opened, manager.controlnet(tiny_sd.file("controlnet", "edges.safetensors"))


def test_every_handle_is_the_same_after_msgpack(handles: tuple[Any, ...]) -> None:
    for handle in handles:
        again = decode_handle(encode_handle(handle))
        assert type(again) is type(handle)
        assert again == handle
        assert again.identity() == handle.identity()
        assert isinstance(handle, Identified)


def test_the_parts_of_one_file_have_different_identities(handles: tuple[Any, ...]) -> None:
    assert len({handle.identity() for handle in handles}) == 4


def test_decoding_something_else_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_handle(msgspec.msgpack.encode({"type": "model"}))


def test_patches_count_in_order_and_by_strength(handles: tuple[Any, ...]) -> None:
    model: ModelHandle = handles[0]
    both = model.with_patch(patch("a")).with_patch(patch("b", 0.5))
    assert model.patches == ()
    assert [p.source.digest for p in both.patches] == ["a", "b"]
    others = [
        model.with_patch(patch("b", 0.5), patch("a")),
        model.with_patch(patch("a"), patch("b", 0.25)),
        model.with_patch(patch("a")),
        model,
    ]
    assert len({handle.identity() for handle in [both, *others]}) == 5
    assert both.identity() == model.with_patch(patch("a"), patch("b", 0.5)).identity()


def test_what_changes_the_result_changes_the_identity(handles: tuple[Any, ...]) -> None:
    model, clip, _, _ = handles
    assert model.with_option("rescale", 0.7).identity() != model.identity()
    parameterization = msgspec.structs.replace(model.parameterization, zero_terminal_snr=True)
    assert model.with_parameterization(parameterization).identity() != model.identity()
    assert clip.with_last_layer(-2).identity() != clip.identity()


def test_where_the_file_lies_does_not_change_the_identity(handles: tuple[Any, ...]) -> None:
    for handle in handles:
        moved = msgspec.structs.replace(handle, source=Source("/elsewhere/file", handle.source.digest))
        other = msgspec.structs.replace(handle, source=Source(handle.source.path, "other content"))
        assert moved.identity() == handle.identity()
        assert other.identity() != handle.identity()


def test_a_digest_is_of_content_and_the_callers_way_of_naming_is_used(tmp_path: Path, tiny_sd: Any) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    (tmp_path / "c").write_bytes(b"other")
    assert digest_file(tmp_path / "a") == digest_file(tmp_path / "b") != digest_file(tmp_path / "c")
    asked: list[Path] = []
    checkpoint = tiny_sd.file("checkpoints", "tiny.safetensors")
    opened = ModelManager(files=lambda path: asked.append(path) or "named").checkpoint(checkpoint)
    assert opened.model.source.digest == "named"
    assert asked == [checkpoint]


def test_clip_may_stop_between_its_last_and_its_24th_last_layer(handles: tuple[Any, ...]) -> None:
    for wrong in (0, 1, -25):
        with pytest.raises(ValueError, match="between -24 and -1"):
            handles[1].with_last_layer(wrong)


def test_a_chain_of_controls_lists_the_first_applied_first_and_each_network_once(handles: tuple[Any, ...]) -> None:
    other = msgspec.structs.replace(handles[3], source=Source("other", "other"))
    first = ControlUse(handles[3], hint=None)
    second = ControlUse(other, hint=None, previous=first)
    third = ControlUse(handles[3], hint=None, previous=second)
    assert third.chain() == [first, second, third]
    assert ControlUse.handles([third, None, first]) == [handles[3], other]


def test_a_chain_of_ten_thousand_controls_works(handles: tuple[Any, ...]) -> None:
    use = None
    for _ in range(10_000):
        use = ControlUse(handles[3], hint=None, previous=use)
    assert len(use.chain()) == 10_000
