"""Logs on stderr: a short line for people, or one JSON object per line for programs; secrets are taken out of both."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any, Final, TextIO

from engine.server.options import LogFormat, LogLevel

_PLAIN: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
"""What every record has; whatever else one has was given as `extra`."""

_HIDDEN: Final = "[hidden]"
_SECRET: Final = re.compile(
    r"(?P<key>(?:^|[^A-Za-z])(?:token|password|secret|api[_-]?key)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&;,]+"
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]+",
    re.IGNORECASE,
)
_SECRET_KEY: Final = re.compile(r"(token|password|secret|api_?key|authorization|cookie)$", re.IGNORECASE)


def configure_logging(format: LogFormat, level: LogLevel, *, stream: TextIO | None = None) -> logging.Handler:
    """Send every log of the process to `stream` (stderr). Returns the handler, for whoever wants to take it away again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if format == "json" else Lines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return handler


class Lines(logging.Formatter):
    """`12:34:56 info    message key=value`, with the traceback below when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        facts = "".join(f" {key}={_word(value)}" for key, value in extra(record).items())
        text = f"{clock} {record.levelname.lower():7} {one_line(redacted(record.getMessage()))}{facts}"
        return "\n".join([text, *_trace(self, record)])


class JsonLines(logging.Formatter):
    """One JSON object per line: time (ISO 8601, UTC), level, logger, message, further facts, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        line |= {key: redacted(value) if isinstance(value, str) else value for key, value in extra(record).items()}
        if trace := _trace(self, record):
            line["traceback"] = "\n".join(trace)
        return json.dumps(line, ensure_ascii=False, default=lambda value: redacted(str(value)))


def redacted(text: str) -> str:
    """`text` without the values of tokens, passwords and the like."""
    return _SECRET.sub(lambda found: f"{found['key'] or found['scheme']}{_HIDDEN}", text)


def extra(record: logging.LogRecord) -> dict[str, Any]:
    """The further facts of a record; those whose names say that they are secret are hidden."""
    found = {key: value for key, value in vars(record).items() if key not in _PLAIN}
    return {key: _HIDDEN if _SECRET_KEY.search(key) else value for key, value in found.items()}


def one_line(text: str) -> str:
    """`text` with control characters shown as escapes: what clients send cannot forge lines of a log."""
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _word(value: Any) -> str:
    text = one_line(redacted(str(value)))  # before it is quoted
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    if not record.exc_info:
        return []
    return [redacted(formatter.formatException(record.exc_info))]
