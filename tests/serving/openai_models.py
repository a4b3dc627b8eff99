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

[openai.models.gone]
workflow = "no such workflow"
"""

PACK = '''
"""Nodes that give what this engine's own do not: sound and film."""

import os

from engine.api import Audio, Context, WithUi, node


@node("TestSpeak")
def speak(text: str, speed: float = 1.0) -> Audio:
    return {"waveform": text, "sample_rate": int(speed * 100)}


@node("TestSaveAudio", output=True)
def save_audio(ctx: Context, audio: Audio, filename_prefix: str = "sound") -> WithUi[None]:
    name = f"{filename_prefix}.flac"
    with open(os.path.join(ctx.paths.directory("output"), name), "wb") as file:
        file.write(f"fLaC {audio['waveform']} {audio['sample_rate']}".encode())
    return WithUi(ui={"audio": [{"filename": name, "subfolder": "", "type": "output"}]})
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


def speech_workflow() -> dict[str, Any]:
    """In the form that editors save, as only that declares parameters."""
    parameters = [{"name": name, "node": "1", "input": at} for name, at in (("prompt", "text"), ("speed", "speed"))]
    speak = {"id": 1, "type": "TestSpeak", "widgets_values": ["hello", 1.0]}
    save = {"id": 2, "type": "TestSaveAudio", "widgets_values": ["sound"]}
    return {
        "version": 0.4,
        "nodes": [
            {**speak, "inputs": [], "outputs": [{"name": "AUDIO", "type": "AUDIO", "links": [1]}]},
            {**save, "inputs": [{"name": "audio", "type": "AUDIO", "link": 1}], "outputs": []},
        ],
        "links": [[1, 1, 0, 2, 0, "AUDIO"]],
        "extra": {"safelight": {"parameters": parameters}},
    }
