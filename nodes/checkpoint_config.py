"""The YAML file that early checkpoints came with (`v1-inference.yaml`): what of it changes how a checkpoint is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_MOST_BYTES = 1_000_000


class CheckpointConfig(NamedTuple):
    """Whether the network predicts v, and the text encoder's layer to stop at (-2: the last but one), if it says one."""

    predicts_v: bool
    stop_at: int | None


def read_config(path: Path) -> CheckpointConfig:
    """Read a config of latent-diffusion's form: `model.params`. Raises ValueError for a file of another form.

    Shapes and sizes are read off the checkpoint itself, which cannot be wrong about them.
    """
    import yaml

    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(
            f"{path.name} is larger than a config of a model; choose the YAML file that the model came with."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not readable as YAML: {error}") from None
    params = _inside(content, "model", "params")
    if not params:
        raise ValueError(f"{path.name} has no `model: params:`; choose the YAML file that the model came with.")
    layer = _inside(params, "cond_stage_config", "params").get("layer_idx")
    return CheckpointConfig(params.get("parameterization") == "v", layer if type(layer) is int else None)


def _inside(content: Any, *names: str) -> Mapping[str, Any]:
    """What lies under `names` in nested mappings; empty where nothing does."""
    for name in names:
        content = content.get(name) if isinstance(content, Mapping) else None
    return content if isinstance(content, Mapping) else {}
