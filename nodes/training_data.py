"""Data sets for training: pictures and texts encoded, kept on disk, and sorted by size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from engine.api import Clip, Conditioning, Context, Files, Image, In, Latent, Vae, node
from nodes.dimensions import first_of

if TYPE_CHECKING:
    from engine.training.datasets import Dataset


class Encoded(NamedTuple):
    """Latents, and a conditioning for each."""

    latents: list[Latent]
    conditioning: list[Conditioning]


Latents = Annotated[list[Latent], In(tip="What is learned, as MakeTrainingDataset gives it.")]
Conditionings = Annotated[list[Conditioning], In(tip="A conditioning for each latent.")]


@node(
    "MakeTrainingDataset",
    category="dataset",
    display_name="Make Training Dataset",
    input_is_list=True,
    experimental=True,
)
def make_training_dataset(
    ctx: Context,
    images: Annotated[list[Image], In(tip="Pictures to encode, each with its size.")],
    vae: Annotated[Vae, In(tip="Makes latents of pictures.")],
    clip: Annotated[Clip, In(tip="Makes conditionings of texts.")],
    texts: Annotated[
        list[str] | None, In(link_only=True, tip="A text for each picture, one for all, or none: the empty text.")
    ] = None,
) -> Encoded:
    """Encode pictures (B, H, W, C) and their texts, as lists for training: a latent and a conditioning for each item.

    A text that is repeated is encoded once. Raises ValueError for another number of texts than 0, 1 or that of the pictures.
    """
    from nodes.conditioning import text_encode
    from nodes.vae import vae_encode

    written = list(texts or [""])
    if len(written) not in (1, len(images)):
        raise ValueError(
            f"texts: expected none, one, or one for each of the {len(images)} images, got {len(written)}. Link as many texts."
        )
    written = written * len(images) if len(written) == 1 else written
    known: dict[str, Conditioning] = {}
    latents: list[Latent] = []
    for done, image in enumerate(images):
        latents.append(vae_encode(ctx, image[..., :3], first_of(vae)))
        ctx.progress(done + 1, len(images))
    for text in dict.fromkeys(written):
        known[text] = text_encode(ctx, text, first_of(clip))
        ctx.check_cancelled()
    return Encoded(latents, [known[text] for text in written])


@node(
    "SaveTrainingDataset",
    category="dataset",
    display_name="Save Training Dataset",
    output=True,
    input_is_list=True,
    experimental=True,
)
def save_training_dataset(
    ctx: Context,
    latents: Latents,
    conditioning: Conditionings,
    folder_name: Annotated[
        str, In(tip="Folder in models/datasets; a/b makes folders in it. An older data set of that name is replaced.")
    ] = "training_dataset",
    shard_size: Annotated[int, In(ge=1, le=100000, tip="Examples in a file.", options={"advanced": True})] = 1000,
) -> None:
    """Save an encoded data set as a folder of models/datasets: `shard_0000.pkl` … and `metadata.json`, whole or not at all."""
    from engine.training.datasets import Dataset, save_dataset

    home = ctx.paths.folders("datasets")[0]
    held = Dataset([dict(one) for one in latents], [list(one) for one in conditioning])
    save_dataset(home, str(first_of(folder_name)), held, int(first_of(shard_size)), ctx.progress)


@node("LoadTrainingDataset", category="dataset", display_name="Load Training Dataset", experimental=True)
def load_training_dataset(
    ctx: Context, folder_name: Annotated[str, In(choices=Files("datasets"), tip="A data set in models/datasets.")]
) -> Encoded:
    """Load an encoded data set that SaveTrainingDataset wrote, as lists. Files are read as data only: no code in them is run."""
    from engine.training.datasets import load_dataset

    return _lists(load_dataset(ctx.paths.find("datasets", folder_name)))


@node("ResolutionBucket", category="dataset", display_name="Resolution Bucket", input_is_list=True, experimental=True)
def resolution_bucket(latents: Latents, conditioning: Conditionings) -> Encoded:
    """Sort latents (B, C, h, w) and their conditionings by size: one batch for each height and width, in order of appearance.

    Each of a latent's B has a conditioning of its own in its list.
    """
    from engine.training.datasets import Dataset, bucketed

    return _lists(bucketed(Dataset([dict(one) for one in latents], [list(one) for one in conditioning])))


def _lists(dataset: Dataset) -> Encoded:
    return Encoded(dataset.latents, dataset.conditioning)
