"""What a file tells of its making, by whomever: content credentials, source type, workflow, parameters, a watermark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from engine.media.embedded import read_embedded
from engine.media.errors import MediaError
from engine.media.provenance import xmp
from engine.media.types import TYPES, sniffed

State = Literal["trusted", "valid", "invalid", "unread"]

MOST_TEXT: Final = 512 * 1024**2
"""Bytes of a file in which texts are looked for; of a larger one only the credentials are read."""
MOST: Final = 16 * 1024**3
"""Bytes of a file whose credentials are checked."""
MOST_PIXELS: Final = 100_000_000
"""Of a picture in which a watermark is looked for."""
_LISTED: Final = 100


class Action(msgspec.Struct, frozen=True):
    """A step that the credentials tell: `c2pa.created`, the source type, the program, when."""

    action: str
    source_type: str = ""
    agent: str = ""
    when: str = ""


class Ingredient(msgspec.Struct, frozen=True):
    """A file that went into this one; `state` is that of its own credentials, "" where it has none."""

    title: str
    relationship: str = ""
    state: str = ""


class Credentials(msgspec.Struct, frozen=True):
    """Content credentials. `trusted`: whole, by a certificate that is trusted here; `valid`: whole, by anybody.

    `invalid`: the file or the credentials are not as they were signed; `unread`: something kept them from being checked.
    `problems` say why, by C2PA's codes.
    """

    state: State
    problems: list[str] = []
    signer: str = ""
    issuer: str = ""
    own: bool = False
    """Signed with the certificate that was made in this base directory."""
    time: str = ""
    generator: str = ""
    title: str = ""
    actions: list[Action] = []
    ingredients: list[Ingredient] = []


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found; what was not is empty."""

    file: str
    type: str
    credentials: Credentials | None = None
    source_type: str = ""
    workflow: bool = False
    prompt: bool = False
    parameters: str = ""
    watermark: str = ""
    notes: list[str] = []
    """What could not be looked at, and why."""

    @property
    def is_broken(self) -> bool:
        """Whether credentials do not fit the file."""
        return self.credentials is not None and self.credentials.state == "invalid"


def read_provenance(
    path: Path, *, trust: Iterable[Path] = (), own: Path | None = None, watermark: tuple[int, float] | None = (0, 60.0)
) -> Report:
    """What the file `path` tells of its making.

    `trust`: PEM files of certificates to trust; `own`: that of this base directory. `watermark`: the key and strength that one
    is looked for with; None for not. Nothing is fetched. Raises MediaError for a file that cannot be read.
    """
    notes: list[str] = []
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
            data = head + file.read(MOST_TEXT) if size <= MOST_TEXT else head
        kind = sniffed(head, TYPES.get(path.suffix.lower(), ""))
        anchors = [one.read_bytes().decode("utf-8", "replace") for one in (*trust, *([own] if own else []))]
    except OSError as error:
        raise MediaError(f"{error.filename or path}: cannot be read: {error.strerror}.") from error
    if not size:
        raise MediaError(f"{path} is empty.")
    if size > MOST_TEXT:
        notes.append(
            f"The file has {size:,} bytes: workflow, parameters and source type are looked for in up to {MOST_TEXT:,}."
        )
    embedded = _embedded(data, notes) if size <= MOST_TEXT else {}
    return Report(
        file=str(path),
        type=kind,
        credentials=_credentials(path, kind, size, data, anchors, own, notes),
        source_type=xmp.source_type(data) if size <= MOST_TEXT else "",
        watermark=_watermark(path, *watermark, notes) if watermark is not None and kind.startswith("image/") else "",
        notes=notes,
        **embedded,
    )


def _embedded(data: bytes, notes: list[str]) -> dict[str, Any]:
    try:
        found = read_embedded(data)
    except MediaError as error:
        if "no workflow" not in str(error) and "is no " not in str(error):
            notes.append(str(error))
        return {}
    return {"workflow": found.workflow is not None, "prompt": found.prompt is not None, "parameters": found.parameters}


