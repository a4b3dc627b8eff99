"""SAM 3 follows through a video what the library's own does, from masks and from a text; masks and pictures of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.authoring.context import Cancelled
from engine.models.errors import ModelError
from engine.models.networks import following
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.sam3_video import _as_bits, _as_masks, sam3_track_preview, sam3_track_to_mask, sam3_video_track
from tests.conftest import _tokenizer_json, _vocabulary, _write_tokenizer
from tests.nodes.test_sam3 import NAME, ids, pixels
from tests.tiny_seeing import Seeing, seeing, tiny_sam3

FRAMES = 4


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seeing, Any]:
    module = tiny_sam3(len(_vocabulary()))
    base = seeing(tmp_path_factory.mktemp("followers"))
    base.file("checkpoints", NAME, module.state_dict(), module.config.to_dict())
    folder = base.base / "models/text_encoders/clip"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(_tokenizer_json(_write_tokenizer(base.base / "words")))
    return base, module


def video() -> torch.Tensor:
    return torch.rand(FRAMES, 70, 90, 3, generator=torch.Generator().manual_seed(2))


def first() -> torch.Tensor:
    masks = torch.zeros(2, 70, 90)
    masks[0, 10:40, 20:60], masks[1, 40:60, 5:30] = 1, 1
    return masks


def without_overlaps(masks: torch.Tensor, scores: list[float]) -> torch.Tensor:
    surest = torch.where(masks > 0, torch.tensor(scores)[:, None, None], -1.0).argmax(dim=0)
    return torch.stack([(mask > 0) & (surest == place) for place, mask in enumerate(masks)])


@torch.inference_mode()
def by_the_library(module: Any) -> list[torch.Tensor]:
    """Masks (2, 70, 90) of each frame, as the library's tracker with an eye of its own makes them."""
    from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import (
        Sam3TrackerVideoInferenceSession,
        Sam3TrackerVideoModel,
    )

    tracker = Sam3TrackerVideoModel(module.config.tracker_config).eval()
    state = dict(module.tracker_model.state_dict())
    eye = module.detector_model.vision_encoder.backbone.state_dict()
    state |= {f"vision_encoder.backbone.{name}": value for name, value in eye.items()}
    state |= {f"vision_encoder.neck.{name}": value for name, value in module.tracker_neck.state_dict().items()}
    tracker.load_state_dict(state)
    session = Sam3TrackerVideoInferenceSession(video=torch.cat([pixels(one) for one in video()]), dtype=torch.float32)
    for thing, mask in enumerate(first()):
        place = session.obj_id_to_idx(thing)
        fit = functional.interpolate(mask[None, None], (112, 112), mode="bilinear", antialias=True)
        session.add_mask_inputs(place, 0, (fit >= 0.5).float())
    session.obj_with_new_inputs = [0, 1]
    found = []
    for number in range(FRAMES):
        out = tracker(inference_session=session, frame_idx=number)
        larger = functional.interpolate(out.pred_masks, (70, 90), mode="bilinear")[:, 0]
        found.append(without_overlaps(larger, out.object_score_logits.flatten().sigmoid().tolist()))
    return found


def test_masks_of_the_first_frame_are_followed_as_the_librarys_tracker_does(there):
    base, module = there
    model = checkpoint_loader(base.context, NAME).MODEL
    data = sam3_video_track(base.context, video(), model, first())
    assert data["n_frames"] == FRAMES
    assert data["orig_size"] == [70, 90]
    assert base.context.steps[-1] == (FRAMES, FRAMES)
    masks = _as_masks(data["packed_masks"], 90)
    assert masks.shape == (FRAMES, 2, 70, 90)
    wanted = torch.stack(by_the_library(module))
    assert wanted[1:].any()
    assert (masks != wanted).float().mean() < 1e-3
    again = sam3_video_track(base.context, video(), model, first())
    assert torch.equal(again["packed_masks"], data["packed_masks"])


