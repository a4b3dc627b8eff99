"""Makes tests/interop/examples: workflows as editors of the field save them, each with the prompt that it stands for.

    python tests/interop/make_examples.py

Every graph is written down once, below, and drawn in both forms from that by itself: nothing of the engine converts here.
What nodes declare is read off our own; those of PACK are of nobody, as a pack is that is not installed.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "examples"
SEEDS = ("seed", "noise_seed")
NEVER, BYPASSED = 2, 4

PACK = {
    "AcmeSharpen": ([("image", "IMAGE", None), ("radius", "INT", 2), ("amount", "FLOAT", 0.5)], [("IMAGE", "IMAGE")]),
    "AcmeCaption": ([("image", "IMAGE", None), ("style", "STRING", "short")], [("text", "STRING")]),
}
"""Node of nobody → ((name, type, value of its widget), …), (name, type) of its outputs."""


@dataclass(frozen=True)
class Out:
    """An output of a node: what another one reads."""

    node: int
    slot: int = 0


@dataclass
class Drawn:
    """A node on the canvas. `inputs`: name → (type, value or Out, whether it is a widget); `dead`: nothing of it runs."""

    type: str
    inputs: dict[str, tuple[str, Any, bool]]
    outputs: list[tuple[str, str]]
    mode: int = 0
    title: str = ""
    only_drawn: Out | None = None
    """For a reroute or a primitive: where the value really comes from (None for the value itself)."""
    values: list[Any] = field(default_factory=list)


class Graph:
    """Draws nodes, and writes them down in both forms."""

    def __init__(self, catalogue: Any, *, widgets_listed: bool = True) -> None:
        """`widgets_listed`: newer editors write an input for each widget, older ones only for links."""
        self.nodes: dict[int, Drawn] = {}
        self.groups: list[dict[str, Any]] = []
        self._catalogue, self._listed = catalogue, widgets_listed

    def add(self, type: str, /, *, mode: int = 0, title: str = "", **given: Any) -> Out:
        """Add a node; widgets that are not given have their declared value."""
        inputs, outputs = self._declared(type)
        taken = {}
        for name, kind, default, widget in inputs:
            value = given.pop(name, default)
            if widget or isinstance(value, Out):
                taken[name] = (kind, value, widget)
            else:
                taken[name] = (kind, None, False)
        assert not given, (type, given)
        return self._put(Drawn(type, taken, outputs, mode, title, values=self._widget_values(type, taken)))

    def reroute(self, source: Out) -> Out:
        """A dot on a link."""
        kind = self.nodes[source.node].outputs[source.slot][1]
        return self._put(Drawn("Reroute", {"": ("*", source, False)}, [("", kind)], only_drawn=source))

    def note(self, text: str, kind: str = "Note") -> None:
        """Text on the canvas."""
        self._put(Drawn(kind, {}, [], values=[text]))

    def primitive(self, value: Any, kind: str) -> Out:
        """A widget on its own, linked to widgets of nodes."""
        values = [value, "fixed"] if kind == "INT" else [value]
        return self._put(Drawn("PrimitiveNode", {}, [("connect to widget input", kind)], values=values))

    def group(self, title: str) -> None:
        """A coloured box around all of it."""
        self.groups.append({"title": title, "bounding": [-20, -80, 1800, 900], "color": "#3f789e", "font_size": 24})

    def _declared(self, type: str) -> tuple[list[tuple[str, str, Any, bool]], list[tuple[str, str]]]:
        if type in PACK:
            inputs, outputs = PACK[type]
            return [(name, kind, value, value is not None) for name, kind, value in inputs], outputs
        spec = self._catalogue.spec(type)
        from engine.graph.widgets import first_value

        inputs = [(one.name, one.type, first_value(one), one.is_widget) for one in spec.inputs]
        return inputs, [(one.name, one.type) for one in spec.outputs]

    def _put(self, drawn: Drawn) -> Out:
        number = len(self.nodes) + 1
        self.nodes[number] = drawn
        return Out(number)

    def _widget_values(self, type: str, inputs: dict[str, tuple[str, Any, bool]]) -> list[Any]:
        values: list[Any] = []
        for name, (_, value, widget) in inputs.items():
            if widget:
                values.append(self._shown(value))
                values += ["randomize"] if name in SEEDS else []
        return [*values, "image"] if type in ("LoadImage", "LoadImageMask") else values

    def _shown(self, value: Any) -> Any:
        """What a widget shows whose value comes over a link: the primitive's."""
        return self.nodes[value.node].values[0] if isinstance(value, Out) else value

    # --- the two forms

    def prompt(self) -> dict[str, Any]:
        """What runs."""
        found = {}
        for number, drawn in self.nodes.items():
            if drawn.mode or drawn.type in ("Reroute", "Note", "MarkdownNote", "PrimitiveNode"):
                continue
            inputs = {}
            for name, (_, value, _widget) in drawn.inputs.items():
                read = self._followed(value)
                if read is not None:
                    inputs[name] = [str(read.node), read.slot] if isinstance(read, Out) else read
            found[str(number)] = {
                "class_type": drawn.type,
                "inputs": inputs,
                "_meta": {"title": drawn.title or drawn.type},
            }
        return found

    def _followed(self, value: Any) -> Any:
        """Where a value really comes from: through dots, and nodes that are passed by; None when from nowhere."""
        while isinstance(value, Out):
            drawn = self.nodes[value.node]
            if drawn.type == "PrimitiveNode":
                return drawn.values[0]
            if drawn.mode == NEVER:
                return None
            if drawn.mode == BYPASSED:
                kind = drawn.outputs[value.slot][1]
                value = next((one for other, one, _ in drawn.inputs.values() if other == kind), None)
            elif drawn.only_drawn is not None:
                value = drawn.only_drawn
            else:
                return value
        return value

    def workflow(self) -> dict[str, Any]:
        """What an editor saves."""
        links: list[list[Any]] = []
        nodes = []
        for number, drawn in self.nodes.items():
            inputs = []
            for name, (kind, value, widget) in drawn.inputs.items():
                linked = isinstance(value, Out)
                if widget and not linked and not self._listed:
                    continue
                if linked:
                    links.append([len(links) + 1, value.node, value.slot, number, len(inputs), kind])
                one = {"name": name, "type": kind, "link": links[-1][0] if linked else None}
                inputs.append({**one, "widget": {"name": name}} if widget else one)
            nodes.append(self._saved(number, drawn, inputs))
        for link, source, slot, *_ in links:
            outputs = nodes[source - 1]["outputs"]
            outputs[slot]["links"] = [*(outputs[slot]["links"] or []), link]
        last = {"last_node_id": len(nodes), "last_link_id": len(links)}
        return {
            **last,
            "nodes": nodes,
            "links": links,
            "groups": self.groups,
            "config": {},
            "extra": {},
            "version": 0.4,
        }

    def _saved(self, number: int, drawn: Drawn, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        column, row = divmod(number - 1, 4)
        outputs = [
            {"name": name, "type": kind, "links": None, "slot_index": slot}
            for slot, (name, kind) in enumerate(drawn.outputs)
        ]
        saved = {
            "id": number,
            "type": drawn.type,
            "pos": [column * 340, row * 220],
            "size": [300, 180],
            "flags": {},
            "order": number - 1,
            "mode": drawn.mode,
            "inputs": inputs,
            "outputs": outputs,
            "properties": {"Node name for S&R": drawn.type},
        }
        saved |= {"title": drawn.title} if drawn.title else {}
        return saved | ({"widgets_values": drawn.values} if drawn.values else {})


# --- the examples


def loaded(g: Graph, name: str = "sd15.safetensors") -> tuple[Out, Out, Out]:
    checkpoint = g.add("CheckpointLoaderSimple", ckpt_name=name)
    return Out(checkpoint.node, 0), Out(checkpoint.node, 1), Out(checkpoint.node, 2)


def texts(g: Graph, clip: Out, positive: str, negative: str = "blurry") -> tuple[Out, Out]:
    return g.add("CLIPTextEncode", clip=clip, text=positive, title="positive"), g.add(
        "CLIPTextEncode", clip=clip, text=negative, title="negative"
    )


def sampled(g: Graph, model: Out, positive: Out, negative: Out, latent: Out, **settings: Any) -> Out:
    given = {
        "seed": 156680208700286,
        "steps": 20,
        "cfg": 7.5,
        "sampler_name": "euler",
        "scheduler": "normal",
        **settings,
    }
    return g.add("KSampler", model=model, positive=positive, negative=negative, latent_image=latent, **given)


def saved(g: Graph, latent: Out, vae: Out, name: str = "picture") -> Out:
    picture = g.add("VAEDecode", samples=latent, vae=vae)
    g.add("SaveImage", images=picture, filename_prefix=name)
    return picture


def text_to_image(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a red apple on a table, (sharp:1.2)")
    saved(g, sampled(g, model, positive, negative, g.add("EmptyLatentImage", width=512, height=768)), vae)
    g.note("Press the button on the right.")


def image_to_image(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a photo of a cat")
    start = g.add("VAEEncode", pixels=g.add("LoadImage", image="cat.png"), vae=vae)
    saved(g, sampled(g, model, positive, negative, start, denoise=0.8, sampler_name="dpmpp_2m"), vae)


def inpainting(g: Graph) -> None:
    model, clip, vae = loaded(g, "inpaint.safetensors")
    positive, negative = texts(g, clip, "a hat")
    image = g.add("LoadImage", image="masked.png")
    latent = g.add("VAEEncodeForInpaint", pixels=image, vae=vae, mask=Out(image.node, 1), grow_mask_by=8)
    saved(g, sampled(g, model, positive, negative, latent, sampler_name="uni_pc_bh2"), vae)


def outpainting(g: Graph) -> None:
    model, clip, vae = loaded(g, "inpaint.safetensors")
    positive, negative = texts(g, clip, "a valley")
    image = g.add("LoadImage", image="valley.png")
    padded = g.add("ImagePadForOutpaint", image=image, left=128, top=0, right=128, bottom=64, feathering=40)
    latent = g.add("VAEEncodeForInpaint", pixels=padded, vae=vae, mask=Out(padded.node, 1))
    saved(g, sampled(g, model, positive, negative, latent), vae)
    g.group("outpainting")


def lora(g: Graph) -> None:
    model, clip, vae = loaded(g)
    one = g.add("LoraLoader", model=model, clip=clip, lora_name="style.safetensors", strength_model=0.8)
    two = g.add("LoraLoader", model=Out(one.node), clip=Out(one.node, 1), lora_name="sub/hero.safetensors")
    positive, negative = texts(g, Out(two.node, 1), "hero in the style")
    saved(g, sampled(g, Out(two.node), positive, negative, g.add("EmptyLatentImage")), vae)


def lora_passed_by(g: Graph) -> None:
    model, clip, vae = loaded(g)
    one = g.add("LoraLoader", model=model, clip=clip, lora_name="style.safetensors", mode=BYPASSED)
    positive, negative = texts(g, Out(one.node, 1), "plain")
    picture = saved(g, sampled(g, Out(one.node), positive, negative, g.add("EmptyLatentImage")), vae)
    g.add("PreviewImage", images=picture, mode=NEVER)


def control(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a street")
    picture = g.add("LoadImage", image="depth.png")
    net = g.add("ControlNetLoader", control_net_name="depth.safetensors")
    steered = g.add(
        "ControlNetApplyAdvanced",
        positive=positive,
        negative=negative,
        control_net=net,
        image=picture,
        vae=vae,
        strength=0.9,
        end_percent=0.7,
    )
    saved(g, sampled(g, model, Out(steered.node), Out(steered.node, 1), g.add("EmptyLatentImage")), vae)


def two_controls(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a dancer")
    for name in ("pose", "edges"):
        picture = g.add("LoadImage", image=f"{name}.png")
        net = g.add("ControlNetLoader", control_net_name=f"{name}.safetensors")
        positive = g.add("ControlNetApply", conditioning=positive, control_net=net, image=picture, strength=0.6)
    saved(g, sampled(g, model, positive, negative, g.add("EmptyLatentImage")), vae)


def upscaled_latent(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a castle")
    small = sampled(g, model, positive, negative, g.add("EmptyLatentImage"))
    large = g.add("LatentUpscale", samples=small, width=1152, height=1152)
    saved(g, sampled(g, model, positive, negative, large, denoise=0.5, steps=14), vae, "large")
    saved(g, small, vae, "small")


def upscaled_by_another_model(g: Graph) -> None:
    model, clip, vae = loaded(g)
    other, other_clip, other_vae = loaded(g, "other.safetensors")
    small = sampled(g, model, *texts(g, clip, "a ship"), g.add("EmptyLatentImage"))
    picture = g.add("VAEDecode", samples=small, vae=vae)
    larger = g.add("ImageScaleBy", image=picture, upscale_method="lanczos", scale_by=1.5)
    again = g.add("VAEEncode", pixels=larger, vae=other_vae)
    saved(g, sampled(g, other, *texts(g, other_clip, "an oil painting of a ship"), again, denoise=0.4), other_vae)


def areas(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a landscape")
    for top, text in enumerate(("night", "evening", "day")):
        part = g.add("CLIPTextEncode", clip=clip, text=text)
        placed = g.add("ConditioningSetArea", conditioning=part, width=704, height=384, x=0, y=top * 320)
        positive = g.add("ConditioningCombine", conditioning_1=positive, conditioning_2=placed)
    saved(g, sampled(g, model, positive, negative, g.add("EmptyLatentImage", width=704, height=1280)), vae)
    g.group("where what is")


def masked_texts(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a garden")
    mask = g.add("LoadImageMask", image="left.png", channel="red")
    part = g.add("ConditioningSetMask", conditioning=g.add("CLIPTextEncode", clip=clip, text="roses"), mask=mask)
    both = g.add("ConditioningCombine", conditioning_1=positive, conditioning_2=part)
    saved(g, sampled(g, model, both, negative, g.add("EmptyLatentImage")), vae)


def averaged_texts(g: Graph) -> None:
    model, clip, vae = loaded(g)
    later = g.add("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-2)
    one, negative = texts(g, later, "embedding:look a cat")
    two = g.add("CLIPTextEncode", clip=later, text="a dog")
    mixed = g.add("ConditioningAverage", conditioning_to=one, conditioning_from=two, conditioning_to_strength=0.3)
    saved(g, sampled(g, model, mixed, negative, g.add("EmptyLatentImage")), vae)


def in_two_parts(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a lighthouse")
    sides = {"positive": positive, "negative": negative, "steps": 25, "cfg": 8.0}
    first = g.add(
        "KSamplerAdvanced",
        **{"model": model, **sides, "latent_image": g.add("EmptyLatentImage"), "noise_seed": 7, "end_at_step": 20},
        return_with_leftover_noise="enable",
    )
    rest = g.add(
        "KSamplerAdvanced",
        model=model,
        **sides,
        latent_image=first,
        add_noise="disable",
        start_at_step=20,
        noise_seed=0,
    )
    saved(g, rest, vae)


def sampling_in_parts(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a fox")
    sigmas = g.add("BasicScheduler", model=model, scheduler="karras", steps=12)
    done = g.add(
        "SamplerCustomAdvanced",
        noise=g.add("RandomNoise", noise_seed=12),
        guider=g.add("CFGGuider", model=model, positive=positive, negative=negative, cfg=6.0),
        sampler=g.add("KSamplerSelect", sampler_name="dpmpp_2m"),
        sigmas=sigmas,
        latent_image=g.add("EmptyLatentImage"),
    )
    saved(g, Out(done.node, 1), vae)


def split_levels(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a bear")
    sigmas = g.add("SplitSigmas", sigmas=g.add("KarrasScheduler", steps=20), step=8)
    sides = {"model": model, "positive": positive, "negative": negative, "noise_seed": 3}
    start = g.add("EmptyLatentImage")
    rough = g.add("SamplerCustom", **sides, sampler=g.add("SamplerLMS"), sigmas=Out(sigmas.node), latent_image=start)
    fine = g.add(
        "SamplerCustom",
        **{**sides, "add_noise": False, "sampler": g.add("SamplerDPMPP_2M_SDE"), "sigmas": Out(sigmas.node, 1)},
        latent_image=rough,
    )
    saved(g, Out(fine.node), vae)


def v_prediction(g: Graph) -> None:
    model, clip, vae = loaded(g)
    read = g.add("ModelSamplingDiscrete", model=model, sampling="v_prediction", zsnr=True)
    spread = g.add("RescaleCFG", model=read, multiplier=0.7)
    saved(g, sampled(g, spread, *texts(g, clip, "dark room"), g.add("EmptyLatentImage")), vae)


def dots(g: Graph) -> None:
    model, clip, vae = loaded(g)
    far = g.reroute(g.reroute(vae))
    positive, negative = texts(g, g.reroute(clip), "a bridge")
    saved(g, sampled(g, g.reroute(model), positive, negative, g.add("EmptyLatentImage")), far)
    g.note("# Dots\n\nThey only carry links.", "MarkdownNote")


def shared_values(g: Graph) -> None:
    model, clip, vae = loaded(g)
    seed, size = g.primitive(42, "INT"), g.primitive(640, "INT")
    positive, negative = texts(g, clip, "a clock")
    start = g.add("EmptyLatentImage", width=size, height=size)
    saved(g, sampled(g, model, positive, negative, start, seed=seed), vae)


def latents(g: Graph) -> None:
    model, clip, vae = loaded(g)
    positive, negative = texts(g, clip, "a pair")
    left = sampled(g, model, positive, negative, g.add("EmptyLatentImage", width=256, height=256, batch_size=2))
    right = sampled(g, model, positive, negative, g.add("EmptyLatentImage", width=256, height=256), seed=1)
    both = g.add("LatentComposite", samples_to=g.add("EmptyLatentImage"), samples_from=left, x=0, y=0, feather=32)
    both = g.add("LatentComposite", samples_to=both, samples_from=right, x=256, y=0, feather=32)
    saved(g, sampled(g, model, positive, negative, both, denoise=0.6), vae)


def pictures(g: Graph) -> None:
    one, two = g.add("LoadImage", image="a.png"), g.add("LoadImage", image="b.png")
    scaled = g.add("ImageScale", image=two, upscale_method="bicubic", width=512, height=512, crop="center")
    mixed = g.add("ImageBlend", image1=one, image2=scaled, blend_factor=0.3, blend_mode="screen")
    soft = g.add("ImageBlur", image=mixed, blur_radius=3, sigma=1.5)
    g.add("SaveImage", images=g.add("ImageInvert", image=soft), filename_prefix="mixed/%date:yyyy%")
    g.add("PreviewImage", images=soft)


def tiles(g: Graph) -> None:
    model, clip, vae = loaded(g)
    latent = sampled(g, model, *texts(g, clip, "a wide plain"), g.add("EmptyLatentImage", width=2048, height=1024))
    picture = g.add("VAEDecodeTiled", samples=latent, vae=vae, tile_size=512)
    g.add("SaveImage", images=picture)


def apart(g: Graph) -> None:
    model = g.add("UNETLoader", unet_name="unet.safetensors")
    clip = g.add("CLIPLoader", clip_name="text.safetensors", type="stable_diffusion", device="default")
    vae = g.add("VAELoader", vae_name="vae.safetensors")
    saved(g, sampled(g, model, *texts(g, clip, "parts of a model"), g.add("EmptyLatentImage")), vae)


def of_a_pack(g: Graph) -> None:
    model, clip, vae = loaded(g)
    picture = saved(g, sampled(g, model, *texts(g, clip, "a leaf"), g.add("EmptyLatentImage")), vae)
    g.add("PreviewImage", images=g.add("AcmeSharpen", image=picture, radius=3))


def captioned(g: Graph) -> None:
    model, clip, vae = loaded(g)
    told = g.add("AcmeCaption", image=g.add("LoadImage", image="cat.png"))
    _, negative = texts(g, clip, "unused", "bad")
    positive = g.add("CLIPTextEncode", clip=clip, text=told)
    saved(g, sampled(g, model, positive, negative, g.add("EmptyLatentImage")), vae)


EXAMPLES = (
    *(text_to_image, image_to_image, inpainting, outpainting, lora, lora_passed_by, control, two_controls),
    *(upscaled_latent, upscaled_by_another_model, areas, masked_texts, averaged_texts, in_two_parts),
    *(sampling_in_parts, split_levels, v_prediction, dots, shared_values, latents, pictures, tiles, apart),
)
OF_PACKS = (of_a_pack, captioned)
"""With nodes that nobody has."""


def catalogue() -> Any:
    """Our own nodes."""
    import nodes
    from engine.authoring.decorator import definition_of
    from engine.graph.schema import Catalogue
    from nodes.aliases import ALIASES

    modules = [importlib.import_module(f"nodes.{module.name}") for module in pkgutil.iter_modules(nodes.__path__)]
    found = [definition_of(value) for module in modules for value in vars(module).values()]
    return Catalogue([one.spec for one in found if one is not None], ALIASES)


def main() -> None:
    """Write every example, half of them as older editors do."""
    known = catalogue()
    FOLDER.mkdir(exist_ok=True)
    for number, draw in enumerate((*EXAMPLES, *OF_PACKS)):
        graph = Graph(known, widgets_listed=number % 2 == 0)
        draw(graph)
        for form, document in (("workflow", graph.workflow()), ("prompt", graph.prompt())):
            text = json.dumps(document, indent=None if form == "workflow" else 1, ensure_ascii=False)
            (FOLDER / f"{draw.__name__}.{form}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
