from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli.folders import folders_of
from engine.cli.parser import make_parser
from engine.cli.serve import serve_options
from engine.config import Folders, SettingsError
from engine.server.options import OptionsError, ServeOptions, is_loopback


def told(*arguments: str, **environment: str) -> ServeOptions:
    return serve_options(make_parser().parse_args(["serve", *arguments]), environment)


def test_without_options_the_server_is_what_the_defaults_of_the_options_say():
    assert told() == ServeOptions()
    assert told().loopback


def test_addresses_come_repeated_and_with_commas_and_each_is_kept_once():
    assert told("--listen", "127.0.0.1,::1", "--listen", "10.0.0.5", "--listen", "::1").listen == (
        "127.0.0.1",
        "::1",
        "10.0.0.5",
    )


def test_listen_without_an_address_means_every_address():
    options = told("--listen")
    assert options.listen == ("0.0.0.0",)
    assert not options.loopback


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LocalHost."])
def test_loopback_addresses_are_known(address):
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.2", "localhost.example.org"])
def test_other_addresses_are_no_loopback(address):
    assert not is_loopback(address)


def folders(*arguments: str) -> Folders:
    return folders_of(make_parser().parse_args(["serve", *arguments]))


def test_folders_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = folders("--output-directory", "out", "--models-directory", str(tmp_path / "m"))
    assert (found.output, found.models) == (tmp_path / "out", tmp_path / "m")
    assert found.input is None


def test_files_of_model_paths_and_packs_may_be_repeated(tmp_path):
    files = [tmp_path / name for name in ("a.yaml", "b.yaml", "c.yaml")]
    for file in files:
        file.write_text("")
    found = folders(
        "--extra-model-paths-config", str(files[0]), str(files[1]), "--extra-model-paths-config", str(files[2]),
        "--custom-nodes", str(tmp_path),
    )  # fmt: skip
    assert found.extra_model_paths == tuple(files)
    assert found.custom_nodes == (tmp_path,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--extra-model-paths-config", "/no/file.yaml"], "--extra-model-paths-config: there is no file /no/file.yaml"),
        (["--custom-nodes", "/no/folder"], "--custom-nodes: there is no folder /no/folder"),
    ],
)
def test_a_file_or_folder_that_is_not_there_is_refused_by_its_option(base, arguments, said):
    with pytest.raises(SettingsError) as refused:
        folders(*arguments)
    assert said in str(refused.value)
    assert base.run("serve", *arguments, code=2).said.startswith(said)


def test_a_file_of_model_paths_that_is_not_sound_is_refused_with_its_line(base):
    base.write("broken.yaml", "a:\n  checkpoints: [\n")
    said = base.run("serve", "--extra-model-paths-config", "broken.yaml", code=2).said
    assert "broken.yaml: line 3: this is not YAML" in said
    assert "error of the program" not in said


def test_the_token_of_the_command_line_goes_before_that_of_the_environment():
    assert told(SAFELIGHT_TOKEN="from-the-environment").token == "from-the-environment"
    assert told("--token", "from-the-line", SAFELIGHT_TOKEN="from-the-environment").token == "from-the-line"
    assert told(SAFELIGHT_TOKEN="").token is None


def test_a_token_is_not_shown_where_the_options_are():
    assert "from-the-line" not in repr(told("--token", "from-the-line"))


def test_upload_sizes_are_given_in_megabytes():
    assert told("--max-upload-size", "1.5").max_upload_size == 1572864


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "--port: expected a number from 0 to 65535, got 70000"),
        (["--workers", "0"], "--workers: expected a number from 1 to 256, got 0"),
        (["--listen", "http://127.0.0.1"], "--listen: expected an IP address or a host name without port"),
        (["--listen", ","], "--listen: expected at least one address"),
        (["--allow-host", "a b"], "--allow-host: expected an IP address or a host name"),
        (["--max-upload-size", "0"], "--max-upload-size: expected a number of MB above 0, got 0"),
        (["--max-upload-size", "nan"], "--max-upload-size: expected a number of MB above 0, got nan"),
        (["--token", "short"], "--token: expected at least 8"),
        (["--token", "with a space in it"], "--token: expected at least 8 letters, digits or signs of ASCII without"),
        (["--enable-cors-header", "*"], "Pages of every origin (*) are not let in"),
        (["--enable-cors-header", "https://example.org/page"], "expected the origin of a page"),
        (["--enable-cors-header", "https://example.org:port"], "expected the origin of a page"),
        (["--front-end-root", "/nowhere"], "--front-end-root: expected a folder with an index.html"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_with_what_was_expected(arguments, said):
    with pytest.raises(OptionsError) as refused:
        told(*arguments)
    assert said in str(refused.value)


def test_a_wrong_token_is_not_repeated_in_its_refusal():
    with pytest.raises(OptionsError) as refused:
        told("--token", "with a space in it")
    assert "space in it" not in str(refused.value)


def test_a_refused_option_ends_the_command_with_2(base):
    done = base.run("serve", "--port", "99999", code=2)
    assert done.said.startswith("--port: expected a number from 0 to 65535")
    assert done.out == ""


def test_the_options_of_the_record_and_of_the_parser_have_the_same_choices(tmp_path: Path):
    for option, values in (
        ("--preview-method", ("none", "auto", "latent2rgb", "taesd")),
        ("--log-format", ("text", "json")),
        ("--log-level", ("debug", "info", "warning", "error")),
    ):
        for value in values:
            told(option, value)
        with pytest.raises(SystemExit):
            make_parser().parse_args(["serve", option, "other"])
    with pytest.raises(OptionsError, match="--preview-method: expected one of none, auto"):
        ServeOptions(preview_method="other")  # type: ignore[arg-type]


def test_options_are_written_out_so_that_a_token_is_found_wherever_one_is_given(base):
    assert "unrecognized arguments: --tok" in base.run("serve", "--tok", "S3CRET-value", code=2).said
