"""SAM 3 segments what the library's own does: by a text, in boxes, by clicks; and what it cannot be asked for is told."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.errors import CheckpointError, ModelError
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.sam3 import sam3_detect
from tests.conftest import _tokenizer_json, _vocabulary, _write_tokenizer
from tests.tiny_geometry import write_birefnet
from tests.tiny_seeing import Seeing, seeing, tiny_sam3, write_sam3

NAME = "sam3/model.safetensors"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seeing, Any]:
    module = tiny_sam3(len(_vocabulary()))
    base = seeing(tmp_path_factory.mktemp("segmenters"))
    base.file("checkpoints", NAME, module.state_dict(), module.config.to_dict())
    folder = base.base / "models/text_encoders/clip"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(_tokenizer_json(_write_tokenizer(base.base / "words")))
    return base, module


def pictures() -> torch.Tensor:
    return torch.rand(2, 70, 90, 3, generator=torch.Generator().manual_seed(2))


def pixels(picture: torch.Tensor) -> torch.Tensor:
    """As the library's processor has them: bytes, smoothly resized, from -1 to 1."""
    whole = (picture[None].movedim(-1, 1) * 255).round().to(torch.uint8)
    return functional.interpolate(whole, (112, 112), mode="bilinear", antialias=True).float() / 127.5 - 1


def ids(base: Seeing, text: str) -> torch.Tensor:
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(base.base / "models/text_encoders/clip/tokenizer.json"))
    start, end = made.token_to_id("<|startoftext|>"), made.token_to_id("<|endoftext|>")
    row = [start, *made.encode(text, add_special_tokens=False).ids, end]
    return torch.tensor([row + [end] * (32 - len(row))]), torch.tensor([[1] * len(row) + [0] * (32 - len(row))])


@torch.no_grad()
def by_text(base: Seeing, module: Any, picture: torch.Tensor, text: str, threshold: float) -> Any:
    """Masks, boxes and scores as the library's processor makes them of what its detector gives, padding included."""
    tokens, mask = ids(base, text)
    found = module.detector_model(pixel_values=pixels(picture), input_ids=tokens, attention_mask=mask)
    scores = (found.pred_logits.sigmoid() * found.presence_logits.sigmoid())[0]
    kept = scores > threshold
    size = tuple(picture.shape[:2])
    masks = functional.interpolate(found.pred_masks[0][kept][:, None].sigmoid(), size, mode="bilinear") > 0.5
    order = scores[kept].argsort(descending=True)
    boxes = found.pred_boxes[0][kept] * torch.tensor([size[1], size[0]] * 2)
    return masks[:, 0].float()[order], boxes[order], scores[kept][order], found.pred_masks[0][kept][order]


def corners(boxes: list[dict[str, float]]) -> torch.Tensor:
    return torch.tensor([[one["x"], one["y"], one["x"] + one["width"], one["y"] + one["height"]] for one in boxes])


def test_what_a_text_asks_for_is_what_the_librarys_detector_finds(there):
    base, module = there
    model, clip, _ = checkpoint_loader(base.context, NAME)
    asked = text_encode(base.context, "a red cat", clip)
    for threshold in (0.0, 0.12):
        masks, boxes = sam3_detect(
            base.context, model, pictures(), asked, threshold=threshold, refine_iterations=0, individual_masks=True
        )
        wanted = [by_text(base, module, one, "a red cat", threshold) for one in pictures()]
        assert masks.shape[0] == sum(len(one[0]) for one in wanted)
        assert (masks != torch.cat([one[0] for one in wanted])).float().mean() < 1e-4
        for mine, (_, theirs, scores, _) in zip(boxes, wanted, strict=True):
            assert (corners(mine) - theirs).abs().max() < 1e-4 * 90
            assert torch.allclose(torch.tensor([box["score"] for box in mine]), scores, atol=1e-4)
    whole, _ = sam3_detect(base.context, model, pictures(), asked, threshold=0.12, refine_iterations=0)
    assert torch.equal(whole[0], masks[: len(wanted[0][0])].amax(dim=0))


