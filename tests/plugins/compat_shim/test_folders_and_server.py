"""Paths, the server object, progress and values, as packs use them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from engine.authoring.context import Cancelled
from engine.authoring.definition import ExecutionBlocker
from engine.plugins.compat.host import Host
from engine.plugins.compat.running import running


def test_a_pack_registers_a_model_folder_and_lists_it(host: Host, tmp_path: Path) -> None:
    import folder_paths

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.bin").write_bytes(b"")
    folder_paths.add_model_folder_path("mine", str(tmp_path / "mine"))
    assert folder_paths.get_filename_list("mine") == ["a.bin"]
    assert folder_paths.get_full_path("mine", "a.bin") == str(tmp_path / "mine" / "a.bin")
    assert folder_paths.get_full_path("mine", "../secret") is None
    assert folder_paths.get_filename_list("nobody_knows_this") == []


def test_no_name_leads_out_of_its_model_folder(host: Host, tmp_path: Path) -> None:
    import folder_paths

    (tmp_path / "mine").mkdir()
    (tmp_path / "secret").write_bytes(b"")
    folder_paths.add_model_folder_path("mine", str(tmp_path / "mine"))
    assert folder_paths.get_full_path("mine", "../secret") is None
    assert folder_paths.get_full_path("mine", "sub/../../secret") is None


def test_extensions_are_known_whatever_their_case(host: Host) -> None:
    import folder_paths

    assert folder_paths.filter_files_extensions(["b.PT", "a.pt", "c.txt"], {".pt"}) == ["a.pt", "b.PT"]


def test_folders_of_users_that_begin_with_two_underscores_are_the_systems(host: Host) -> None:
    import folder_paths

    assert folder_paths.get_public_user_directory("__system") is None
    assert folder_paths.get_public_user_directory("_anna") == str(Path(folder_paths.get_user_directory()) / "_anna")


def test_folders_written_as_a_tuple_into_the_dictionary_count_too(host: Host, tmp_path: Path) -> None:
    import folder_paths

    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.pt").write_bytes(b"")
    (tmp_path / "d" / "x.txt").write_bytes(b"")
    folder_paths.folder_names_and_paths["d"] = ([str(tmp_path / "d")], folder_paths.supported_pt_extensions)
    assert folder_paths.get_filename_list("d") == ["x.pt"]


def test_packs_list_model_folders_without_asking_whether_they_are_there(host: Host) -> None:
    import folder_paths

    places = [place for name in host.paths.model_folders() for place in folder_paths.get_folder_paths(name)]
    assert [place for place in places if not Path(place).is_dir()] == []
    assert folder_paths.get_folder_paths("embeddings")[0] == str(host.paths.base / "models" / "embeddings")


def test_old_and_new_names_of_a_model_folder_are_one(host: Host) -> None:
    import folder_paths

    folder_paths.add_model_folder_path("unet", "/somewhere", is_default=True)
    assert folder_paths.get_folder_paths("diffusion_models")[0] == "/somewhere"


def test_a_missing_file_that_is_asked_for_strictly_is_an_error_with_its_folder(host: Host) -> None:
    import folder_paths

    with pytest.raises(FileNotFoundError, match=r"'gone.safetensors'.*'loras'.*looked in"):
        folder_paths.get_full_path_or_raise("loras", "gone.safetensors")


def test_saved_files_are_counted_and_patterns_filled_in(host: Host) -> None:
    import folder_paths

    out = folder_paths.get_output_directory()
    folder, name, number, below, prefix = folder_paths.get_save_image_path("a/%width%x%height%", out, 3, 4)
    assert (Path(folder).name, name, number, below, prefix) == ("a", "3x4", 1, "a", "a/3x4")
    (Path(folder) / "3x4_00007_.png").write_bytes(b"")
    assert folder_paths.get_save_image_path("a/3x4", out)[2] == 8
    with pytest.raises(ValueError, match="leads out"):
        folder_paths.get_save_image_path("../x", out)


def test_annotated_names_lead_to_their_folders(host: Host) -> None:
    import folder_paths

    assert folder_paths.annotated_filepath("x.png [temp]") == ("x.png", folder_paths.get_temp_directory())
    assert folder_paths.get_annotated_filepath("x.png") == str(host.paths.input / "x.png")
    assert not folder_paths.exists_annotated_filepath("x.png [output]")
    assert folder_paths.get_directory_by_type("elsewhere") is None


def test_routes_and_messages_reach_the_host(host: Host, sent: list[Any]) -> None:
    from server import BinaryEventTypes, PromptServer

    server = PromptServer.instance

    @server.routes.get("/mine")
    async def answer(request: Any) -> Any: ...

    assert [route.path for route in server.routes] == ["/mine"]
    thread = threading.Thread(target=lambda: server.send_sync("my/event", {"a": [1]}, "client"))
    thread.start()
    thread.join()
    server.send_progress_text("half", "5", "client")
    assert sent[0] == ("my/event", {"a": [1]}, "client")
    assert sent[1] == (BinaryEventTypes.TEXT, b"\0\0\0\x015half", "client")
    assert "custom_nodes_from_web" in server.supports
    server._a_pack_keeps_this = 1


def test_prompt_handlers_run_in_order_and_a_failing_one_is_left_out(host: Host) -> None:
    from server import PromptServer

    server = PromptServer.instance
    server.add_on_prompt_handler(lambda data: {**data, "one": 1})
    server.add_on_prompt_handler(lambda data: 1 / 0)
    server.add_on_prompt_handler(lambda data: {**data, "two": data["one"] + 1})
    assert server.trigger_on_prompt({}) == {"one": 1, "two": 2}


def test_a_progress_bar_tells_the_running_node_and_stops_when_it_is_cancelled(told: Any) -> None:
    import comfy.utils
    from server import PromptServer

    bar = comfy.utils.ProgressBar(4)
    bar.update(1)  # no node runs: told to nobody
    with running(told):
        assert PromptServer.instance.last_node_id == "7"
        bar.update(1)
        bar.update_absolute(9, 5, ("JPEG", "picture", 64))
        told.cancelled = True
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            bar.update(1)
        with pytest.raises(Cancelled):
            comfy.model_management.throw_exception_if_processing_interrupted()
    assert told.steps == [(2, 4), (5, 5)]
    assert told.pictures == ["picture"]


def test_threads_that_a_node_starts_tell_the_same_node(told: Any) -> None:
    import comfy.utils

    with running(told):
        thread = threading.Thread(target=lambda: comfy.utils.ProgressBar(1).update(1))
        thread.start()
        thread.join()
    assert told.steps == [(1, 1)]


def test_graphs_of_one_call_have_ids_of_their_own_and_equal_calls_equal_ids(told: Any) -> None:
    from comfy_execution.graph_utils import GraphBuilder, is_link

    def build() -> list[Any]:
        with running(told):
            made = []
            for _ in range(2):
                graph = GraphBuilder()
                first = graph.node("A", x=1)
                second = graph.node("B", "named", y=first.out(0))
                second.set_override_display_id("3")
                assert is_link(second.get_input("y"))
                made.append(graph.finalize())
            return made

    assert build() == build()
    one, two = build()
    assert not one.keys() & two.keys()
    (first, second) = one
    assert one[second]["inputs"] == {"y": [first, 0]}
    assert one[second]["override_display_id"] == "3"


def test_the_blocker_is_the_one_that_the_executor_knows(host: Host) -> None:
    import comfy_execution.graph
    import comfy_execution.graph_utils

    assert comfy_execution.graph.ExecutionBlocker is ExecutionBlocker
    assert type(comfy_execution.graph_utils.ExecutionBlocker(None)) is ExecutionBlocker


def test_any_type_differs_from_nothing(host: Host) -> None:
    from comfy.comfy_types.node_typing import IO

    assert not IO.ANY.__ne__("IMAGE")
    assert not ("IMAGE" != IO.ANY)  # noqa: SIM202, SIM300 - packs and the engine ask it in this spelling
    assert str(IO.IMAGE) == "IMAGE"
    assert IO.IMAGE != "MASK"
    assert {"STRING": 1}[IO.STRING] == 1


def test_unknown_command_line_options_are_none(host: Host) -> None:
    from comfy.cli_args import args

    assert args.disable_metadata is False
    assert args.an_option_of_another_version is None
    assert args.get("port") == args.port
    assert args.get("an_option_of_another_version", 3) == 3
