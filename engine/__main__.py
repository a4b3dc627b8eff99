"""The composition root: the one place that knows all parts of the engine and puts them together.

Imports stand inside the functions, so that a command imports only what it uses and Ctrl-C is answered from the first moment.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the current folder: a file there with the name of a module is no part of the program
    _ROOT = __file__[: -len("/engine/__main__.py")]
    if _ROOT not in sys.path:  # a checkout that is not installed, of which the folder is
        sys.path.append(_ROOT)

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from engine.cache.codecs import Codec
    from engine.cache.facade import Cache
    from engine.cli.app import App
    from engine.config import Folders, Settings
    from engine.execute.executor import Executor
    from engine.media.provenance.sealing import Provenance
    from engine.paths import ExtraFolder, Paths
    from engine.plugins.library import Library
    from engine.plugins.values import ImportModule
    from engine.remote.services import RemoteServices

NODE_PACKAGES = ("nodes",)

READING = "Reading the node packs, as they are new or have changed…"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (`engine.cli.exits`)."""
    try:
        with _ended_by_terminate():
            from engine.cli.main import run_command

            return run_command(argv, make_app)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return 130


@contextmanager
def _ended_by_terminate() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that it too leaves files and cache whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def make_app(base: Path, folders: Folders | None = None) -> App:
    """The engine around the directory `base`. Raises SettingsError and ModelPathsError for settings that are not sound."""
    from engine.cli.app import App
    from engine.config import Folders, load_settings
    from engine.graph.offers import settle
    from engine.plugins.store import FILE_NAME
    from engine.threads import tell_libraries

    folders = folders or Folders()
    settings = load_settings(base)
    tell_libraries(os.environ, settings.threads)  # no command has imported torch yet; workers inherit it
    paths = _paths(base, folders, settings)
    packs = (*paths.custom_node_folders, *folders.custom_nodes)
    stored_at = paths.cache / FILE_NAME
    remote = _remote(settings)
    provenance = _provenance(settings, folders, base, paths)
    opened: list[Library] = []

    def load_library() -> Library:
        import gc

        from engine.cli.terminal import say
        from engine.plugins.adapters import ADAPTERS
        from engine.plugins.importing import Loading
        from engine.plugins.opening import load_library
        from engine.plugins.preparation import preparation
        from engine.worker.devices import own_device

        patience = settings.pack_import_seconds
        prepare = preparation(
            paths, patience, lambda: own_device(settings.device), provenance is None or provenance.embed_workflow
        )
        loading = Loading(adapters=ADAPTERS, prepare=prepare, disabled=settings.disabled_packs, patience=patience)
        library = load_library(NODE_PACKAGES, packs, stored_at, loading, on_change=lambda: say(READING))
        opened[:] = [library]
        settle(library.catalogue, {"services": remote.names})
        gc.freeze()  # the catalogue lives as long as the process: no need to look through it at each collection
        return library

    def stored_library(as_it_is: bool) -> Library | None:
        from engine.plugins.opening import stored_library

        library = stored_library(NODE_PACKAGES, packs, stored_at, as_it_is=as_it_is, disabled=settings.disabled_packs)
        if library is not None:
            settle(library.catalogue, {"services": remote.names})
        return library

    def import_module(name: str) -> None:
        if not opened:
            raise ImportError(f"{name}: the node packs were not read")
        opened[0].import_module(name)

    def open_cache(persistent: bool) -> Cache:
        return _cache(paths.cache if persistent else None, settings, import_module)

    def open_executor(library: Library, cache: Cache) -> Executor:
        return _executor(library, cache, paths, settings, remote, provenance)

    return App(paths, settings, folders, load_library, stored_library, open_cache, open_executor)


def _paths(base: Path, folders: Folders, settings: Settings) -> Paths:
    from engine.paths import Paths

    extra: list[ExtraFolder] = []
    if folders.extra_model_paths:
        from engine.model_paths import read_model_paths

        extra = [found for file in folders.extra_model_paths for found in read_model_paths(file)]
    return Paths(
        base,
        models=[base / folder for folder in settings.models],
        models_directory=folders.models,
        output=folders.output,
        input=folders.input,
        temp=folders.temp,
        user=folders.user,
        extra=extra,
    )


