"""`comfy.latent_formats`: spaces of latents."""

from __future__ import annotations

from typing import Any

from engine.datatypes import latent_formats as ours
from engine.datatypes.parameterization import LatentFormat as EngineFormat


class LatentFormat:
    """A space of latents: channels, scale, and colours for previews."""

    scale_factor = 1.0
    shift_factor = 0.0
    latent_channels = 4
    latent_dimensions = 2
    spacial_downscale_ratio = 8
    latent_rgb_factors: Any = None
    latent_rgb_factors_bias: Any = None
    latent_rgb_factors_reshape: Any = None
    taesd_decoder_name: str | None = None
    engine_format: EngineFormat | None = None

    def process_in(self, latent: Any) -> Any:
        """From the VAE's latents to the network's."""
        if self.engine_format is not None and self.engine_format.means:
            return self.engine_format.to_network(latent)
        return (latent - self.shift_factor) * self.scale_factor

    def process_out(self, latent: Any) -> Any:
        """From the network's latents to the VAE's."""
        if self.engine_format is not None and self.engine_format.means:
            return self.engine_format.from_network(latent)
        return latent / self.scale_factor + self.shift_factor


def _fill(target: Any, known: EngineFormat) -> Any:
    target.engine_format = known
    target.scale_factor = known.scale
    target.shift_factor = known.shift
    target.latent_channels = known.channels
    target.latent_dimensions = known.axes
    target.spacial_downscale_ratio = known.downscale
    return target


def of(known: EngineFormat) -> LatentFormat:
    """Our format as packs read it; of the class whose space it is."""
    classes = ((SD15, ours.SD), (SDXL, ours.SDXL), (SD3, ours.SD3), (Flux, ours.FLUX), (Wan21, ours.WAN21))
    cls = next((cls for cls, same in classes if ours.same_space(same, known)), LatentFormat)
    made: LatentFormat = _fill(cls(), known)
    return made


class SD15(LatentFormat):
    """Stable Diffusion 1 and 2."""

    def __init__(self, scale_factor: float = 0.18215) -> None:
        _fill(self, ours.SD)
        self.scale_factor = scale_factor
        self.taesd_decoder_name = "taesd_decoder"


class SDXL(LatentFormat):
    """Stable Diffusion XL."""

    def __init__(self) -> None:
        _fill(self, ours.SDXL)
        self.taesd_decoder_name = "taesdxl_decoder"


class SDXL_Playground_2_5(LatentFormat):  # noqa: N801 - the field's name
    """Playground 2.5."""


class SD_X4(LatentFormat):  # noqa: N801 - the field's name
    """The upscaler of Stable Diffusion 2."""

    scale_factor = 0.08333


class SC_Prior(LatentFormat):  # noqa: N801 - the field's name
    """Stable Cascade, stage C."""

    latent_channels = 16


class SC_B(LatentFormat):  # noqa: N801 - the field's name
    """Stable Cascade, stage B."""


class SD3(LatentFormat):
    """Stable Diffusion 3."""

    def __init__(self) -> None:
        _fill(self, ours.SD3)
        self.taesd_decoder_name = "taesd3_decoder"


class Flux(LatentFormat):
    """Flux."""

    def __init__(self) -> None:
        _fill(self, ours.FLUX)
        self.taesd_decoder_name = "taef1_decoder"


class Wan21(LatentFormat):
    """Wan 2.1, a space of videos, and of Qwen-Image."""

    def __init__(self) -> None:
        _fill(self, ours.WAN21)
