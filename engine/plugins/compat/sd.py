"""`comfy.sd`: loading models, and text encoders and VAEs as packs handle them, around our handles."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import torch

from engine.models.checkpoints import read_header
from engine.models.encoded import Encoded
from engine.models.errors import TokenizerError
from engine.models.handles import ClipHandle, VaeHandle
from engine.models.hooked_text import conditioning
from engine.models.lora_families import left_over
from engine.plugins.compat import model_management, weight_patches
from engine.plugins.compat.absent import refuse, refuse_part
from engine.plugins.compat.lent import Lent
from engine.plugins.compat.lora import load_lora, model_lora_keys_clip, model_lora_keys_unet
from engine.plugins.compat.running import model_manager, warn
from engine.plugins.compat.tensors_and_files import FileWeights
from engine.plugins.compat.text_model import TextModel, encode_rows, letter, rows_of, told
from engine.plugins.compat.values import Wrapper, to_pack

_VISION = ("embedder.model.visual.", "conditioner.embedders.0.open_clip.model.visual.")
"""Where checkpoints keep an image encoder."""

IN_MEMORY = "models built from tensors in memory; give the path of a file"


class CLIPType(Enum):
    """Families of text encoders."""

    STABLE_DIFFUSION = 1
    STABLE_CASCADE = 2
    SD3 = 3
    STABLE_AUDIO = 4
    HUNYUAN_DIT = 5
    FLUX = 6
    MOCHI = 7
    LTXV = 8
    HUNYUAN_VIDEO = 9
    PIXART = 10
    COSMOS = 11
    LUMINA2 = 12
    WAN = 13
    HIDREAM = 14
    CHROMA = 15
    ACE = 16
    OMNIGEN2 = 17
    QWEN_IMAGE = 18
    HUNYUAN_IMAGE = 19
    HUNYUAN_VIDEO_15 = 20
    OVIS = 21
    KANDINSKY5 = 22
    KANDINSKY5_IMAGE = 23
    NEWBIE = 24
    FLUX2 = 25
    LONGCAT_IMAGE = 26


class TEModel(Enum):
    """Text encoders by themselves."""

    CLIP_L = 1
    CLIP_H = 2
    CLIP_G = 3
    T5_XXL = 4


class CLIP(Wrapper):
    """A text encoder."""

    layer_idx: int | None
    load_device: torch.device
    _patching: weight_patches.Patching

    @property
    def handle(self) -> Any:
        """What goes on to other nodes."""
        return self._patching.handle

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("comfy.sd.CLIP(…)", IN_MEMORY)

    @classmethod
    def of(cls, handle: ClipHandle) -> CLIP:
        """The wrapper of a handle."""
        made = cls.__new__(cls)
        made._patching = weight_patches.Patching(handle)
        made.layer_idx = None if handle.stop_at == -1 else handle.stop_at
        made.load_device = model_management.text_encoder_device()
        return made

    def clone(self) -> CLIP:
        """One more, to patch without touching this one."""
        return type(self).of(self.handle)

    def clip_layer(self, layer_idx: int) -> None:
        """Take the conditioning from an earlier layer, in place."""
        self._patching.handle = self.handle.with_last_layer(layer_idx)
        self.layer_idx = layer_idx

    def tokenize(
        self,
        text: str,
        return_word_ids: bool = False,
        images: Sequence[Any] = (),
        llama_template: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The prompt's rows of (token or vector, weight), by the name of the encoder.

        `images` (1, H, W, C) and `llama_template`, which has the prompt at `{}`, are for language models.
        """
        with model_manager().use(self.handle) as encoder:
            return {
                letter(one.handle.tower): _told(one, rows_of(one, text, images, llama_template), return_word_ids)
                for one in encoder.encoders
            }

    def encode_from_tokens(self, tokens: Any, return_pooled: Any = False, return_dict: bool = False) -> Any:
        """The conditioning (1, T, D) of rows from `tokenize`; with `return_pooled`, the pooled one (1, D) as well."""
        found = encode_rows(self.handle, tokens)
        if return_dict:
            return {"cond": found.context, "pooled_output": None, **found.options}
        return (found.context, found.pooled) if return_pooled else found.context

    def encode_from_tokens_scheduled(
        self, tokens: Any, unprojected: bool = False, add_dict: Any = None, show_pbar: bool = True
    ) -> list[list[Any]]:
        """The conditioning as nodes pass it on."""

        def encode(encoder: Any) -> Encoded:
            found = encode_rows(encoder.handle, tokens)
            return Encoded(found.context, {"pooled_output": None, **found.options, **(add_dict or {})})

        return conditioning(model_manager(), self.handle, encode)

    def encode(self, text: str) -> Any:
        """The conditioning (1, T, D) of a prompt."""
        return self.encode_from_tokens(self.tokenize(text))

    @property
    def cond_stage_model(self) -> TextModel:
        """What packs look at of the network, and encode with themselves."""
        if "_text_model" not in vars(self):
            self._text_model = TextModel(self)
        return self._text_model

    @property
    def patcher(self) -> CLIP:
        """What holds its patches: itself."""
        return self

    def get_sd(self) -> Lent:
        """The patched weights by the field's names."""
        return self.cond_stage_model.state_dict()

    def add_patches(self, patches: Any, strength_patch: float = 1.0, strength_model: float = 1.0) -> list[str]:
        """Change weights: strength_model * weight + strength_patch * patch. Returns the names of those that there are."""
        return self._patching.add(patches, strength_patch, strength_model)

    def model_state_dict(self, filter_prefix: str | None = None) -> Lent:
        """The patched weights by the field's names."""
        return self.get_sd().only(filter_prefix or "")

    def get_key_patches(self) -> dict[str, Any]:
        """Weights as patches for another text encoder: {name: [(weight, function)]}."""
        return {name: [(weight, lambda one, *rest, **options: one)] for name, weight in self.get_sd().shared.items()}

    def load_model(self, *args: Any, **kwargs: Any) -> CLIP:
        """Have it ready; the manager does."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "handle":
            raise AttributeError(name)
        refuse_part(f"clip.{name}", "text encoders that packs may take apart")


class VAE(Wrapper):
    """An autoencoder between pictures and latents."""

    def __init__(self, sd: Any = None, *args: Any, **kwargs: Any) -> None:
        path = getattr(sd, "path", "")
        if not path:
            refuse("comfy.sd.VAE(tensors)", IN_MEMORY)
        self._take(model_manager().vae(Path(path)))

    @classmethod
    def of(cls, handle: VaeHandle) -> VAE:
        """The wrapper of a handle."""
        made = cls.__new__(cls)
        made._take(handle)
        return made

    def _take(self, handle: VaeHandle) -> None:
        self.handle = handle
        self.device = model_management.vae_device()
        self.output_device = torch.device("cpu")
        self.vae_dtype = torch.float32
        self.latent_channels = handle.latent.channels
        self.downscale_ratio = self.upscale_ratio = handle.latent.downscale
        self.latent_dim = 2

    def encode(self, pixel_samples: Any) -> Any:
        """The latent (B, C, h, w) of pictures (B, H, W, C)."""
        with model_manager().use(self.handle) as live:
            return live.encode(pixel_samples[..., :3])

    def decode(self, samples_in: Any, vae_options: Any = None) -> Any:
        """The pictures (B, H, W, 3) of a latent."""
        with model_manager().use(self.handle) as live:
            return live.decode(samples_in)

    def decode_tiled(
        self,
        samples: Any,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """The pictures of a latent, tile by tile; sizes are in latent pixels."""
        factor = self.downscale_ratio
        with model_manager().use(self.handle) as live:
            return live.decode_tiled(
                samples, tile=(tile_x or 64) * factor, overlap=(16 if overlap is None else overlap) * factor
            )

    def encode_tiled(
        self,
        pixel_samples: Any,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """The latent of pictures, tile by tile; sizes are in pixels."""
        with model_manager().use(self.handle) as live:
            return live.encode_tiled(
                pixel_samples[..., :3], tile=tile_x or 512, overlap=64 if overlap is None else overlap
            )

    def vae_encode_crop_pixels(self, pixels: Any) -> Any:
        """Cut evenly to a multiple of what a latent pixel covers."""
        factor = self.downscale_ratio
        height, width = (size // factor * factor for size in pixels.shape[1:3])
        top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
        return pixels[:, top : top + height, left : left + width]

    def spacial_compression_encode(self) -> int:
        """Pixels per latent pixel."""
        return self.downscale_ratio

    def spacial_compression_decode(self) -> int:
        """Pixels per latent pixel."""
        return self.downscale_ratio

    def temporal_compression_decode(self) -> None:
        """Frames per latent frame; None, as it is no video's."""

    def throw_exception_if_invalid(self) -> None:
        """Raise when it could not be read; then it would not be here."""

    def get_sd(self) -> Any:
        """Its tensors."""
        refuse("vae.get_sd", "weights that packs may read")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "handle":
            raise AttributeError(name)
        refuse_part(f"vae.{name}", "VAEs that packs may take apart")


