"""Signing a file with content credentials: what its manifest says, and the library that writes it (C2PA 2.x)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from engine.media.errors import MediaError
from engine.media.provenance.agent import agent
from engine.media.provenance.certificates import KeyFiles, check
from engine.media.provenance.origin import Origin, Source
from engine.media.types import TYPES

MOST_INGREDIENTS: Final = 32
MOST_BYTES: Final = 256 * 1024**2
"""Of a loaded file that is hashed into the credentials; of a larger one only its name is told."""

_OFFLINE: Final[Mapping[str, Any]] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}
_FIELDS: Final = {"title": "dc:title", "author": "dc:creator", "rights": "dc:rights"}


def sign_file(part: Path, suffix: str, origin: Origin, by: Any) -> None:
    """Put content credentials into the file `part`. Raises MediaError, and leaves the file as it is, when it cannot be."""
    import c2pa

    files = by.key_files()
    check(files)
    signed = part.with_name(part.name + ".signed")
    try:
        sources = origin.sources[:MOST_INGREDIENTS]
        manifest = json.dumps(manifest_of(origin, sources, TYPES[suffix]))
        builder = c2pa.Builder(manifest, c2pa.Context(c2pa.Settings.from_dict(dict(_OFFLINE))))
        for number, source in enumerate(sources):
            _add(builder, source, number, origin, by)
        with part.open("rb") as unsigned, signed.open("w+b") as file:
            builder.sign(_signer(files, by.settings.timestamps), TYPES[suffix], unsigned, file)
        signed.replace(part)
    except c2pa.C2paError as error:
        raise MediaError(
            f"Content credentials could not be written: {error}. Look at the key and the certificate under [provenance] in "
            "safelight.toml, and whether the disk is full."
        ) from error
    finally:
        with suppress(OSError):
            signed.unlink(missing_ok=True)


def manifest_of(origin: Origin, sources: tuple[Source, ...], media_type: str) -> dict[str, Any]:
    """The definition of the manifest: who made the file, what was done, and what a node `ContentCredentials` says."""
    name, version = agent()
    wish = origin.wish or {}
    data = {
        _FIELDS[key]: [value] if key == "author" else value for key, value in wish.items() if key in _FIELDS and value
    }
    told = {"@context": {"dc": "http://purl.org/dc/elements/1.1/"}, **data}
    return {
        "claim_generator_info": [{"name": name, "version": version}],
        **({"title": wish["title"]} if "title" in wish else {}),
        "format": media_type,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions_of(origin, sources)}},
            *([{"label": "cawg.metadata", "data": told}] if data else []),
        ],
    }


def actions_of(origin: Origin, sources: tuple[Source, ...]) -> list[dict[str, Any]]:
    """The actions (C2PA 2.x, 18.15): created, or opened and edited where one picture is shown in the result.

    Of several, created and each placed. Pictures that only steer a model are inputs of the action that made the result.
    """
    name, version = agent()
    common = {"softwareAgent": {"name": name, "version": version}, "when": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    shown = [_label(number) for number, source in enumerate(sources) if source.shown]
    steering = [_label(number) for number, source in enumerate(sources) if not source.shown]
    main: dict[str, Any] = {"action": "c2pa.edited" if len(shown) == 1 else "c2pa.created", **common}
    if origin.kind:
        main["digitalSourceType"] = origin.kind
    if steering:
        main["parameters"] = {"ingredientIds": steering}
    if len(shown) == 1:
        return [{"action": "c2pa.opened", **common, "parameters": {"ingredientIds": shown}}, main]
    return [main, *({"action": "c2pa.placed", **common, "parameters": {"ingredientIds": [one]}} for one in shown)]


def _label(number: int) -> str:
    return f"source{number}"


def _add(builder: Any, source: Source, number: int, origin: Origin, by: Any) -> None:
    """Add what was loaded, with the credentials that it has itself."""
    import c2pa

    alone = sum(one.shown for one in origin.sources[:MOST_INGREDIENTS]) == 1
    relation = "inputTo" if not source.shown else "parentOf" if alone else "componentOf"
    path = by.find_file(source.folder, source.name)
    told = {"title": _title(source), "relationship": relation, "label": _label(number)}
    if path is not None and path.stat().st_size <= MOST_BYTES and path.suffix.lower() in TYPES:
        kind = TYPES[path.suffix.lower()]
        with suppress(c2pa.C2paError), path.open("rb") as file:
            builder.add_ingredient(json.dumps({**told, "format": kind}), kind, file)
            return
    import io

    builder.add_ingredient(json.dumps(told), "application/octet-stream", io.BytesIO())


def _title(source: Source) -> str:
    return os.path.basename(source.name.removesuffix(f" [{source.folder}]").replace("\\", "/"))  # noqa: PTH119


def _signer(files: KeyFiles, timestamps: str) -> Any:
    import c2pa

    chain, key = files.read()
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(files.algorithm, chain, key, timestamps or None))