@torch.no_grad()
def decoded(module: Any, picture: torch.Tensor, **prompt: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """What the library's tracker for pictures makes of a prompt in pixels of 112."""
    from transformers.models.sam3_tracker.configuration_sam3_tracker import Sam3TrackerConfig
    from transformers.models.sam3_tracker.modeling_sam3_tracker import Sam3TrackerModel

    told = module.config.tracker_config.to_dict()
    kept = {name: told[name] for name in ("vision_config", "prompt_encoder_config", "mask_decoder_config")}
    # with four levels, as its checkpoint has them, the library's class adds `no_memory_embedding` to the one that it drops
    kept["vision_config"]["scale_factors"] = [4.0, 2.0, 1.0]
    tracker = Sam3TrackerModel(Sam3TrackerConfig(**kept)).eval()
    state = {name: value for name, value in module.tracker_model.state_dict().items() if name in tracker.state_dict()}
    state |= {
        f"vision_encoder.backbone.{name}": value
        for name, value in module.detector_model.vision_encoder.backbone.state_dict().items()
    }
    necks = module.tracker_neck.state_dict().items()
    state |= {f"vision_encoder.neck.{name}": value for name, value in necks if not name.startswith("fpn_layers.3")}
    tracker.load_state_dict(state)
    found = tracker(pixel_values=pixels(picture), **prompt)
    return found.pred_masks[0, 0], found.iou_scores[0, 0]


def test_boxes_and_clicks_are_decoded_as_the_library_does_and_refined_with_the_mask_before(there):
    base, module = there
    model = checkpoint_loader(base.context, NAME).MODEL
    picture = pictures()[:1]
    by = torch.tensor([112 / 90, 112 / 70])
    box = torch.tensor([10.0, 20.0, 50.0, 60.0])
    prompt: dict[str, Any] = {"input_boxes": (box * by.repeat(2))[None, None], "multimask_output": False}
    first, score = decoded(module, picture[0], **prompt)
    mine, found = sam3_detect(
        base.context, model, picture, bboxes={"x": 10, "y": 20, "width": 40, "height": 40}, refine_iterations=0
    )
    larger = functional.interpolate(first[None], (70, 90), mode="bilinear")[0]
    assert (mine != (larger > 0).float()).float().mean() < 1e-3
    assert found[0][0]["score"] == pytest.approx(float(score[0]), abs=1e-4)
    again, _ = decoded(module, picture[0], **prompt, input_masks=first[None])
    refined, _ = sam3_detect(
        base.context, model, picture, bboxes={"x": 10, "y": 20, "width": 40, "height": 40}, refine_iterations=1
    )
    larger = functional.interpolate(again[None], (70, 90), mode="bilinear")[0]
    assert (refined != (larger > 0).float()).float().mean() < 1e-3

    spot = torch.tensor([30.0, 40.0])
    masks, scores = decoded(
        module, picture[0], input_points=(spot * by)[None, None, None], input_labels=torch.tensor([[[1]]])
    )
    clicked, found = sam3_detect(
        base.context, model, picture, positive_coords='[{"x": 30, "y": 40}]', refine_iterations=0
    )
    best = int(scores.argmax())
    larger = functional.interpolate(masks[best][None, None], (70, 90), mode="bilinear")[0]
    assert (clicked != (larger > 0).float()).float().mean() < 1e-3
    assert found[0][0]["score"] == pytest.approx(float(scores[best]), abs=1e-4)
    rows, columns = clicked[0].nonzero(as_tuple=True)
    sides = corners(found[0])[0]
    assert (sides - torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])).abs().max() < 4


def test_a_text_is_looked_for_in_boxes_and_refined_by_the_decoder_of_clicks(there):
    base, module = there
    model, clip, _ = checkpoint_loader(base.context, NAME)
    asked = text_encode(base.context, "a red cat", clip)
    picture = pictures()[:1]
    every = sam3_detect(base.context, model, picture, asked, threshold=0.0, refine_iterations=0, individual_masks=True)
    middles = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in every.bboxes[0]]
    x, y = middles[2]
    area = {"x": x - 1, "y": y - 1, "width": 2, "height": 2}
    near = [index for index, (a, b) in enumerate(middles) if abs(a - x) <= 1 and abs(b - y) <= 1]
    some = sam3_detect(
        base.context, model, picture, asked, area, threshold=0.0, refine_iterations=0, individual_masks=True
    )
    assert some.bboxes[0] == [every.bboxes[0][index] for index in near]
    assert torch.equal(some.masks, every.masks[near])

    _, boxes, _, logits = by_text(base, module, picture[0], "a red cat", 0.0)
    by = torch.tensor([112 / 90, 112 / 70] * 2)
    prompt: dict[str, Any] = {"input_boxes": (boxes[:1] * by)[None], "multimask_output": False}
    again, _ = decoded(module, picture[0], **prompt, input_masks=logits[None, :1])
    twice, _ = decoded(module, picture[0], **prompt, input_masks=again[None])
    refined = sam3_detect(
        base.context, model, picture, asked, threshold=0.0, refine_iterations=2, individual_masks=True
    )
    larger = functional.interpolate(twice[None], (70, 90), mode="bilinear")[0]
    assert (refined.masks[:1] != (larger > 0).float()).float().mean() < 1e-3
    assert refined.bboxes == every.bboxes


