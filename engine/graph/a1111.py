"""Settings of the Stable Diffusion web UI as a graph of our nodes, and what of them could not be kept.

Nothing is guessed in silence: what has no counterpart, only a near one, or names a file that is not here is a note.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from engine.graph.a1111_names import LATENT_UPSCALERS, PICTURE_UPSCALERS, solver
from engine.graph.a1111_prompts import Lora, PlainPrompt, plain_prompt
from engine.graph.a1111_text import Settings, cut_off, parse_settings
from engine.graph.layout import prompt_to_workflow
from engine.graph.problems import Problem, problem
from engine.graph.schema import Catalogue

_SIZE: Final = re.compile(r"(\d{1,5})x(\d{1,5})")
_SAID: Final = frozenset(
    {
        *("steps", "sampler", "schedule type", "cfg scale", "seed", "size", "model", "model hash", "vae", "vae hash"),
        *("clip skip", "denoising strength", "hires upscale", "hires resize", "hires steps", "hires upscaler"),
        *("hires sampler", "hires schedule type", "hires cfg scale", "hires prompt", "hires negative prompt"),
        *("lora hashes", "ti hashes", "hashes", "version", "batch size", "batch pos", "time taken", "created date"),
        *("civitai resources", "civitai metadata", "template", "negative template", "rng", "emphasis"),
    }
)
"""Settings that are read, or say nothing about the picture."""
_MOST_EMBEDDINGS: Final = 64
_PER_NAME: Final = ".safetensors"
_CELL: Final = 8
"""Pixels of a cell of the latent."""


class ModelFiles(Protocol):
    """The model files that are here."""

    def names(self, folder: str, kind: str = "") -> Sequence[str]:
        """Files of a models folder, or those of the input folder that are of a kind, with `/` between parts."""
        ...

    def hashed(self, folder: str, digest: str) -> str | None:
        """The file with this hash as the web UI writes it, if it is cheap to say."""
        ...


class NoFiles:
    """No model files at all."""

    def names(self, folder: str, kind: str = "") -> Sequence[str]:
        """None."""
        return ()

    def hashed(self, folder: str, digest: str) -> str | None:
        """None."""
        return None


class Imported(NamedTuple):
    """The settings as a graph in both forms, and what must be known about it."""

    prompt: dict[str, Any]
    workflow: dict[str, Any]
    notes: list[Problem]


def settings_to_graph(text: str, catalogue: Catalogue, files: ModelFiles | None = None) -> Imported:
    """Make a graph of the web UI's text. Raises GraphError (`settings_cut_off`) for a text that is not whole."""
    return _Import(parse_settings(text), catalogue, files or NoFiles()).made()


