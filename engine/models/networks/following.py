"""SAM 3 through a video: what masks show or a text asks for is followed from frame to frame, with a memory of those before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional
from transformers.models.sam3_video import modeling_sam3_video as library

from engine.models.errors import ModelError
from engine.models.networks.segmenting import Segmenter

if TYPE_CHECKING:
    from torch import Tensor

MOST: Final = 64
"""Things that are followed at once, at most."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to follow: `masks` (N, h, w) of the first frame, or the `tokens` (1, T, D) of a text with their `mask` (1, T).

    The text is looked for in every frame whose number is a multiple of `every`; what scores above `threshold` is followed from
    there, `most` things in all.
    """

    masks: Tensor | None = None
    tokens: Tensor | None = None
    mask: Tensor | None = None
    threshold: float = 0.5
    most: int = MOST
    every: int = 1


@dataclass(frozen=True, eq=False)
class Frame:
    """What is followed in one frame: number of the thing → mask (h, w) as logits, and how sure the tracker is of it."""

    masks: dict[int, Tensor]
    scores: dict[int, float]


class _Session(library.Sam3VideoInferenceSession):  # type: ignore[misc]
    """What the library remembers of a video, of which one frame is here at a time."""

    def __init__(self, frames: int, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(
            inference_device=device, inference_state_device=device, video_storage_device=device, dtype=dtype
        )
        self.frames = frames
        self.processed_frames: dict[int, Tensor] = {}
        self.obj_with_new_inputs: list[int] = []

    @property
    def num_frames(self) -> int:
        """Frames of the whole video."""
        return self.frames


class Follower:
    """A segmenter at work on a video (T, H, W, C) in 0..1. Raises ModelError for one that has no tracker."""

    def __init__(self, segmenter: Segmenter, wanted: Wanted) -> None:
        if not segmenter.follows:
            raise ModelError(
                f"{segmenter.handle.source.path}: holds no tracker that is known. No library has that of SAM 3.1, which follows "
                "several things at once (sam3.1_multiplex): load SAM 3, or use SAM3_Detect for each frame."
            )
        self._segmenter, self._wanted = segmenter, wanted
        self._model = segmenter.module

    @torch.inference_mode()
    def follow(self, video: Tensor, report: Callable[[int, int], None] = lambda done, total: None) -> list[Frame]:
        """Return what is followed in every frame. `report` is told of every frame, and ends the work by raising."""
        wanted, device = self._wanted, self._segmenter.device
        session = _Session(len(video), device, self._segmenter.dtype)
        if wanted.tokens is not None:
            mask = torch.ones(wanted.tokens.shape[:2]) if wanted.mask is None else wanted.mask
            session.prompts, session.prompt_attention_masks = {0: ""}, {0: mask.to(device, torch.int64)}
            tokens = wanted.tokens.to(device, self._segmenter.dtype)
            session.prompt_embeddings = {0: SimpleNamespace(pooler_output=tokens)}
        found: list[Frame] = []
        with _AsWanted(self._model, wanted):
            for number in range(len(video)):
                session.processed_frames = {number: self._segmenter.pixels(video[number])[0]}
                if number == 0 and wanted.masks is not None:
                    self._begin(session, wanted.masks)
                found.append(self._step(session, number))
                report(number + 1, len(video))
        hidden = session.hotstart_removed_obj_ids
        return [
            Frame(
                {thing: mask.float().cpu() for thing, mask in one.masks.items() if thing not in hidden},
                {thing: score for thing, score in one.scores.items() if thing not in hidden},
            )
            for one in found
        ]

    def _begin(self, session: _Session, masks: Tensor) -> None:
        """Give the tracker the masks of the first frame."""
        for thing, mask in enumerate(masks):
            place, side = session.obj_id_to_idx(thing), self._segmenter.side
            fit = functional.interpolate(mask[None, None].float(), (side, side), mode="bilinear", antialias=True)
            session.add_mask_inputs(place, 0, (fit >= 0.5).float())
            session.obj_id_to_prompt_id[thing] = 0
            session.obj_id_to_score[thing] = session.obj_id_to_tracker_score_frame_wise[0][thing] = 1.0
            session.obj_first_frame_idx[thing] = -len(masks) - 2 * self._model.hotstart_delay  # what is shown stays
            session.trk_keep_alive[thing] = self._model.init_trk_keep_alive
        session.max_obj_id = len(masks) - 1
        session.obj_with_new_inputs = list(range(len(masks)))
        self._remember(session, 0)
        self._model.tracker_model(inference_session=session, frame_idx=0, run_mem_encoder=True)

    def _step(self, session: _Session, number: int) -> Frame:
        if self._wanted.tokens is None:
            return self._tracked(session, number)
        if number % self._wanted.every == 0:
            out = self._model(inference_session=session, frame_idx=number)
            session.hotstart_removed_obj_ids.update(out.removed_obj_ids)
            hidden = out.suppressed_obj_ids or ()
            masks = {thing: mask[0].clone() for thing, mask in out.obj_id_to_mask.items() if thing not in hidden}
            return Frame(masks, {thing: float(out.obj_id_to_tracker_score.get(thing, 0.0)) for thing in masks})
        self._remember(session, number)
        masks, scores = self._model.run_tracker_propagation(inference_session=session, frame_idx=number, reverse=False)
        if session.obj_ids:
            self._model._tracker_update_memories(session, number, masks)
        return _frame(session.obj_ids, masks, scores.flatten())

    def _tracked(self, session: _Session, number: int) -> Frame:
        """A frame in which nothing new is looked for."""
        if not session.obj_ids:
            return Frame({}, {})
        self._remember(session, number)
        out = self._model.tracker_model(inference_session=session, frame_idx=number, run_mem_encoder=True)
        return _frame(session.obj_ids, out.pred_masks[:, 0], out.object_score_logits.flatten())

    def _remember(self, session: _Session, number: int) -> None:
        """Look at a frame for the tracker."""
        pixels = session.get_frame(number)[None]
        vision = self._model.detector_model.get_vision_features(pixel_values=pixels)
        features, places = self._model.get_vision_features_for_tracker(vision_embeds=vision)
        session.cache.cache_vision_features(number, {"vision_feats": features, "vision_pos_embeds": places})


def _frame(things: list[int], masks: Tensor, scores: Tensor) -> Frame:
    sure = scores.float().sigmoid().tolist()
    return Frame(
        {thing: masks[place].clone() for place, thing in enumerate(things)}, dict(zip(things, sure, strict=True))
    )


class _AsWanted:
    """A model that detects as is wanted, for a while."""

    def __init__(self, model: Any, wanted: Wanted) -> None:
        self._model = model
        self._told = {
            "score_threshold_detection": wanted.threshold,
            "new_det_thresh": wanted.threshold,
            "max_num_objects": min(wanted.most or MOST, MOST),
        }
        self._before = {name: getattr(model, name) for name in self._told}

    def __enter__(self) -> None:
        self._set(self._told)

    def __exit__(self, *problem: object) -> None:
        self._set(self._before)

    def _set(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self._model, name, value)


class _Kernels:
    """What the library would fetch from the hub as a compiled kernel: in its place, as slow as it is."""

    @staticmethod
    def generic_nms(overlaps: Tensor, scores: Tensor, most: float, use_iou_matrix: bool = True) -> Tensor:
        """Return the places of those that overlap none that scores more by more than `most`."""
        kept: list[int] = []
        for place in scores.argsort(descending=True).tolist():
            if not kept or float(overlaps[place, kept].max()) <= most:
                kept.append(place)
        return torch.tensor(kept, dtype=torch.int64, device=scores.device)

    @staticmethod
    def cc_2d(masks: Tensor, get_counts: bool = True) -> tuple[Tensor, Tensor]:
        """Return for each pixel of masks (N, 1, H, W) its area's number and pixels, corners counted as touching; 0 outside."""
        import numpy as np
        from scipy import ndimage

        labels, counts = np.zeros(masks.shape, np.int32), np.zeros(masks.shape, np.int32)
        for number, mask in enumerate(masks.cpu().numpy()):
            labels[number, 0], _ = ndimage.label(mask[0], structure=np.ones((3, 3)))
            sizes = np.bincount(labels[number].ravel())
            sizes[0] = 0
            counts[number] = sizes[labels[number]]
        return torch.from_numpy(labels).to(masks.device), torch.from_numpy(counts).to(masks.device)


library.cv_utils_kernel = _Kernels
