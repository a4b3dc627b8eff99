from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from engine.server.logs import configure_logging, redacted


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """A stream for `configure_logging`; the root logger is as before afterwards."""
    root, levels = logging.getLogger(), (logging.getLogger().level, logging.getLogger("asyncio").level)
    before = list(root.handlers)
    yield io.StringIO()
    for handler in [one for one in root.handlers if one not in before]:
        root.removeHandler(handler)
    root.setLevel(levels[0])
    logging.getLogger("asyncio").setLevel(levels[1])
    logging.captureWarnings(False)


def test_text_has_time_level_message_and_facts(output):
    configure_logging("text", "info", stream=output)
    logging.getLogger("safelight.test").info("Listening.", extra={"url": "http://127.0.0.1:1", "folder": "a b"})
    assert re.fullmatch(
        r'\d\d:\d\d:\d\d info    Listening\. url=http://127\.0\.0\.1:1 folder="a b"\n', output.getvalue()
    )


def test_json_has_one_object_per_line_also_for_a_traceback(output):
    configure_logging("json", "info", stream=output)
    log = logging.getLogger("safelight.test")
    log.info("Job ended.", extra={"job": "x", "seconds": 1.5})
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("It failed.")
    first, second = (json.loads(line) for line in output.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {"level": "info", "logger": "safelight.test", "message": "Job ended.", "job": "x", "seconds": 1.5}
    assert second["level"] == "error"
    assert "ValueError: two\nlines" in second["traceback"]


def test_only_what_is_at_least_as_grave_as_the_level_is_written(output):
    configure_logging("text", "warning", stream=output)
    logging.getLogger("safelight.test").info("quiet")
    logging.getLogger("safelight.test").warning("loud")
    assert output.getvalue().endswith("warning loud\n")
    assert "quiet" not in output.getvalue()


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize(
    "text",
    [
        "GET /?token=S3CRET-value&x=1",
        "Authorization: Bearer S3CRET-value",
        "authorization: basic S3CRET-value==",
        '{"password": "S3CRET-value"}',
        "api_key=S3CRET-value",
        "secret = S3CRET-value",
        "hf_token: S3CRET-value",
    ],
)
def test_secrets_are_hidden_in_messages_facts_and_tracebacks(output, style, text):
    configure_logging(style, "info", stream=output)
    log = logging.getLogger("safelight.test")
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("%s", text, extra={"path": text, "token": "S3CRET-value", "hf_token": "S3CRET-value"})
    assert "S3CRET" not in output.getvalue()
    assert "[hidden]" in output.getvalue()


def test_what_is_no_secret_stays(output):
    for text in ("12 tokens of 77", "GET /?x=1&y=2", "the tokenizer: clip", "secretary of state"):
        assert redacted(text) == text
    assert redacted("GET /?token=abcdefgh&x=1") == "GET /?token=[hidden]&x=1"


def test_what_a_client_sends_cannot_forge_a_line(output):
    configure_logging("text", "info", stream=output)
    logging.getLogger("safelight.test").info("GET /a\n12:00:00 info forged\x1b[2J", extra={"path": "b\nc"})
    assert len(output.getvalue().splitlines()) == 1
    assert "\x1b" not in output.getvalue()
