"""The one error of this package."""

from __future__ import annotations


class MediaError(ValueError):
    """A file that cannot be read as a picture, or a picture that cannot be written; the message says what to do."""
