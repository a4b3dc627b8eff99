"""Files of text encoders to handles: which family of a loader's `type` they are of. Reads headers only; no torch.

`type` names families, not encoders: several may be called the same (FLUX.2 and its small ones), and are told apart by which
language model a file holds, and by its width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from engine.models.detect import metadata_facts, text_width
from engine.models.errors import CheckpointError
from engine.models.families import families, families_of_type, titles, without_networks
from engine.models.families.base import Family, Tower
from engine.models.handles import ClipHandle, FileDigest, Source, digest_file
from engine.models.header import Header
from engine.models.packed import read_header
from engine.models.shapes import Shapes
from engine.models.towers import kind_named, kinds
from engine.models.towers.clip import TextEncoderFacts

Pairs: TypeAlias = list[tuple[Tower, Header]]
"""Text encoders of a family, each with its file."""

_OF_VISION = ("num_heads", "window_size", "fullatt_block_indexes", "deepstack_visual_indexes", "spatial_merge_size")


def tower_handle(source: Source, family: str, facts: TextEncoderFacts, tokenizer: Source | None = None) -> ClipHandle:
    """Return the handle of one text encoder of a family, from what its tensors tell."""
    return ClipHandle(
        source=source,
        family=family,
        tower=facts.tower.name,
        config=facts.config,
        prefix=facts.prefix,
        tokens=facts.tokens,
        tokenizer=tokenizer,
        stop_at=facts.stop_at,
        normed=facts.tower.normed,
        cut_layers=facts.cut_layers,
    )


def config_hints(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the config.json of a text encoder tells that its tensors do not, under the names of `text_facts`."""
    flat = {**config, **(config.get("text_config") or {})}
    names = {
        "heads": ("num_attention_heads",),
        "head_dim": ("head_dim",),
        "act": ("hidden_act",),
        "norm_eps": ("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps"),
        "vision": ("vision_config",),
    }
    found = {ours: flat[name] for ours, theirs in names.items() for name in theirs if flat.get(name) is not None}
    if "vision" in found:
        found["vision"] = {name: found["vision"][name] for name in _OF_VISION if name in found["vision"]}
    return found | ({"rope": rope} if (rope := _rope(flat)) else {})


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """The rotation as transformers 5 writes it, or as versions before it did; {} where a model has its own way of telling."""
    if now := config.get("rope_parameters"):
        return dict(now)
    if "rope_theta" not in config or "rope_local_base_freq" in config:
        return {}
    scaling = dict(config.get("rope_scaling") or {})
    kind = scaling.pop("rope_type", scaling.pop("type", "default"))
    scaling.pop("type", None)
    return {**scaling, "rope_type": "default" if kind == "mrope" else kind, "rope_theta": float(config["rope_theta"])}


def open_text_encoders(paths: Sequence[Path], kind: str, files: FileDigest = digest_file) -> ClipHandle:
    """Return the handle of a family's text encoders, each in a file of its own, in any order.

    `kind`: what loaders call the family. A family that joins its encoders by name may do with fewer. One file that no family of
    this type takes may be a language model, which is then there to write. Raises CheckpointError naming a file that is not the
    family's, what it holds, and the types that it fits.
    """
    headers = [read_header(Path(path)) for path in paths]
    return _opened(*_family(headers, kind), files)


def open_writer(path: Path, files: FileDigest = digest_file) -> ClipHandle | None:
    """Return the handle of a language model that is there to write; None for a file that is none."""
    found = _writer([read_header(path)])
    return _opened(*found, files) if found else None


def _opened(family: Family, pairs: Pairs, files: FileDigest) -> ClipHandle:
    towers = []
    for tower, header in pairs:
        try:
            facts = kind_named(tower.kind).text_facts(header.shapes, _told(header).get("text", {}), tower)
        except (KeyError, IndexError) as problem:
            raise CheckpointError(
                f"{header.path}: expected the text encoder {tower.name} of {family.title}, which has a tensor "
                f"{problem.args[0]}, but this lacks it. Load the file that belongs to {family.title}, or choose the type of the "
                "model that this one belongs to."
            ) from problem
        towers.append(tower_handle(Source(header.path, files(Path(header.path))), family.name, facts))
    return towers[0].with_towers(towers)


