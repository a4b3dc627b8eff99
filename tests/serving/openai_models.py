"""Workflows that answer the OpenAI routes, and the settings and nodes that go with them."""

from __future__ import annotations

from typing import Any

STEPS = 4

SETTINGS = """
[openai]
default = "draw"

[openai.models.draw]
workflow = "text_to_image"
values = {steps = 4}

[openai.models.draw.quality]
high = {steps = 6}

[openai.models.odd]
workflow = "text_to_image"
inputs = {seed = "steps"}

[openai.models.gone]
workflow = "no such workflow"
"""

PACK = '''
"""Nodes that give what this engine's own do not: sound, film, and failure."""

import os

from engine.api import Audio, Context, Image, WithUi, node


class Video:
    """A film, as a text."""

    def __init__(self, text: str) -> None:
        self.text = text


def _saved(ctx: Context, kind: str, name: str, data: bytes) -> WithUi[None]:
    with open(os.path.join(ctx.paths.directory("output"), name), "wb") as file:
        file.write(data)
    return WithUi(ui={kind: [{"filename": name, "subfolder": "", "type": "output"}]})


@node("TestSpeak")
def speak(text: str, speed: float = 1.0) -> Audio:
    return {"waveform": text, "sample_rate": int(speed * 100)}


@node("TestSaveAudio", output=True)
def save_audio(ctx: Context, audio: Audio, filename_prefix: str = "sound") -> WithUi[None]:
    return _saved(ctx, "audio", f"{filename_prefix}.flac", f"fLaC {audio['waveform']} {audio['sample_rate']}".encode())


@node("TestFilm")
def film(text: str) -> Video:
    return Video(text)


@node("TestSaveFilm", output=True)
def save_film(ctx: Context, video: Video, filename_prefix: str = "film") -> WithUi[None]:
    return _saved(ctx, "video", f"{filename_prefix}.mp4", f"film of {video.text}".encode())


@node("TestBroken")
def broken(image: Image) -> Image:
    with open(os.environ["TEST_NOTES"], "a") as file:
        file.write("broken\\n")
    raise ValueError("It is broken.")
'''


def edit_workflow() -> dict[str, Any]:
    """Draws over a picture that is loaded, where its mask says."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "emoji-64.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "red apple"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}},
        "4": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
        "5": {"class_type": "VAEEncode", "inputs": {"pixels": ["4", 0], "vae": ["1", 2]}},
        "6": {"class_type": "SetLatentNoiseMask", "inputs": {"samples": ["5", 0], "mask": ["4", 1]}},
        "7": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["6", 0], "seed": 1,
                "steps": STEPS, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["7", 0], "vae": ["1", 2]}},
        "9": {"class_type": "ImageCompositeMasked", "inputs": {
            "destination": ["4", 0], "source": ["8", 0], "x": 0, "y": 0, "resize_source": False, "mask": ["4", 1]}},
        "10": {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "edit"}},
    }  # fmt: skip


def invert_workflow() -> dict[str, Any]:
    """Inverts a picture: without a prompt, it is for variations alone."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "invert"}},
    }


def broken_workflow() -> dict[str, Any]:
    """Takes a picture, and fails."""
    graph = invert_workflow()
    graph["2"]["class_type"] = "TestBroken"
    return graph


def speech_workflow() -> dict[str, Any]:
    """Speaks its parameter `prompt`."""
    return _saved_form("TestSpeak", ["hello", 1.0], "TestSaveAudio", "audio", {"prompt": "text", "speed": "speed"})


def film_workflow() -> dict[str, Any]:
    """Makes a film of its parameter `prompt`."""
    return _saved_form("TestFilm", ["hello"], "TestSaveFilm", "video", {"prompt": "text"})


def _saved_form(maker: str, values: list[Any], saver: str, kind: str, names: dict[str, str]) -> dict[str, Any]:
    """Two nodes in the form that editors save, as only that declares parameters."""
    made = {"id": 1, "type": maker, "widgets_values": values}
    saved = {"id": 2, "type": saver, "widgets_values": [kind]}
    parameters = [{"name": name, "node": "1", "input": at} for name, at in names.items()]
    return {
        "version": 0.4,
        "nodes": [
            {**made, "inputs": [], "outputs": [{"name": kind, "type": kind.upper(), "links": [1]}]},
            {**saved, "inputs": [{"name": kind, "type": kind.upper(), "link": 1}], "outputs": []},
        ],
        "links": [[1, 1, 0, 2, 0, kind.upper()]],
        "extra": {"safelight": {"parameters": parameters}},
    }


WORKFLOWS = {
    "edit": edit_workflow(),
    "of/invert": invert_workflow(),
    "broken": broken_workflow(),
    "speak": speech_workflow(),
    "film": film_workflow(),
}
