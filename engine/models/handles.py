"""Handles: recipes for models, as data. A handle names files by content, patches in order, and nothing that is loaded.

A handle is cheap to make, copy, store and send; it says how to re-make a model in any process, and two handles with the
same `identity()` give interchangeable models. Weights belong to the `ModelManager`, which turns a handle into something
callable when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import xxhash

from engine.datatypes.parameterization import LatentFormat, Parameterization

if TYPE_CHECKING:
    from torch import Tensor

FileDigest: TypeAlias = Callable[[Path], str]
"""Names a file by its content. The cache passes one that remembers path, size and modification time."""

HYPERNETWORKS: Final = "hypernetworks"
"""Option of a model handle: [{path, digest} of the file, strength] of each hypernetwork, in order."""

_CHUNK = 1 << 22


def digest_file(path: Path) -> str:
    """Return the xxh3-128 of a file's bytes as 32 hex digits, read in chunks of 4 MiB."""
    digest = xxhash.xxh3_128()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class Source(msgspec.Struct, frozen=True):
    """A file: where it is, and the digest of its content. Only the digest is part of an identity."""

    path: str
    digest: str


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """A change to weights, applied in the order of the handle's list.

    `kind` "lora": keep `keep` times the weights it is for, and add `strength` times its deltas. "model": the same with those of
    `other`, of which names in the original layout begin with one of `within` (() for all) and none of `without`. "scale": keep
    `keep` times the weights whose names in the library's layout end with one of `within`; `source` is the model's own.
    """

    kind: str
    source: Source
    strength: float = 1.0
    keep: float = 1.0
    other: ModelHandle | ClipHandle | None = None
    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    beside: bool = False

    @property
    def key(self) -> str:
        """Names what is put on, whatever its strength."""
        if self.kind == "scale":
            return " ".join(("scale", *self.within))
        if self.other is None:
            return self.source.digest
        return " ".join((self.other.identity(), *self.within, "-", *self.without))


class TokenFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How token ids become the rows a text encoder wants; None where the tokenizer itself is asked.

    A row is `start`, at most `max_length - 2` tokens, `end`, then `pad` up to `max_length`. `pad` None: the end token.
    T5's encoders take a row of any length, so `max_length` is the least one, and `padding` how often `pad` comes at least.
    """

    max_length: int = 77
    padding: int = 0
    start: int | None = None
    end: int | None = None
    pad: int | None = None


class _Handle(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    source: Source
    family: str
    config: dict[str, Any] = {}
    prefix: str = ""
    """Under which the file has the tensors; "" for all of them."""

    def identity(self) -> str:
        """Return 32 hex digits; equal ones mean interchangeable models. Where the files lie does not count."""
        return identity_of(self)


class ModelHandle(_Handle, frozen=True, kw_only=True, tag="model"):
    """A denoiser. `config` holds the arguments of its network's class; `options` what samplers and nodes attach.

    `controls`: a ControlUse for each model patch, which steers every run whatever its conditionings. `carried`: values that
    options need and that are no plain data (tensors, conditionings, handles), by their digests, which is how options name them.
    """

    parameterization: Parameterization
    latent: LatentFormat
    patches: tuple[Patch, ...] = ()
    options: dict[str, Any] = {}
    controls: tuple[Any, ...] = ()
    carried: dict[str, Any] = {}

    @property
    def in_channels(self) -> int:
        """Channels the network takes in all: the latent's plus `extra_channels`."""
        from engine.models.families import family_named  # which imports handles

        told = self.config.get("in_channels")
        return int(told) // family_named(self.family).patch ** 2 if told else self.latent.channels

    @property
    def extra_channels(self) -> int:
        """Channels to pass as `concat`: 5 for inpainting checkpoints (mask, masked latent), 0 for others."""
        return self.in_channels - self.latent.channels

    @property
    def context_dim(self) -> int:
        """Width D of the text conditioning (B, T, D)."""
        return int(self.config.get("encoder_hid_dim") or self.config["cross_attention_dim"])

    def with_patch(self, *patches: Patch) -> ModelHandle:
        """Return a copy with `patches` appended."""
        return msgspec.structs.replace(self, patches=self.patches + patches)

    def with_parameterization(self, parameterization: Parameterization) -> ModelHandle:
        """Return a copy that is read under another noise process (v-prediction, zero terminal SNR, shift…)."""
        return msgspec.structs.replace(self, parameterization=parameterization)

    def with_latent(self, latent: LatentFormat) -> ModelHandle:
        """Return a copy with another latent format."""
        return msgspec.structs.replace(self, latent=latent)

    def with_control(self, use: ControlUse) -> ModelHandle:
        """Return a copy that a model patch steers too."""
        return msgspec.structs.replace(self, controls=(*self.controls, use))

    def weights_alone(self) -> ModelHandle:
        """Return a model of nothing but these weights with their patches: no options, controls or functions of packs."""
        kept = {name: getattr(self, name) for name in ModelHandle.__struct_fields__}
        return ModelHandle(**{**kept, "options": {}, "controls": (), "carried": {}})

    def with_option(self, name: str, value: Any) -> ModelHandle:
        """Return a copy with one option set; `value` must be plain data (numbers, text, lists, dicts)."""
        return msgspec.structs.replace(self, options={**self.options, name: value})

    def carrying(self, digest: str, value: Any) -> ModelHandle:
        """Return a copy that holds a value under the digest of its content, for options to name it by."""
        return msgspec.structs.replace(self, carried={**self.carried, digest: value})