@torch.inference_mode()
def asked_of_the_library(base: Seeing, module: Any, threshold: float, most: int) -> list[dict[int, torch.Tensor]]:
    """Masks by number of the thing, of each frame, as the library finds and follows what a text asks for."""
    from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

    tokens, mask = ids(base, "a red cat")
    session = Sam3VideoInferenceSession(video=torch.cat([pixels(one) for one in video()]), dtype=torch.float32)
    session.prompts, session.prompt_input_ids, session.prompt_attention_masks = {0: "a red cat"}, {0: tokens}, {0: mask}
    kept = module.score_threshold_detection, module.new_det_thresh, module.max_num_objects
    module.score_threshold_detection, module.new_det_thresh, module.max_num_objects = threshold, threshold, most
    try:
        outs = list(module.propagate_in_video_iterator(session))
    finally:
        module.score_threshold_detection, module.new_det_thresh, module.max_num_objects = kept
    found = []
    for out in outs:
        masks = {
            thing: functional.interpolate(mask[None], (70, 90), mode="bilinear")[0, 0]
            for thing, mask in out.obj_id_to_mask.items()
            if thing not in out.suppressed_obj_ids
        }
        scores = [out.obj_id_to_tracker_score.get(thing, 0.0) for thing in masks]
        apart = without_overlaps(torch.stack(list(masks.values())), scores) if masks else []
        found.append(dict(zip(masks, apart, strict=True)))
    return found


def test_what_a_text_asks_for_is_found_and_followed_as_the_library_does(there):
    base, module = there
    model, clip, _ = checkpoint_loader(base.context, NAME)
    asked = text_encode(base.context, "a red cat", clip)
    data = sam3_video_track(base.context, video(), model, None, asked, detection_threshold=0.1, max_objects=3)
    wanted = asked_of_the_library(base, module, 0.1, 3)
    things = sorted({thing for frame in wanted for thing in frame})
    masks = _as_masks(data["packed_masks"], 90)
    assert masks.shape[1] == len(things) > 0
    for mine, theirs in zip(masks, wanted, strict=True):
        for place, thing in enumerate(things):
            assert (mine[place] != theirs.get(thing, torch.zeros(70, 90, dtype=torch.bool))).float().mean() < 1e-3
    assert following.library.cv_utils_kernel is following._Kernels
    model_in_use = base.context.models
    with model_in_use.use(model) as segmenter:
        assert segmenter.module.new_det_thresh == 0.7  # as it was


def test_masks_and_a_text_together_and_frames_in_which_nothing_is_looked_for(there):
    base, _ = there
    model, clip, _ = checkpoint_loader(base.context, NAME)
    asked = text_encode(base.context, "a red cat", clip)
    both = sam3_video_track(base.context, video(), model, first()[:1], asked, detection_threshold=0.1, max_objects=2)
    assert both["packed_masks"].shape[1] == 2
    shown = _as_masks(both["packed_masks"][0, 0], 90).float()
    assert (
        shown != first()[0]
    ).float().mean() < 0.15  # the tracker's masks are of 32 pixels, and the surer one has a pixel
    rarely = sam3_video_track(base.context, video(), model, None, asked, 0.1, max_objects=2, detect_interval=10)
    once = sam3_video_track(base.context, video()[:1], model, None, asked, 0.1, max_objects=2)
    assert rarely["packed_masks"].shape[1] == once["packed_masks"].shape[1] > 0
    assert torch.equal(rarely["packed_masks"][0], once["packed_masks"][0])
    never = sam3_video_track(base.context, video(), model, None, asked, detection_threshold=1.0)
    assert never["packed_masks"].shape == (FRAMES, 0, 70, 12)
    assert not sam3_track_to_mask(base.context, never).any()


def test_more_masks_than_things_are_cut_and_what_is_missing_is_told(there):
    base, _ = there
    model, clip, _ = checkpoint_loader(base.context, NAME)
    data = sam3_video_track(base.context, video()[:1], model, first(), max_objects=1)
    assert data["packed_masks"].shape[1] == 1
    assert "the first 1 are followed" in base.context.warned[-1]
    with pytest.raises(ValueError, match="nothing to follow"):
        sam3_video_track(base.context, video(), model)
    asked = text_encode(base.context, "cat", clip)
    with pytest.raises(ValueError, match="holds 2 texts"):
        sam3_video_track(base.context, video(), model, None, asked * 2)


