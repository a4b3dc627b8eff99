"""Data sets of videos in folders. Videos are files of which the heads are read: frames are decoded when a node asks for them."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from engine.api import Context, Files, In, Seed, Video, node
from engine.media.picture_sets import captions_of, entries_of
from engine.media.video import video_file
from nodes.data_set_pictures import first_of, order_of

_CATEGORY = "dataset/video"

Folder = Annotated[
    str, In(choices=Files("input", kind="folder"), tip="A subfolder of the input folder that has videos.")
]


class FolderVideos(NamedTuple):
    """The videos of a folder."""

    videos: list[Video]


class Pairs(NamedTuple):
    """Videos and their captions."""

    videos: list[Video]
    texts: list[str]


@node("LoadVideoDataSetFromFolder", category=_CATEGORY, display_name="Load Video (from Folder)", experimental=True)
def load_video_data_set(ctx: Context, folder: Folder) -> FolderVideos:
    """Load all videos (.mp4, .avi, .mov, .webm, .mkv, .flv) of a folder as a list, in the order of their names.

    Raises MediaError for a folder without videos, a file that is none, and a name that leads out of the input folder.
    """
    entries = entries_of(ctx.paths.files_in("input", folder), folder, below=False, kind="videos")
    return FolderVideos([video_file(entry.path) for entry in entries])


@node(
    "LoadVideoTextDataSetFromFolder",
    category=_CATEGORY,
    display_name="Load Video-Text (from Folder)",
    experimental=True,
)
def load_video_text_data_set(ctx: Context, folder: Folder) -> Pairs:
    """Load all videos of a folder, and as their captions the `.txt` files of the same names, trimmed, or empty texts.

    Subfolders whose name begins with a number, as in 5_cats, are read too, each video that many times. Raises MediaError
    as LoadVideoDataSetFromFolder does.
    """
    entries = entries_of(ctx.paths.files_in("input", folder), folder, below=True, kind="videos")
    loaded = [(video_file(entry.path), entry.times) for entry in entries]
    return Pairs([video for video, times in loaded for _ in range(times)], captions_of(entries))


@node(
    "ShuffleVideoDataset", category=_CATEGORY, display_name="Shuffle Videos List", input_is_list=True, experimental=True
)
def shuffle_video_data_set(videos: Video, seed: Seed = 0) -> FolderVideos:
    """Give a list of videos in another order, which is the same for the same seed and length; which one is ours."""
    given: Any = videos
    return FolderVideos([given[at] for at in order_of(len(given), first_of(seed), "videos")])


@node(
    "ShuffleVideoTextDataset",
    category=_CATEGORY,
    display_name="Shuffle Pairs of Video-Text",
    input_is_list=True,
    experimental=True,
)
def shuffle_video_text_data_set(
    videos: Video, texts: Annotated[str, In(link_only=True, tip="A caption for each.")], seed: Seed = 0
) -> Pairs:
    """Give videos and their captions in another order, the same for both. Raises ValueError for lists of other lengths."""
    given: Any = videos
    if len(given) != len(texts):
        raise ValueError(f"texts: there are {len(texts)} texts for {len(given)} videos; link lists of one length.")
    order = order_of(len(given), first_of(seed), "videos")
    return Pairs([given[at] for at in order], [texts[at] for at in order])