class HookedModel(ModelHandle, frozen=True, kw_only=True, tag="hooked"):
    """A denoiser with functions of a pack around or inside it: `hooks`, which the sampler hands its runs to.

    Functions have no content to name them by, so this has no identity and is never stored: the cache names it by the
    node that made it.
    """

    hooks: Any
    identity = None  # type: ignore[assignment]


class ClipHandle(_Handle, frozen=True, kw_only=True, tag="clip"):
    """A text encoder with its tokenizer, or several whose outputs are joined: this one and those `beside` it.

    `tower`: what embeddings call it ("clip_l", "clip_g"). `tokenizer`: the file it is read from; None: the checkpoint's own
    metadata, or to be searched when first used. `stop_at`: the layer whose output is the conditioning, -1 the last, -2 the one
    before; it goes through the final layer norm if `normed`. `cut_layers`: layers of the full tower that this file leaves out
    at its end (1 for Stable Diffusion 2 folders). `device`: chosen by a node, "" for the worker's.
    """

    tower: str = "clip_l"
    tokens: TokenFacts = TokenFacts()
    tokenizer: Source | None = None
    patches: tuple[Patch, ...] = ()
    stop_at: int = -1
    normed: bool = True
    cut_layers: int = 0
    beside: tuple[ClipHandle, ...] = ()
    device: str = ""

    @property
    def towers(self) -> tuple[ClipHandle, ...]:
        """Every tower by itself, in the order in which they are joined."""
        return (msgspec.structs.replace(self, beside=()), *self.beside)

    def with_towers(self, towers: Iterable[ClipHandle]) -> ClipHandle:
        """Return a copy of `towers`, joined in this order."""
        first, *others = towers
        return msgspec.structs.replace(first, beside=tuple(others))

    def with_patch(self, *patches: Patch) -> ClipHandle:
        """Return a copy with `patches` appended, to each tower."""
        return self.with_towers(msgspec.structs.replace(one, patches=one.patches + patches) for one in self.towers)

    def with_last_layer(self, stop_at: int) -> ClipHandle:
        """Return a copy that stops at layer `stop_at` (-1 the last, -24 the earliest allowed); ValueError otherwise."""
        if not -24 <= stop_at <= -1:
            raise ValueError(f"stop_at must be between -24 and -1, got {stop_at}")
        return self.with_towers(msgspec.structs.replace(one, stop_at=stop_at) for one in self.towers)


class VaeHandle(_Handle, frozen=True, kw_only=True, tag="vae"):
    """An autoencoder between pictures and latents; `kind`: the module of `engine.models.autoencoders` that knows it."""

    latent: LatentFormat
    kind: str = "kl"
    beside_network: bool = False
    """Whether its file holds a network too, so that `latent` is the space of its latents and not merely their size."""
    device: str = ""
    """Chosen by a node, "" for the worker's."""


class ControlNetHandle(_Handle, frozen=True, kw_only=True, tag="controlnet"):
    """A network whose residuals steer a denoiser by a picture; `kind`: the module of `engine.models.controls` that knows it.

    `mode`: the task that a union of several is told, by the names of SetUnionControlNetType; "" for none. `base`: the denoiser of
    whose weights it is kept as the difference; None where it is kept itself.
    """

    kind: str = "unet"
    mode: str = ""
    base: ModelHandle | None = None


class ModelPatchHandle(ControlNetHandle, frozen=True, kw_only=True, tag="model_patch"):
    """A network that works within a denoiser, between its layers."""


class ClipVisionHandle(_Handle, frozen=True, kw_only=True, tag="clip_vision"):
    """An image encoder; `family` is its kind, "clip", "siglip" or "siglip2"."""


class StyleModelHandle(_Handle, frozen=True, kw_only=True, tag="style_model"):
    """What turns pictures that an image encoder saw into further tokens of a text; `family` is its kind, "redux"."""


class UpscaleHandle(_Handle, frozen=True, kw_only=True, tag="upscale"):
    """A network that makes pictures larger; its kind is told when it is read."""

    family: str = ""


