"""The nodes that have services elsewhere make pictures: what they send, what comes out, and when they ask again."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from engine.authoring.decorator import definition_of
from engine.cache.facade import Cache
from engine.config import ServiceSettings
from engine.execute import events
from engine.execute.executor import Executor
from engine.execute.result import RunResult
from engine.execute.services import Services
from engine.graph.offers import settle
from engine.graph.schema import Catalogue
from engine.graph.validate import check
from engine.media.saver import PictureSaver
from engine.paths import Paths
from engine.remote.services import RemoteServices
from engine.testing import RecordingContext
from nodes import image_io, remote_images, text
from tests.remote.fake_service import KEY, Answer, Asked, Fake, coded, never, pictures, png, refused, serving, streamed

DEFINITIONS = {
    found.spec.name: found
    for module in (remote_images, image_io, text)
    for value in vars(module).values()
    if (found := definition_of(value)) is not None
}


def call(
    answer: Answer, run: Callable[[RecordingContext], Awaitable[Any]], **settings: Any
) -> tuple[Any, RecordingContext, list[Asked]]:
    """What a node gives with a service that answers so, its context, and what the service was asked."""

    async def called() -> tuple[Any, RecordingContext, list[Asked]]:
        async with serving(answer, **settings) as (fake, services):
            ctx = RecordingContext(remote=services)
            return await run(ctx), ctx, fake.asked

    return asyncio.run(called())


def opened(data: bytes) -> torch.Tensor:
    """(H, W, C) as 0..255."""
    import numpy as np

    return torch.from_numpy(np.array(Image.open(io.BytesIO(data))))


def test_pictures_come_out_as_a_batch_with_masks_and_the_cost_on_the_node() -> None:
    answer = pictures(png(), png(colour=(0, 255, 0, 0)), usage={"input_tokens": 1, "output_tokens": 2})
    result, ctx, _ = call(answer, lambda ctx: remote_images.remote_image_generate(ctx, "fake", "a cat", n=2))
    images, masks, prompt = result.values
    assert images.shape == (2, 6, 8, 3)
    assert images[0, 0, 0].tolist() == pytest.approx([1, 0, 128 / 255])
    assert masks.amax(dim=(1, 2)).tolist() == [0, 1]
    assert prompt == ""
    assert result.ui["text"] == ["fake: 2 pictures, 1 tokens in, 2 out"]
    assert ctx.warned == []


def test_pictures_of_several_sizes_become_one_batch_and_that_is_told() -> None:
    result, ctx, _ = call(
        pictures(png(8, 6), png(4, 4)), lambda ctx: remote_images.remote_image_generate(ctx, "fake", "a cat", n=2)
    )
    assert result.values[0].shape == (2, 6, 8, 3)
    assert "several sizes" in ctx.warned[0]


def test_partial_pictures_are_shown_as_previews() -> None:
    partial = {"type": "image_generation.partial_image", "b64_json": coded(png(1024, 8))}
    done = {"type": "image_generation.completed", "b64_json": coded(png())}
    _, ctx, _ = call(
        streamed(partial, done, cut=1000),
        lambda ctx: remote_images.remote_image_generate(ctx, "fake", "a cat", partial_images=1),
    )
    assert [picture.size for picture in ctx.previews] == [(512, 4)]
    assert ctx.steps == [(1, 2)]


def test_a_mask_says_where_the_first_picture_may_change() -> None:
    image = torch.rand(2, 6, 8, 3)
    mask = torch.zeros(1, 6, 8)
    mask[:, :, 4:] = 1
    result, _, asked = call(
        pictures(), lambda ctx: remote_images.remote_image_edit(ctx, "fake", image, "a hat", mask=mask, size="512×512")
    )
    fields = asked[0].fields
    assert fields["size"] == "512x512"
    assert len(fields["image[]"]) == 2
    assert torch.equal(opened(fields["image[]"][1]), (image[1] * 255).byte())
    sent = opened(fields["mask"])
    assert torch.equal(sent[..., :3], (image[0] * 255).byte())
    assert sent[0, :, 3].tolist() == [255] * 4 + [0] * 4
    assert result.values[0].shape == (1, 6, 8, 3)


def test_a_mask_of_another_size_is_fitted() -> None:
    _, _, asked = call(
        pictures(),
        lambda ctx: remote_images.remote_image_edit(
            ctx, "fake", torch.rand(1, 6, 8, 4), "a hat", mask=torch.ones(64, 64)
        ),
    )
    assert opened(asked[0].fields["mask"]).shape == (6, 8, 4)
    assert opened(asked[0].fields["image"]).shape == (6, 8, 4)


def test_variations_are_made_of_each_picture_of_a_batch() -> None:
    image = torch.rand(2, 8, 8, 3)
    result, _, asked = call(
        pictures(png(), png()),
        lambda ctx: remote_images.remote_image_variation(ctx, "fake", image, n=2),
        prices=_picture_price(0.5),
        model="m",
    )
    assert [opened(one.fields["image"])[0, 0, 0].item() for one in asked] == [int(one[0, 0, 0] * 255) for one in image]
    assert result.values[0].shape == (4, 6, 8, 3)
    assert result.ui["text"][-1] == "in all 2.0000 USD"


def _picture_price(amount: float) -> Any:
    from engine.config import PriceSettings

    return {"m": PriceSettings(picture=amount)}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"size": "big"}, "expected WIDTHxHEIGHT"),
        ({"size": "0x8"}, "expected WIDTHxHEIGHT"),
        ({"options": "{"}, "no JSON object"),
        ({"options": "[1]"}, "no JSON object"),
        ({"options": '{"n": 5, "mask": 1}'}, "has mask, n, which the inputs"),
    ],
)
def test_what_cannot_be_asked_is_told_before_it_costs_anything(inputs: dict[str, Any], words: str) -> None:
    async def run() -> None:
        async with serving(pictures()) as (fake, services):
            with pytest.raises(ValueError, match=words):
                await remote_images.remote_image_generate(RecordingContext(remote=services), "fake", "a", **inputs)
            assert fake.asked == []

    asyncio.run(run())


def test_a_picture_that_is_none_or_too_large_is_not_decoded() -> None:
    for data, words in (
        (b"not a picture", "not a picture"),
        (png(64, 64)[:70], "cannot be decoded"),
        (_bomb(), "pixels"),
    ):
        with pytest.raises(ValueError, match=words):
            call(pictures(data), lambda ctx: remote_images.remote_image_generate(ctx, "fake", "a cat"))


def _bomb() -> bytes:
    """A small file whose header says 50,000 × 50,000 pixels."""
    import struct
    import zlib

    whole = png()
    header = b"IHDR" + struct.pack(">II", 50_000, 50_000) + whole[24:29]
    return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]


class Runs:
    """Runs graphs with the service `fake`, and keeps what they leave in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[events.Event] = []

    async def run(self, remote: RemoteServices, cancel: Any = None, **inputs: Any) -> RunResult:
        """A graph that generates a picture and saves it."""
        catalogue = Catalogue([one.spec for one in DEFINITIONS.values()])
        settle(catalogue, {"services": remote.names})
        service = {"class_type": "TextAsChoice", "inputs": {"text": "fake"}}
        generate = {"class_type": "RemoteImageGenerate", "inputs": _DEFAULTS | inputs}
        save = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}
        prompt = {"0": service, "1": generate, "2": save}
        checked = check(prompt, catalogue, choices=lambda files: [])
        assert checked.problems == []
        cache = Cache(self.folder / "cache")
        services = Services(remote=remote, setting=remote.facts, save_images=PictureSaver(Paths(self.folder).directory))
        executor = Executor(DEFINITIONS.__getitem__, catalogue, cache, services=services)
        try:
            return await executor.run(
                checked.prompt, checked.outputs, sink=self.events.append, cancel=cancel, prompt_json=lambda: prompt
            )
        finally:
            executor.close()
            cache.close()


