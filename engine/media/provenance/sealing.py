"""Sealing: giving a file that was just written what it tells of its making, before it takes its name.

Every saver hands `Seal` to `engine.media.atomic`, which calls it with the hidden file; nothing else signs. The library that
signs is imported when the first file is.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.config import ProvenanceSettings
from engine.media.errors import MediaError
from engine.media.provenance import xmp
from engine.media.provenance.certificates import KeyFiles, own_files
from engine.media.provenance.origin import Origin

SIGNED: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".tif", ".tiff", ".mp4", ".mov", ".m4v"})
"""Kinds of files that content credentials can be put into; WebM, Matroska and EXR files have no place for them."""

FindFile = Callable[[str, str], Path | None]


class Provenance:
    """What the settings want of saved files. `user` is the folder for a self-signed key; `find_file` finds loaded pictures."""

    def __init__(self, settings: ProvenanceSettings, base: Path, user: Path, find_file: FindFile) -> None:
        """Raises ValueError for settings that cannot be: half a key, files that are not there, a package that is missing."""
        self.settings = settings
        self.embed_workflow = settings.embed_workflow
        self.signs = settings.credentials != "off"
        self.is_active = self.signs or settings.source_type
        self._user = user
        self.find_file = find_file
        self.trust = tuple(_file(base, name, "trust") for name in settings.trust)
        if bool(settings.certificate) != bool(settings.key):
            raise ValueError("[provenance] needs both `certificate` and `key`, or neither, to have a key made.")
        self._given = (
            KeyFiles(
                _file(base, settings.certificate, "certificate"), _file(base, settings.key, "key"), settings.algorithm
            )
            if settings.key
            else None
        )
        if self.signs and importlib.util.find_spec("c2pa") is None:
            raise ValueError(
                f'[provenance] credentials = "{settings.credentials}" needs the package `c2pa-python`. '
                "Install `safelight[provenance]`."
            )

    def key_files(self) -> KeyFiles:
        """The key to sign with, made when there is none. Raises MediaError when it cannot be."""
        return self._given or own_files(self._user)

    def seal(self, origin: Origin, asked: bool, warn: Callable[[str], None]) -> Seal | None:
        """What to do with a file of that origin; None for nothing. `asked`: whether the request asks for credentials."""
        always = self.settings.credentials == "always"
        signs = always or (self.signs and (asked or origin.wish is not None))
        return Seal(self, origin, signs, always, warn) if signs or self.settings.source_type else None

    def facts(self, origin: Origin, asked: bool) -> bytes:
        """What the result of a saving node depends on, beside its inputs."""
        seal = self.seal(origin, asked, lambda message: None)
        told = (origin, seal.signs, self._given) if seal is not None else None
        return repr((self.embed_workflow, told)).encode()


@dataclass(frozen=True)
class Seal:
    """To be called with a whole file that has no name yet, and the suffix that it will have.

    With `always`, a file that cannot be signed is an error, so that it is not kept; else it is kept, and `warn` is told.
    """

    by: Provenance
    origin: Origin
    signs: bool
    always: bool
    warn: Callable[[str], None]

    def __call__(self, part: Path, suffix: str) -> None:
        """Change the file `part` in place. Raises MediaError where `always` cannot be kept."""
        if self.origin.kind and xmp.can_carry(suffix):
            _add_source(part, suffix, self.origin.kind)
        if self.signs and suffix not in SIGNED:
            known = ", ".join(sorted(one[1:] for one in SIGNED))
            self.warn(
                f"{suffix[1:]} files cannot carry content credentials, so this one has none. Those that can: {known}."
            )
        elif self.signs:
            self._sign(part, suffix)

    def _sign(self, part: Path, suffix: str) -> None:
        from engine.media.provenance.signing import sign_file

        try:
            sign_file(part, suffix, self.origin, self.by)
        except MediaError as error:
            if self.always:
                raise MediaError(
                    f'{error} Nothing was saved, as credentials = "always" wants every file signed.'
                ) from error
            self.warn(f"The file was saved without content credentials. {error}")


def _file(base: Path, name: str, setting: str) -> Path:
    path = base / Path(name).expanduser()
    if not path.is_file():
        raise ValueError(f"[provenance] {setting}: there is no file {path}.")
    return path


def _add_source(part: Path, suffix: str, source: str) -> None:
    from engine.media.provenance.agent import agent

    packet = xmp.packet(source, " ".join(agent()))
    if suffix == ".mp4":
        with part.open("ab") as file:
            file.write(xmp.mp4_box(packet))
    else:
        part.write_bytes(xmp.with_xmp(part.read_bytes(), packet))
