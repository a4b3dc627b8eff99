"""Progress bars on stderr. Importing this imports rich: only for commands that have something to wait for."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text


class Steps(ProgressColumn):
    """`12/30`; nothing while the number of steps is not known."""

    def render(self, task: Task) -> Text:
        """The column of one task."""
        return Text("" if task.total is None else f"{task.completed:g}/{task.total:g}", style="progress.download")


def make_progress() -> Progress:
    """Bars with description, steps and time, which go away when they end."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), Steps(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