def test_a_job_is_cancelled_between_frames(there):
    base, _ = there
    model = checkpoint_loader(base.context, NAME).MODEL
    stopping = type(base.context)(models=base.context.models, paths=base.context.paths, cancel_at=2)
    with pytest.raises(Cancelled):
        sam3_video_track(stopping, video(), model, first())
    assert len(stopping.steps) == 2


def test_without_a_tracker_that_is_known_the_other_node_is_named(there):
    from engine.models.networks.segmenting import Segmenter

    handle: Any = SimpleNamespace(source=SimpleNamespace(path="sam3.1.safetensors"), config={"clicks": True})
    segmenter = Segmenter(there[1], handle, torch.device("cpu"), torch.float32)
    with pytest.raises(ModelError, match=r"sam3\.1\.safetensors: holds no tracker .*use SAM3_Detect"):
        following.Follower(segmenter, following.Wanted(masks=first()))


def data_of(masks: torch.Tensor) -> dict[str, Any]:
    height, width = masks.shape[-2:]
    packed = torch.stack([_as_bits(frame) for frame in masks])
    return {"packed_masks": packed, "orig_size": [height, width], "n_frames": len(masks), "scores": []}


def test_masks_are_packed_and_joined_by_number(there):
    context = there[0].context
    masks = torch.rand(3, 4, 9, 13, generator=torch.Generator().manual_seed(1)) > 0.6
    data = data_of(masks)
    assert data["packed_masks"].shape == (3, 4, 9, 2)
    assert data["packed_masks"][0, 0, 0, 0] == sum(
        int(bit) << (7 - place) for place, bit in enumerate(masks[0, 0, 0, :8])
    )
    assert torch.equal(sam3_track_to_mask(context, data), masks.any(dim=1).float())
    assert torch.equal(sam3_track_to_mask(context, data, " 2, 0 "), (masks[:, 0] | masks[:, 2]).float())
    assert torch.equal(sam3_track_to_mask(context, data, "1,9"), masks[:, 1].float())
    assert "4 things were followed" in context.warned[-1]
    for wrong in ("a", "-1", "1;2", "1.5"):
        with pytest.raises(ValueError, match="object_indices is"):
            sam3_track_to_mask(context, data, wrong)
    with pytest.raises(ValueError, match="expected what SAM3_VideoTrack gives"):
        sam3_track_to_mask(context, {"packed_masks": torch.zeros(3)})


def test_a_preview_is_a_video_with_colours_over_things(there):
    base = there[0]
    masks = torch.zeros(2, 1, 32, 48, dtype=torch.bool)
    masks[:, 0, 4:28, 4:20] = True
    below = torch.full((2, 32, 48, 3), 0.5)
    made = sam3_track_preview(base.context, data_of(masks), below, opacity=1.0)
    (file,) = made.ui["images"]
    assert file["type"] == "temp"
    assert made.ui["animated"] == [True]
    from engine.media.video import tensor, video_file

    shown = tensor(video_file(base.base / "temp" / file["subfolder"] / file["filename"]))
    assert shown.shape == (2, 32, 48, 3)
    assert (shown[0, 6:9, 5:8] - torch.tensor([0.90, 0.10, 0.29])).abs().max() < 0.15
    assert (shown[0, 10:20, 30:40] - 0.5).abs().max() < 0.05
    assert sam3_track_preview(base.context, data_of(masks)).ui["images"]


def test_overlaps_and_areas_are_found_without_a_compiled_kernel():
    overlaps = torch.tensor([[1.0, 0.6, 0.0], [0.6, 1.0, 0.2], [0.0, 0.2, 1.0]])
    assert following._Kernels.generic_nms(overlaps, torch.tensor([0.5, 0.9, 0.1]), 0.1).tolist() == [1]
    assert following._Kernels.generic_nms(overlaps, torch.tensor([0.5, 0.9, 0.1]), 0.3).tolist() == [1, 2]
    mask = torch.zeros(1, 1, 4, 5, dtype=torch.uint8)
    mask[0, 0, 0, 0] = mask[0, 0, 1, 1] = mask[0, 0, 3, 4] = 1
    labels, counts = following._Kernels.cc_2d(mask)
    assert counts[0, 0].tolist() == [[2, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0] * 5, [0, 0, 0, 0, 1]]
    assert labels[0, 0, 0, 0] == labels[0, 0, 1, 1] != labels[0, 0, 3, 4]
