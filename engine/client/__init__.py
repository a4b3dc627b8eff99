"""Workflows called on a server: `Client`, and `AsyncClient` for event loops. Neither needs torch.

from engine.client import Client

with Client("http://127.0.0.1:8188") as client:
    client.workflow("text_to_image").run(prompt="red apple", seed=1).images[0].save("apple.png")
"""

from engine.calls.errors import (
    ArgumentError,
    InvalidWorkflowError,
    MissingParameterError,
    NotAChoiceError,
    OutOfRangeError,
    RunCancelledError,
    RunFailedError,
    RunTimeoutError,
    UnknownParameterError,
    UnknownWorkflowError,
    WorkflowError,
    WrongTypeError,
)
from engine.calls.progress import Progress
from engine.calls.result import File, Output, Result
from engine.client.asynchronous import AsyncClient, AsyncWorkflow
from engine.client.errors import (
    ConnectionLostError,
    NotAllowedError,
    ServerError,
    TooManyRequestsError,
    UnknownJobError,
)
from engine.client.synchronous import Client, RemoteWorkflow

__all__ = [
    "ArgumentError",
    "AsyncClient",
    "AsyncWorkflow",
    "Client",
    "ConnectionLostError",
    "File",
    "InvalidWorkflowError",
    "MissingParameterError",
    "NotAChoiceError",
    "NotAllowedError",
    "OutOfRangeError",
    "Output",
    "Progress",
    "RemoteWorkflow",
    "Result",
    "RunCancelledError",
    "RunFailedError",
    "RunTimeoutError",
    "ServerError",
    "TooManyRequestsError",
    "UnknownJobError",
    "UnknownParameterError",
    "UnknownWorkflowError",
    "WorkflowError",
    "WrongTypeError",
]
