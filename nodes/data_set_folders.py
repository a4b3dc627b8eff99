"""Data sets in folders: pictures with captions, loaded and saved."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from engine.api import Clip, Conditioning, Context, Files, Image, In, Mask, WithUi, node
from engine.media.load import load_picture
from engine.media.picture_sets import Fitting, captions_of, entries_of, one_batch, read_all, repeated

_CATEGORY = "dataset/image"

Folder = Annotated[
    str, In(choices=Files("input", kind="folder"), tip="A subfolder of the input folder that has pictures.")
]
Fit = Annotated[Fitting, In(tip="How pictures get one size: Stretch, Crop to the middle, or Pad with black.")]
Side = Annotated[int, In(ge=-1, le=10_000, step=1, tip="In pixels; -1 is that of the first picture.")]


class Pairs(NamedTuple):
    """Pictures and their captions."""

    images: list[Image]
    texts: list[str]


class Trained(NamedTuple):
    """Pictures as one batch, and a conditioning for each."""

    IMAGE: Image
    CONDITIONING: Conditioning


class Loaded(NamedTuple):
    """A picture and its transparency."""

    image: Image
    mask: Mask


@node("LoadImageOutput", category="image", display_name="Load Image (from Outputs)")
def load_image_output(
    ctx: Context,
    image: Annotated[
        str,
        In(
            choices=Files("output"),
            options={
                "image_upload": True,
                "image_folder": "output",
                "remote": {
                    "route": "/internal/files/output",
                    "refresh_button": True,
                    "control_after_refresh": "first",
                },
            },
            tip="A picture in the output folder; refresh to see new ones.",
        ),
    ],
) -> Loaded:
    """Load a picture (1, H, W, 3) that was saved, or every frame of an animation, as LoadImage does of the input folder."""
    picture = load_picture(ctx.paths.find("output", image))
    return Loaded(picture.image, picture.mask)


class FolderImages(NamedTuple):
    """The pictures of a folder."""

    images: list[Image]


@node("LoadImageDataSetFromFolder", category=_CATEGORY, display_name="Load Image (from Folder)", experimental=True)
def load_image_data_set(ctx: Context, folder: Folder) -> FolderImages:
    """Load all pictures (.png, .jpg, .jpeg, .webp) of a folder as a list of (1, H, W, 3), in the order of their names.

    Alpha is dropped, and of animations the first frame is taken. That pictures are turned upright is inferred.
    Raises MediaError for a folder without pictures and for a name that leads out of the input folder.
    """
    entries = entries_of(ctx.paths.files_in("input", folder), folder, below=False)
    return FolderImages(read_all([entry.path for entry in entries]))


@node(
    "LoadImageTextDataSetFromFolder",
    category=_CATEGORY,
    display_name="Load Image-Text (from Folder)",
    experimental=True,
)
def load_image_text_data_set(ctx: Context, folder: Folder) -> Pairs:
    """Load all pictures of a folder, and as their captions the `.txt` files of the same names, trimmed, or empty texts.

    Subfolders whose name begins with a number, as in 5_cats, are read too, each picture that many times; others are not
    (inferred). Raises MediaError for a folder without pictures and for a name that leads out of the input folder.
    """
    entries = entries_of(ctx.paths.files_in("input", folder), folder, below=True)
    return Pairs(repeated(entries), captions_of(entries))


@node(
    "LoadImageSetFromFolderNode", category="loaders", display_name="Load Image Dataset from Folder", experimental=True
)
def load_image_set_from_folder(ctx: Context, folder: Folder, resize_method: Fit = "None") -> Image:
    """Load all pictures of a folder as one batch (B, H, W, 3), at the size of the first (inferred).

    Raises MediaError when they differ in size and resize_method is None.
    """
    entries = entries_of(ctx.paths.files_in("input", folder), folder, below=False)
    return one_batch(read_all([entry.path for entry in entries]), resize_method)


@node("LoadImageSetNode", category="loaders", display_name="Load Image Dataset", experimental=True)
def load_image_set(
    ctx: Context,
    images: Annotated[
        str,
        In(
            choices=Files("input"),
            options={"image_upload": True, "allow_batch": True},
            tip="Pictures in the input folder: one name, or a list of them.",
        ),
    ],
    resize_method: Fit = "None",
) -> Image:
    """Load pictures of the input folder as one batch (B, H, W, 3), at the size of the first (inferred).

    Raises MediaError when they differ in size and resize_method is None.
    """
    chosen: Any = images
    names = [chosen] if isinstance(chosen, str) else list(chosen)
    if not names:
        raise ValueError("LoadImageSetNode: no picture is chosen; choose at least one.")
    return one_batch(read_all([ctx.paths.find("input", name) for name in names]), resize_method)


@node(
    "LoadImageTextSetFromFolderNode",
    category="loaders",
    display_name="Load Image and Text Dataset from Folder",
    experimental=True,
)
def load_image_text_set_from_folder(
    ctx: Context, folder: Folder, clip: Clip, resize_method: Fit = "None", width: Side = -1, height: Side = -1
) -> Trained:
    """Load the pictures of a folder as one batch (B, H, W, 3), and encode their captions: a conditioning with B entries.

    Captions and subfolders are those of LoadImageTextDataSetFromFolder. Raises MediaError when the pictures differ in size and
    resize_method is None.
    """
    entries = entries_of(ctx.paths.files_in("input", folder), folder, below=True)
    batch = one_batch(repeated(entries), resize_method, width, height)
    texts = captions_of(entries)
    known: dict[str, list[Any]] = {}
    with ctx.models.use(clip) as encoder:
        for text in dict.fromkeys(texts):
            ctx.check_cancelled()
            known[text] = list(encoder.encode(text, ctx.warn))
    return Trained(batch, [[known[text][0], dict(known[text][1])] for text in texts])


Name = Annotated[str, In(options={"multiline": False})]
Naming = Annotated[
    Literal["overwrite", "increment"], In(tip="Numbers from 0 over older files, or the next free numbers.")
]


@node(
    "SaveImageDataSetToFolder",
    category=_CATEGORY,
    display_name="Save Image (to Folder) (DEPRECATED)",
    output=True,
    input_is_list=True,
    deprecated=True,
    experimental=True,
)
def save_image_data_set(
    ctx: Context,
    images: Image,
    folder_name: Annotated[Name, In(tip="A folder within the output folder.")] = "dataset",
    filename_prefix: Annotated[Name, In(tip="Beginning of the file names.", options={"advanced": True})] = "image",
    mode: Naming = "overwrite",
) -> WithUi[None]:
    """Save pictures (B, H, W, C) as PNG files `prefix_00000.png`, … of a folder in the output folder.

    Raises MediaError for a folder or prefix that leads out of it, and ValueError for an empty list.
    """
    return _saved(ctx, images, None, folder_name, filename_prefix, mode)


@node(
    "SaveImageTextDataSetToFolder",
    category=_CATEGORY,
    display_name="Save Image-Text (to Folder)",
    output=True,
    input_is_list=True,
    experimental=True,
)
def save_image_text_data_set(
    ctx: Context,
    images: Image,
    texts: Annotated[str | None, In(link_only=True, tip="A caption for each item of the list of pictures.")] = None,
    folder_name: Annotated[Name, In(tip="A folder within the output folder.")] = "dataset",
    filename_prefix: Annotated[Name, In(tip="Beginning of the file names.", options={"advanced": True})] = "image",
    mode: Naming = "overwrite",
) -> WithUi[None]:
    """Save pictures (B, H, W, C) as PNG files of a folder in the output folder, and beside each its caption as a `.txt` file.

    Of an item that is a batch every picture gets the caption of the item. Raises MediaError for a folder or prefix that leads
    out of the output folder, ValueError for an empty list and for another number of captions than of items.
    """
    return _saved(ctx, images, texts, folder_name, filename_prefix, mode)


def _saved(ctx: Context, images: Any, texts: Any, folder: Any, prefix: Any, mode: Any) -> WithUi[None]:
    from engine.media.picture_set_files import save_set

    if not images:
        raise ValueError("The list of pictures is empty, so there is nothing to save; see what is linked to images.")
    captions = texts if texts else None
    if captions is not None and len(captions) != len(images):
        raise ValueError(
            f"There are {len(captions)} captions for {len(images)} pictures; link as many texts as pictures, or none."
        )
    home = ctx.paths.directory("output").resolve()
    first = [value[0] if isinstance(value, list) else value for value in (folder, prefix, mode)]
    told = save_set(home, images, captions, str(first[0]), str(first[1]), over=first[2] == "overwrite")
    return WithUi(ui={"images": told})
