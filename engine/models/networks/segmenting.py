"""SAM 3 at work on pictures: what a text, boxes or clicks ask for, as masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.networks.fitted import fitted, normalised

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import PerceptionHandle

_GRAY: Final = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is clicked on, in pixels: `points` (P, 2) of x and y with `labels` (P,), 0 for what is left out, and `box` (4,)."""

    points: Tensor | None = None
    labels: Tensor | None = None
    box: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Things:
    """What was found in a picture: `masks` (N, h, w) as logits, `boxes` (N, 4) of corners in pixels, `scores` (N,).

    `refined`: whether masks are the decoder's of clicks, else the detector's.
    """

    masks: Tensor
    boxes: Tensor
    scores: Tensor
    refined: bool = False

    def within(self, boxes: Sequence[Sequence[float]] | None) -> Things:
        """Return those whose middle is in one of some boxes (left, top, right, bottom); all where no boxes are told."""
        if boxes is None:
            return self
        middle = (self.boxes[:, None, :2] + self.boxes[:, None, 2:]) / 2
        areas = torch.tensor([list(box) for box in boxes]).reshape(1, len(boxes), 4)
        inside = ((middle >= areas[..., :2]) & (middle <= areas[..., 2:])).all(dim=-1).any(dim=1)
        return Things(self.masks[inside.to(self.masks.device)], self.boxes[inside], self.scores[inside], self.refined)

    def at(self, height: int, width: int) -> Tensor:
        """Return masks (N, height, width) of 0 and 1. The detector's are enlarged as probabilities, those of clicks as logits."""
        if not len(self.masks):
            return torch.zeros(0, height, width)
        values, least = (self.masks, 0.0) if self.refined else (self.masks.sigmoid(), 0.5)
        larger = functional.interpolate(values[:, None].float(), (height, width), mode="bilinear", align_corners=False)
        return (larger[:, 0] > least).float().cpu()


class Picture:
    """A picture as the network sees it, kept for several questions."""

    def __init__(self, size: tuple[int, int], vision: Any, clicked: list[Tensor]) -> None:
        self.size = size
        self.vision = vision
        self.clicked = clicked


