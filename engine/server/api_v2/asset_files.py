"""The files behind assets: hashing them, giving uploads their names, and seeing whether they are still the same."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.jobs.records import Job
from engine.paths import Paths
from engine.server.api_v2.asset_index import Asset, new_id, output_id
from engine.server.api_v2.problems import Problem
from engine.server.inert import content_type
from engine.server.principals import asking
from engine.server.saving import Incoming, explained, made, near, safe_name, take_name

HASH: Final = re.compile(r"blake3:[0-9a-f]{64}")
TEXTS: Final = "texts"
"""The folder of the temp folder where texts are that nodes have shown."""

HASHED_AT_ONCE: Final = 64 * 1024**2
"""Bytes of an output up to which its hash is computed when it is first told of; of larger ones when somebody asks."""

_STEP: Final = 1024**2
_MOST_NUMBERS: Final = 10_000
_DEEPEST: Final = 8
_LONGEST: Final = 1_000
_MEDIA: Final[Mapping[str, str]] = {
    "images": "image",
    "gifs": "video",
    "video": "video",
    "videos": "video",
    "audio": "audio",
    "text": "text",
    "latents": "latent",
}
_BY_TYPE: Final = ("image", "video", "audio")


class HashedIncoming(Incoming):
    """A file that is hashed while it comes in."""

    def __init__(self, path: Path, file: Any) -> None:
        from blake3 import blake3

        super().__init__(path, file)
        self._digest = blake3()

    def _append(self, chunk: bytes) -> None:
        super()._append(chunk)
        self._digest.update(chunk)

    @property
    def hash(self) -> str:
        """Of what has come so far."""
        return f"blake3:{self._digest.hexdigest()}"


def hash_of(path: Path) -> str:
    """The hash of a file, read piece by piece. Raises OSError."""
    from blake3 import blake3

    digest = blake3()
    with path.open("rb") as file:
        while chunk := file.read(_STEP):
            digest.update(chunk)
    return f"blake3:{digest.hexdigest()}"


def read_hash(value: Any) -> str:
    """A hash as clients send it. Raises Problem 400."""
    found = value.lower() if isinstance(value, str) else ""
    if not HASH.fullmatch(found):
        raise Problem(400, "invalid_request", f"hash: expected blake3: and 64 hexadecimal digits, got {value!r:.100}.")
    return found


def read_path(value: str) -> tuple[str, str]:
    """(subfolder, name) in the input folder of a `file_path`. Raises Problem 400 for one that leads elsewhere."""
    path = value.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if parts[:1] == ["input"] and len(parts) > 1:
        parts = parts[1:]
    if not parts or path.startswith(("/", "~")) or ".." in parts or len(parts) > _DEEPEST or len(path) > _LONGEST:
        message = (
            "expected the name of a file, such as photo.png or input/faces/photo.png, that stays below the input folder"
        )
        raise Problem(400, "invalid_request", f"file_path: {message}; got {value[:100]!r}.")
    if parts[0] == "models":
        message = "models are not taken by this route: put the file into its folder below models/ on the server."
        raise Problem(422, "invalid_request", f"file_path: {message}")
    *folders, name = (safe_name(part) for part in parts)
    return "/".join(folders), name


class AssetFiles:
    """The files of a server's input, output and temp folders. Methods look at the disk: call them in a thread."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def place(self, part: HashedIncoming, file_path: str, kind: str) -> Asset:
        """Give an upload its name in the input folder, or take the equal file that is there. Raises Refusal."""
        subfolder, name = read_path(file_path)
        folder = self._paths.produced({"filename": subfolder or ".", "subfolder": "", "type": "input"})
        if folder is None:
            raise Problem(400, "invalid_request", f"file_path: {file_path[:100]!r} leads out of the input folder.")
        with explained():
            path, ours = _named(part, folder, name)
            facts = path.stat()
        return Asset(
            id=new_id(),
            hash=part.hash,
            size=facts.st_size,
            content_type=kind or content_type(path),
            file_path=file_path,
            kind="input",
            subfolder=subfolder,
            name=path.name,
            mtime_ns=facts.st_mtime_ns,
            ours=ours,
            made=time.time(),
            owner=asking().owner,
        )

    def found(self, asset: Asset) -> Path | None:
        """The file of an asset; None when it is gone, or was changed since."""
        path = self._paths.produced(asset.entry)
        if path is None:
            return None
        with suppress(OSError):
            facts = path.stat()
            if facts.st_size == asset.size and path.is_file():
                same = facts.st_mtime_ns == asset.mtime_ns or asset.hash is None or hash_of(path) == asset.hash
                return path if same else None
        return None

    def remove(self, asset: Asset) -> None:
        """Delete the file of an asset, if it is still that file. Raises Refusal."""
        path = self.found(asset)
        if path is not None:
            with explained():
                path.unlink(missing_ok=True)

    def hashed(self, asset: Asset) -> Asset:
        """The asset with its hash; without, when the file is gone."""
        path = self.found(asset) if asset.hash is None else None
        with suppress(OSError):
            return msgspec.structs.replace(asset, hash=hash_of(path)) if path is not None else asset
        return asset

    def outputs(self, job: Job, shown: Mapping[str, Any]) -> list[Asset]:
        """What nodes have shown that is a file, and is there. `shown` is node id → `ui`."""
        found: dict[str, Asset] = {}
        for node, ui in shown.items():
            for key, values in ui.items() if isinstance(ui, dict) else ():
                for value in values if isinstance(values, list) else ():
                    entry = self._entry(key, value)
                    asset = self._output(job, node, key, entry) if entry is not None else None
                    if asset is not None:
                        found.setdefault(asset.id, asset)
        return list(found.values())

    def _entry(self, key: str, value: Any) -> Mapping[str, Any] | None:
        """The file that a node has shown; of a text, one of the temp folder that it is written into."""
        if isinstance(value, dict):
            return value if isinstance(value.get("filename"), str) else None
        if key != "text" or not isinstance(value, str):
            return None
        data = value.encode("utf-8", "replace")
        entry = {"filename": f"{_text_name(data)}.txt", "subfolder": TEXTS, "type": "temp"}
        path = self._paths.directory("temp") / TEXTS / entry["filename"]
        if not path.exists():
            with suppress(OSError):
                part = made(path.parent) / f".{path.name}.part"
                part.write_bytes(data)
                part.replace(path)
        return entry

    def _output(self, job: Job, node: str, key: str, value: Mapping[str, Any]) -> Asset | None:
        entry = {name: str(value.get(name) or "") for name in ("filename", "subfolder", "type")}
        entry["type"] = entry["type"] or "output"
        path = self._paths.produced(entry)
        try:
            if path is None or not path.is_file():
                return None
            facts = path.stat()
            kind = content_type(path)
            hash = hash_of(path) if facts.st_size <= HASHED_AT_ONCE else None
        except OSError:
            return None
        by_type = kind.partition("/")[0]
        return Asset(
            id=output_id(job.id, node, entry),
            hash=hash,
            size=facts.st_size,
            content_type=kind,
            file_path=entry["filename"],
            kind=entry["type"],
            subfolder=entry["subfolder"],
            name=entry["filename"],
            mtime_ns=facts.st_mtime_ns,
            ours=entry["type"] != "input",
            made=time.time(),
            owner=job.owner,
            job_id=job.id,
            node_id=node,
            media=by_type if by_type in _BY_TYPE else _MEDIA.get(key, "file"),
        )


def _text_name(data: bytes) -> str:
    from blake3 import blake3

    return blake3(data).hexdigest(16)


def _named(part: HashedIncoming, folder: Path, name: str) -> tuple[Path, bool]:
    """The file under its name, or with a number after it, and whether it is new; an equal file stands for it."""
    with near(part.path, made(folder)) as here:
        stem, dot, suffix = name.rpartition(".")
        stem, suffix = (stem, dot + suffix) if stem else (name, "")
        for number in range(_MOST_NUMBERS):
            target = folder / (f"{stem} ({number}){suffix}" if number else name)
            if _is_equal(target, part):
                return target, False
            if take_name(here, target):
                return target, True
            if _is_equal(target, part):  # another upload of these bytes has just taken the name
                return target, False
    raise Problem(409, "name_taken", f"There are {_MOST_NUMBERS} files called {name!r} already. Choose another name.")


def _is_equal(path: Path, part: HashedIncoming) -> bool:
    return path.is_file() and path.stat().st_size == part.size and hash_of(path) == part.hash