_DEFAULTS: dict[str, Any] = {
    "service": "fake", "prompt": "a cat", "model": "", "size": "auto", "n": 1, "quality": "auto", "background": "auto",
    "seed": 0, "partial_images": 0, "options": "",
}  # fmt: skip


def test_results_are_reused_until_an_input_the_seed_or_the_service_changes(tmp_path: Path) -> None:
    async def run() -> list[int]:
        async with serving(pictures()) as (fake, services):
            runs, counts = Runs(tmp_path), []
            moved = ServiceSettings(url=fake.url + "/moved", key=KEY)
            other_key = RemoteServices({"fake": ServiceSettings(url=fake.url, key="other-key")}, {})
            other_place = RemoteServices({"fake": moved}, {})
            for remote, inputs in (
                (services, {}), (services, {}), (other_key, {}), (services, {"service": ["0", 0]}),
                (services, {"service": ["0", 0]}), (services, {"seed": 1}), (services, {"prompt": "a dog"}), (other_place, {}), (other_place, {"service": ["0", 0]}),
            ):  # fmt: skip
                result = await runs.run(remote, **inputs)
                assert result.status == "done", result.failures
                assert result.ui["1"]["text"] == ["fake: 1 picture"]
                counts.append(len(fake.asked))
            return counts

    assert asyncio.run(run()) == [1, 1, 1, 2, 2, 3, 4, 5, 6]