class Segmenter:
    """SAM 3 on its device."""

    def __init__(self, module: nn.Module, handle: PerceptionHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module: Any = module
        self.handle = handle
        self.device = device
        self.dtype = dtype

    @property
    def side(self) -> int:
        """Pixels a side of what it sees."""
        return int(self.module.detector_model.config.vision_config.backbone_config.image_size)

    @property
    def clicks(self) -> bool:
        """Whether it has what decodes clicks and boxes, and refines masks."""
        return self.module.tracker_model is not None

    @property
    def follows(self) -> bool:
        """Whether it has a tracker."""
        return self.clicks and not self.handle.config["clicks"]

    def pixels(self, picture: Tensor) -> Tensor:
        """A picture (H, W, C) in 0..1 as the network wants it, (1, 3, S, S)."""
        return normalised(fitted(picture[None], (self.side, self.side)), *_GRAY).to(self.device, self.dtype)

    @torch.no_grad()
    def see(self, picture: Tensor) -> Picture:
        """Look at a picture (H, W, C) in 0..1, squeezed into a square."""
        vision = self.module.detector_model.vision_encoder(self.pixels(picture))
        if len(vision.fpn_hidden_states) == 3:  # SAM 3.1 lacks the level that the library drops
            vision.fpn_hidden_states = (*vision.fpn_hidden_states, vision.fpn_hidden_states[-1])
            vision.fpn_position_encoding = (*vision.fpn_position_encoding, vision.fpn_position_encoding[-1])
        return Picture((picture.shape[0], picture.shape[1]), vision, self._clicked(vision) if self.clicks else [])

    def _clicked(self, vision: Any) -> list[Tensor]:
        """Levels (1, C, h, w) as the decoder of clicks wants them."""
        tracker, hidden = self.module.tracker_model, vision.last_hidden_state
        height, width = tracker.prompt_encoder.image_embedding_size
        spread = hidden.view(hidden.shape[0], height, width, -1).permute(0, 3, 1, 2)
        levels = list(self.module.tracker_neck(spread)[0][:3])
        levels[0], levels[1] = tracker.mask_decoder.conv_s0(levels[0]), tracker.mask_decoder.conv_s1(levels[1])
        levels[2] = levels[2] + tracker.no_memory_embedding.reshape(1, -1, 1, 1)
        return levels

    @torch.no_grad()
    def asked(self, picture: Picture, tokens: Tensor, mask: Tensor | None, threshold: float) -> Things:
        """Return what a text (1, T, D) asks for and scores above `threshold`, the surest first; `mask` (1, T) is 0 at padding."""
        width = int(self.module.detector_model.config.detr_encoder_config.hidden_size)
        if tokens.ndim != 3 or tokens.shape[-1] != width:
            raise ModelError(
                f"{self.handle.source.path}: conditioning has the shape {list(tokens.shape)}, expected (1, T, {width}). "
                "Encode the text by CLIPTextEncode with the CLIP of SAM 3's own checkpoint."
            )
        there = torch.ones(tokens.shape[:2]) if mask is None else mask
        found = self.module.detector_model(
            vision_embeds=picture.vision,
            text_embeds=SimpleNamespace(pooler_output=tokens.to(self.device, self.dtype)),
            attention_mask=there.to(self.device, torch.int64),
        )
        scores = (found.pred_logits.sigmoid() * found.presence_logits.sigmoid())[0].float()
        order = scores.argsort(descending=True)
        order = order[scores[order] > threshold]
        height, width = picture.size
        boxes = found.pred_boxes[0][order].float().cpu() * torch.tensor([width, height, width, height])
        return Things(found.pred_masks[0][order].float(), boxes, scores[order].cpu())

    @torch.no_grad()
    def refined(self, picture: Picture, things: Things, times: int) -> Things:
        """Return masks that the decoder of clicks makes of boxes and masks, `times` over, each from the one before."""
        if not times or not len(things.masks):
            return things
        made = [
            self._again(picture, Prompt(box=box), mask[None, None], times)
            for box, mask in zip(things.boxes, things.masks, strict=True)
        ]
        return Things(torch.cat([mask for mask, _ in made]), things.boxes, things.scores, refined=True)

    @torch.no_grad()
    def clicked(self, picture: Picture, prompt: Prompt, times: int) -> Things:
        """Return the thing that a box or clicks are on, refined `times`; its score is how well the network thinks it did."""
        if not self.clicks:
            raise ModelError(
                f"{self.handle.source.path}: holds no decoder of boxes and clicks (tracker.sam_mask_decoder.*). Ask by a text, "
                "or load a whole SAM 3."
            )
        several = prompt.box is None and prompt.points is not None and len(prompt.points) == 1
        masks, scores = self._decoded(picture, prompt, None, several=several)
        best = int(scores.argmax())
        mask, score = masks[best][None], scores[best][None]
        if times:
            mask, score = self._again(picture, prompt, mask[None], times)
        height, width = picture.size
        return Things(mask, _bounds(mask, height, width), score.cpu(), refined=True)

    def _again(self, picture: Picture, prompt: Prompt, mask: Tensor, times: int) -> tuple[Tensor, Tensor]:
        masks, scores = mask[0], mask.new_zeros(1)
        for _ in range(times):
            masks, scores = self._decoded(picture, prompt, masks[None], several=False)
        return masks, scores

    def _decoded(
        self, picture: Picture, prompt: Prompt, mask: Tensor | None, *, several: bool
    ) -> tuple[Tensor, Tensor]:
        """Masks (M, h, w) as logits and their scores (M,): one, or one for each of three ways to understand a click."""
        tracker: Any = self.module.tracker_model
        height, width = picture.size
        scale = torch.tensor([self.side / width, self.side / height], device=self.device)
        points, labels = prompt.points, prompt.labels
        boxes = (
            None if prompt.box is None else (prompt.box.to(self.device) * scale.repeat(2))[None, None].to(self.dtype)
        )
        spots = None if points is None else (points.to(self.device) * scale)[None, None].to(self.dtype)
        if mask is not None and mask.shape[-2:] != tuple(tracker.prompt_encoder.mask_input_size):
            mask = functional.interpolate(
                mask.float(), tracker.prompt_encoder.mask_input_size, mode="bilinear", antialias=True
            )
        sparse, dense = tracker.prompt_encoder(
            input_points=spots,
            input_labels=None if labels is None else labels.to(self.device, torch.int32)[None, None],
            input_boxes=boxes,
            input_masks=None if mask is None else mask.to(self.device, self.dtype),
        )
        masks, scores, _, _ = tracker.mask_decoder(
            image_embeddings=picture.clicked[-1],
            image_positional_embeddings=tracker.get_image_wide_positional_embeddings().to(self.dtype),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=picture.clicked[:-1],
        )
        return masks[0, 0].float(), scores[0, 0].float()


def _bounds(masks: Tensor, height: int, width: int) -> Tensor:
    """Corners (N, 4) in pixels of a picture of what logits (N, h, w) cover; zeros where they cover nothing."""
    found = torch.zeros(len(masks), 4)
    for number, mask in enumerate(masks.cpu()):
        rows, columns = (mask > 0).nonzero(as_tuple=True)
        if len(rows):
            corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            scale = (width / mask.shape[1], height / mask.shape[0]) * 2
            found[number] = torch.tensor([float(side) * by for side, by in zip(corners, scale, strict=True)])
    return found
