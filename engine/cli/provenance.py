"""`safelight provenance`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.cli import exits
from engine.cli.terminal import columns, put, put_json, say
from engine.media.errors import MediaError

if TYPE_CHECKING:
    from engine.cli.app import App
    from engine.media.provenance.reading import Credentials, Report


def provenance(app: App, options: argparse.Namespace) -> int:
    """Tell what files say of their making. 0; 1 where credentials do not fit their file; 4 for a file that cannot be read."""
    from engine.media.provenance.certificates import FOLDER, ROOT
    from engine.media.provenance.reading import read_provenance

    own = app.paths.user / FOLDER / ROOT
    trust = [app.paths.base / Path(name).expanduser() for name in app.settings.provenance.trust]
    mark = None if options.no_watermark else (options.watermark_key, options.watermark_strength)
    reports: list[Report] = []
    code = exits.OK
    for name in options.files:
        try:
            found = read_provenance(Path(name), trust=trust, own=own if own.is_file() else None, watermark=mark)
        except MediaError as error:
            say(str(error))
            code = exits.UNREADABLE
            continue
        reports.append(found)
        if not options.json:
            _show(found)
    if options.json:
        put_json([msgspec.to_builtins(one) for one in reports])
    return code if code else exits.FAILED if any(one.is_broken for one in reports) else exits.OK


def _show(report: Report) -> None:
    put(report.file)
    rows: list[tuple[str, str]] = []
    if report.credentials is not None:
        rows += _credentials(report.credentials)
    inside = " and ".join(name for name in ("workflow", "prompt") if getattr(report, name))
    rows += [
        row
        for row in (
            ("source type", _short(report.source_type)),
            ("inside", inside),
            ("parameters", report.parameters.splitlines()[0] if report.parameters.strip() else ""),
            ("watermark", report.watermark),
            *(("note", note) for note in report.notes),
        )
        if row[1]
    ]
    for line in columns([(name, _plain(value)) for name, value in rows] or [("nothing", _NOTHING)]):
        put(line)


_NOTHING = "The file tells nothing of its making."


def _plain(text: str) -> str:
    """A line of what a stranger's file says: without what would steer a terminal, and not too long."""
    clean = "".join(letter if letter.isprintable() else "�" for letter in text)
    return clean if len(clean) <= 300 else clean[:299] + "…"


_STATES = {
    "trusted": "sound, and by a certificate that is trusted here",
    "valid": "sound, by a certificate that nobody vouches for here",
    "invalid": "NOT sound",
    "unread": "there, and not read",
}


def _credentials(found: Credentials) -> list[tuple[str, str]]:
    state = "sound, and signed here" if found.own and found.state == "trusted" else _STATES[found.state]
    if any("ismatch" in problem for problem in found.problems):
        state += ": the file or its credentials were changed after signing"
    rows = [("credentials", state), *(("", problem) for problem in found.problems)]
    who = ", ".join(dict.fromkeys(part for part in (found.signer, found.issuer) if part))
    rows += [("signed by", f"{who} {found.time}".strip())] if who else []
    rows += [(name, value) for name, value in (("made with", found.generator), ("title", found.title)) if value]
    rows += [
        ("action", " ".join(filter(None, (one.action, _short(one.source_type), one.when)))) for one in found.actions
    ]
    rows += [
        ("made from", " ".join(filter(None, (one.title, f"({one.relationship})", one.state))))
        for one in found.ingredients
    ]
    return rows


def _short(source: str) -> str:
    return source.rpartition("/")[2]
