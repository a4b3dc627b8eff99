"""The engine in this process, for programs that run many workflows."""

from __future__ import annotations

from typing import Any

from engine.local.runtime import Runtime
from engine.local.workflow import Workflow
from engine.saved_workflows import workflow_files


class Engine(Runtime):
    """Runs workflows in this process, on the base directory `base` (else `$SAFELIGHT_BASE`, else the current folder).

    Nodes, models and results stay for the next run until it is closed: `with Engine() as engine:`, or `close()`. Results are
    kept on disk too, in the same cache as those of `safelight run` and of a server on this directory. Safe among threads.
    """

    def workflow(self, source: Any) -> Workflow:
        """The workflow that `source` names or is; see `Workflow`."""
        return Workflow(source, engine=self)

    def workflows(self) -> list[str]:
        """The names of the saved workflows at hand."""
        return sorted(workflow_files(self.app.paths))
