"""Perp-Neg against its formula, as a guider and put on a model, and where it cannot be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from engine.__main__ import handle_codecs
from engine.cache.codecs import Codecs
from engine.cache.digests import digest
from engine.models.handles import Source
from engine.sampling.guiders import CfgGuidance
from nodes.guidance_perp_neg import perp_neg, perp_neg_guider
from nodes.guidance_predictions import tcfg
from tests.guided_runs import EPS, FLOW, by_hand, handle, made, text

POSITIVE, NEGATIVE, EMPTY = text(1), text(2), text(3)


def perpendicular(x: Tensor, sigma: float, found: list[Tensor]) -> Tensor:
    """Armandpour et al. 2023, eq. 8, on what the network says: cfg 5, of the negative 1.5 times."""
    positive, negative, empty = found
    made_of = []
    for p, n, e in zip(positive - empty, negative - empty, empty):
        off = n - (n.flatten() @ p.flatten()) / (p.flatten() @ p.flatten()) * p
        made_of.append(e + 5.0 * (p - 1.5 * off))
    return torch.stack(made_of)


@pytest.mark.parametrize("process", [EPS, FLOW], ids=["eps", "flow"])
def test_guider_and_model_are_the_formula_over_a_run(process: Any) -> None:
    model = handle(process)
    expected = by_hand(model, perpendicular, POSITIVE, NEGATIVE, EMPTY)
    guided = perp_neg_guider(model, POSITIVE, NEGATIVE, EMPTY, 5.0, 1.5)
    assert torch.allclose(made(guided.model, guided.guidance), expected, atol=1e-4)
    put_on = perp_neg(model, EMPTY, 1.5)
    assert torch.allclose(made(put_on, CfgGuidance(POSITIVE, NEGATIVE, 5.0)), expected, atol=1e-4)


def test_what_points_the_same_way_takes_nothing_off_and_at_cfg_1_it_still_counts() -> None:
    model = handle()
    same = perp_neg_guider(model, POSITIVE, POSITIVE, EMPTY, 5.0, 7.0)
    assert torch.allclose(made(model, same.guidance), made(model, CfgGuidance(POSITIVE, EMPTY, 5.0)), atol=1e-4)
    for away in (NEGATIVE, EMPTY):
        once = perp_neg_guider(model, POSITIVE, away, EMPTY, 1.0, 1.0)
        differs = not torch.allclose(
            made(model, once.guidance), made(model, CfgGuidance(POSITIVE, EMPTY, 1.0)), atol=1e-3
        )
        assert differs == (away is NEGATIVE)
    nothing = perp_neg_guider(model, EMPTY, NEGATIVE, EMPTY, 3.0, 1.0)
    assert made(model, nothing.guidance).isfinite().all()


def test_it_takes_other_guidance_along() -> None:
    model = handle()
    guided = perp_neg_guider(model, POSITIVE, NEGATIVE, EMPTY, 5.0, 1.5)
    assert not torch.equal(made(tcfg(model).patched_model, guided.guidance), made(model, guided.guidance))


def test_a_model_is_named_by_the_conditioning_that_it_carries_and_is_kept_with_it(tmp_path: Any) -> None:
    (tmp_path / "tiny.safetensors").touch()
    model = msgspec.structs.replace(handle(), source=Source(str(tmp_path / "tiny.safetensors"), "0"))
    one, other = perp_neg(model, EMPTY), perp_neg(model, NEGATIVE)
    assert len({model.identity(), one.identity(), other.identity(), perp_neg(model, EMPTY, 2.0).identity()}) == 4
    assert one.identity() == perp_neg(model, text(3)).identity()
    codecs = Codecs(handle_codecs())
    again = codecs.decode(b"".join(codecs.encode(one)))
    assert again.identity() == one.identity()
    assert digest(list(again.carried.values())) == digest([EMPTY])
    assert one.weights_alone().carried == {}


def test_a_conditioning_without_content_is_refused() -> None:
    with pytest.raises(ValueError, match="PerpNeg: empty_conditioning: expected a value that is known by its content"):
        perp_neg(handle(), [[EMPTY[0][0], {"model_conds": object()}]])
