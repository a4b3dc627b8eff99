"""Guidance by gradients: of a classifier that knows noise, and of what an image encoder sees in the prediction."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.api import ClipVision, ClipVisionOutput, Conditioning, In, Model, Vae, node
from engine.denoising.pushes import with_push
from engine.models.handles import PerceptionHandle
from nodes.carried import carrying

Share = Annotated[float, In(ge=0, le=1, step=0.001, tip="Share of the noise levels that are behind.")]


@node("ClassifierGuidance", category="advanced/guidance", display_name="Classifier Guidance", experimental=True)
def classifier_guidance(
    model: Model,
    classifier: Annotated[Model, In(tip="A classifier of noisy pictures, from Load Diffusion Model.")],
    class_label: Annotated[int, In(ge=0, le=99_999, tip="The number of the class to go to.")] = 0,
    strength: Annotated[float, In(ge=-1000, le=1000, step=0.1, tip="How strongly; negative goes away from it.")] = 1.0,
    start_percent: Share = 0.0,
    end_percent: Share = 1.0,
) -> Model:
    """Guide by the gradient of log p(class | noisy picture) of a classifier trained on noise (Dhariwal and Nichol 2021).

    The predicted noise falls by `strength` × the root of what is noise of the variance × that gradient, as their algorithm 2 has
    it. The classifier sees what the network sees: the same noise, timesteps and sides. Of a flow's first level, where there is no
    signal, nothing changes.
    """
    if not isinstance(classifier, PerceptionHandle) or classifier.kind != "noise_classifier":
        raise ValueError(
            "ClassifierGuidance: classifier: expected a classifier of noisy pictures, as guided diffusion has them, got "
            f"{classifier.source.path}. Put such a .safetensors file into models/diffusion_models, and load it by UNETLoader."
        )
    model, name = carrying(model, [classifier, class_label], "ClassifierGuidance: classifier")
    return with_push(model, "classifier", name, strength, (start_percent, end_percent))


@node("CLIPGuidance", category="advanced/guidance", display_name="CLIP Guidance", experimental=True)
def clip_guidance(
    model: Model,
    clip_vision: Annotated[ClipVision, In(tip="The image encoder that looks at what is predicted.")],
    vae: Annotated[Vae | None, In(tip="The model's VAE; none for models that make pixels.")] = None,
    conditioning: Annotated[
        Conditioning | None, In(tip="A text to go to, encoded by the text encoder that belongs to the image encoder.")
    ] = None,
    clip_vision_output: Annotated[
        ClipVisionOutput | None, In(tip="Pictures to go to, as the same image encoder saw them.")
    ] = None,
    strength: Annotated[
        float, In(ge=-100_000, le=100_000, step=1, tip="How strongly; negative goes away from it.")
    ] = 500.0,
    start_percent: Share = 0.0,
    end_percent: Share = 1.0,
) -> Model:
    """Guide by what an image encoder sees in the predicted picture, towards a text, pictures or both (Crowson 2021).

    The prediction goes down the gradient of half the squared angle between the vectors, × `strength`, through VAE and network
    back to the noisy latent: each step costs about three. The whole picture is squeezed into the encoder's square.
    """
    wanted = [options["pooled_output"] for _, options in conditioning or () if options.get("pooled_output") is not None]
    if clip_vision_output is not None:
        wanted.append(clip_vision_output.image_embeds.reshape(-1, clip_vision_output.image_embeds.shape[-1]))
    if not wanted or len({vectors.shape[-1] for vectors in wanted}) > 1:
        got = " and ".join(str(tuple(vectors.shape)) for vectors in wanted) or "none"
        raise ValueError(
            f"CLIPGuidance: expected a text with a pooled vector, pictures, or both of one width, got {got}. Connect "
            "conditioning (from CLIPTextEncode) or clip_vision_output (from CLIPVisionEncode), of one CLIP."
        )
    carried = [clip_vision, vae, torch.cat(wanted)]
    model, name = carrying(model, carried, "CLIPGuidance: clip_vision")
    return with_push(model, "clip", name, strength, (start_percent, end_percent))
