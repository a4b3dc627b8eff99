"""`execution`: its classes are only looked at by packs; running is the executor's business."""

from __future__ import annotations

from typing import Any

from engine.graph.prompt import Link
from engine.plugins.compat.absent import refuse


class PromptExecutor:
    """Packs wrap its error handler; nothing here calls it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("execution.PromptExecutor", "an executor that packs may drive; submit a prompt over HTTP instead")

    def handle_execution_error(self, *args: Any, **kwargs: Any) -> None:
        """There to be wrapped."""

    def execute(self, *args: Any, **kwargs: Any) -> None:
        """There to be wrapped."""

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """There to be wrapped."""


class PromptQueue:
    """Packs read its length; the queue is the server's."""

    def get_tasks_remaining(self) -> int:
        """How many jobs are there: none that a worker knows of."""
        return 0

    def get_current_queue(self) -> tuple[list[Any], list[Any]]:
        """What runs and what waits."""
        return [], []

    def get_history(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What ran."""
        return {}


def validate_prompt(*args: Any, **kwargs: Any) -> Any:
    """There to be wrapped; prompts are checked by the server."""
    refuse("execution.validate_prompt", "prompts that packs check; POST /prompt answers with every problem")


def get_input_data(*args: Any, **kwargs: Any) -> Any:
    """There to be wrapped."""
    refuse("execution.get_input_data", "an executor that packs may drive")


def map_node_over_list(*args: Any, **kwargs: Any) -> Any:
    """There to be wrapped."""
    refuse("execution.map_node_over_list", "an executor that packs may drive")


def recursive_execute(*args: Any, **kwargs: Any) -> Any:
    """There to be wrapped."""
    refuse("execution.recursive_execute", "an executor that packs may drive")


def is_link(value: Any) -> bool:
    """Whether an input's value is a link."""
    return isinstance(value, Link) or (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str))