def test_where_nothing_is_found_masks_are_empty(there):
    base, _ = there
    model, clip, _ = checkpoint_loader(base.context, NAME)
    asked = text_encode(base.context, "a red cat", clip)
    whole = sam3_detect(base.context, model, pictures(), asked, threshold=1.0)
    assert whole.masks.shape == (2, 70, 90)
    assert not whole.masks.any()
    assert whole.bboxes == [[], []]
    apart = sam3_detect(base.context, model, pictures(), bboxes=[[], []], individual_masks=True)
    assert apart.masks.shape == (1, 70, 90)
    assert not apart.masks.any()


def test_a_long_text_is_cut_and_told_of(there):
    base, _ = there
    clip = checkpoint_loader(base.context, NAME).CLIP
    context, options = text_encode(base.context, "cat " * 40, clip)[0]
    assert context.shape == (1, 32, 128)
    assert options["attention_mask"].sum() == 32
    assert "40 tokens, of which the first 30" in base.context.warned[-1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing to look for"),
        ({"positive_coords": "[{]"}, "positive_coords is"),
        ({"negative_coords": '{"x": 1, "y": 2}'}, "negative_coords is"),
        ({"positive_coords": '[{"x": 1}]'}, "positive_coords is"),
        ({"positive_coords": json.dumps([{"x": 1, "y": 1}] * 1001)}, "up to 1000 points"),
        ({"bboxes": [{"x": 1}]}, "SAM3_Detect: bboxes has"),
    ],
)
def test_what_is_no_question_is_told(there, given, said):
    base, _ = there
    with pytest.raises(ValueError, match=said):
        sam3_detect(base.context, checkpoint_loader(base.context, NAME).MODEL, pictures(), **given)


def test_other_models_and_other_texts_are_told(there, bench):
    base, _ = there
    model, clip, vae = checkpoint_loader(base.context, NAME)
    assert "holds no VAE" in str(vae.message)
    with pytest.raises(ModelError, match=r"conditioning has the shape \[1, 77, 768\]"):
        sam3_detect(base.context, model, pictures(), [[torch.zeros(1, 77, 768), {}]])
    other = bench.models.checkpoint(bench.paths.find("checkpoints", "tiny.safetensors")).model
    with pytest.raises(ModelError, match="SAM3_Detect: model is of another kind"):
        sam3_detect(bench, other, pictures(), positive_coords='[{"x": 1, "y": 1}]')
    with pytest.raises(ModelError, match="has no with_last_layer"):
        clip.with_last_layer(-2)


def test_a_file_without_its_config_is_told(there):
    base, module = there
    base.file("checkpoints", "alone.safetensors", module.state_dict())
    with pytest.raises(CheckpointError, match=r"alone\.safetensors: looks like SAM 3.*config\.json of a sam3_video"):
        checkpoint_loader(base.context, "alone.safetensors")


def test_loaders_of_other_parts_say_what_the_file_is(there):
    base, _ = there
    write_sam3(base.base)
    from nodes.loaders import text_encoder_loader, vae_loader

    for folder in ("vae", "text_encoders"):
        place = base.base / "models" / folder
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(base.base / "models/checkpoints/sam3.safetensors", place / "s.safetensors")
    with pytest.raises(CheckpointError, match=r"holds no VAE.*It holds SAM 3.*CheckpointLoaderSimple"):
        vae_loader(base.context, "s.safetensors")
    reader = text_encoder_loader(base.context, "s.safetensors")
    assert text_encode(base.context, "cat", reader)[0][0].shape == (1, 3, 128)
    model = checkpoint_loader(base.context, "sam3.safetensors").MODEL
    with pytest.raises(ModelError, match=r"holds SAM 3.*which has no family"):
        _ = model.family
    with base.context.models.use(reader) as one, pytest.raises(ModelError, match=r"reads one text, got 2"):
        one.encode_each({"l": "a", "g": "b"})


def test_a_network_with_another_loader_is_no_checkpoint(there):
    base, _ = there
    write_birefnet(base.base / "models/checkpoints/birefnet.safetensors")
    with pytest.raises(
        CheckpointError, match=r"birefnet\.safetensors: holds BiRefNet.*Load it by LoadBackgroundRemovalModel"
    ):
        checkpoint_loader(base.context, "birefnet.safetensors")
