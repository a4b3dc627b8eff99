"""The client of services elsewhere, against one that behaves as badly as services do."""

from __future__ import annotations

import asyncio
import email.utils
import time
import traceback
from typing import Any

import pytest

from engine.remote.errors import RemoteError
from engine.remote.images import Images, Made, Wanted
from engine.remote.services import RemoteServices
from tests.remote.fake_service import (
    KEY,
    Answer,
    Fake,
    broken_off,
    coded,
    never,
    pictures,
    png,
    refused,
    said,
    serving,
    streamed,
)

CAT = Wanted(prompt="a cat", model="m")


class Outcome:
    """What came of one request: the pictures or the error, what was told and shown on the way, and the service."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.made: Made | None = None
        self.error = ""
        self.trace = ""
        self.told: list[str] = []
        self.shown: list[tuple[int, bytes]] = []

    @property
    def asked(self) -> int:
        return len(self.fake.asked)


def generate(*answers: Answer, wanted: Wanted = CAT, **settings: Any) -> Outcome:
    async def run() -> Outcome:
        async with serving(*answers, **settings) as (fake, services):
            found = Outcome(fake)
            images = Images(services.get("fake"), found.told.append, lambda *shown: found.shown.append(shown))
            try:
                found.made = await images.generate(wanted)
            except RemoteError as error:
                found.error = "".join(traceback.format_exception(error)[-1:])
                found.trace = "".join(traceback.format_exception(error))
            told = found.trace + "".join(found.told)
            assert KEY not in told
            assert fake.url.partition("//")[2].partition("/")[0] not in told
            return found

    return asyncio.run(run())


def test_pictures_come_as_bytes_with_what_they_cost() -> None:
    usage = {"input_tokens": 60, "output_tokens": 1000, "input_tokens_details": {"text_tokens": 10, "image_tokens": 50}}
    prices = {"m": {"input": 1.0, "input_image": 2.0, "output": 10.0, "picture": 0.5}}
    found = generate(
        pictures(png(), png(4, 4), usage=usage), wanted=Wanted(prompt="a cat", model="m", n=2), prices=_prices(prices)
    )
    assert found.made is not None
    assert found.made.pictures == [png(), png(4, 4)]
    assert found.made.cost.amount == pytest.approx((10 * 1 + 50 * 2 + 1000 * 10) / 1e6 + 2 * 0.5)
    assert found.made.cost.words == "fake (m): 2 pictures, 60 tokens in, 1,000 out, 1.0101 USD"


def _prices(prices: dict[str, Any]) -> Any:
    import msgspec

    from engine.config import PriceSettings

    return msgspec.convert(prices, dict[str, PriceSettings])


def test_what_a_service_should_decide_is_not_sent_and_the_key_is() -> None:
    found = generate(pictures())
    (asked,) = found.fake.asked
    assert asked.path == "/v1/images/generations"
    assert asked.fields == {"model": "m", "prompt": "a cat", "n": 1}
    assert asked.headers["Authorization"] == f"Bearer {KEY}"


def test_settings_of_a_service_fill_in_its_model_and_the_fields_that_it_takes() -> None:
    wanted = Wanted(prompt="a cat", seed=7, size="64x32", quality="low", more={"moderation": "low", "n": 9})
    found = generate(pictures(), wanted=wanted, model="own", sends_seed=True, response_format="b64_json")
    expected = {"model": "own", "prompt": "a cat", "n": 1, "size": "64x32", "quality": "low"}
    assert found.fake.asked[0].fields == expected | {"response_format": "b64_json", "seed": 7, "moderation": "low"}


def test_a_busy_service_is_asked_again_after_what_it_says_and_as_the_same_request() -> None:
    later = email.utils.formatdate(time.time() - 5, usegmt=True)
    found = generate(
        refused(429, Retry_After="0"), refused(503, retry_after_ms="1"), refused(500, Retry_After=later), pictures()
    )
    assert found.made is not None
    assert len({asked.headers["Idempotency-Key"] for asked in found.fake.asked}) == 1
    assert found.asked == 4
    assert found.told[0] == "Service 'fake' is busy; trying again in 0.0 s (1 of 3)."


def test_a_service_that_stays_busy_is_given_up() -> None:
    found = generate(refused(503, "overloaded", Retry_After="0"), retries=2)
    assert found.asked == 3
    assert "status 503" in found.error
    assert "overloaded" in found.error


def test_without_a_word_of_the_service_the_wait_grows() -> None:
    found = generate(refused(500), pictures(), retries=1)
    assert found.made is not None
    assert 0.3 < float(found.told[0].split(" in ")[1].split()[0]) <= 0.5


def test_a_service_that_asks_to_wait_too_long_is_given_up_at_once() -> None:
    found = generate(refused(429, Retry_After="3600"), longest_wait=5)
    assert found.asked == 1
    assert "asks to wait 3600 s" in found.error


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            refused(400, "bad size", "invalid_value", "size"),
            "status 400 (invalid_value, size): bad size. Change the input",
        ),
        (refused(401, f"Incorrect API key provided: {KEY}"), "Incorrect API key provided: …. Check the key"),
        (refused(404, "no such model", "model_not_found"), "Check the model"),
        (refused(429, "quota", "insufficient_quota"), "used up"),
        (refused(500, "no", x_should_retry="false"), "trouble of its own"),
        (said("<html>" + "x" * 5000, 418), "status 418: <html>xxx"),
        (said("", 403), "status 403. Check the key"),
    ],
)
def test_what_waiting_does_not_help_is_not_tried_again(answer: Answer, words: str) -> None:
    found = generate(answer)
    assert words in found.error
    assert found.asked == 1
    assert len(found.error) < 800


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (said("<html>not an API</html>"), "no JSON object"),
        (said([1, 2]), "no JSON object"),
        (said({"data": []}), "without pictures"),
        (said({"data": "many"}), "without pictures"),
        (said({"data": [{"revised_prompt": "x"}]}), "without `b64_json` and `url`"),
        (said({"data": [None]}), "without `b64_json` and `url`"),
        (said({"data": [{"b64_json": "%%%"}]}), "no base64"),
        (said({"data": [{"b64_json": ""}]}), "empty picture"),
        (said("[" * 100_000), "no JSON object"),
        (broken_off, "broke off the answer"),
    ],
)
def test_an_answer_that_is_none_is_told_and_not_paid_for_again(answer: Answer, words: str) -> None:
    found = generate(answer)
    assert words in found.error
    assert found.asked == 1


def test_an_answer_is_read_up_to_its_bound() -> None:
    found = generate(pictures(b"x" * 2**20), answer_mib=1)
    assert "more than 1 MiB" in found.error
    assert generate(pictures(b"x" * 2**19), answer_mib=1).made is not None


def test_a_service_that_does_not_answer_is_left_after_its_seconds() -> None:
    found = generate(never, seconds=0.05)
    assert "no answer within 0.05 s" in found.error
    assert found.asked == 1


def test_a_service_that_is_not_there_is_tried_again_and_told() -> None:
    async def run() -> list[str]:
        async with serving(pictures(), retries=1) as (_, services):
            service = services.get("fake")
        told: list[str] = []
        with pytest.raises(RemoteError, match="cannot be reached") as raised:
            await Images(service, told.append, lambda *_: None).generate(CAT)
        assert "127.0.0.1" not in str(raised.value)
        return told

    assert len(asyncio.run(run())) == 1


def test_cancelling_ends_the_request_at_once() -> None:
    async def run() -> None:
        async with serving(never) as (fake, services):
            images = Images(services.get("fake"), lambda _: None, lambda *_: None)
            task = asyncio.create_task(images.generate(CAT))
            while not fake.asked:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(fake.left.wait(), 60)

    asyncio.run(run())


def test_redirects_are_followed_within_the_host_and_nowhere_else() -> None:
    found = generate(said("", 307, Location="/v2/images/generations"), pictures())
    assert found.made is not None
    assert [asked.path for asked in found.fake.asked] == ["/v1/images/generations", "/v2/images/generations"]
    assert found.fake.asked[1].fields["prompt"] == "a cat"
    assert "redirects to another host" in generate(said("", 307, Location="https://elsewhere.example/")).error
    assert "redirects (302)" in generate(said("", 302, Location="/v2")).error
    assert "in a circle" in generate(said("", 308, Location="/v1/images/generations")).error


def test_pictures_are_fetched_from_the_service_itself_and_from_named_hosts_only() -> None:
    def at(url: str) -> Answer:
        return said({"data": [{"url": url}]})

    async def local(request: Any) -> Any:
        return await at(f"{request.url.origin()}/files/a.png")(request)

    async def picture(request: Any) -> Any:
        from aiohttp import web

        return web.Response(body=png(), content_type="image/png")

    found = generate(local, refused(503, Retry_After="0"), picture)
    assert found.made is not None
    assert found.made.pictures == [png()]
    assert [asked.path for asked in found.fake.asked[1:]] == ["/files/a.png"] * 2
    assert all(asked.headers["Authorization"] == f"Bearer {KEY}" for asked in found.fake.asked)
    for url in (
        "https://elsewhere.example/a.png",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "//x",
        "http://[",
    ):
        refusal = generate(at(url))
        assert "is not fetched" in refusal.error, url
        assert refusal.asked == 1
    assert "is not fetched" in generate(at("http://named.example/a.png"), hosts=("named.example",)).error


def test_the_key_goes_to_no_other_host() -> None:
    async def picture(request: Any) -> Any:
        from aiohttp import web

        return web.Response(body=png(), content_type="image/png")

    async def run() -> Fake:
        async with serving(picture) as (other, _):
            address = other.url.replace("127.0.0.1", "localhost") + "/a.png"
            async with serving(said({"data": [{"url": address}]}), hosts=("localhost",)) as (_, services):
                made = await Images(services.get("fake"), lambda _: None, lambda *_: None).generate(CAT)
                assert made.pictures == [png()]
            return other

    (asked,) = asyncio.run(run()).asked
    assert "Authorization" not in asked.headers


def test_a_stream_shows_partial_pictures_and_gives_the_finished_one() -> None:
    partial = {"type": "image_generation.partial_image", "b64_json": coded(png(2, 2)), "partial_image_index": 0}
    done = {
        "type": "image_generation.completed",
        "b64_json": coded(png()),
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    wanted = Wanted(prompt="a cat", model="m", partial_images=2)
    found = generate(streamed({"type": "ping"}, partial, partial, done), wanted=wanted)
    assert found.made is not None
    assert found.made.pictures == [png()]
    assert found.shown == [(0, png(2, 2)), (1, png(2, 2))]
    assert (found.made.cost.input_tokens, found.made.cost.output_tokens) == (3, 4)
    assert found.fake.asked[0].fields["stream"] is True
    plain = generate(pictures(), wanted=wanted)
    assert plain.made is not None
    assert plain.made.pictures == [png()]


def test_a_stream_that_goes_wrong_is_told() -> None:
    partial = {"type": "image_generation.partial_image", "b64_json": coded(png(2, 2))}
    assert "without a finished picture" in generate(streamed(partial)).error
    failed = {"type": "error", "error": {"message": "filtered", "code": "moderation_blocked"}}
    assert "broke off (moderation_blocked): filtered" in generate(streamed(partial, failed)).error
    assert (
        "more than 1 MiB"
        in generate(streamed(*[partial | {"b64_json": "A" * 2**19}] * 3, cut=2**19), answer_mib=1).error
    )


def test_edits_and_variations_go_as_forms() -> None:
    async def run() -> list[Any]:
        async with serving(refused(503, Retry_After="0"), pictures(), retries=1) as (fake, services):
            images = Images(services.get("fake"), lambda _: None, lambda *_: None)
            await images.edit(
                Wanted(prompt="a hat", model="m", partial_images=1, more={"user": "u"}), [b"1", b"2"], b"m"
            )
            await images.edit(Wanted(prompt="a hat"), [b"1"])
            await images.vary(Wanted(n=2), b"1")
            return fake.asked

    first, again, second, third = asyncio.run(run())
    assert first.path == "/v1/images/edits"
    expected = {"model": "m", "prompt": "a hat", "n": "1", "stream": "true", "partial_images": "1", "user": "u"}
    assert first.fields == again.fields == expected | {"image[]": [b"1", b"2"], "mask": b"m"}
    assert second.fields == {"prompt": "a hat", "n": "1", "image": b"1"}
    assert third.path == "/v1/images/variations"
    assert third.fields == {"n": "2", "image": b"1"}


def test_an_unknown_service_is_named_with_the_nearest() -> None:
    from engine.config import ServiceSettings

    services = RemoteServices({"paint": ServiceSettings(url="https://a.example/v1")}, {})
    with pytest.raises(RemoteError, match=r"no service 'pain'\. There are: paint\."):
        services.get("pain")
