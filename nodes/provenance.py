"""Reading what files tell of their making."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from engine.api import Context, In, Out, node
from nodes.image_io import InputPicture


class Told(NamedTuple):
    """What a file tells."""

    report: Annotated[str, Out(tip="All that was found, as JSON.")]
    credentials: Annotated[str, Out(tip="valid, invalid, or none.")]
    source_type: Annotated[str, Out(tip="The IPTC digital source type, an address; empty when there is none.")]
    watermark: Annotated[str, Out(tip="The text of a watermark; empty when there is none.")]


@node("ProvenanceRead", category="image/watermark", display_name="Read Provenance", cache=False)
def provenance_read(
    ctx: Context,
    image: InputPicture,
    watermark_key: Annotated[int, In(ge=0, le=0xFFFFFFFFFFFFFFFF, tip="The key that a watermark was put in with.")] = 0,
) -> Told:
    """Read and check what a picture file tells of its making, by whomever it was made.

    Content credentials (C2PA: `valid` when the file is as it was signed, by whomever; whether the signer is trusted is for
    `safelight provenance` to say), the IPTC digital source type, an embedded workflow, parameters of other programs, and
    the watermark of Embed Watermark. Nothing is fetched. It is read anew in each run, as certificates run out.
    """
    import msgspec

    from engine.media.provenance.reading import read_provenance

    found = read_provenance(ctx.paths.find("input", image), watermark=(watermark_key, 60.0))
    report = msgspec.json.encode({**msgspec.to_builtins(found), "file": image}).decode()
    state = found.credentials.state if found.credentials is not None else "none"
    return Told(report, state, found.source_type, found.watermark)
