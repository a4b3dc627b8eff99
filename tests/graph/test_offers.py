"""Names that packs bring become choices of the built-in nodes, and of no others."""

from __future__ import annotations

from engine.graph.offers import BUILT_IN, offer
from engine.graph.schema import Catalogue, Files, InputSpec, NodeSpec


def spec(name: str, pack: str, choices: object) -> NodeSpec:
    return NodeSpec(name=name, pack=pack, inputs=(InputSpec(name="sampler_name", type="COMBO", choices=choices),))


def test_a_name_is_added_once_behind_the_choices_that_there_are() -> None:
    catalogue = Catalogue([spec("A", BUILT_IN, ("euler",))])
    changed = offer(catalogue, {"sampler_name": ["euler", "mine"]}, BUILT_IN)
    assert [one.name for one in changed] == ["A"]
    assert catalogue.spec("A").inputs[0].choices == ("euler", "mine")
    assert offer(catalogue, {"sampler_name": ["euler", "mine"]}, BUILT_IN) == []


def test_other_packs_other_inputs_and_files_stay_as_they_are() -> None:
    catalogue = Catalogue(
        [spec("A", "theirs", ("euler",)), spec("B", BUILT_IN, Files("loras")), spec("C", BUILT_IN, None)]
    )
    assert offer(catalogue, {"sampler_name": ["mine"]}, BUILT_IN) == []
    assert offer(Catalogue([spec("A", BUILT_IN, ("euler",))]), {"scheduler": ["mine"]}, BUILT_IN) == []