class _Import:
    """Builds the graph of one text: `prompt` grows node by node, `notes` by what could not be kept."""

    def __init__(self, settings: Settings, catalogue: Catalogue, files: ModelFiles) -> None:
        self.settings, self.catalogue, self.files = settings, catalogue, files
        self.values = {key.lower(): value for key, value in settings.values.items()}
        self.prompt: dict[str, Any] = {}
        self.notes: list[Problem] = []
        listed = [one.partition(":")[0].strip() for one in self.values.get("ti hashes", "").split(",")]
        self.embeddings = [one for one in listed if one][:_MOST_EMBEDDINGS]
        """Words of the prompts that stand for files."""

    def made(self) -> Imported:
        positive = plain_prompt(self.settings.positive, self.embeddings)
        negative = plain_prompt(self.settings.negative, self.embeddings)
        model, clip, vae = self._models(positive.loras)
        texts = [
            self._add("CLIPTextEncode", "Positive prompt", text=positive.text, clip=clip),
            self._add("CLIPTextEncode", "Negative prompt", text=negative.text, clip=clip),
        ]
        samples = self._first_pass(model, [[one, 0] for one in texts], vae)
        samples = self._second_pass(model, clip, [[one, 0] for one in texts], vae, samples, positive.loras)
        picture = self._add("VAEDecode", samples=samples, vae=vae)
        self._add("SaveImage", images=[picture, 0], filename_prefix="web_ui")
        for one in (positive, negative):
            self._tell_unknown(one)
        if negative.loras:
            self._note("setting_ignored", "LoRAs in the negative prompt, which the web UI does not apply either")
        self._tell_rest(positive.weighted or negative.weighted)
        return Imported(self.prompt, self._workflow(), self.notes)

    # ---- models

    def _models(self, loras: Sequence[Lora]) -> tuple[list[Any], list[Any], list[Any]]:
        checkpoint = self._add("CheckpointLoaderSimple", **self._file("ckpt_name", "checkpoints", self._checkpoint()))
        model, clip, vae = [checkpoint, 0], [checkpoint, 1], [checkpoint, 2]
        for lora in loras:
            name = self._known_file("loras", lora.name) or self._missing_file("loras", lora.name)
            strengths: dict[str, Any] = {"strength_model": lora.model, "strength_clip": lora.clip}
            if lora.model != lora.clip:
                told = f"{lora.name}: {lora.clip:g} for the text encoder, {lora.model:g} for the network"
                self._note("setting_read", told)
            loaded = self._add("LoraLoader", model=model, clip=clip, lora_name=name, **strengths)
            model, clip = [loaded, 0], [loaded, 1]
        skip = self._whole("Clip skip", 1)
        if skip > 1:
            clip = [self._add("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-skip), 0]
        wanted = self.values.get("vae", "").strip()
        if wanted and wanted.lower() not in ("automatic", "none"):
            name = self._known_file("vae", wanted) or self._missing_file("vae", wanted)
            vae = [self._add("VAELoader", vae_name=name), 0]
        if "lcm" in self.values.get("sampler", "").lower() and "ModelSamplingDiscrete" in self.catalogue:
            model = [self._add("ModelSamplingDiscrete", model=model, sampling="lcm", zsnr=False), 0]
        return model, clip, vae

    def _checkpoint(self) -> str | None:
        name, digest = self.values.get("model", "").strip(), self.values.get("model hash", "").strip()
        found = self._known_file("checkpoints", name) if name else None
        if found is None and digest:
            found = self.files.hashed("checkpoints", digest)
            if found is not None and name:
                self._note(
                    "setting_approximated", f"Model {name}: the file with its hash {digest} is called {found} here"
                )
        if found is None and name:
            return self._missing_file("checkpoints", name)
        if found is None:
            self._note("file_not_named", f"Model hash: {digest}" if digest else "the text names no model")
        return found

    def _file(self, key: str, folder: str, name: str | None) -> dict[str, str]:
        return {} if name is None else {key: name}

    def _known_file(self, folder: str, name: str) -> str | None:
        """The file that a name without folder, ending or hash stands for; None unless it is one and only one."""
        wanted = re.sub(r"\s*\[[0-9a-f]{6,64}\]$", "", name).replace("\\", "/").lower()
        listed = {one: one.replace("\\", "/").lower() for one in self.files.names(folder)}
        for form in (_whole_name, _stem, _joined_stem, _last_stem):
            found = [one for one, lowered in listed.items() if form(lowered) == wanted or lowered == wanted]
            if len(found) == 1:
                return found[0]
        return None

    def _missing_file(self, folder: str, name: str) -> str:
        written = name if re.search(r"\.(safetensors|ckpt|pt|pth|bin)$", name, re.IGNORECASE) else f"{name}{_PER_NAME}"
        hint = f"Put it into models/{folder}, or choose another."
        self.notes.append(problem("file_not_here", details=f"{name} ({folder})", hint=hint))
        return written

    # ---- passes

    def _first_pass(self, model: list[Any], texts: list[list[Any]], vae: list[Any]) -> list[Any]:
        width, height = self._size("Size")
        denoise = 1.0
        if self._is_of_a_picture():
            denoise = self._number("Denoising strength", 1.0)
            picture = self._add("LoadImage", "The picture that was changed")
            method = {"upscale_method": "lanczos", "crop": "center"}
            scaled = self._add("ImageScale", image=[picture, 0], width=width, height=height, **method)
            latent = [self._add("VAEEncode", pixels=[scaled, 0], vae=vae), 0]
            self._note("picture_not_named", "it was made from another picture (Denoising strength without Hires)")
        else:
            latent = [self._add("EmptyLatentImage", width=width, height=height, batch_size=1), 0]
        sampler, schedule = self._solver("Sampler", "Schedule type")
        sampling = {"sampler_name": sampler, "scheduler": schedule, "denoise": denoise}
        steps, cfg = self._whole("Steps", 20), self._number("CFG scale", 7.0)
        return self._sampled("Sample", model, texts, latent, {"steps": steps, "cfg": cfg} | sampling)

    def _second_pass(
        self,
        model: list[Any],
        clip: list[Any],
        texts: list[list[Any]],
        vae: list[Any],
        samples: list[Any],
        loras: Sequence[Lora],
    ) -> list[Any]:
        """The web UI's hires fix: a larger latent, and some of the steps again."""
        if "hires upscale" not in self.values and "hires resize" not in self.values:
            return samples
        larger = self._larger(samples, vae, *self._larger_size())
        given = [self.values.get("hires prompt", ""), self.values.get("hires negative prompt", "")]
        texts = [
            [self._add("CLIPTextEncode", f"Hires {which}", text=plain_prompt(text, self.embeddings).text, clip=clip), 0]
            if text
            else old
            for which, text, old in zip(("prompt", "negative prompt"), given, texts, strict=True)
        ]
        self._tell_hires_prompts(given, loras)
        sampler, schedule = self._solver("Hires sampler", "Hires schedule type", ("Sampler", "Schedule type"))
        steps = self._whole("Hires steps", 0) or self._whole("Steps", 20)
        cfg = self._number("Hires CFG Scale", 0.0) or self._number("CFG scale", 7.0)
        sampling = {"sampler_name": sampler, "scheduler": schedule, "denoise": self._number("Denoising strength", 0.7)}
        return self._sampled("Hires fix", model, texts, larger, {"steps": steps, "cfg": cfg} | sampling)

    def _sampled(
        self, title: str, model: list[Any], texts: list[list[Any]], latent: list[Any], how: Mapping[str, Any]
    ) -> list[Any]:
        seed = self._whole("Seed", 0) % 2**64
        ends = {"positive": texts[0], "negative": texts[1], "latent_image": latent}
        return [self._add("KSampler", title, model=model, seed=seed, **how, **ends), 0]

    def _larger_size(self) -> tuple[int, int]:
        width, height = self._size("Size")
        factor = self._number("Hires upscale", 1.0)
        if "hires resize" in self.values:
            wide, high = self._size("Hires resize")
            return (wide or width * high // max(height, 1)), (high or height * wide // max(width, 1))
        return int(width * factor), int(height * factor)

    def _larger(self, samples: list[Any], vae: list[Any], width: int, height: int) -> list[Any]:
        name = self.values.get("hires upscaler", "Latent").strip()
        size: dict[str, Any] = {"width": width, "height": height, "crop": "center"}
        if name.lower() in LATENT_UPSCALERS:
            method, exact = LATENT_UPSCALERS[name.lower()]
            if not exact:
                self._note("setting_approximated", f"Hires upscaler: {name} (here: {method})")
            return [self._add("LatentUpscale", samples=samples, upscale_method=method, **size), 0]
        picture = [self._add("VAEDecode", samples=samples, vae=vae), 0]
        method = PICTURE_UPSCALERS.get(name.lower(), "")
        if not method:
            picture, method = self._by_model(name, picture), "lanczos"
        scaled = self._add("ImageScale", image=picture, upscale_method=method, **size)
        return [self._add("VAEEncode", pixels=[scaled, 0], vae=vae), 0]

    def _by_model(self, name: str, picture: list[Any]) -> list[Any]:
        """The picture enlarged by an upscaling model, or as it is where there is none of that name."""
        known = self._known_file("upscale_models", name) or self._known_file("upscale_models", name.replace(" ", "_"))
        if known is None or not {"UpscaleModelLoader", "ImageUpscaleWithModel"} <= {one.name for one in self.catalogue}:
            self._note("setting_approximated", f"Hires upscaler: {name} (here: lanczos)")
            return picture
        loader = self._add("UpscaleModelLoader", model_name=known)
        return [self._add("ImageUpscaleWithModel", upscale_model=[loader, 0], image=picture), 0]

    def _is_of_a_picture(self) -> bool:
        return "denoising strength" in self.values and not any(key.startswith("hires ") for key in self.values)

    def _solver(self, sampler: str, schedule: str, otherwise: tuple[str, str] | None = None) -> tuple[str, str]:
        name, wanted = self.values.get(sampler.lower(), ""), self.values.get(schedule.lower(), "")
        if otherwise and name.lower() in ("", "use same sampler"):
            name, wanted = (
                self.values.get(otherwise[0].lower(), ""),
                wanted or self.values.get(otherwise[1].lower(), ""),
            )
        if otherwise and wanted.lower() == "use same scheduler":
            wanted = self.values.get(otherwise[1].lower(), "")
        found = solver(name, wanted, self._choices("sampler_name"), self._choices("scheduler"))
        if not found.sampler_exact and otherwise is None:
            self._note("setting_approximated", f"{sampler}: {name} (here: {found.sampler})")
        if not found.schedule_exact and otherwise is None:
            self._note("setting_approximated", f"{schedule}: {wanted or name} (here: {found.schedule})")
        return found.sampler, found.schedule

    def _choices(self, name: str) -> tuple[str, ...]:
        spec = self.catalogue.spec("KSampler")
        declared = spec.input(name) if spec is not None else None
        choices = declared.choices if declared is not None else None
        return tuple(map(str, choices)) if isinstance(choices, tuple) else ()

    # ---- values

    def _size(self, name: str) -> tuple[int, int]:
        text = self.values.get(name.lower(), "")
        found = _SIZE.fullmatch(text.replace(" ", ""))
        if found is None:
            if text:
                raise cut_off(f"{name} is {text!r}, expected a width and a height such as 512x512")
            self._note("setting_assumed", f"{name}: 512x512")
            return 512, 512
        width, height = int(found[1]), int(found[2])
        if (width % _CELL or height % _CELL) and name == "Size":
            self._note("setting_approximated", f"{name}: {text} (a latent has whole cells of {_CELL} pixels)")
        return width, height

    def _whole(self, name: str, otherwise: int) -> int:
        return int(self._read(name, otherwise, re.compile(r"-?\d{1,20}")))

    def _number(self, name: str, otherwise: float) -> float:
        return float(self._read(name, otherwise, re.compile(r"-?\d{1,10}(\.\d*)?|-?\.\d+")))

    def _read(self, name: str, otherwise: float, form: re.Pattern[str]) -> str:
        text = self.values.get(name.lower(), "").strip()
        if form.fullmatch(text):
            return text
        if text:
            raise cut_off(f"{name} is {text!r}, expected a number")
        if name in ("Seed", "CFG scale", "Denoising strength"):
            self._note("setting_assumed", f"{name}: {otherwise:g}")
        return str(otherwise)

    # ---- what is told

    def _note(self, kind: str, details: str) -> None:
        if (kind, details) not in [(one.type, one.details) for one in self.notes]:
            self.notes.append(problem(kind, details=details))

    def _tell_unknown(self, prompt: PlainPrompt) -> None:
        for text in prompt.unknown:
            self._note("setting_ignored", text)

    def _tell_hires_prompts(self, given: Sequence[str], loras: Sequence[Lora]) -> None:
        for text in filter(None, given):
            prompt = plain_prompt(text, self.embeddings)
            self._tell_unknown(prompt)
            if prompt.loras and prompt.loras != loras:
                self._note("setting_ignored", "LoRAs of the Hires prompt: those of the prompt are used")

    def _tell_resources(self) -> None:
        """Texts of Civitai's generator name their LoRAs beside the prompt, by the site's numbers."""
        try:
            listed = json.loads(self.values.get("civitai resources", "[]"))
        except (ValueError, RecursionError):
            listed = []
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and one.get("type") != "checkpoint":
                name = str(one.get("modelName") or one.get("modelVersionId"))[:100]
                self._note(
                    "setting_ignored", f"Civitai resource {name} ({one.get('type')}, weight {one.get('weight')})"
                )

    def _tell_rest(self, weighted: bool) -> None:
        for key, value in self.settings.values.items():
            if key.lower() not in _SAID:
                self._note("setting_ignored", f"{key}: {value[:100]}")
        for text in self.settings.unread:
            self._note("setting_ignored", text[:100])
        self._tell_resources()
        for name in self.embeddings:
            if self._known_file("embeddings", name) is None:
                self._missing_file("embeddings", name)
        if weighted and self.values.get("emphasis", "").lower() != "no norm":
            self._note(
                "setting_approximated",
                "weights in the prompt: the web UI scales the text back to its mean, nodes do not",
            )
        if self.values.get("rng", "").upper() != "CPU":
            self._note(
                "setting_approximated",
                "Seed: the web UI draws its noise on the GPU unless RNG is CPU; here it is the CPU",
            )
        if "version" not in self.values:
            last = next(reversed(self.settings.values))
            self._note("settings_may_end_early", f"the last of them is {last}; the web UI ends with its version")

    def _workflow(self) -> dict[str, Any]:
        """The graph laid out, with the notes on a note beside it."""
        workflow = prompt_to_workflow(self.prompt, self.catalogue)
        told = [f"- {one.message}: {one.details}" for one in self.notes] or ["Everything could be kept."]
        number = workflow["last_node_id"] = workflow["last_node_id"] + 1
        note = {"id": number, "type": "MarkdownNote", "pos": [-480, 0], "size": [420, 320], "flags": {}, "mode": 0}
        text = "\n".join(["## From the web UI", "", *told])
        rest = {"order": number, "inputs": [], "outputs": [], "properties": {}, "widgets_values": [text]}
        workflow["nodes"].append(note | rest)
        return workflow

    def _add(self, kind: str, title: str = "", /, **inputs: Any) -> str:
        node_id = str(len(self.prompt) + 1)
        self.prompt[node_id] = {"class_type": kind, "inputs": inputs}
        if title:
            self.prompt[node_id]["_meta"] = {"title": title}
        return node_id


def _whole_name(path: str) -> str:
    return path


def _stem(path: str) -> str:
    return re.sub(r"\.[a-z]+$", "", path)


def _joined_stem(path: str) -> str:
    """As the web UI writes a file in a folder of its own."""
    return _stem(path).replace("/", "_")


def _last_stem(path: str) -> str:
    return _stem(path).rpartition("/")[2]
