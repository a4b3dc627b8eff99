from __future__ import annotations

from pathlib import Path

import pytest

from engine.model_paths import ModelPathsError, read_model_paths
from engine.paths import ExtraFolder


@pytest.fixture
def read(tmp_path: Path):
    def written(text: str | bytes) -> list[ExtraFolder]:
        file = tmp_path / "extra.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_model_paths(file)

    return written


def test_sections_give_folders_below_their_base_path(read):
    text = """
    # a comment
    comfyui:
        base_path: /data/comfy
        is_default: true
        checkpoints: models/checkpoints/
        loras: |
            models/loras

            ../more
        own: [a, /b]
        custom_nodes: nodes
    other:
        vae: /vae
        controlnet:
    empty:
    """
    assert read(text) == [
        ExtraFolder("checkpoints", Path("/data/comfy/models/checkpoints"), True),
        ExtraFolder("loras", Path("/data/comfy/models/loras"), True),
        ExtraFolder("loras", Path("/data/more"), True),
        ExtraFolder("own", Path("/data/comfy/a"), True),
        ExtraFolder("own", Path("/b"), True),
        ExtraFolder("custom_nodes", Path("/data/comfy/nodes"), True),
        ExtraFolder("vae", Path("/vae"), False),
    ]


def test_paths_are_relative_to_the_file_and_expanded(read, tmp_path, monkeypatch):
    monkeypatch.setenv("WHERE", "/somewhere")
    monkeypatch.setenv("HOME", "/home/me")
    folders = read("a:\n  loras: x\n  vae: $WHERE/y\n  clip: ~/z\nb:\n  base_path: sub\n  unet: w")
    assert [folder.path for folder in folders] == [
        tmp_path / "x",
        Path("/somewhere/y"),
        Path("/home/me/z"),
        tmp_path / "sub" / "w",
    ]


def test_an_empty_file_names_no_folders(read):
    assert read("") == read("# nothing\n") == read("a:\n") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b", r"line 1: expected folders in the section 'a'.*got 'b'"),
        ("- x", r"line 1: expected sections.*got a list"),
        ("a:\n  loras: {b: c}", r"line 2: expected a path.*got a section"),
        ("a:\n  loras: [[b]]", r"line 2: expected a path"),
        ("a:\n  is_default: maybe", r"line 2: expected `true` or `false`; got 'maybe'"),
        ("a:\n\tb: c", r"line 2: this is not YAML"),
        ("a: [", "this is not YAML"),
        ("? [a]\n: c", r"line 1: expected a name"),
        ("&a [*a]", "expected sections"),
        ("!!python/object/apply:os.system [ls]", "expected sections"),
        (b"\xff\xfe\xfd", "cannot be read"),
        ("[" * 3000, "not YAML"),
        ('a:\n  loras: "x\\0y"', "null characters"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_line(read, text, said):
    with pytest.raises(ModelPathsError, match=said) as caught:
        read(text)
    assert "extra.yaml" in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ModelPathsError, match=r"none\.yaml: cannot be read"):
        read_model_paths(tmp_path / "none.yaml")