def test_neither_key_nor_address_is_left_anywhere(tmp_path: Path) -> None:
    async def run() -> tuple[Runs, str]:
        runs = Runs(tmp_path)
        async with serving(pictures(), refused(400, f"your key is {KEY}"), never, seconds=0.05, retries=0) as (
            fake,
            services,
        ):
            for seed in range(3):
                await runs.run(services, seed=seed)
        await runs.run(services, seed=3)  # there is nobody any longer
        return runs, fake.url

    runs, url = asyncio.run(run())
    failed = [event for event in runs.events if isinstance(event, events.NodeFailed)]
    assert len(failed) == 3
    told = repr(runs.events)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(data.startswith(b"\x89PNG") for data in files)
    for secret in (KEY, url, url.partition("//")[2].partition("/")[0]):
        assert secret not in told
        assert all(secret.encode() not in data for data in files)


def test_a_cancelled_job_leaves_the_service_at_once(tmp_path: Path) -> None:
    from engine.execute.cancel import CancelToken

    async def run() -> str:
        async with serving(never) as (fake, services):
            cancel = CancelToken()
            task = asyncio.create_task(Runs(tmp_path).run(services, cancel))
            await _asked(fake)
            cancel.cancel()
            result = await task
            await asyncio.wait_for(fake.left.wait(), 60)
            return result.status

    assert asyncio.run(run()) == "cancelled"


async def _asked(fake: Fake) -> None:
    while not fake.asked:
        await asyncio.sleep(0.001)


def test_a_service_that_the_settings_do_not_name_is_told_before_the_run() -> None:
    catalogue = Catalogue([one.spec for one in DEFINITIONS.values()])
    prompt = {
        "1": {"class_type": "RemoteImageGenerate", "inputs": _DEFAULTS},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    (problem,) = check(prompt, catalogue, choices=lambda files: []).problems
    assert "add [services.NAME] to safelight.toml" in str(problem)
    settle(catalogue, {"services": ["paint", "draw"]})
    (problem,) = check(prompt, catalogue, choices=lambda files: []).problems
    assert "paint" in str(problem)
    prompt["1"]["inputs"]["service"] = "draw"
    assert check(prompt, catalogue, choices=lambda files: []).problems == []
