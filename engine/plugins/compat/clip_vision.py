"""`comfy.clip_vision`: an image encoder as packs handle it, around our handle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.models.handles import ClipVisionHandle
from engine.models.vision import MEAN, STD, preprocess
from engine.plugins.compat import model_management
from engine.plugins.compat.absent import refuse, refuse_part
from engine.plugins.compat.lent import Lent
from engine.plugins.compat.running import model_manager
from engine.plugins.compat.tensors_and_files import FileWeights
from engine.plugins.compat.values import Wrapper

IN_MEMORY = "image encoders built from tensors in memory; give the path of a file"


class Output:
    """What an encoder saw, by attribute and by item: `last_hidden_state`, `image_embeds`, `penultimate_hidden_states`."""

    mm_projected: None
    image_sizes: list[tuple[int, ...]]

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, item: Any) -> None:
        setattr(self, key, item)


class ClipVisionModel(Wrapper):
    """An image encoder."""

    def __init__(self, json_config: Any = None) -> None:
        refuse("comfy.clip_vision.ClipVisionModel(…)", IN_MEMORY)

    @classmethod
    def of(cls, handle: ClipVisionHandle) -> ClipVisionModel:
        """The wrapper of a handle."""
        made = cls.__new__(cls)
        made.handle = handle
        made.image_size = int(handle.config["image_size"])
        made.image_mean, made.image_std = list(MEAN), list(STD)
        made.load_device = model_management.text_encoder_device()
        made.dtype = torch.float32
        return made

    image_size: int
    image_mean: list[float]
    image_std: list[float]
    load_device: torch.device
    dtype: torch.dtype

    @property
    def model(self) -> Any:
        """Its network as packs call it: of pixels, the tokens of the last layer and of another, and the vectors."""

        def see(
            pixel_values: Any, attention_mask: Any = None, intermediate_output: int | None = None, **kwargs: Any
        ) -> tuple[Any, Any, Any]:
            layer = -2 if intermediate_output is None else intermediate_output
            with model_manager().use(self.handle) as encoder:
                seen = encoder.encode_pixels(pixel_values, layer)
            return seen.last_hidden_state, seen.penultimate_hidden_states, seen.image_embeds

        return see

    @property
    def patcher(self) -> ClipVisionModel:
        """What the manager loads: itself."""
        return self

    def encode_image(self, image: Any, crop: Any = True) -> Output:
        """What it sees in pictures (B, H, W, C); without `crop` they are squeezed into squares."""
        with model_manager().use(self.handle) as encoder:
            seen = encoder.encode(image, crop=crop not in (False, "none"))
        made = Output()
        for name, value in vars(seen).items():
            setattr(made, name, value)
        made.mm_projected = None
        made.image_sizes = [tuple(image.shape[-1:]) + tuple(image.shape[1:3])] * image.shape[0]
        return made

    def get_sd(self) -> Lent:
        """Its weights."""
        with model_manager().use(self.handle) as encoder:
            return Lent(encoder.module.state_dict())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "handle":
            raise AttributeError(name)
        refuse_part(f"clip_vision.{name}", "image encoders that packs may take apart")


def clip_preprocess(image: Any, size: int = 224, mean: Any = MEAN, std: Any = STD, crop: bool = True) -> Any:
    """Pictures (B, H, W, C) as an encoder wants them: (B, 3, size, size), normalised."""
    return preprocess(image, size, tuple(mean), tuple(std), crop=crop)


def load(ckpt_path: Any) -> ClipVisionModel:
    """The image encoder in a file of its own."""
    return ClipVisionModel.of(model_manager().vision(Path(str(ckpt_path))))


def load_clipvision_from_sd(sd: Any, prefix: str = "", convert_keys: bool = False) -> ClipVisionModel:
    """The image encoder of tensors that `comfy.utils.load_torch_file` read."""
    path = sd.path if isinstance(sd, FileWeights) else ""
    if not path or prefix:
        refuse("comfy.clip_vision.load_clipvision_from_sd with tensors that are no file's", IN_MEMORY)
    return load(path)