def _credentials(
    path: Path, kind: str, size: int, data: bytes, anchors: Sequence[str], own: Path | None, notes: list[str]
) -> Credentials | None:
    try:
        import c2pa
    except ImportError:
        if b"jumb" in data and b"c2pa" in data:
            return Credentials("unread", ["The package `c2pa-python` is missing. Install `safelight[provenance]`."])
        return None
    if size > MOST:
        notes.append(f"The file has {size:,} bytes: credentials are checked in up to {MOST:,}.")
        return None
    if kind not in c2pa.Reader.get_supported_mime_types():
        return None
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    if anchors:
        settings["trust"] = {"user_anchors": "\n".join(anchors)}
    try:
        with path.open("rb") as file, c2pa.Context(c2pa.Settings.from_dict(settings)) as context:
            reader = c2pa.Reader.try_create(kind, file, context=context)
            if reader is None:
                return None
            with reader:
                return _told(json.loads(reader.json()), own)
    except c2pa.C2paError as error:
        if b"jumb" in data or "RemoteManifest" in type(error).__name__:
            return Credentials("invalid" if b"jumb" in data else "unread", [str(error)])
        notes.append(f"No credentials could be looked for: {error}.")
        return None


def _told(store: Mapping[str, Any], own: Path | None) -> Credentials:
    manifests = store.get("manifests", {})
    active: Mapping[str, Any] = manifests.get(store.get("active_manifest", ""), {})
    signed: Mapping[str, Any] = active.get("signature_info", {})
    state: State = {"Trusted": "trusted", "Valid": "valid"}.get(store.get("validation_state", ""), "invalid")  # type: ignore[assignment]
    generator: Mapping[str, Any] = next(iter(active.get("claim_generator_info") or []), {})
    return Credentials(
        state=state,
        problems=[f"{one.get('code')}: {one.get('explanation', '')}" for one in store.get("validation_status", [])][
            :_LISTED
        ],
        signer=signed.get("common_name") or "",
        issuer=signed.get("issuer") or "",
        own=own is not None and str(signed.get("cert_serial_number", "")) == _serial_beside(own),
        time=signed.get("time") or "",
        generator=" ".join(str(generator[key]) for key in ("name", "version") if generator.get(key)),
        title=active.get("title") or "",
        actions=list(_actions(active)),
        ingredients=[_ingredient(one, manifests) for one in active.get("ingredients", [])[:_LISTED]],
    )


def _actions(manifest: Mapping[str, Any]) -> list[Action]:
    found = []
    for one in manifest.get("assertions", []):
        if str(one.get("label", "")).startswith("c2pa.actions"):
            for step in one.get("data", {}).get("actions", [])[:_LISTED]:
                agent = step.get("softwareAgent") or ""
                named = (
                    " ".join(str(agent.get(key, "")) for key in ("name", "version"))
                    if isinstance(agent, dict)
                    else agent
                )
                found.append(
                    Action(
                        step.get("action", ""),
                        step.get("digitalSourceType") or "",
                        named.strip(),
                        step.get("when") or "",
                    )
                )
    return found[:_LISTED]


def _ingredient(one: Mapping[str, Any], manifests: Mapping[str, Any]) -> Ingredient:
    state = ""
    if one.get("active_manifest") in manifests:
        results = one.get("validation_results", {}).get("activeManifest", {})
        failures = [bad for bad in results.get("failure", []) if bad.get("code") != "signingCredential.untrusted"]
        state = "invalid" if failures else "valid"
    return Ingredient(one.get("title") or "", one.get("relationship") or "", state)


def _serial_beside(root: Path) -> str:
    """The serial number of the certificate that was made together with the self-signed `root`; "" where it cannot be told."""
    from engine.media.provenance.certificates import CHAIN

    try:
        from cryptography import x509

        return str(x509.load_pem_x509_certificates((root.parent / CHAIN).read_bytes())[0].serial_number)
    except (ImportError, OSError, ValueError, IndexError):
        return ""


def _watermark(path: Path, key: int, strength: float, notes: list[str]) -> str:
    from PIL import Image, UnidentifiedImageError

    from engine.media.watermark import SIDE, read

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                notes.append(f"A watermark is looked for in pictures of up to {MOST_PIXELS:,} pixels.")
                return ""
            if min(picture.size) < SIDE // 2:
                return ""
            return read(_pixels(picture), key, strength).text
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        notes.append(f"The picture cannot be decoded, so no watermark was looked for: {error}.")
        return ""


def _pixels(picture: Any) -> Any:
    """(H, W, 3) in 0..1."""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(picture.convert("RGB"))).float() / 255
