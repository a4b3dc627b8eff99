"""Core nodes as classes, tensors, and V3 declarations."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from PIL import Image

from engine.plugins.compat.host import Host
from engine.plugins.compat.running import running


def test_a_subclass_of_save_image_saves_where_and_as_it_says(host: Host) -> None:
    import folder_paths

    from nodes import SaveImage

    class Mine(SaveImage):
        def __init__(self) -> None:
            self.output_dir = folder_paths.get_temp_directory()
            self.type = "temp"
            self.prefix_append = "_mine"
            self.compress_level = 1

    shown = Mine().save_images(torch.rand(2, 8, 6, 3), "x", {"1": {}}, {"workflow": {"n": 1}, "more": 2})
    names = [one["filename"] for one in shown["ui"]["images"]]
    assert names == ["x_mine_00001_.png", "x_mine_00002_.png"]
    numbered = Mine().save_images(torch.rand(2, 8, 6, 3), "y_%batch_num%")["ui"]["images"]
    assert [one["filename"] for one in numbered] == ["y_0_mine_00001_.png", "y_1_mine_00002_.png"]
    again = Mine().save_images(torch.rand(1, 8, 6, 3), "y_%batch_num%")["ui"]["images"]
    assert [one["filename"] for one in again] == ["y_0_mine_00003_.png"]
    with Image.open(host.paths.temp / names[0]) as picture:
        assert picture.size == (6, 8)
        assert json.loads(picture.text["workflow"]) == {"n": 1}
        assert json.loads(picture.text["more"]) == 2


def test_a_saved_picture_loads_again(host: Host) -> None:
    from nodes import LoadImage, PreviewImage

    picture = torch.rand(1, 8, 8, 3)
    (saved,) = PreviewImage().save_images(picture)["ui"]["images"]
    loaded, mask = LoadImage().load_image(f"{saved['filename']} [temp]")
    assert torch.allclose(loaded, picture, atol=1 / 255)
    assert mask.shape == (1, 64, 64)
    assert LoadImage.VALIDATE_INPUTS("gone.png") != True  # noqa: E712 - the protocol's answer


def test_core_classes_are_called_by_the_methods_and_places_of_the_field(host: Host, told: Any) -> None:
    from comfy_extras.nodes_mask import GrowMask

    import nodes

    (latent,) = nodes.EmptyLatentImage().generate(64, 32, 2)
    assert latent["samples"].shape == (2, 4, 4, 8)
    (bigger,) = nodes.LatentUpscaleBy().upscale(latent, "nearest-exact", 2.0)
    assert bigger["samples"].shape[-2:] == (8, 16)
    (scaled,) = nodes.ImageScale().upscale(torch.rand(1, 8, 8, 3), "lanczos", 4, 6, "disabled")
    assert scaled.shape == (1, 6, 4, 3)
    assert "lanczos" in nodes.ImageScale.upscale_methods
    assert nodes.LatentUpscaleBy.INPUT_TYPES()["required"]["upscale_method"][0][0] == "nearest-exact"
    (grown,) = GrowMask().expand_mask(torch.zeros(1, 4, 4), 1, True)
    assert grown.shape == (1, 4, 4)


def test_nodes_of_extras_are_called_by_their_old_method_or_on_the_class(host: Host, told: Any) -> None:
    from comfy_extras.nodes_custom_sampler import KarrasScheduler
    from comfy_extras.nodes_post_processing import ImageBlend

    with running(told):
        (old,) = KarrasScheduler().get_sigmas(4, 10.0, 0.1, 7.0)
        assert torch.equal(KarrasScheduler.execute(4, 10.0, 0.1, 7.0)[0], old)
        assert (
            ImageBlend().blend_images(torch.ones(1, 4, 4, 3), torch.zeros(1, 4, 4, 3), 0.25, "normal")[0].max() == 0.75
        )


def test_an_argument_that_only_the_field_has_may_be_given_as_long_as_it_changes_nothing(host: Host, told: Any) -> None:
    import nodes

    one, other = ({"samples": torch.full((1, 4, 4, 4), value)} for value in (1.0, 3.0))
    (done,) = nodes.LatentComposite().composite(one, other, 0, 0, "normal", 0)
    assert done["samples"].unique().tolist() == [3.0]
    assert nodes.LatentBlend().blend(one, other, 0.5)[0]["samples"].unique().tolist() == [2.0]
    with pytest.raises(NotImplementedError, match=r"LatentBlend\.blend\(blend_mode='add'\)"):
        nodes.LatentBlend().blend(one, other, 0.5, blend_mode="add")


def test_a_core_class_without_an_input_says_which(host: Host, told: Any) -> None:
    import nodes

    with (
        running(told),
        pytest.raises(TypeError, match=r"VAEDecode needs the input '(vae|samples)'"),
    ):
        nodes.VAEDecode().decode()


def test_the_table_of_classes_has_the_core_and_what_packs_put_there(host: Host) -> None:
    import nodes

    table = nodes.NODE_CLASS_MAPPINGS
    assert "KSampler" in table
    assert "CheckpointLoaderSimple" in list(table)
    assert table["KSampler"] is nodes.KSampler
    assert table.get("NobodysNode") is None
    table["Mine"] = int
    assert dict(table.items())["Mine"] is int
    del table["Mine"]


def test_loaders_without_a_node_of_ours_declare_themselves_and_refuse_to_load(host: Host) -> None:
    import nodes

    assert "type" in nodes.DualCLIPLoader.INPUT_TYPES()["required"]
    with pytest.raises(NotImplementedError, match=r"nodes\.DualCLIPLoader"):
        nodes.DualCLIPLoader()


def test_sampler_names_are_lists_that_packs_extend(host: Host) -> None:
    from comfy.samplers import SCHEDULER_NAMES, KSampler

    assert "euler" in KSampler.SAMPLERS
    assert KSampler.SCHEDULERS is SCHEDULER_NAMES
    KSampler.SCHEDULERS.append("mine")
    assert "mine" in SCHEDULER_NAMES
    KSampler.SCHEDULERS.remove("mine")


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "bislerp", "lanczos"])
def test_resizing_has_every_method(host: Host, method: str) -> None:
    from comfy.utils import common_upscale

    assert common_upscale(torch.rand(1, 4, 8, 16), 6, 6, method, "center").shape == (1, 4, 6, 6)


def test_tiles_of_an_identity_give_the_picture_back(host: Host) -> None:
    from comfy.utils import ProgressBar, get_tiled_scale_steps, tiled_scale

    picture = torch.rand(2, 3, 40, 70)
    bar = ProgressBar(2 * get_tiled_scale_steps(70, 40, 32, 32, 8))
    same = tiled_scale(picture, lambda tile: tile, 32, 32, 8, 1, 3, pbar=bar)
    assert torch.allclose(same, picture, atol=1e-5)
    twice = tiled_scale(picture, lambda tile: tile.repeat_interleave(2, 2).repeat_interleave(2, 3), 32, 32, 8, 2)
    assert torch.allclose(twice, picture.repeat_interleave(2, 2).repeat_interleave(2, 3), atol=1e-5)
    assert bar.current == bar.total


def test_weights_are_written_and_read_and_code_in_a_pickle_is_not_run(host: Host) -> None:
    import comfy.utils

    file = host.paths.base / "a.safetensors"
    comfy.utils.save_torch_file({"a.w": torch.ones(2)}, str(file), metadata={"k": "v"})
    weights, facts = comfy.utils.load_torch_file(str(file), return_metadata=True)
    assert weights["a.w"].sum() == 2
    assert facts == {"k": "v"}
    assert list(comfy.utils.state_dict_prefix_replace(dict(weights), {"a.": "b."})) == ["b.w"]
    bad = host.paths.base / "bad.pt"
    torch.save({"x": print}, bad)
    with pytest.raises(ValueError, match=r"Convert it to \.safetensors"):
        comfy.utils.load_torch_file(str(bad))


def test_conditionings_are_copied_when_values_are_set(host: Host) -> None:
    import node_helpers

    before = [[torch.zeros(1), {"a": [1]}]]
    after = node_helpers.conditioning_set_values(before, {"a": [2], "b": 3}, append=True)
    assert after[0][1] == {"a": [1, 2], "b": 3}
    assert before[0][1] == {"a": [1]}


def test_casting_layers_compute_in_the_dtype_of_their_input(host: Host) -> None:
    import comfy.ops

    class Ops(comfy.ops.manual_cast):
        class Linear(comfy.ops.manual_cast.Linear):
            pass

    layer = Ops.Linear(3, 2, dtype=torch.float16)
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    assert layer(torch.ones(1, 3)).tolist() == [[3.0, 3.0]]
    assert issubclass(comfy.ops.disable_weight_init.Conv2d, torch.nn.Conv2d)


def test_attention_is_that_of_pytorch(host: Host) -> None:
    from comfy.ldm.modules.attention import optimized_attention

    q = torch.rand(2, 5, 8)
    assert optimized_attention(q, q, q, heads=2).shape == (2, 5, 8)


def test_a_picture_is_put_over_another_at_a_place(host: Host) -> None:
    from comfy_extras.nodes_mask import composite

    done = composite(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 2, 2), 3, -1, None, 1)
    assert done.sum() == 1
    assert done[0, 0, 0, 3] == 1


def test_a_v3_class_declares_itself(host: Host) -> None:
    from comfy_api.latest import ComfyExtension, io

    class Mine(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> Any:
            match = io.MatchType.Template("T", [io.Image, io.Mask])
            grow = io.Autogrow.TemplatePrefix(io.Float.Input("x"), prefix="x", min=1, max=3)
            return io.Schema(
                node_id="Mine",
                category="test",
                inputs=[
                    io.Int.Input(
                        "n", default=2, min=0, max=9, display_mode=io.NumberDisplay.slider, tooltip="how many"
                    ),
                    io.Combo.Input("how", options=["a", "b"], default="a", optional=True),
                    io.String.Input("s", multiline=True, force_input=True),
                    io.MultiType.Input("m", [io.Image, io.Mask]),
                    io.MatchType.Input("t", match),
                    io.Autogrow.Input("g", grow),
                    io.DynamicCombo.Input("d", [io.DynamicCombo.Option("one", [io.Int.Input("k")])]),
                    io.Custom("MINE").Input("c"),
                ],
                outputs=[
                    io.Image.Output(),
                    io.MatchType.Output(match, id="same"),
                    io.AnyType.Output(is_output_list=True),
                ],
                is_output_node=True,
            )

        @classmethod
        def execute(cls, **kwargs: Any) -> Any:
            return io.NodeOutput(1, 2, 3, ui={"text": ["x"]})

    schema = Mine.GET_SCHEMA()
    declared = {one.id: (one.get_io_type(), one.as_dict()) for one in schema.inputs}
    assert declared["n"][1] == {"default": 2, "min": 0, "max": 9, "display": "slider", "tooltip": "how many"}
    assert declared["how"] == ("COMBO", {"default": "a", "options": ["a", "b"]})
    assert declared["s"][1]["forceInput"] is True
    assert declared["m"][0] == "IMAGE,MASK"
    assert declared["c"][0] == "MINE"
    assert declared["g"][1]["template"]["prefix"] == "x"
    assert declared["d"][1]["options"][0]["key"] == "one"
    assert [kind.value for kind in schema.hidden] == ["PROMPT", "EXTRA_PNGINFO"]
    assert Mine.RETURN_TYPES == ["IMAGE", "COMFY_MATCHTYPE_V3", "*"]
    assert Mine.INPUT_TYPES()["optional"].keys() == {"how"}
    assert Mine.execute().result == (1, 2, 3)
    with pytest.raises(TypeError):
        ComfyExtension()


def test_two_inputs_of_one_id_are_refused_by_name(host: Host) -> None:
    from comfy_api.latest import io

    class Twice(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> Any:
            return io.Schema(node_id="Twice", inputs=[io.Int.Input("a"), io.Float.Input("a")])

    with pytest.raises(ValueError, match=r"Twice: input ids must differ.*a"):
        Twice.GET_SCHEMA()


def test_a_v3_class_on_an_absent_one_declares_itself(host: Host) -> None:
    from comfy_api.latest import Types, io
    from comfy_extras.nodes_lt import LTXVAddGuide

    from engine.plugins.adapters.v3 import definition

    class Mine(LTXVAddGuide):  # type: ignore[misc, valid-type]
        @classmethod
        def define_schema(cls) -> Any:
            format = io.Combo.Input("format", options=Types.VideoContainer.as_input(), default="auto")
            return io.Schema(node_id="Mine", category="test", inputs=[format], outputs=[io.Int.Output()])

        @classmethod
        def execute(cls, format: str) -> Any:
            return io.NodeOutput(Types.VideoContainer.get_extension(format))

    spec = definition(Mine, "pack").spec
    assert (spec.name, spec.inputs[0].choices) == ("Mine", ("auto", "mp4"))
    assert Mine.execute("auto").args == ("mp4",)


def test_an_input_of_a_v3_class_may_have_the_name_of_a_hidden_one(host: Host, told: Any) -> None:
    from comfy_api.latest import io

    from engine.plugins.adapters.v3 import definition

    class Mine(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> Any:
            return io.Schema(
                node_id="Mine", inputs=[io.String.Input("prompt")], hidden=[io.Hidden.prompt, io.Hidden.unique_id]
            )

        @classmethod
        def execute(cls, prompt: str) -> Any:
            return prompt, cls.hidden.prompt, cls.hidden.unique_id

    made = definition(Mine, "pack")
    filled = {name: f"the {kind}" for name, kind in made.spec.hidden.items()}
    assert made.run(told, prompt="a cat", **filled) == ("a cat", "the PROMPT", "the UNIQUE_ID")


def test_a_latent_of_unknown_colours_is_shown_in_grey(host: Host) -> None:
    from latent_preview import Latent2RGBPreviewer

    shown = Latent2RGBPreviewer(None).decode_latent_to_preview(torch.zeros(1, 7, 4, 6))
    assert shown.size == (6, 4)
    assert shown.getextrema() == ((127, 127),) * 3
