"""The protocol's side: what a client asks, and what it is told when something changes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import difflib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourcesListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    Annotations,
    BlobResourceContents,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    NotificationParams,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

from engine.mcp_tools.callers import as_caller
from engine.mcp_tools.content import OUTPUT_SCHEMA, description, media_type, refused, result_of
from engine.mcp_tools.records import Backend, Outcome, Progress, Stored, ToolError, WorkflowTool
from engine.mcp_tools.uris import SCHEME, file_of, uri_of

MOST_LISTED: Final = 200
"""Resources in the list: the newest."""

MOST_READ: Final = 100 * 1024 * 1024
"""Bytes of a resource."""

MOST_SESSIONS: Final = 1000
"""Clients of before 2026 that are told of changes; they say hello, and nobody says when they are gone."""

INSTRUCTIONS: Final = (
    "Each tool is a saved workflow of Safelight, which makes or edits pictures, sounds or films. A call gives the pictures "
    "themselves, smaller copies of large ones, and the address of each file (safelight://output/…), which is a resource "
    'and an argument for pictures. Equal arguments give equal pictures: change the seed, or say "random", for another one.'
)

_TEMPLATES: Final = {
    "output": "What workflows saved.",
    "temp": "Previews of workflows that save nothing.",
    "input": "Pictures to start from.",
}


class ToolServer(Server[Any]):
    """Answers clients of the protocol for a backend; `watch` tells them when the tools have changed."""

    def __init__(self, backend: Backend, version: str) -> None:
        self._backend = backend
        self._bus = InMemorySubscriptionBus()
        self._sessions: OrderedDict[int, ServerSession] = OrderedDict()
        super().__init__(
            "safelight",
            version=version,
            title="Safelight",
            instructions=INSTRUCTIONS,
            get_tool_input_schema=lambda name: None,  # no argument of ours is told in a header
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_subscriptions_listen=ListenHandler(self._bus),
        )
        self.add_notification_handler("notifications/initialized", NotificationParams, self._said_hello)

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> Any:
        """As the base, and it says that lists change."""
        told = notification_options or NotificationOptions(tools_changed=True, resources_changed=True)
        return super().create_initialization_options(told, experimental_capabilities, extensions)

    async def watch(self) -> None:
        """Look again and again whether there are other tools, and tell clients; until cancelled."""
        known: Sequence[WorkflowTool] | None = None
        while True:
            with contextlib.suppress(ToolError):
                found = await self._backend.tools()
                if known is not None and found != known:
                    await self._tools_changed()
                known = found
            await asyncio.sleep(self._backend.look_every)

    # -- changes

    async def _said_hello(self, ctx: ServerRequestContext[Any], params: NotificationParams) -> None:
        """A client of before 2026, which is told of changes without having asked for each."""
        self._sessions[id(ctx.session)] = ctx.session
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)

    async def _tools_changed(self) -> None:
        await self._bus.publish(ToolsListChanged())
        for session in list(self._sessions.values()):
            await session.send_tool_list_changed()

    async def _resources_changed(self) -> None:
        await self._bus.publish(ResourcesListChanged())
        for session in list(self._sessions.values()):
            await session.send_resource_list_changed()

    # -- tools

    async def _list_tools(
        self, ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        try:
            return ListToolsResult(tools=[_tool(one) for one in await self._backend.tools()])
        except ToolError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error

    async def _call_tool(self, ctx: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        try:
            tools = await self._backend.tools()
            tool = next((one for one in tools if one.name == params.name), None)
            if tool is None:
                raise _unknown(params.name, tools)
            async with _told(ctx.session) as tell:
                with as_caller(ctx.request):
                    outcome: Outcome = await self._backend.run(tool, params.arguments or {}, tell)
            answer = await result_of(self._backend, outcome)
        except ToolError as error:
            return refused(error)
        await self._resources_changed()
        return answer

    # -- resources

    async def _list_resources(
        self, ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        try:
            with as_caller(ctx.request):
                found = await self._backend.newest(MOST_LISTED)
            return ListResourcesResult(resources=[_resource(one) for one in found])
        except ToolError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error

    async def _list_templates(
        self, ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        templates = [
            ResourceTemplate(name=folder, uri_template=f"{SCHEME}://{folder}/{{+name}}", description=doc)
            for folder, doc in _TEMPLATES.items()
        ]
        return ListResourceTemplatesResult(resource_templates=templates)

    async def _read_resource(
        self, ctx: ServerRequestContext[Any], params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        file = file_of(params.uri)
        try:
            if file is None:
                raise ToolError(f"{params.uri!r} is no address of ours; expected such as {SCHEME}://output/NAME.")
            with as_caller(ctx.request):
                data, kind = await self._backend.read(file, MOST_READ)
        except ToolError as error:
            raise MCPError(INVALID_PARAMS, str(error), data={"uri": params.uri}) from error
        return ReadResourceResult(contents=[_contents(params.uri, data, kind)])


def _tool(one: WorkflowTool) -> Tool:
    hints = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    return Tool(
        name=one.name,
        title=one.title,
        description=description(one),
        input_schema=one.schema,
        output_schema=OUTPUT_SCHEMA,
        annotations=hints,
    )


def _unknown(name: str, tools: Sequence[WorkflowTool]) -> MCPError:
    near = difflib.get_close_matches(name, [one.name for one in tools], n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "tools/list has those that there are."
    return MCPError(INVALID_PARAMS, f"Unknown tool: {name}. {hint}")


def _resource(one: Stored) -> Resource:
    changed = datetime.fromtimestamp(one.changed, UTC).isoformat(timespec="seconds")
    return Resource(
        name=one.file.name,
        uri=uri_of(one.file),
        mime_type=media_type(one.file.name),
        size=one.size,
        annotations=Annotations(last_modified=changed),
    )


def _contents(uri: str, data: bytes, kind: str) -> TextResourceContents | BlobResourceContents:
    plain = kind.partition(";")[0]
    if plain.startswith("text/") or plain == "application/json":
        with contextlib.suppress(UnicodeDecodeError):
            return TextResourceContents(uri=uri, mime_type=plain, text=data.decode())
    return BlobResourceContents(uri=uri, mime_type=plain, blob=base64.b64encode(data).decode())


@contextlib.asynccontextmanager
async def _told(session: ServerSession) -> AsyncIterator[Any]:
    """Gives a function that takes progress from any thread; the client is told of the latest, as fast as it reads."""
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    latest: list[Progress] = []
    over = False

    def put(progress: Progress) -> None:
        latest[:] = [progress]
        news.set()

    def tell(progress: Progress) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is told any more
            loop.call_soon_threadsafe(put, progress)

    async def say() -> None:
        while latest or not over:
            await news.wait()
            news.clear()
            if latest:
                one = latest.pop()
                await session.report_progress(one.done, one.total, one.message)

    saying = asyncio.create_task(say())
    try:
        yield tell
        over = True
        news.set()
        await saying
    finally:
        saying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await saying
