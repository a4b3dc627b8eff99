"""Calls of workflows in this process: where `safelight run` runs them without a server."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.calls import Call, Caller, with_options
from engine.cli.graph_source import check_graph, invalid, open_graph, tell_broken_packs
from engine.cli.media_inputs import place
from engine.cli.outcome import copied, outputs_of
from engine.cli.run_parts import Ran
from engine.cli.terminal import say
from engine.execute.cancel import CancelToken
from engine.graph.problems import render
from engine.graph.schema import Files

if TYPE_CHECKING:
    from engine.cache.facade import Cache
    from engine.cli.app import App
    from engine.cli.display import Display
    from engine.execute.executor import Executor
    from engine.plugins.library import Library


class Local:
    """Runs calls on one executor and one cache, so that what they share is done once."""

    def __init__(self, app: App, library: Library, options: argparse.Namespace) -> None:
        self.app = app
        self.library = library
        self._options = options
        self._opened: tuple[Executor, Cache] | None = None

    async def open(self) -> None:
        """Nothing: the executor and the cache are opened when something is to run."""

    @property
    def output_folder(self) -> Path:
        """`--out`, else the output folder."""
        out = self._options.out
        return Path(out).expanduser().absolute() if out is not None else self.app.paths.output

    def choices(self, files: Files) -> list[str]:
        """The files that an input may name now."""
        return self.app.paths.folder_files(files.folder, files.kind)

    def caller(self) -> Caller:
        """The workflow that the options name, as it is now. Raises CliError as `open_graph` does."""
        graph = open_graph(self._options.workflow, self._options.values, self.app.paths, self.library.catalogue)
        if graph.notes:
            say(render(graph.notes))
        paths = self.app.paths
        return Caller(
            graph,
            self.library.catalogue,
            self._options.own_options,
            self.choices,
            lambda name, kind, text, listed: place(name, kind, text, paths, listed),
        )

    async def run(self, call: Call, display: Display, cancel: CancelToken | None = None) -> Ran:
        """Check the call and run it, its files copied to `--out`. Raises CliError INVALID before anything ran."""
        checked = check_graph(call.graph, self.app.paths, self.library.catalogue, self._options.only)
        partial = self._options.partial and checked.outputs
        problems = with_options(checked.problems, call.signature)
        if any(one.stops for one in problems) and not partial:
            tell_broken_packs(self.library, problems)
            raise invalid(call.graph.name, problems)
        if problems:
            say(render(problems))
        executor, _ = self._open()
        self.library.on_import = display.importing
        result = await executor.run(
            checked.prompt,
            checked.outputs,
            sink=display,
            cancel=cancel,
            prompt_json=call.graph.prompt,
            workflow=call.graph.workflow,
            credentials=(lambda: True) if self._options.credentials else None,
        )
        outputs = outputs_of(result, self.app.paths)
        if self._options.out is not None:
            outputs = copied(outputs, self.output_folder)
        return Ran(call, result, outputs, problems)

    async def close(self) -> None:
        """End the threads and write the cache."""
        if self._opened is not None:
            executor, cache = self._opened
            executor.close()
            cache.close()

    def _open(self) -> tuple[Executor, Cache]:
        if self._opened is None:
            logging.getLogger("engine.cache").addHandler(
                logging.NullHandler()
            )  # its warnings come as events of the run
            cache = self.app.open_cache(not self._options.no_cache)
            self._opened = self.app.open_executor(self.library, cache), cache
        return self._opened
