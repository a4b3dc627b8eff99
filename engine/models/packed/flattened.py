"""Files in which torchao wrote its tensors in parts, as plain ones: `MODULE._weight_qdata`, `MODULE._weight_scale` and others.

Metadata has, under the weight's own name, of which class it was, its attributes and its parts (torchao's
`prototype/safetensors`, versions 0.16 and later). Such a file is read as if the values had the weight's name. No torch.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from engine.models.errors import CheckpointError
from engine.models.header import Header
from engine.models.packed.base import WEIGHT, module_of
from engine.models.shapes import Facts

_VALUES = f"._{WEIGHT}_qdata"
_NAMES = "tensor_names"
_PLAIN = "Tensor"


def as_weights(header: Header) -> tuple[Header, dict[str, str], dict[str, Facts]]:
    """Return the header with weights under their own names, what the file calls these, and what is told of them, by module.

    What is told are the attributes of torchao's class, `format` its name. Raises CheckpointError for parts of which nothing is
    told, and for a class that is kept in other parts.
    """
    values = [name for name in header.shapes if name.endswith(_VALUES)]
    told = _told(header)
    called = {f"{name.removesuffix(_VALUES)}.{WEIGHT}": name for name in values}
    if silent := [name for name in called if name not in told]:
        raise CheckpointError(
            f"{header.path}: {called[silent[0]]} is a part of a weight of torchao, of which metadata tells nothing. Use a "
            "file that torchao 0.16 or later wrote, whole."
        )
    if strange := [name for name in told if name not in called]:
        raise CheckpointError(
            f"{header.path}: {strange[0]} is kept as torchao's {told[strange[0]]['format']}, whose values were expected in "
            f"{module_of(strange[0])}{_VALUES}. Use the model in bf16, fp16 or fp8, as GGUF, or in torchao's int8 or float8."
        )
    back = {name: own for own, name in called.items()}
    renamed = msgspec.structs.replace(
        header,
        shapes={back.get(name, name): shape for name, shape in header.shapes.items()},
        dtypes={back.get(name, name): dtype for name, dtype in header.dtypes.items()},
    )
    return renamed, called, {module_of(name): facts for name, facts in told.items()}


def _told(header: Header) -> dict[str, Facts]:
    """What metadata tells of tensors that were of a class of torchao, by the weight's name."""
    if _NAMES not in header.metadata:
        return {}
    found: dict[str, Facts] = {}
    for name, text in header.metadata.items():
        fact = _fact(text)
        kind = fact.get("_type")
        if isinstance(kind, str) and kind != _PLAIN:
            data = fact.get("_data")
            found[name] = {**(_plain(data) if isinstance(data, dict) else {}), "format": kind}
    return found


def _fact(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _plain(value: Any) -> Any:
    """An attribute without the class that wraps it: {"_type": "torch.dtype", "_data": "int4"} as "int4"."""
    if isinstance(value, dict):
        return (
            _plain(value["_data"])
            if "_type" in value and "_data" in value
            else {n: _plain(v) for n, v in value.items()}
        )
    return [_plain(one) for one in value] if isinstance(value, list) else value
