"""`safelight train`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.display import duration
from engine.cli.exits import CliError
from engine.cli.terminal import put, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from engine.cli.app import App
    from engine.training.progress import TrainingProgress
    from engine.training.result import TrainingResult

SAY_EVERY_SECONDS = 30.0


def train(app: App, options: argparse.Namespace) -> int:
    """Train by a recipe; returns OK, also when the time was up first. Raises CliError for the recipe or its data."""
    recipe = Path(options.recipe)
    if not recipe.is_file():
        raise CliError(exits.UNREADABLE, f"There is no recipe file {options.recipe!r}; recipes/ has some.")
    if options.max_minutes is not None and not options.max_minutes > 0:
        raise CliError(exits.USAGE, f"--max-minutes {options.max_minutes:g}: expected a number above 0.")
    _check(recipe)
    say("Starting: importing the training code takes some seconds.")
    from engine.training.fetch import FetchError
    from engine.training.pictures import DataError
    from engine.training.recipe import RecipeError
    from engine.training.run import train as follow

    watcher: AbstractContextManager[Callable[[TrainingProgress], None]]
    watcher = StageBars() if sys.stderr.isatty() else nullcontext(StageLines())
    try:
        with watcher as on_progress:
            result = follow(
                recipe,
                work_dir=Path(options.work_dir) if options.work_dir else None,
                data_dir=Path(options.data) if options.data else None,
                resume=not options.no_resume,
                max_minutes=options.max_minutes,
                on_progress=on_progress,
            )
    except RecipeError as error:
        raise CliError(exits.USAGE, str(error)) from error
    except (FetchError, DataError) as error:
        raise CliError(exits.UNREADABLE, str(error)) from error
    _tell(result)
    return exits.OK


def _check(recipe: Path) -> None:
    """Raise CliError for a recipe that cannot be followed, before anything heavy is imported."""
    from engine.training.recipe import RecipeError, load_recipe

    try:
        load_recipe(recipe)
    except RecipeError as error:
        raise CliError(exits.USAGE, str(error)) from error


class StageLines:
    """A line when a stage begins, every 30 s in it, and when it ends."""

    def __init__(self) -> None:
        self._stage = ""
        self._said = 0.0

    def __call__(self, event: TrainingProgress) -> None:
        """Take one event."""
        ends = event.step >= event.total
        if event.stage == self._stage and not ends and abs(event.seconds - self._said) < SAY_EVERY_SECONDS:
            return
        self._stage, self._said = event.stage, event.seconds
        say(f"{event.stage}: {event.step} of {event.total}, {duration(event.seconds)}{_facts(event)}")


class StageBars:
    """A bar per stage."""

    def __init__(self) -> None:
        from engine.cli.bars import make_progress

        self._progress: Progress = make_progress()
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> StageBars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: TrainingProgress) -> None:
        """Take one event."""
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self._progress.add_task(event.stage, total=event.total)
        self._progress.update(
            self._tasks[event.stage],
            completed=event.step,
            total=event.total,
            description=f"{event.stage}{_facts(event)}",
        )


def _facts(event: TrainingProgress) -> str:
    loss = f", loss {event.loss:.4f}" if event.loss is not None else ""
    return f"{loss}, {event.note}" if event.note else loss


def _tell(result: TrainingResult) -> None:
    if result.score is not None:
        say(f"{result.score.right} of {result.score.total} prompts are right.")
    if not result.finished:
        say(f"The time was up at step {result.steps}. The same command goes on from there.")
    if result.checkpoint is not None:
        put(str(result.checkpoint.absolute()))
