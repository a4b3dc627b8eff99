"""Workflows called in this process: results, progress, what is reused, what is wrong, cancelling and closing."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

import engine
from engine.calls import errors
from engine.graph.script_write import script
from tests.harness import environ, new_base, until

PACK = '''
"""Nodes that count their runs, wait, and fail."""

import os
import time

from engine.api import Context, Expand, WithUi, node


@node("TestHold", cache=False)
def hold(ctx: Context, value: int, sign: str, seconds: float | None = 600.0) -> int:
    """Wait until the file `sign` is there."""
    open(f"{sign}.begun", "w").close()
    end = time.monotonic() + seconds
    at = 0
    while not os.path.exists(sign) and time.monotonic() < end:
        at += 1
        ctx.progress(at % 1000, 1000)
        ctx.check_cancelled()
        time.sleep(0.005)
    return value


@node("TestFail", output=True)
def fail(ctx: Context, value: int) -> None:
    """Fail."""
    raise ValueError(f"no {value}")


@node("TestShow", output=True)
def show(ctx: Context, value: int) -> WithUi[None]:
    """Show a number."""
    return WithUi(ui={"text": [str(value)]})


@node("TestUnfold", output=True)
def unfold(ctx: Context, value: int) -> Expand[None]:
    """Show a number twice."""
    inside = ctx.subgraph()
    inside.add_named("TestShow", 0, {"value": value})
    inside.add_named("TestShow", 0, {"value": value + 1})
    return inside.result()
'''


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Path:
    folder = new_base(tmp_path_factory.mktemp("local"), core_catalogue)
    (folder / "custom_nodes").mkdir()
    (folder / "custom_nodes" / "local_pack.py").write_text(PACK)
    return folder


@pytest.fixture(scope="module")
def here(base):
    with engine.Engine(base) as found:
        yield found


INVERTED = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}


def holding(sign: Path, **more):
    return {
        "1": {"class_type": "TestHold", "inputs": {"value": 3, "sign": str(sign), **more}, "_meta": {"title": "Hold"}},
        "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0]}},
    }


def test_a_saved_workflow_is_a_function_that_gives_pictures_and_is_computed_once(here):
    workflow = here.workflow("text_to_image")
    assert [one.name for one in workflow.signature.outputs] == ["image"]
    told = []
    first = workflow.run(prompt="red apple", seed=1, steps=2, progress=told.append, previews=True)
    assert [image.size for image in first.images] == [(64, 64)]
    assert first.values["seed"] == 1
    assert first.values["cfg"] == 4.0
    assert (first.ran, first.reused) == (7, 0)
    assert first.outputs["image"].files[0].path.is_file()
    assert told[-1].fraction == 1.0
    assert ("KSampler", 2.0, 2.0) in {(one.title, one.value, one.total) for one in told}
    assert any(one.preview is not None for one in told)
    second = workflow.run({"prompt": "red apple"}, seed=1, steps=2)
    assert (second.ran, second.reused) == (0, 7)
    assert second.images[0].tobytes() == first.images[0].tobytes()
    assert second.job != first.job
    other = asyncio.run(workflow.arun(prompt="red apple", seed=2, steps=2))
    assert other.images[0].tobytes() != first.images[0].tobytes()
    assert {one.status for one in other.nodes.values()} == {"ran", "reused"}


def test_what_an_expansion_shows_is_the_output_of_its_node_and_counts_as_one(here):
    told = []
    workflow = here.workflow({"7": {"class_type": "TestUnfold", "inputs": {"value": 3}}})
    result = workflow.run(progress=told.append)
    assert result.texts == ["3", "4"]
    assert [(one.done, one.nodes) for one in told][-1] == (1, 1)
    assert {one.nodes for one in told} == {1}


@pytest.mark.parametrize("form", ["picture", "path", "text", "bytes", "file"])
def test_a_picture_is_given_in_any_form_and_is_the_same_picture(form, here, tmp_path):
    picture = Image.new("RGB", (8, 8), (255, 0, 0))
    path = tmp_path / "red.png"
    picture.save(path)
    given = {
        "picture": picture,
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "file": io.BytesIO(path.read_bytes()),
    }[form]
    result = here.workflow(INVERTED).run(image=given)
    assert result.images[0].getpixel((0, 0)) == (0, 255, 255)


WRONG = {
    "promt": ({"promt": "a"}, errors.UnknownParameterError, "Did you mean prompt"),
    "range": ({"steps": 0}, errors.OutOfRangeError, "from 1 to"),
    "type": ({"steps": "many"}, errors.WrongTypeError, "INT"),
    "choice": ({"sampler": "eulr"}, errors.NotAChoiceError, "euler"),
    "several": ({"steps": 0, "cfg": "a"}, errors.OutOfRangeError, "cfg"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_parameter_is_told_before_anything_runs(case, here):
    given, kind, words = WRONG[case]
    with pytest.raises(kind, match=words) as raised:
        here.workflow("text_to_image").run(given)
    assert len(raised.value.problems) == len(given)
    assert isinstance(raised.value, errors.ArgumentError)


def test_a_workflow_that_is_not_there_or_cannot_run_says_so(here, tmp_path):
    with pytest.raises(errors.UnknownWorkflowError, match="Did you mean text_to_image"):
        here.workflow("text_to_imge")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(errors.InvalidWorkflowError, match="not valid JSON"):
        here.workflow(broken)
    with pytest.raises(errors.MissingParameterError, match="image"):
        here.workflow(INVERTED).run()
    unknown = here.workflow({"1": {"class_type": "SaveImgae", "inputs": {}}})
    with pytest.raises(errors.InvalidWorkflowError, match="SaveImage"):
        unknown.run()
    with pytest.raises(TypeError, match="no int"):
        here.workflow(3)


def test_it_comes_from_a_file_a_picture_a_script_and_a_graph(here, tmp_path):
    root = Path(__file__).parents[2]
    names = []
    for source in (root / "workflows/text_to_image.json", str(root / "workflows/text_to_image.png")):
        names.append([one.name for one in here.workflow(source).signature.parameters])
    named = here.workflow("text_to_image")
    (tmp_path / "graph.py").write_text(script(named.prompt, here.library.catalogue, named.workflow))
    names.append([one.name for one in here.workflow(tmp_path / "graph.py").signature.parameters])
    assert names[0] == names[1] == names[2]
    from engine.build import Graph

    with Graph(here.library.catalogue, choices=here.choices) as g:
        g.TestShow(value=5)
    assert here.workflow(g).run().texts == ["5"]


def test_a_node_that_fails_is_told_with_its_title_and_what_others_gave(here):
    graph = {
        "1": {"class_type": "TestFail", "inputs": {"value": 4}, "_meta": {"title": "The bad one"}},
        "2": {"class_type": "TestShow", "inputs": {"value": 9}},
    }
    with pytest.raises(errors.RunFailedError, match=r"The bad one \(node 1\) failed: no 4") as raised:
        here.workflow(graph).run()
    assert raised.value.failures[0]["class_type"] == "TestFail"
    assert raised.value.result.texts == ["9"]


def test_a_run_is_cancelled_from_another_thread_by_its_callback_or_by_the_time(here, tmp_path):
    workflow = here.workflow(holding(tmp_path / "never"))
    run = workflow.start()
    until((tmp_path / "never.begun").exists, "the node to begin")
    threading.Thread(target=run.cancel).start()
    with pytest.raises(errors.RunCancelledError):
        run.wait()

    def stop(progress):
        if progress.value:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        workflow.run(progress=stop)
    with pytest.raises(errors.RunTimeoutError, match="longer than"):
        workflow.run(timeout=0.2)


def test_on_a_loop_a_run_is_cancelled_with_its_task_and_others_go_on(here, tmp_path):
    async def both():
        sign = tmp_path / "go"
        held = asyncio.create_task(here.workflow(holding(sign)).arun())
        await asyncio.to_thread(until, (tmp_path / "go.begun").exists, "the node to begin")
        quick = await here.workflow({"1": {"class_type": "TestShow", "inputs": {"value": 1}}}).arun()
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held

        async def stop():
            def callback(progress):
                if progress.value:
                    raise ZeroDivisionError

            return await here.workflow(holding(tmp_path / "never2")).arun(progress=callback)

        with pytest.raises(ZeroDivisionError):
            await stop()
        with pytest.raises(errors.RunTimeoutError):
            await here.workflow(holding(tmp_path / "never3")).arun(timeout=0.2)
        sign.touch()
        told = []
        again = await here.workflow(holding(sign)).arun(progress=told.append)
        return quick.texts, again.texts, told[-1].fraction

    assert asyncio.run(both()) == (["1"], ["3"], 1.0)


def test_it_is_called_within_a_loop_that_runs_as_in_a_notebook(here):
    async def cell():
        return here.workflow({"1": {"class_type": "TestShow", "inputs": {"value": 8}}}).run()

    assert asyncio.run(cell()).texts == ["8"]


def test_many_runs_at_once_each_give_their_own(here):
    async def all_of_them():
        graphs = [{"1": {"class_type": "TestShow", "inputs": {"value": at}}} for at in range(20)]
        return await asyncio.gather(*(here.workflow(graph).arun() for graph in graphs))

    assert [result.texts for result in asyncio.run(all_of_them())] == [[str(at)] for at in range(20)]


def test_the_shared_engine_is_closed_with_its_last_workflow(tmp_path, core_catalogue):
    folder = new_base(tmp_path / "base", core_catalogue)
    with engine.Workflow.load("text_to_image", base=folder) as one:
        other = engine.Workflow.load("inpainting", base=folder)
        assert one.engine is other.engine
    assert not other.engine.closed
    with pytest.raises(RuntimeError, match="is closed"):
        one.run()
    other.close()
    other.close()
    assert other.engine.closed
    with pytest.raises(errors.UnknownWorkflowError):
        engine.Workflow.load("none", base=folder)
    with engine.Workflow.load("text_to_image", base=folder) as anew:
        assert anew.engine is not other.engine
        assert "text_to_image" in engine.Engine(folder).workflows()


def test_closing_an_engine_cancels_what_runs(base, tmp_path):
    found = engine.Engine(base)
    run = found.workflow(holding(tmp_path / "never")).start()
    until((tmp_path / "never.begun").exists, "the node to begin")
    found.close()
    with pytest.raises(errors.RunCancelledError):
        run.wait()


def test_importing_the_engine_is_cheap_and_a_process_ends_without_closing(tmp_path, core_catalogue):
    folder = new_base(tmp_path / "base", core_catalogue)
    code = """
import sys
import engine
assert not [name for name in sys.modules if name.startswith("engine.")], "imports more"
heavy = {"torch", "numpy", "PIL", "aiohttp"}
workflow = engine.Workflow.load("text_to_image")
assert workflow.signature.parameter("prompt").type == "STRING"
assert not heavy & set(sys.modules), heavy & set(sys.modules)
print(engine.Workflow({"1": {"class_type": "PreviewAny", "inputs": {"source": 3}}}).run().texts)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ(SAFELIGHT_BASE=str(folder)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "['3']"), done.stderr
