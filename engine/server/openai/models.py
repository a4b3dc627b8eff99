"""Which models there are: workflows, and what of the API each of them can answer."""

from __future__ import annotations

import difflib
from typing import Literal, TypeAlias

from engine.config import OpenAIModelSettings, OpenAISettings
from engine.graph.parameters import Parameter
from engine.graph.signature import Kind, Output, media_kind
from engine.server.openai.errors import ApiError
from engine.server.refusals import Refusal
from engine.server.workflows.library import SavedWorkflow, WorkflowLibrary

Ability: TypeAlias = Literal["generation", "edit", "variation", "speech", "video"]
ABILITIES: tuple[Ability, ...] = ("generation", "edit", "variation", "speech", "video")


class Model:
    """A workflow under a name of the API."""

    def __init__(self, name: str, workflow: SavedWorkflow, settings: OpenAIModelSettings) -> None:
        self.name = name
        self.workflow = workflow
        self.settings = settings

    def parameter(self, field: str) -> Parameter | None:
        """The parameter that a field of a request goes to, or None: of the same name, unless the settings say another."""
        return self.workflow.signature.parameter(self.settings.inputs.get(field, field))

    def media(self, kind: Kind) -> list[Parameter]:
        """The parameters that take a file of a kind; what the settings name for it goes first."""
        found = [one for one in self.workflow.signature.parameters if _takes(one) == kind]
        named = self.settings.inputs.get(kind)
        return sorted(found, key=lambda one: one.name != named)

    def output(self, kind: Kind) -> Output | None:
        """The first output of a kind, or None."""
        return next((one for one in self.workflow.signature.outputs if one.kind == kind), None)

    def lacks(self, ability: Ability) -> str:
        """Why it cannot answer such a request, in words; empty where it can."""
        gives: Kind = "audio" if ability == "speech" else "video" if ability == "video" else "image"
        if self.output(gives) is None:
            return f"the workflow gives no {gives}"
        if ability != "variation" and self.parameter(self._text_field(ability)) is None:
            return "the workflow has no parameter `prompt`"
        takes = self.media("image")
        if ability == "generation" and takes:
            return f"the workflow takes a picture (`{takes[0].name}`), so it is for edits"
        if ability in ("edit", "variation") and not takes:
            return "the workflow takes no picture, so it is for generations"
        return ""

    def text_parameter(self, ability: Ability) -> Parameter | None:
        """The parameter that the text of a request goes to."""
        return self.parameter(self._text_field(ability))

    def _text_field(self, ability: Ability) -> str:
        """Speech has its text in `input`, which goes to `prompt` unless the settings say otherwise."""
        return "input" if ability == "speech" and "input" in self.settings.inputs else "prompt"

    @property
    def abilities(self) -> list[Ability]:
        """What it can answer."""
        return [one for one in ABILITIES if not self.lacks(one)]

    @property
    def fields(self) -> dict[str, str]:
        """Parameter → field of a request, for messages about what was given."""
        own = {parameter: field for field, parameter in self.settings.inputs.items()}
        sizes = {self._named(field): "size" for field in ("width", "height")}
        images = {one.name: "image" for one in self.media("image")}
        return {
            **images,
            **{one.name: "mask" for one in self.media("mask")},
            **own,
            **sizes,
            self._named("batch_size"): "n",
        }

    def _named(self, field: str) -> str:
        return self.settings.inputs.get(field, field)


def _takes(parameter: Parameter) -> Kind | None:
    """What file it takes; one that is called a mask, or of a node that gives masks alone, takes a mask."""
    kind = media_kind(parameter.spec)
    return "mask" if kind == "image" and parameter.name.startswith("mask") else kind


class Models:
    """Models by name: those of the settings, and every saved workflow under its own."""

    def __init__(self, library: WorkflowLibrary, settings: OpenAISettings) -> None:
        self._library = library
        self._settings = settings

    async def get(self, name: str, ability: Ability | None = None) -> Model:
        """The model called `name`, or the default for "". Raises ApiError 404, or 400 for one without the `ability`."""
        name = name or self._settings.default
        if not name:
            message = "Missing required parameter: 'model'. GET /v1/models lists them; the settings may name a default."
            raise ApiError(400, "missing_required_parameter", message, "model")
        model = await self._found(name)
        lack = model.lacks(ability) if ability is not None else ""
        if lack:
            can = ", ".join(model.abilities) or "none of these requests"
            raise ApiError(
                400, "model_not_fit", f"The model '{name}' answers no {ability}: {lack}. It answers: {can}.", "model"
            )
        return model

    async def all(self) -> list[Model]:
        """The models that can answer anything."""
        found: dict[str, Model] = {}
        for name in self._settings.models:
            try:
                found[name] = await self._found(name)
            except (ApiError, Refusal):
                continue  # asked for by its name, it says what is wrong
        for workflow in await self._library.all() if self._settings.saved else ():
            if isinstance(workflow, SavedWorkflow):
                found.setdefault(
                    workflow.name, Model(workflow.name, workflow, OpenAIModelSettings(workflow=workflow.name))
                )
        return [model for model in found.values() if model.abilities]

    async def _found(self, name: str) -> Model:
        settings = self._settings.models.get(name)
        if settings is not None:
            return Model(name, await self._library.get(settings.workflow), settings)
        if self._settings.saved:
            try:
                return Model(name, await self._library.get(name), OpenAIModelSettings(workflow=name))
            except Refusal as refusal:
                if refusal.type != "unknown_workflow":
                    raise
        names = [model.name for model in await self.all()]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else "GET /v1/models lists them."
        raise ApiError(404, "model_not_found", f"The model '{name[:200]}' does not exist. {hint}", "model")
