"""Pictures and latents that went wrong, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def latent_faults(samples: Tensor) -> list[str]:
    """Say which of the latents (B, …) hold numbers that are none."""
    if not (broken := _broken(samples)):
        return []
    return [
        f"The latent{_numbers(broken, len(samples))} came out of sampling with NaN or infinity, and decodes to black. The "
        "model overflowed: load it in bf16 or fp32, take another copy of its file, or lower cfg and the strengths of LoRAs."
    ]


def picture_faults(images: Tensor, *, decoded: bool = False) -> list[str]:
    """Say which of the pictures (B, H, W, C) hold numbers that are none, and with `decoded` which are black all over."""
    broken = _broken(images)
    black = [number for number in range(len(images)) if decoded and number not in broken and not images[number].any()]
    told = []
    if broken:
        told.append(f"The picture{_numbers(broken, len(images))} holds NaN or infinity, and shows as black.")
    if black:
        told.append(
            f"The picture{_numbers(black, len(images))} is black all over. Is its VAE the one of the model that made the latent?"
        )
    return told


def _broken(items: Tensor) -> list[int]:
    if not items.is_floating_point() or bool(items.isfinite().all()):
        return []
    return [number for number in range(len(items)) if not items[number].isfinite().all()]


def _numbers(found: list[int], count: int) -> str:
    """Which of several are meant, "" for the only one."""
    return "" if count == 1 else f" {', '.join(str(number + 1) for number in found)} of {count}"
