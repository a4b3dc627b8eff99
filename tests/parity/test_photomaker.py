"""PhotoMaker: the text of a person against its authors' sums on the library's encoders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.errors import CheckpointError, ModelError
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.model_patch import model_patch_loader, qwen_image_diffsynth_controlnet
from nodes.photomaker import photo_maker_encode, photo_maker_loader
from tests.conftest import _tokenizer_json
from tests.families import Tiny, save, write_xl
from tests.runs import bench_of, picture
from tests.tiny_ip_adapter import SIDE

WIDTHS = (32, 48)
"""Of the tiny text encoders."""
HIDDEN = 24


def encoder() -> dict[str, torch.Tensor]:
    from engine.models.networks.photomaker import PersonEncoder

    torch.manual_seed(61)
    sizes = {"hidden_size": HIDDEN, "intermediate_size": 32, "num_attention_heads": 1, "num_hidden_layers": 2}
    told = {"image_size": SIDE, "patch_size": 14, "projection_dim": WIDTHS[0], "hidden_act": "quick_gelu"}
    made = PersonEncoder({**sizes, **told}, WIDTHS[1])
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return dict(made.state_dict())


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    made = write_xl(tmp_path_factory.mktemp("photomaker"), files, _tokenizer_json(files))
    state = encoder()
    path = made.file("photomaker", "v1.bin")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"id_encoder": state, "lora_weights": {"unet.down.weight": torch.zeros(2, 2)}}, path)
    save(made.file("model_patches", "v1.safetensors"), {f"id_encoder.{name}": value for name, value in state.items()})
    save(made.file("photomaker", "v2.safetensors"), state | {"qformer_perceiver.a.weight": torch.zeros(1)})
    return made


def photos(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(5)) / 255


def by_hand(tiny: Tiny, before: str, after: str, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As github.com/TencentARC/PhotoMaker has it at commit 060b4fc (photomaker/model.py, pipeline.py)."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from engine.models.vision import preprocess

    state, contexts, pooled = encoder(), [], None
    for number, name in enumerate(("tokenizer", "tokenizer_2")):
        words = tiny.tokenizers[name]
        first, last = (words(text, add_special_tokens=False).input_ids for text in (before, after))
        place = len(first)  # of the last token before the word, after the start
        ids = [words.bos_token_id, *first, *[first[-1]] * (len(pictures) - 1), *last, words.eos_token_id]
        ids = torch.tensor([ids + [words.pad_token_id] * (77 - len(ids))])
        found = tiny.modules["text_encoder_2" if number else "text_encoder"](ids, output_hidden_states=True)
        contexts.append(found.hidden_states[-2])
        pooled = found[0]
    context = torch.cat(contexts, dim=-1)
    sizes = {"hidden_size": HIDDEN, "intermediate_size": 32, "num_attention_heads": 1, "num_hidden_layers": 2}
    vision = CLIPVisionModelWithProjection(
        CLIPVisionConfig(**sizes, image_size=SIDE, patch_size=14, projection_dim=WIDTHS[0])
    ).eval()
    vision.load_state_dict({name: state[name] for name in vision.state_dict()})
    seen = vision.vision_model(preprocess(pictures, SIDE))[1]
    person = torch.cat([vision.visual_projection(seen), seen @ state["visual_projection_2.weight"].T], -1)

    def layers(x: torch.Tensor, name: str, *, residual: bool) -> torch.Tensor:
        own = {key.removeprefix(f"fuse_module.{name}."): v for key, v in state.items() if f"fuse_module.{name}." in key}
        inner = functional.layer_norm(x, x.shape[-1:], own["layernorm.weight"], own["layernorm.bias"])
        inner = functional.gelu(functional.linear(inner, own["fc1.weight"], own["fc1.bias"]))
        inner = functional.linear(inner, own["fc2.weight"], own["fc2.bias"])
        return inner + x if residual else inner

    columns = slice(place, place + len(pictures))
    text = context[0, columns]
    fused = layers(torch.cat([text, person], -1), "mlp1", residual=False) + text
    fused = layers(fused, "mlp2", residual=True)
    norm = (state["fuse_module.layer_norm.weight"], state["fuse_module.layer_norm.bias"])
    context[0, columns] = functional.layer_norm(fused, fused.shape[-1:], *norm)
    return context, pooled


@pytest.mark.parametrize("count", [1, 3])
def test_a_person_stands_at_the_word_as_its_authors_have_it(tiny, count):
    bench = bench_of(tiny)
    _, clip, _ = checkpoint_loader(bench, "xl.safetensors")
    maker = photo_maker_loader(bench, "v1.bin")
    ((context, told),) = photo_maker_encode(
        bench, maker, photos(count), clip, "a photo of the dog photomaker on the tree"
    )
    with torch.no_grad():
        wanted, pooled = by_hand(tiny, "a photo of the dog", "on the tree", photos(count))
    assert context.shape == wanted.shape
    assert float((context - wanted).abs().max()) <= 1e-5
    assert float((told["pooled_output"] - pooled).abs().max()) <= 1e-5


def test_a_text_without_the_word_is_as_it_is_and_emphasis_counts(tiny):
    bench = bench_of(tiny)
    _, clip, _ = checkpoint_loader(bench, "xl.safetensors")
    maker = photo_maker_loader(bench, "v1.bin")
    ((context, _),) = photo_maker_encode(bench, maker, photos(1), clip, "a photo of photomakers")
    assert torch.equal(context, text_encode(bench, "a photo of photomakers", clip)[0][0])
    one, other = (
        photo_maker_encode(bench, maker, photos(1), clip, f"a photo of the (dog{w} photomaker on the tree")[0][0]
        for w in (")", ":1.3)")
    )
    assert one.shape == other.shape
    assert float((one - other).abs().max()) > 1e-3


def test_what_does_not_fit_is_told_in_words(tiny, tiny_sd, bench):
    own = bench_of(tiny)
    model, clip, vae = checkpoint_loader(own, "xl.safetensors")
    maker = photo_maker_loader(own, "v1.bin")
    with pytest.raises(ModelError, match="expected a word for the person before 'photomaker'"):
        photo_maker_encode(own, maker, photos(1), clip, "photomaker, a man")
    with pytest.raises(ModelError, match="the person, in 80 pictures after 1 tokens of text, does not fit"):
        photo_maker_encode(own, maker, photos(80), clip, "the dog photomaker")
    with pytest.raises(
        ModelError, match="wants a text of width 80, of Stable Diffusion XL's two encoders, got 1 of Stable"
    ):
        photo_maker_encode(own, maker, photos(1), checkpoint_loader(bench, "tiny.safetensors").CLIP, "a man photomaker")
    with pytest.raises(CheckpointError, match=r"v2.safetensors: PhotoMaker's second version"):
        photo_maker_loader(own, "v2.safetensors")
    patch = model_patch_loader(own, "v1.safetensors")
    steered = qwen_image_diffsynth_controlnet(model, patch, vae, torch.zeros(1, 64, 64, 3))
    both = [text_encode(own, "dog", clip)] * 2
    with pytest.raises(ModelError, match=r"works on the prompt, not within a model.*PhotoMakerEncode"):
        picture(own, steered, vae, *both, 1.0, 64, 64)


def test_the_handle_is_data(tiny):
    from engine.models.handles import decode_handle, encode_handle

    maker: Any = photo_maker_loader(bench_of(tiny), "v1.bin")
    assert decode_handle(encode_handle(maker)) == maker
