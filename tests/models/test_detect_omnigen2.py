"""OmniGen2 in full size, by names and shapes alone; its blocks against Lumina 2's network, its places against loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families, family_named
from engine.models.networks.omnigen2_module import OmniGen2Transformer
from tests.models.test_detect import shapes
from tests.tiny_omnigen2 import SIZES, transformer


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    """As the published configuration has it."""
    told = family_named("omnigen2").full
    assert told is not None
    with torch.device("meta"):
        state = OmniGen2Transformer(**told).state_dict()
    assert state["layers.31.attn.to_k.weight"].shape == (840, 2520)
    for prefix in ("", "model.diffusion_model."):
        found = detect({f"{prefix}{name}": shape for name, shape in shapes(state).items()})
        assert found.family == "omnigen2"
        assert found.network == {**told, "axes": list(told["axes"]), "references": 5}
        assert (found.latent.channels, found.parameterization.shift) == (16, 2.6)
    assert [family.name for family in families() if family.fits(shapes(state))] == ["omnigen2"]


def test_under_one_word_it_is_lumina_2s_network() -> None:
    """Where a text's places are the same: those of further words are told in one number there, and in three here."""
    from diffusers.models.transformers.transformer_lumina2 import Lumina2Transformer2DModel

    torch.manual_seed(1)
    module: Any = transformer().eval().requires_grad_(False)
    theirs = Lumina2Transformer2DModel(
        hidden_size=SIZES["hidden_size"],
        num_layers=SIZES["num_layers"],
        num_refiner_layers=SIZES["num_refiner_layers"],
        num_attention_heads=SIZES["num_attention_heads"],
        num_kv_heads=SIZES["num_kv_heads"],
        multiple_of=SIZES["inner"],
        ffn_dim_multiplier=SIZES["inner"] / (4 * SIZES["hidden_size"]),
        axes_dim_rope=SIZES["axes"],
        cap_feat_dim=SIZES["text_feat_dim"],
    )
    state = {name: value for name, value in module.state_dict().items() if not name.startswith(("ref_", "image_index"))}
    theirs.eval().requires_grad_(False).load_state_dict(state)
    x, time, text = torch.randn(2, 16, 6, 10), torch.tensor([300.0, 700.0]), torch.randn(2, 1, SIZES["text_feat_dim"])
    wanted = theirs(x, time, text, torch.ones(2, 1, dtype=torch.int64), return_dict=False)[0]
    assert torch.allclose(module(x, time, text), wanted, atol=1e-5)


@pytest.mark.parametrize("references", [[], [(4, 10)], [(4, 10), (6, 2)]])
def test_places_are_those_of_loops(references) -> None:
    wanted = [(word, word, word) for word in range(3)]
    start = 3
    for height, width in [*references, (6, 8)]:
        wanted += [(start, row, column) for row in range(height // 2) for column in range(width // 2)]
        start += max(height, width) // 2
    got = torch.cat(OmniGen2Transformer.places(3, references, (6, 8)))
    assert got.tolist() == [list(place) for place in wanted]


def test_turns_are_those_of_the_librarys_axes() -> None:
    from diffusers.models.embeddings import get_1d_rotary_pos_embed

    module: Any = transformer()
    places = torch.tensor([[0, 1, 2], [5, 4, 3]])
    tables = [get_1d_rotary_pos_embed(size, 8, theta=10_000, freqs_dtype=torch.float64) for size in module.axes]
    wanted = torch.cat([table[places[:, axis]] for axis, table in enumerate(tables)], dim=-1)
    assert torch.allclose(module._turns(places)[0], wanted.to(torch.complex64), atol=1e-6)


def test_a_picture_is_refined_by_itself_and_told_by_its_number() -> None:
    torch.manual_seed(2)
    module: Any = transformer().eval().requires_grad_(False)
    x, time, text = torch.randn(1, 16, 4, 4), torch.tensor([400.0]), torch.randn(1, 3, SIZES["text_feat_dim"])
    one, other = torch.randn(1, 16, 4, 4), torch.randn(1, 16, 4, 4)

    def seen(*pictures: torch.Tensor) -> torch.Tensor:
        return module(x, time, text, None, pictures)

    assert not torch.allclose(seen(one, other), seen(other, one), atol=1e-4)
    assert not torch.allclose(seen(one), seen(), atol=1e-4)
    before = seen(one, one)
    module.image_index_embedding[1] += 1.0
    assert not torch.allclose(seen(one, one), before, atol=1e-4)
    module.image_index_embedding[1] -= 1.0
    both = torch.cat([x, x]), torch.cat([time, time]), torch.cat([text, text]), None, [torch.cat([one, other])]
    rows = module(*both)
    assert torch.allclose(rows[:1], seen(one), atol=1e-5)
    assert torch.allclose(rows[1:], seen(other), atol=1e-5)
