"""`comfy_api.latest.ui`: what a V3 node shows besides its outputs."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.media.png import save_pictures
from engine.plugins.compat.host import the_host
from engine.plugins.compat.io_words import FolderType
from engine.plugins.compat.running import current_context


class SavedResult(dict[str, str]):
    """A saved file, as editors fetch it."""

    def __init__(self, filename: str, subfolder: str, type: Any) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=str(getattr(type, "value", type)))

    @property
    def filename(self) -> str:
        """Its name."""
        return self["filename"]

    @property
    def subfolder(self) -> str:
        """Its folder below that of its type."""
        return self["subfolder"]

    @property
    def type(self) -> str:
        """`output`, `temp` or `input`."""
        return self["type"]


class _UIOutput:
    """Something to show; `as_dict` is what editors get."""

    def __init__(self, **shown: Any) -> None:
        self._shown = shown

    def as_dict(self) -> dict[str, Any]:
        """By name, lists of things."""
        return dict(self._shown)


class SavedImages(_UIOutput):
    """Pictures that were saved."""

    def __init__(self, results: Sequence[SavedResult], is_animated: bool = False) -> None:
        super().__init__(images=list(results), **({"animated": (True,)} if is_animated else {}))
        self.results = list(results)
        self.is_animated = is_animated


class SavedAudios(_UIOutput):
    """Sounds that were saved."""

    def __init__(self, results: Sequence[SavedResult]) -> None:
        super().__init__(audio=list(results))
        self.results = list(results)


class ImageSaveHelper:
    """Saving pictures for a V3 node."""

    @staticmethod
    def save_images(
        images: Any, filename_prefix: str, folder_type: Any, cls: Any = None, compress_level: int = 4
    ) -> list[SavedResult]:
        """Save (B, H, W, C) as PNG files with the workflow inside."""
        from engine.plugins.compat import folder_paths

        kind = str(getattr(folder_type, "value", folder_type))
        folder = Path(folder_paths.get_directory_by_type(kind) or "")
        hidden = getattr(cls, "hidden", None)
        more = dict(getattr(hidden, "extra_pnginfo", None) or {})
        prompt, workflow = getattr(hidden, "prompt", None), more.pop("workflow", None)
        told = {"prompt": prompt, "workflow": workflow, "more": more, "embed": the_host().embeds}
        ctx = current_context()
        seal = ctx.seal if ctx is not None and kind == "output" else None
        paths = save_pictures(images, folder, filename_prefix, **told, seal=seal)
        return [SavedResult(path.name, _below(path.parent, folder), kind) for path in paths]

    @staticmethod
    def get_save_images_ui(images: Any, filename_prefix: str, cls: Any = None, compress_level: int = 4) -> SavedImages:
        """Save in the output folder, and what shows them."""
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix, FolderType.output, cls, compress_level))


class PreviewImage(_UIOutput):
    """Pictures (B, H, W, C) to look at, kept until the temp folder is emptied."""

    def __init__(self, image: Any, animated: bool = False, cls: Any = None, **kwargs: Any) -> None:
        prefix = "preview_" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=5))
        super().__init__(images=ImageSaveHelper.save_images(image, prefix, FolderType.temp, cls, 1))
        self.values = self.as_dict()["images"]


class PreviewMask(PreviewImage):
    """Masks (B, H, W) to look at."""

    def __init__(self, mask: Any, animated: bool = False, cls: Any = None, **kwargs: Any) -> None:
        super().__init__(mask.reshape(-1, *mask.shape[-2:])[..., None].expand(-1, -1, -1, 3), animated, cls)


class PreviewText(_UIOutput):
    """A text to read."""

    def __init__(self, value: str, **kwargs: Any) -> None:
        super().__init__(text=(value,))
        self.value = value


class PreviewUI3D(_UIOutput):
    """A model in space to look at."""

    def __init__(self, model_file: str, camera_info: Any = None, **kwargs: Any) -> None:
        super().__init__(result=[model_file, camera_info])


class PreviewAudio(_UIOutput):
    """A sound to hear, as a WAV file in the temp folder."""

    def __init__(self, audio: Mapping[str, Any], cls: Any = None, **kwargs: Any) -> None:
        super().__init__(audio=[_wave(audio)])


class PreviewVideo(_UIOutput):
    """Videos that were saved, to look at."""

    def __init__(self, values: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(images=list(values), animated=(True,))


def _wave(audio: Mapping[str, Any]) -> SavedResult:
    import wave

    from engine.plugins.compat import folder_paths

    folder = Path(folder_paths.get_temp_directory())
    ctx = current_context()
    samples = (audio["waveform"][0].clamp(-1, 1) * 32767).short().T.contiguous().cpu().numpy()
    name = f"audio_{ctx.node_id if ctx else 'x'}_{random.getrandbits(32):08x}.wav".replace(":", "_")
    with wave.open(str(folder / name), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(int(audio["sample_rate"]))
        file.writeframes(samples.tobytes())
    return SavedResult(name, "", "temp")


def _below(folder: Path, home: Path) -> str:
    below = folder.relative_to(home.resolve()).as_posix()  # a folder below may be a link that leads elsewhere
    return "" if below == "." else below
