"""What can go wrong when a workflow is called: one class for each thing that a program may want to act on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from engine.calls.result import Result


class WorkflowError(Exception):
    """Base of all of them. `problems` lists what is wrong, as dicts: `type`, `message`, `hint`, `expected`, `received` …"""

    def __init__(self, message: str, problems: Iterable[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.problems = [dict(one) for one in problems]


class UnknownWorkflowError(WorkflowError, LookupError):
    """There is no workflow of this name, or no such file; the nearest names are in the message."""


class InvalidWorkflowError(WorkflowError, ValueError):
    """The graph cannot run: it is damaged, or nodes or models that it needs are not there."""


class ArgumentError(WorkflowError, ValueError):
    """A parameter is not right. If several are, the class is that of the first, and `problems` has all."""


class UnknownParameterError(ArgumentError, TypeError):
    """The workflow has no parameter of this name; the nearest names are in the message."""


class MissingParameterError(ArgumentError, TypeError):
    """A parameter without a default was not given."""


class WrongTypeError(ArgumentError, TypeError):
    """A value is of another type than the parameter."""


class OutOfRangeError(ArgumentError):
    """A number is below or above what the parameter allows."""


class NotAChoiceError(ArgumentError):
    """A value is none of the choices, or a file is not there."""


class RunFailedError(WorkflowError):
    """A node failed. `failures` says which and why; `result` has what other branches gave."""

    def __init__(self, message: str, failures: Sequence[Mapping[str, Any]] = (), result: Result | None = None) -> None:
        super().__init__(message, failures)
        self.failures = self.problems
        self.result = result


class RunCancelledError(WorkflowError):
    """The run was cancelled, by whoever called it or by someone else."""


class RunTimeoutError(WorkflowError, TimeoutError):
    """The run took longer than the caller wanted to wait, and was cancelled."""


_BY_TYPE: Final[Mapping[str, type[ArgumentError]]] = {
    "unknown_parameter": UnknownParameterError,
    "missing_parameter": MissingParameterError,
    "invalid_input_type": WrongTypeError,
    "value_smaller_than_min": OutOfRangeError,
    "value_bigger_than_max": OutOfRangeError,
    "value_not_in_list": NotAChoiceError,
}


def argument_error(message: str, problems: Sequence[Mapping[str, Any]]) -> ArgumentError:
    """The error for what is wrong with the parameters of a call, of the class of the first problem."""
    kind = str(problems[0].get("type")) if problems else ""
    return _BY_TYPE.get(kind, ArgumentError)(message, problems)
