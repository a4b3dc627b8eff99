"""The models of one device: opened by path, loaded when used, kept within a byte budget, patched on demand.

Importing and making a manager costs no torch; neither does opening a safetensors file. Handles of one file share its
weights whatever patches and options they carry. One thread uses the device at a time: `use` takes the device's lock, which
a thread may take again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

from engine.models import autoencoders, controls, lora_families, opening, perceiving, perception, weights
from engine.models.chosen import device_of, dtype_of
from engine.models.cores import Cores
from engine.models.entries import Entry, Instance, LoadedFact, unchanged
from engine.models.errors import LoraError, ModelError
from engine.models.families import family_named, tower_of
from engine.models.families.base import named
from engine.models.handles import (
    HYPERNETWORKS,
    ClipHandle,
    ClipVisionHandle,
    ControlNetHandle,
    FileDigest,
    Handle,
    ModelHandle,
    ModelPatchHandle,
    Patch,
    PerceptionHandle,
    Source,
    StyleModelHandle,
    UpscaleHandle,
    VaeHandle,
    digest_file,
)
from engine.models.hooked_text import hooked_at
from engine.models.hooks import HookedClip
from engine.models.opening import Opened
from engine.models.patching import grown, matched
from engine.models.shards import with_shards
from engine.models.text_files import open_text_encoders
from engine.models.tokenizer import Tokenizer, load_spelling, load_tokenizer

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from engine.models.autoencoder import Autoencoder
    from engine.models.joined import JoinedEncoder
    from engine.models.network import ControlNetwork, Network
    from engine.models.style import StyleModel
    from engine.models.text import TextEncoder
    from engine.models.tiny_decoder import TinyDecoder
    from engine.models.upscaling import Upscaler
    from engine.models.vision import VisionEncoder

T = TypeVar("T")


class LoraResult(msgspec.Struct, frozen=True):
    """The handles with a LoRA on them, and the names of its tensors that fit neither."""

    model: ModelHandle | None
    clip: ClipHandle | None
    unmatched: tuple[str, ...]


class ModelManager:
    """Opens, loads, patches, keeps and frees the models of `device`.

    `byte_budget`: bytes of weights to keep (None: half of the memory, 85 % of a GPU's); the least recently used go first,
    and a model in use never goes. `dtype`: what denoisers, ControlNets and text encoders compute in (None: float32 on the
    CPU, float16 elsewhere); VAEs always compute in float32, where half precision shows in the picture, and
    language models in bfloat16 for float16, whose range they leave. `files` names a
    file by its content.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        byte_budget: int | None = None,
        dtype: str | None = None,
        files: FileDigest = digest_file,
        tokenizer_dirs: Sequence[Path] = (),
        embedding_dirs: Sequence[Path] = (),
        fetched_tokenizers: Path | None = None,
    ) -> None:
        self.device = device
        self.dtype = dtype or ("float32" if device == "cpu" else "float16")
        self._budget = byte_budget
        self._files = with_shards(files)
        self._tokenizer_dirs = tuple(tokenizer_dirs)
        self._embedding_dirs = tuple(embedding_dirs)
        self._fetched_tokenizers = fetched_tokenizers
        self._lock = threading.RLock()
        self._cores = Cores(device)
        self._entries: dict[str, Entry] = {}
        self._tokenizers: dict[str, Tokenizer] = {}
        self._tiny_decoders: dict[str, TinyDecoder] = {}
        self._upscaler: tuple[UpscaleHandle, Upscaler] | None = None

    # --- opening: headers only ---

    def checkpoint(self, path: Path) -> Opened:
        """Return (model, clip, vae) of a checkpoint file or diffusers folder; a part that it lacks is None."""
        return opening.open_checkpoint(path, self._files)

    def denoiser(self, path: Path) -> ModelHandle:
        """Return the handle of a U-Net file."""
        return opening.open_denoiser(path, self._files)

    def text_encoder(self, path: Path) -> ClipHandle:
        """Return the handle of a text encoder file."""
        return opening.open_text_encoder(path, self._files)

    def text_encoders(self, paths: Sequence[Path], kind: str) -> ClipHandle:
        """Return the handle of a family's text encoders, in files of their own; `kind`: what loaders call the family."""
        return open_text_encoders(paths, kind, self._files)

    def vae(self, path: Path) -> VaeHandle:
        """Return the handle of a VAE file."""
        return opening.open_vae(path, self._files)

    def controlnet(self, path: Path, base: ModelHandle | None = None) -> ControlNetHandle:
        """Return the handle of a ControlNet file; `base`: the model that one kept as a difference is added to."""
        return opening.open_controlnet(path, self._files, base)

    def model_patch(self, path: Path) -> ModelPatchHandle:
        """Return the handle of a model patch's file."""
        return opening.open_model_patch(path, self._files)

    def vision(self, path: Path) -> ClipVisionHandle:
        """Return the handle of an image encoder file."""
        return opening.open_vision(path, self._files)

    def upscale_model(self, path: Path) -> UpscaleHandle:
        """Return the handle of a file with a network that makes pictures larger."""
        return opening.open_upscale_model(path, self._files)

    def perception(self, path: Path, *among: str) -> PerceptionHandle:
        """Return the handle of a file with a network that sees what is in a picture, of one of the kinds `among`."""
        return perceiving.open_perception(path, among, self._files)

    def style_model(self, path: Path) -> StyleModelHandle:
        """Return the handle of a style model file."""
        return opening.open_style_model(path, self._files)

    def source(self, path: Path) -> Source:
        """Return what names a file in handles."""
        return Source(str(path), self._files(Path(path)))

    def hypernetwork(self, path: Path, model: ModelHandle, strength: float = 1.0) -> ModelHandle:
        """Put the hypernetwork at `path` on a model; several add up in order. Its file is read when the model is used.

        Raises ModelError for a model that is no U-Net.
        """
        from engine.models.networks.unet_sizes import U_NET

        family = family_named(model.family)
        if family.network is not U_NET:
            raise ModelError(
                f"{path}: hypernetworks are for U-Nets, got a model of {family.title}. Use one of Stable Diffusion 1, 2 or XL."
            )
        told = [{"path": str(path), "digest": self._files(Path(path))}, float(strength)]
        return model.with_option(HYPERNETWORKS, [*model.options.get(HYPERNETWORKS, ()), told])

    def lora(
        self,
        path: Path,
        model: ModelHandle | None = None,
        clip: ClipHandle | None = None,
        strength_model: float = 1.0,
        strength_clip: float = 1.0,
        *,
        beside: bool = False,
    ) -> LoraResult:
        """Put the LoRA at `path` on a model, a text encoder or both; or `beside` their layers, whose weights stay as they are.

        A handle with nothing of the LoRA for it, or with strength 0, comes back as it was. Raises LoraError when nothing in
        the file fits, CheckpointError when it cannot be read.
        """
        path = Path(path)
        patch = Patch(kind="lora", source=Source(str(path), self._files(path)), beside=beside)
        parts: list[tuple[ModelHandle | ClipHandle, float]] = [(model, strength_model)] if model else []
        parts += [(tower, strength_clip) for tower in clip.towers] if clip else []
        matches = [matched(handle, path, list(weights.parameter_shapes(handle))) for handle, _ in parts]
        unmatched = set.intersection(*(set(match.unmatched) for match in matches)) if matches else set()
        if matches and not any(match.changes for match in matches):
            raise LoraError(lora_families.nothing_fits(path, family_named(parts[0][0].family).title))
        patched = [
            (grown(handle, path, match) if isinstance(handle, ModelHandle) else handle).with_patch(
                msgspec.structs.replace(patch, strength=float(strength))
            )
            if match.changes and strength
            else handle
            for (handle, strength), match in zip(parts, matches, strict=True)
        ]
        towers = [handle for handle in patched if isinstance(handle, ClipHandle)]
        return LoraResult(
            next((handle for handle in patched if isinstance(handle, ModelHandle)), None),
            clip.with_towers(towers) if clip else None,
            tuple(sorted(unmatched)),
        )

    @property
    def files(self) -> FileDigest:
        """What names files by their content."""
        return self._files

    # --- using ---

    @overload
    def use(self, handle: ModelHandle) -> AbstractContextManager[Network]: ...
    @overload
    def use(self, handle: ClipHandle) -> AbstractContextManager[TextEncoder | JoinedEncoder]: ...
    @overload
    def use(self, handle: VaeHandle) -> AbstractContextManager[Autoencoder]: ...
    @overload
    def use(self, handle: ControlNetHandle) -> AbstractContextManager[ControlNetwork]: ...
    @overload
    def use(self, handle: ClipVisionHandle) -> AbstractContextManager[VisionEncoder]: ...
    @overload
    def use(self, handle: StyleModelHandle) -> AbstractContextManager[StyleModel]: ...
    @overload
    def use(self, handle: UpscaleHandle) -> AbstractContextManager[Upscaler]: ...
    @overload
    def use(self, handle: PerceptionHandle) -> AbstractContextManager[Any]: ...
    def use(self, handle: Handle) -> AbstractContextManager[Any]:
        """Hold the device and give the model of `handle`, loaded and patched, to the `with` block.

        Several models in one block: nest. Raises CheckpointError, LoraError or TokenizerError naming the file at fault.
        """
        return self._use(handle)

    @contextmanager
    def _use(self, handle: Handle) -> Iterator[Any]:
        if isinstance(handle, HookedClip):
            handle = hooked_at(self, handle, 0.0)
        if isinstance(handle, ClipHandle) and (handle.beside or family_named(handle.family).join):
            with self._joined(handle) as encoder:
                yield encoder
            return
        if isinstance(handle, VaeHandle) and not handle.source.digest:
            yield self._without_weights(handle)
            return
        if isinstance(handle, UpscaleHandle):
            with self._lock:
                yield self._upscaler_of(handle)
            return
        with self._held(handle) as model:
            yield model

    @contextmanager
    def _held(self, handle: Handle) -> Iterator[Any]:
        """One module, on the device."""
        with self._lock:
            tokenizer = self._tokenizer(reads) if (reads := perceiving.reader(handle)) else None
            entry, instance = self._ready(handle)
            instance.users += 1
            try:
                with self._cores.computing(instance.parameters):
                    yield self._live(handle, entry, instance, tokenizer)
            finally:
                instance.users -= 1

    def _ready(self, handle: Handle) -> tuple[Entry, Instance]:
        """The weights of a handle and a module with its patches.

        Made as if no pack had switched gradients off by inference mode: what is made in it can be patched only there, for ever.
        """
        import torch

        with torch.inference_mode(False), torch.no_grad():
            entry = self._entry(handle)
            return entry, entry.instance_for(handle)

    @contextmanager
    def _joined(self, handle: ClipHandle) -> Iterator[JoinedEncoder]:
        from engine.models.joined import JoinedEncoder

        with ExitStack() as held:
            yield JoinedEncoder(handle, [held.enter_context(self._held(tower)) for tower in handle.towers])

    def _without_weights(self, handle: VaeHandle) -> Any:
        """The codec of an autoencoder that no file holds."""
        import torch

        kind = autoencoders.kind_named(handle.kind)
        return named(kind.CODEC)(named(kind.MODULE)(), handle, torch.device("cpu"), torch.float32)

    def _live(self, handle: Handle, entry: Entry, instance: Instance, tokenizer: Tokenizer | None) -> Any:
        place = entry.device, entry.dtype
        if isinstance(handle, ModelHandle):
            return named(family_named(handle.family).network.call)(instance.module, handle, *place)
        if isinstance(handle, ControlNetHandle):
            return named(controls.kind_named(handle.kind).CALL)(instance.module, handle, *place)
        if isinstance(handle, VaeHandle):
            return named(autoencoders.kind_named(handle.kind).CODEC)(instance.module, handle, *place)
        if isinstance(handle, ClipVisionHandle):
            from engine.models.vision import VisionEncoder

            return VisionEncoder(instance.module, handle, *place)
        if isinstance(handle, StyleModelHandle):
            from engine.models.style import StyleModel

            return StyleModel(instance.module, handle, *place)
        if isinstance(handle, PerceptionHandle):
            call = named(perception.kind_named(handle.kind).CALL)
            return call(instance.module, handle, *place, *([tokenizer] if tokenizer else []))
        assert isinstance(handle, ClipHandle)
        assert tokenizer is not None
        kind = weights.kind_of(handle)
        encoder = named(kind.ENCODER)(instance.module, handle, tokenizer, *place, self._embedding_dirs)
        if spells := tower_of(handle.family, handle.tower).spells:
            encoder.spelling = {option: self._spelling(handle, *other) for option, other in spells.items()}
        return encoder

    @contextmanager
    def varied(self, network: Network, patches: Sequence[Patch]) -> Iterator[None]:
        """Let a network in use have further patches on its weights in the block.

        What is made of them is kept, within the budget, so that to come back to the same patches costs nothing. Raises
        ModelError for a patch that does not fit.
        """
        import torch

        entry, instance = next(
            (entry, found) for entry in self._entries.values() if (found := entry.with_module(network.module))
        )
        with torch.inference_mode(False), torch.no_grad():
            changed = entry.varied(instance, network.handle, patches, self._room_for_variants)
        with changed:
            yield

    def _room_for_variants(self, needed: int) -> None:
        """Drop what is kept of other patches where `needed` more bytes are not within the budget."""
        if self._excess(needed) > 0:
            for entry in self._entries.values():
                entry.drop_variants()

    def _excess(self, needed: int) -> int:
        """Return how many bytes the weights in memory are above the budget with `needed` more."""
        if self._budget is None:
            from engine.models.memory import default_budget

            self._budget = default_budget(self.device)
        return sum(entry.bytes for entry in self._entries.values()) + needed - self._budget

    def _upscaler_of(self, handle: UpscaleHandle) -> Upscaler:
        """The network of a file. One is kept, that which was used last, until room is wanted."""
        from engine.models.upscaling import Upscaler

        if self._upscaler is None or self._upscaler[0].source.digest != handle.source.digest:
            self._upscaler = None
            unchanged(handle.source, self._files)
            self._make_room(Path(handle.source.path).stat().st_size)
            self._upscaler = (handle, self.attempt(lambda: Upscaler.load(handle, self.device)))
        return self._upscaler[1]

    def tiny_decoder(self, path: Path) -> TinyDecoder:
        """Return the tiny decoder in a file, on this device. It is so small that it is kept until `free`.

        Raises CheckpointError when there is none in it.
        """
        from engine.models.tiny_decoder import load_tiny_decoder

        with self._lock:
            digest = self._files(path)
            if digest not in self._tiny_decoders:
                self._tiny_decoders[digest] = load_tiny_decoder(path, self.device)
            return self._tiny_decoders[digest]

    def attempt(self, make: Callable[[], T]) -> T:
        """Return `make()`; when memory runs out, free every model that is not in use and try once more."""
        from engine.models.memory import is_out_of_memory, release

        try:
            return make()
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
        self.free()
        release()
        return make()

    def free(self) -> int:
        """Drop every model that is not in use, and return the bytes that frees."""
        with self._lock:
            self._tiny_decoders.clear()
            freed, self._upscaler = self._upscaler[1].bytes if self._upscaler else 0, None
            freed += sum(entry.drop_variants() for entry in self._entries.values())
            idle = [key for key, entry in self._entries.items() if not entry.in_use]
            if idle:
                from engine.models.packed.room import ROOM

                ROOM.free()
            return freed + sum(self._entries.pop(key).bytes for key in idle)

    def loaded(self) -> list[LoadedFact]:
        """Return what is in memory, least recently used first."""
        return [entry.fact() for entry in list(self._entries.values())]

    # --- loading ---

    def _entry(self, handle: Handle) -> Entry:
        dtype = self._dtype_of(handle)
        base = handle.base.identity() if isinstance(handle, ControlNetHandle) and handle.base else ""
        device = device_of(handle, self.device)
        key = f"{weights.title(handle)} {handle.source.digest} {handle.prefix} {dtype} {base} {device}"
        entry = self._entries.pop(key, None)
        try:
            if entry is None or not entry.holds(handle):
                entry = self._loaded(handle, entry or Entry(handle, device, dtype, self._files), dtype)
        finally:
            if entry is not None:
                self._entries[key] = entry  # last = most recently used
        return entry

    def _loaded(self, handle: Handle, entry: Entry, dtype: str) -> Entry:
        """Return the entry with the weights of the handle too."""
        unchanged(handle.source, self._files)
        self._make_room(max(entry.bytes, weights.bytes_needed(handle, 4 if dtype == "float32" else 2)))
        self.attempt(lambda: entry.hold(handle))
        return entry

    def _make_room(self, needed: int) -> None:
        """Drop idle models, least recently used first, until `needed` more bytes are within the budget or none is left."""
        self._room_for_variants(needed)
        excess = self._excess(needed)
        if self._upscaler is not None:
            self._upscaler = self._upscaler if excess + self._upscaler[1].bytes <= 0 else None
            excess += self._upscaler[1].bytes if self._upscaler else 0
        for key, entry in list(self._entries.items()):
            if excess <= 0:
                return
            if not entry.in_use:
                excess -= entry.bytes
                del self._entries[key]

    def _dtype_of(self, handle: Handle) -> str:
        if told := dtype_of(handle):
            return told
        if device_of(handle, self.device) == "cpu" != self.device:
            return "float32"
        if isinstance(handle, ClipHandle) and self.dtype == "float16":
            return weights.kind_of(handle).HALF
        return "float32" if isinstance(handle, VaeHandle | PerceptionHandle) else self.dtype

    def _tokenizer(self, handle: ClipHandle) -> Tokenizer:
        key = handle.tokenizer.digest if handle.tokenizer else f"{handle.source.digest} {handle.prefix}"
        if key not in self._tokenizers:
            self._tokenizers[key] = load_tokenizer(handle, self._tokenizer_dirs, self._fetched_tokenizers)
        return self._tokenizers[key]

    def _spelling(self, handle: ClipHandle, kind: str, rows: int) -> Tokenizer:
        if (key := f"{kind} {rows}") not in self._tokenizers:
            self._tokenizers[key] = load_spelling(handle, kind, rows, self._tokenizer_dirs, self._fetched_tokenizers)
        return self._tokenizers[key]