class PerceptionHandle(msgspec.Struct, frozen=True, kw_only=True, tag="perception"):
    """A network that sees what is in a picture; `kind`: the module of `engine.models.perception` that knows it.

    Sockets of type MODEL and CLIP may hold one. What asks it for something that denoisers and text encoders have is told.
    """

    source: Source
    kind: str
    config: dict[str, Any] = {}
    prefix: str = ""

    def identity(self) -> str:
        """Return 32 hex digits; equal ones mean interchangeable networks. Where the file lies does not count."""
        from engine.models.rooms import code_of

        data = [without_paths(msgspec.to_builtins(self)), code_of("", perception=self.kind)]
        return xxhash.xxh3_128_hexdigest(msgspec.json.encode(data, order="sorted"))

    def __getattr__(self, name: str) -> Any:
        """Raise ModelError, for what it lacks is asked of it in the place of another model. It is an AttributeError too."""
        from engine.models import perception
        from engine.models.errors import NotThereError

        if name.startswith("_"):
            raise AttributeError(name)
        kind = perception.kind_named(self.kind)
        raise NotThereError(
            f"{self.source.path}: holds {kind.TITLE}, which has no {name}: expected a model that makes pictures, or its text "
            f"encoder. Use it with {kind.USE}."
        )


Handle: TypeAlias = (
    ModelHandle
    | ClipHandle
    | VaeHandle
    | ControlNetHandle
    | ModelPatchHandle
    | ClipVisionHandle
    | StyleModelHandle
    | UpscaleHandle
    | PerceptionHandle
)


def encode_handle(handle: Handle) -> bytes:
    """Return the handle as msgpack, for the cache: the recipe, not the weights."""
    return msgspec.msgpack.encode(handle)


def decode_handle(data: bytes) -> Handle:
    """Re-make a handle from `encode_handle`'s bytes. Raises msgspec.ValidationError for anything else."""
    handle: Handle = msgspec.msgpack.decode(data, type=Handle)
    return handle


def identity_of(handle: _Handle) -> str:
    """Return the digest of a handle's data, with file paths left out, and of the code that is its family's own."""
    from engine.models.rooms import code_of  # which imports families

    kind = handle.kind if isinstance(handle, VaeHandle) else ""
    control = handle.kind if isinstance(handle, ControlNetHandle) else ""
    uses: tuple[ControlUse, ...] = handle.controls if isinstance(handle, ModelHandle) else ()
    if isinstance(handle, ModelHandle) and (uses or handle.carried):
        handle = msgspec.structs.replace(handle, controls=(), carried={})
    data = [without_paths(msgspec.to_builtins(handle)), code_of(handle.family, kind, control)]
    data += [use.identity() for use in uses]
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(data, order="sorted"))


def without_paths(value: Any) -> Any:
    """Return plain data with the digest of each file in the place of its source."""
    if isinstance(value, dict):
        if value.keys() == {"path", "digest"}:
            return value["digest"]
        return {name: without_paths(item) for name, item in value.items() if (name, item) != ("device", "")}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    return value


@dataclass(frozen=True, eq=False)
class ControlUse:
    """One ControlNet put on a conditioning, standing under the option `control`; `previous` is the one it adds to.

    `hint` (B, 3, H, W) in 0..1 at picture size; the residuals count `strength` times, while the share of sampling done is
    within `start_percent`..`end_percent` (0..1). `vae` is for networks that take latents, `mask` (B, 1, H, W), 1 where the
    picture is to be made, for those that take one. `fill` (B, 3, H, W) in 0..1: a picture to fill, for those that take one beside
    the hint, which may then be empty, (B, 0, H, W). `away`: what negative conditionings have in the place of the hint.
    """

    handle: ControlNetHandle
    hint: Tensor
    strength: float = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    previous: ControlUse | None = None
    vae: VaeHandle | None = None
    mask: Tensor | None = None
    fill: Tensor | None = None
    away: Tensor | None = None

    def identity(self) -> str:
        """Return 32 hex digits; equal ones mean the same network, picture and facts, without what it adds to."""
        handles = [handle and handle.identity() for handle in (self.handle, self.vae)]
        digest = xxhash.xxh3_128(repr((*handles, self.strength, self.start_percent, self.end_percent)).encode())
        for name in ("hint", "mask", "fill", "away"):
            tensor: Tensor | None = getattr(self, name)
            if tensor is not None:
                digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def chain(self) -> list[ControlUse]:
        """Return the controls from the first applied to this one."""
        controls: list[ControlUse] = []
        current: ControlUse | None = self
        while current is not None:
            controls.append(current)
            current = current.previous
        return controls[::-1]

    @staticmethod
    def handles(controls: Iterable[ControlUse | None]) -> list[ControlNetHandle]:
        """Return the different networks that `controls` and what they add to need, each once."""
        used = {use.handle.identity(): use.handle for control in controls if control for use in control.chain()}
        return list(used.values())
