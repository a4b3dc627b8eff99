"""Fails half way."""

import wave

raise ImportError(wave.__name__)
