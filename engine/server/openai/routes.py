"""All routes of that API."""

from __future__ import annotations

from engine.config import OpenAISettings
from engine.server.openai.images import ImageRoutes
from engine.server.openai.listing import listing_routes
from engine.server.openai.models import Models
from engine.server.openai.speech import SpeechRoutes
from engine.server.openai.videos import VideoRoutes
from engine.server.routing import Route
from engine.server.workflows.runner import RunService


def openai_routes(service: RunService, settings: OpenAISettings, max_pixels: int) -> list[Route]:
    """The routes. `max_pixels` bounds the pictures that are decoded."""
    models = Models(service.library, settings)
    return [
        *listing_routes(models),
        *ImageRoutes(service, models, max_pixels).routes(),
        *SpeechRoutes(service, models).routes(),
        *VideoRoutes(service, models, max_pixels).routes(),
    ]