def load_checkpoint_guess_config(
    ckpt_path: Any,
    output_vae: bool = True,
    output_clip: bool = True,
    output_clipvision: bool = False,
    embedding_directory: Any = None,
    output_model: bool = True,
    model_options: Any = None,
    te_model_options: Any = None,
) -> tuple[Any, Any, Any, Any]:
    """(model, text encoder, VAE, image encoder) of a checkpoint; None for what it lacks or is not wanted."""
    path = Path(str(ckpt_path))
    if output_clipvision and path.is_file() and any(name.startswith(_VISION) for name in read_header(path).shapes):
        refuse(f"the image encoder inside the checkpoint {path.name}", "image encoders that are no file of their own")
    model, clip, vae = model_manager().checkpoint(path)
    wanted = ((model, output_model), (clip, output_clip), (vae, output_vae))
    found = [to_pack(part) if part is not None and use else None for part, use in wanted]
    return found[0], found[1], found[2], None


def load_checkpoint(
    config_path: Any = None, ckpt_path: Any = None, output_vae: bool = True, output_clip: bool = True, **kwargs: Any
) -> Any:
    """(model, text encoder, VAE) of a checkpoint; the configuration is read off the file."""
    return load_checkpoint_guess_config(ckpt_path, output_vae, output_clip)[:3]