def _cache(folder: Path | None, settings: Settings, import_module: ImportModule) -> Cache:
    from engine.cache.facade import Cache
    from engine.config import GIB
    from engine.plugins.values import value_codec

    limits = settings.cache
    codecs = [*handle_codecs(), value_codec(import_module)]
    return Cache(folder, ram_bytes=int(limits.ram_gib * GIB), disk_bytes=int(limits.disk_gib * GIB), codecs=codecs)


def _remote(settings: Settings) -> RemoteServices:
    """The services that the settings and the environment name. Raises SettingsError for an address that may not be used."""
    from engine.config import SettingsError
    from engine.remote.addresses import AddressError
    from engine.remote.services import RemoteServices

    try:
        return RemoteServices(settings.services, os.environ)
    except AddressError as error:
        raise SettingsError(str(error)) from error


def _provenance(settings: Settings, folders: Folders, base: Path, paths: Paths) -> Provenance | None:
    """What files tell of their making; None as long as that is the workflow. Raises SettingsError."""
    import msgspec

    from engine.config import ProvenanceSettings, SettingsError

    wanted = settings.provenance
    if folders.disable_metadata:
        wanted = msgspec.structs.replace(wanted, embed_workflow=False)
    if wanted == ProvenanceSettings():
        return None
    from engine.media.provenance.sealing import Provenance

    try:
        return Provenance(wanted, base, paths.user, paths.locate)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _executor(
    library: Library,
    cache: Cache,
    paths: Paths,
    settings: Settings,
    remote: RemoteServices,
    provenance: Provenance | None,
) -> Executor:
    from engine.cli.app import Deferred
    from engine.execute.executor import Executor
    from engine.execute.growth import MIB, ExpansionLimits
    from engine.execute.services import Services
    from engine.media.saver import PictureSaver
    from engine.media.texts import TextKeeper

    services = Services(
        models=Deferred(lambda: _model_manager(cache, paths, settings)),
        paths=paths,
        remote=remote,
        setting=remote.facts,
        find_file=paths.locate,
        files_beside=_files_beside,
        ui_file=paths.produced,
        save_images=PictureSaver(paths.directory),
        provenance=provenance,
        keep_text=TextKeeper(paths.directory),
    )
    most = settings.expansion
    limits = ExpansionLimits(nodes=most.nodes, depth=most.depth, bytes=most.mib * MIB)
    return Executor(library.definition, library.catalogue, cache, services=services, expansion_limits=limits)


def _files_beside(path: Path) -> Sequence[Path]:
    """What is read with a GGUF file: its further parts, and the vision tower of a language model."""
    if path.suffix.lower() != ".gguf":
        return ()
    from engine.models.gguf_tensors import files_beside

    return files_beside(path)


def _model_manager(cache: Cache, paths: Paths, settings: Settings) -> Any:
    from engine.models.manager import ModelManager
    from engine.worker.devices import own_device

    return ModelManager(
        own_device(settings.device),
        files=cache.files.hex,
        tokenizer_dirs=paths.folders("text_encoders"),
        embedding_dirs=paths.folders("embeddings"),
        fetched_tokenizers=paths.tokenizers,
    )


def handle_codecs() -> list[Codec]:
    """How the cache keeps model handles and what holds them: as recipes, re-made from the files when a node wants them."""
    from engine.cache.codecs import Codec

    return [
        Codec("model-handle", _is_handle, _encode_handle, _decode_handle),
        Codec("control-use", _is_control_use, _control_facts, _control_use),
        Codec("controlled-model", _is_controlled, _controlled_facts, _controlled_model),
        Codec("hooks", _is_hooks, _encode_hooks, _decode_hooks),
        Codec("video", _is_video, _video_facts, _video),
        Codec("mesh", _is_mesh, _mesh_facts, _mesh),
    ]