def _told(header: Header) -> Mapping[str, Any]:
    return metadata_facts(header.metadata, header.path)


def _family(headers: Sequence[Header], kind: str) -> tuple[Family, Pairs]:
    """The family of this type whose towers these files are, each with its file."""
    called = families_of_type(kind, len(headers))
    fitting = [(family, pairs) for family in called if (pairs := _paired(family, headers))]
    for fits in (_is_named, _has_width, _is_nobodys):
        for family, pairs in fitting:
            if fits(family, pairs):
                return family, pairs
    if (writer := _writer(headers)) is not None:
        return writer
    if not called:
        raise CheckpointError(f"no family with {len(headers)} text encoders is called {kind!r}. Known: {titles()}.")
    raise CheckpointError(_unfit(headers, kind, called))


def _writer(headers: Sequence[Header]) -> tuple[Family, Pairs] | None:
    """What a language model is that no network of the type takes."""
    for family in without_networks() if len(headers) == 1 else ():
        for tower in family.towers:
            if kind_named(tower.kind).is_there(headers[0].shapes):
                return family, [(tower, headers[0])]
    return None


def _is_named(family: Family, pairs: Pairs) -> bool:
    """Whether the metadata of a file names this family."""
    return any(_told(header).get("family") == family.name for _, header in pairs)


def _has_width(_: Family, pairs: Pairs) -> bool:
    """Whether each file has the width of the full-size tower."""
    return all(tower.width == text_width(header.shapes) for tower, header in pairs)


def _is_nobodys(_: Family, pairs: Pairs) -> bool:
    """Whether no file has the width of another tower of its kind; unknown widths are somebody's own."""
    return not any(_is_anothers(tower, header) for tower, header in pairs)


def _is_anothers(tower: Tower, header: Header) -> bool:
    others = {one.width for family in families() for one in family.towers if one.kind == tower.kind} - {tower.width}
    return text_width(header.shapes) in others


def _paired(family: Family, headers: Sequence[Header]) -> Pairs:
    """The towers of a family, each with its file; of several of a kind the narrower with the narrower. [] where one has none."""
    pairs: dict[str, Header] = {}
    for kind in {tower.kind for tower in family.towers}:
        towers = sorted((tower for tower in family.towers if tower.kind == kind), key=lambda tower: tower.width)
        alike = [header for header in headers if kind_named(kind).is_there(header.shapes)]
        alike.sort(key=lambda header: text_width(header.shapes))
        if len(alike) > len(towers) or (len(alike) < len(towers) and not family.join):
            return []
        if len(alike) < len(towers):
            widths = {text_width(header.shapes) for header in alike}
            towers = [tower for tower in towers if tower.width in widths] or towers
        pairs |= {tower.name: header for tower, header in zip(towers, alike, strict=False)}
    found = [(tower, pairs[tower.name]) for tower in family.towers if tower.name in pairs]
    return found if len(found) == len(headers) else []


def _unfit(headers: Sequence[Header], kind: str, called: Sequence[Family]) -> str:
    """What each file holds, what the type takes, and which types a file fits."""
    holds = "; ".join(f"{Path(header.path).name} holds {_described(header.shapes)}" for header in headers)
    wants = " or ".join(
        f"{' and '.join(f'{tower.name} (width {tower.width})' for tower in family.towers)} for {family.title}"
        for family in called
    )
    fits = [one for one in _types_of(headers) if one != kind]
    hint = f" Types that take these: {', '.join(fits)}." if fits else ""
    return f"{kind} takes {wants}; but {holds}.{hint}"


def types_of(path: Path) -> list[str]:
    """Return what loaders call the families whose text encoder a file is."""
    return _types_of([read_header(path)])


def _types_of(headers: Sequence[Header]) -> list[str]:
    fits = (name for family in families() for name in family.loader_types if _fits_one(family, headers))
    return list(dict.fromkeys(fits))


def _fits_one(family: Family, headers: Sequence[Header]) -> bool:
    pairs = _paired(family, headers)
    return bool(pairs) and _is_nobodys(family, pairs)


def _described(shapes: Shapes) -> str:
    found = next((kind for kind in kinds() if kind.is_there(shapes)), None)
    return f"{found.TITLE} of width {text_width(shapes)}" if found else "no text encoder that is known"