def load_diffusion_model(unet_path: Any, model_options: Any = None) -> Any:
    """The denoiser in a file of its own."""
    return to_pack(model_manager().denoiser(Path(str(unet_path))))


def load_unet(unet_path: Any, dtype: Any = None) -> Any:
    """The denoiser in a file of its own."""
    return load_diffusion_model(unet_path)


def load_diffusion_model_state_dict(sd: Any, model_options: Any = None, metadata: Any = None) -> Any:
    """The denoiser of tensors that `comfy.utils.load_torch_file` read."""
    return load_diffusion_model(_path_of(sd, "comfy.sd.load_diffusion_model_state_dict"))


def load_unet_state_dict(sd: Any, dtype: Any = None) -> Any:
    """The denoiser of tensors that `comfy.utils.load_torch_file` read."""
    return load_diffusion_model(_path_of(sd, "comfy.sd.load_unet_state_dict"))


def load_clip(
    ckpt_paths: Any,
    embedding_directory: Any = None,
    clip_type: Any = CLIPType.STABLE_DIFFUSION,
    model_options: Any = None,
) -> Any:
    """The text encoders of a family in files of their own; by default the file of one tells, and of several their number."""
    given = [ckpt_paths] if isinstance(ckpt_paths, str | Path) else list(ckpt_paths)
    paths = [Path(str(path)) for path in given]
    if clip_type is not CLIPType.STABLE_DIFFUSION:
        return to_pack(model_manager().text_encoders(paths, clip_type.name.lower()))
    if len(paths) == 1:
        return to_pack(model_manager().text_encoder(paths[0]))
    return to_pack(model_manager().text_encoders(paths, {2: "sdxl", 3: "sd3", 4: "hidream"}.get(len(paths), "")))


def load_text_encoder_state_dicts(state_dicts: Any = (), *args: Any, **kwargs: Any) -> Any:
    """The text encoder of tensors that `comfy.utils.load_torch_file` read."""
    return load_clip([_path_of(sd, "comfy.sd.load_text_encoder_state_dicts") for sd in state_dicts])


def load_controlnet(ckpt_path: Any, model: Any = None) -> Any:
    """The control network in a file of its own."""
    return to_pack(model_manager().controlnet(Path(str(ckpt_path))))


def load_lora_for_models(
    model: Any, clip: Any, lora: Any, strength_model: float, strength_clip: float
) -> tuple[Any, Any]:
    """The model and text encoder with a LoRA: of a file that `comfy.utils.load_torch_file` read, or of any tensors."""
    path = lora.path if isinstance(lora, FileWeights) else ""
    handles = [None if one is None else one.handle for one in (model, clip)]
    if path:
        result = model_manager().lora(Path(path), handles[0], handles[1], strength_model, strength_clip)
        if note := left_over(Path(path).name, Path(path), result.unmatched, with_text=clip is not None):
            warn(note)
        return to_pack(result.model), to_pack(result.clip)
    changed = [None if one is None else one.clone() for one in (model, clip)]
    if changed[0] is not None:
        patches = load_lora(lora, model_lora_keys_unet(changed[0].model))
        changed[0].add_patches(patches, strength_model)
    if changed[1] is not None:
        patches = load_lora(lora, model_lora_keys_clip(changed[1].cond_stage_model))
        changed[1].add_patches(patches, strength_clip)
    return changed[0], changed[1]


def save_checkpoint(*args: Any, **kwargs: Any) -> Any:
    """Write a checkpoint."""
    refuse("comfy.sd.save_checkpoint", "checkpoints written by packs")


def _told(encoder: Any, rows: Any, with_words: bool) -> list[list[tuple[Any, ...]]]:
    """A tower's rows as packs take them: (token or vector, weight), and the number of the word if that is wanted."""
    if not with_words:
        return [[told(token) for token in row] for row in rows]
    ends = [_token(encoder.tokenizer, name) for name in ("start", "end")]
    return [[told(token, _word(index, token.value, ends)) for index, token in enumerate(row)] for row in rows]


def _token(tokenizer: Any, name: str) -> int | None:
    """A token that opens or closes a row, where there is one."""
    try:
        return int(getattr(tokenizer, name))
    except TokenizerError:
        return None


def _word(index: int, token: Any, ends: Sequence[int | None]) -> int:
    """The number of the word that a token is of, here the token's own; 0 for the ends of a row."""
    return 0 if isinstance(token, int) and token in ends else index


def _path_of(weights: Any, name: str) -> str:
    path = weights.path if isinstance(weights, FileWeights) else ""
    if not path:
        refuse(f"{name} with tensors that are no file's", IN_MEMORY)
    return path


def __getattr__(name: str) -> Any:
    """`comfy.sd.model_detection`, which packs reach through here."""
    if name in ("model_detection", "model_management", "utils", "model_base", "supported_models"):
        return importlib.import_module(f"comfy.{name}")
    raise AttributeError(f"module 'comfy.sd' of Safelight's shim has no attribute {name!r}")
