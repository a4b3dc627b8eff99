"""A saved workflow as a function of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from engine.calls.errors import InvalidWorkflowError, argument_error
from engine.calls.progress import Progress
from engine.calls.result import Result
from engine.graph.arguments import Call, call, check_arguments
from engine.graph.problems import GraphError, Problem, render
from engine.graph.signature import Signature, media_kind, signature_of
from engine.graph.signature_schema import arguments_schema
from engine.graph.validate import Checked, check
from engine.local.inputs import stored
from engine.local.run import LocalRun
from engine.local.runtime import Runtime, give_back, shared_runtime
from engine.local.sources import read_source

if TYPE_CHECKING:
    from engine.graph.prompt import Prompt


class Workflow:
    """A workflow with named, typed parameters (`signature`) that runs in this process.

    `source` is the name of a saved workflow, the path of a file that is or carries one (JSON, picture, Python script), JSON as
    a dict, the bytes of a file, or a `Graph` of `engine.build`. It runs on `engine`, else on the shared one of the base
    directory `base` (else `$SAFELIGHT_BASE`, else the current folder), which is closed with the last workflow that uses it,
    at the latest when the process ends. Safe among threads: runs may overlap.

    Raises UnknownWorkflowError for a source that is not there, InvalidWorkflowError for one that is no workflow.
    """

    def __init__(self, source: Any, *, base: str | Path | None = None, engine: Runtime | None = None) -> None:
        self._own = engine is None
        self.engine = engine or shared_runtime(base)
        self._closed = False
        try:
            found = read_source(source, self.engine.app.paths, self.engine.library.catalogue)
            self.name = found.name
            self.prompt = found.prompt
            """The graph in the form that runs, as JSON."""
            self.workflow = found.workflow
            """The graph in the form that editors show, as JSON; None where it was given in the other one only."""
            self._problems = found.problems
            self.signature: Signature = signature_of(self.prompt, self.engine.library.catalogue, self.workflow)
            """What it takes and what it gives."""
        except BaseException:
            self.close()
            raise

    @classmethod
    def load(cls, source: Any, *, base: str | Path | None = None) -> Self:
        """The workflow that `source` names or is."""
        return cls(source, base=base)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of what it takes: each parameter's type, range, choices, default and meaning."""
        return arguments_schema(self.signature, self.engine.choices)

    def run(
        self,
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        progress: Callable[[Progress], None] | None = None,
        previews: bool = False,
        timeout: float | None = None,
        **named: Any,
    ) -> Result:
        """Run it with these parameters, by name, and wait for the result; the others have their defaults.

        A parameter that takes a file takes a PIL picture, bytes, or a path; a text that names no file of this machine is the
        name of one in the input folder. A seed may be "random". `parameters` is for names that are no words of Python.
        `progress` is called on this thread, with intermediate pictures if `previews`; what it raises cancels the run.

        Raises ArgumentError (by kind: UnknownParameterError, OutOfRangeError …), InvalidWorkflowError, RunFailedError,
        RunCancelledError; RunTimeoutError after `timeout` seconds. Ctrl-C cancels the run.
        """
        return self._started(parameters, named, previews).wait(progress, timeout)

    async def arun(
        self,
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        progress: Callable[[Progress], None] | None = None,
        previews: bool = False,
        timeout: float | None = None,
        **named: Any,
    ) -> Result:
        """As `run`, without blocking the loop. `progress` is called on the loop; cancelling the task cancels the run."""
        starting = asyncio.ensure_future(asyncio.to_thread(self._started, parameters, named, previews))
        try:
            run = await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_cancelled)
            raise
        return await run.await_result(progress, timeout)

    def start(
        self, parameters: Mapping[str, Any] | None = None, /, *, previews: bool = False, **named: Any
    ) -> LocalRun:
        """Begin a run and return at once; `wait()` of what it gives is the result, `cancel()` ends it."""
        return self._started(parameters, named, previews)

    def close(self) -> None:
        """Let the shared engine go; the last workflow that does so closes it. Nothing can be run afterwards."""
        if not self._closed:
            self._closed = True
            if self._own:
                give_back(self.engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        names = ", ".join(one.name for one in self.signature.parameters)
        return f"<workflow {self.name}({names}) -> {', '.join(one.name for one in self.signature.outputs)}>"

    def _started(self, parameters: Mapping[str, Any] | None, named: Mapping[str, Any], previews: bool) -> LocalRun:
        if self._closed:
            raise RuntimeError(f"The workflow {self.name} is closed. Load it again.")
        made = self._call({**(parameters or {}), **named})
        checked = self._checked(made.prompt)
        return LocalRun(self.engine, self.signature, made, checked, previews=previews)

    def _call(self, given: Mapping[str, Any]) -> Call:
        """The graph with the values in place, files among them put into the input folder."""
        catalogue = self.engine.library.catalogue
        values = {name: self._file(name, value) for name, value in given.items()}
        try:
            bound = check_arguments(self.signature, values, catalogue, self.engine.choices)
            return call(self.prompt, self.workflow, self.signature, bound, catalogue)
        except GraphError as error:
            raise argument_error(f"{self.name}: {_said(error.problems)}", _dicts(error.problems)) from None

    def _file(self, name: str, value: Any) -> Any:
        parameter = self.signature.parameter(name)
        if parameter is None or media_kind(parameter.spec) is None:
            return value
        return stored(value, self.engine.app.paths)

    def _checked(self, prompt: Prompt | dict[str, Any]) -> Checked:
        checked = check(prompt, self.engine.library.catalogue, choices=self.engine.choices)
        problems = [*(one for one in self._problems if one.stops), *(one for one in checked.problems if one.stops)]
        if problems:
            raise InvalidWorkflowError(f"{self.name} cannot run.\n{_said(problems)}", _dicts(problems))
        return checked


def _cancelled(starting: asyncio.Future[LocalRun]) -> None:
    """Cancel a run that began after nobody waited for it any longer."""
    if not starting.cancelled() and starting.exception() is None:
        starting.result().cancel()


def _said(problems: list[Problem]) -> str:
    return render(problems)


def _dicts(problems: list[Problem]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(one) for one in problems]
