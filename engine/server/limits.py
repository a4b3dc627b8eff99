"""How much the server takes from outside, in one place, so that every route bounds its work by the same numbers."""

from __future__ import annotations

import msgspec

MIB = 1024**2


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what clients send. Sizes in bytes, times in seconds."""

    max_upload_size: int = 100 * MIB
    """One uploaded file, and one file of user data."""
    max_body: int = 64 * MIB
    """A JSON body after decompression: a prompt, a workflow."""
    max_settings_body: int = MIB
    """A body of settings."""
    max_form_fields: int = 64
    """Parts of one multipart body."""
    max_form_value: int = 64 * 1024
    """One part of a multipart body that is not a file."""
    max_json_depth: int = 128
    """How deep lists and objects may stand in each other: all that walks them does so by recursion."""
    max_pixels: int = 100_000_000
    """A picture that is decoded, told from its header."""
    max_ws_message: int = MIB
    """One websocket message from a client."""
    max_ws_pending: int = 8 * MIB
    """What waits to be sent to one slow websocket client before its connection is closed, but for pictures."""
    max_ws_pictures: int = 512 * MIB
    """The same of binary messages: pictures are large and come in batches, which makes nobody slow."""
    max_ws_all: int = 512 * MIB
    """What waits for all clients together, pictures among it, before the slowest of them is disconnected."""
    max_ws_clients: int = 1000
    max_queue: int = 10_000
    """Jobs that wait, from which on the routes that can say so (429) take no further ones."""
    body_grace: float = 20.0
    """A body may take this long, and longer only while it comes faster than `min_body_rate`."""
    min_body_rate: int = 16 * 1024
    """Bytes per second."""

    @property
    def largest_request(self) -> int:
        """The greatest `Content-Length` that any route takes: a file with the form around it, or a JSON body."""
        return max(self.max_upload_size + MIB, self.max_body)