def _is_handle(value: Any) -> bool:
    """Told by name: importing the class would cost every run that meets none."""
    kind = type(value)
    named = kind.__module__ == "engine.models.handles" and kind.__name__.endswith("Handle")
    return named and not getattr(value, "controls", ()) and not getattr(value, "carried", {})


def _is_controlled(value: Any) -> bool:
    kind = type(value)
    named = kind.__module__ == "engine.models.handles" and kind.__name__ == "ModelHandle"
    return named and bool(value.controls or value.carried)


def _is_control_use(value: Any) -> bool:
    kind = type(value)
    return kind.__module__ == "engine.models.handles" and kind.__name__ == "ControlUse"


def _is_mesh(value: Any) -> bool:
    kind = type(value)
    return kind.__module__ == "engine.media.meshes" and kind.__name__ == "MeshValue"


def _mesh_facts(mesh: Any) -> dict[str, Any]:
    return {name: getattr(mesh, name) for name in mesh.__dataclass_fields__}


def _mesh(facts: dict[str, Any]) -> Any:
    from engine.media.meshes import MeshValue

    return MeshValue(**facts)


def _is_video(value: Any) -> bool:
    """Those of packs are of classes below it."""
    return any(
        kind.__name__ == "VideoValue" and kind.__module__ == "engine.media.video" for kind in type(value).__mro__
    )


def _video_facts(video: Any) -> dict[str, Any]:
    return {name: getattr(video, name) for name in video.__dataclass_fields__}


def _video(facts: dict[str, Any]) -> Any:
    """Raises FileNotFoundError when the file of the video has gone or is another, so that the cache has it loaded again."""
    from engine.media.video import VideoValue, is_as_loaded

    video = VideoValue(**facts)
    if video.file and not is_as_loaded(video):
        raise FileNotFoundError(video.file)
    return video


def _encode_handle(handle: Any) -> bytes:
    from engine.models.handles import encode_handle

    return encode_handle(handle)


def _decode_handle(data: bytes) -> Any:
    """Raises FileNotFoundError when the model's file or one of a patch has moved, so that the cache has the handle made again."""
    from pathlib import Path

    from engine.models.handles import decode_handle

    handle = decode_handle(data)
    for source in (handle.source, *(patch.source for patch in getattr(handle, "patches", ()))):
        if source.digest and not Path(source.path).exists():
            raise FileNotFoundError(source.path)
    return handle


def _controlled_facts(handle: Any) -> dict[str, Any]:
    import msgspec

    plain = msgspec.structs.replace(handle, controls=(), carried={})
    return {"handle": plain, "controls": list(handle.controls), "carried": handle.carried}


def _controlled_model(facts: dict[str, Any]) -> Any:
    import msgspec

    return msgspec.structs.replace(facts["handle"], controls=tuple(facts["controls"]), carried=facts.get("carried", {}))


_CONTROL_FIELDS = (
    "handle",
    "hint",
    "strength",
    "start_percent",
    "end_percent",
    "previous",
    "vae",
    "mask",
    "fill",
    "away",
)


def _control_facts(use: Any) -> dict[str, Any]:
    return {name: getattr(use, name) for name in _CONTROL_FIELDS}


def _control_use(facts: dict[str, Any]) -> Any:
    from engine.models.handles import ControlUse

    return ControlUse(**facts)


def _is_hooks(value: Any) -> bool:
    return type(value).__module__ == "engine.models.hooks"


def _encode_hooks(value: Any) -> Any:
    from engine.models.hooks import encode

    return encode(value)


def _decode_hooks(data: Any) -> Any:
    """Raises FileNotFoundError when a file that they name has moved, so that the cache has them made again."""
    from pathlib import Path

    from engine.models.hooks import decode, sources

    found = decode(data)
    for source in sources(found):
        if source.digest and not Path(source.path).exists():
            raise FileNotFoundError(source.path)
    return found


if __name__ == "__main__":
    sys.exit(main())
