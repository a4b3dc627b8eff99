"""What can be wrong with a model file. Every message says which file, what was expected, what came, and what to do."""

from __future__ import annotations


class ModelError(Exception):
    """A model file or a use of a model that cannot work."""


class CheckpointError(ModelError):
    """A file that is not a checkpoint, is damaged, or holds other tensors than its family needs."""


class LoraError(ModelError):
    """A LoRA that does not fit the model it is put on."""


class EmbeddingError(ModelError):
    """A textual-inversion embedding for text encoders of another width."""


class TokenizerError(ModelError):
    """No tokenizer could be found for a text encoder, or it does not fit."""


class NotThereError(ModelError, AttributeError):
    """Something was asked of a network that networks of its kind do not have."""


def shortened(names: list[str], limit: int = 4) -> str:
    """Join `names` for a message: the first `limit`, then how many more."""
    text = ", ".join(names[:limit])
    return text if len(names) <= limit else f"{text} and {len(names) - limit} more"
