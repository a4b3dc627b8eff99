"""What to install for a module that is not there: its distribution, which often has another name."""

from __future__ import annotations

import re
import sys
from typing import Final

EXTRA: Final = "packs"
"""The optional dependencies of ours that many packs take for granted."""

COMMON: Final = frozenset(
    {
        "einops",
        "gguf",
        "kornia",
        "matplotlib",
        "numba",
        "opencv-python-headless",
        "piexif",
        "pydantic",
        "requests",
        "scikit-image",
        "sentencepiece",
        "spandrel",
        "torchvision",
        "tqdm",
    }
)
"""Those of the extra."""

DISTRIBUTIONS: Final = {
    "Crypto": "pycryptodome",
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "google.protobuf": "protobuf",
    "imgutils": "dghs-imgutils",
    "jwt": "pyjwt",
    "kornia_rs": "kornia-rs",
    "mpl_toolkits": "matplotlib",
    "OpenSSL": "pyopenssl",
    "qrcode": "qrcode[pil]",
    "segment_anything": "segment-anything",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "usb": "pyusb",
    "yaml": "pyyaml",
}
"""Module → the distribution that brings it, where the names differ by more than `_` and `-`."""


def advice(error: BaseException) -> str:
    """The command that brings what an import missed, as a sentence after the error; "" for another error."""
    module = _missing(error)
    if module is None:
        return ""
    distribution = DISTRIBUTIONS.get(module, module.replace("_", "-"))
    if _name(distribution) in COMMON:
        return (
            f" Install what packs commonly use: pip install 'safelight[{EXTRA}]' (or only: pip install {distribution})."
        )
    return f" Install it into Safelight's environment: pip install {distribution} (or as the pack's own notes say)."


def _missing(error: BaseException | None) -> str | None:
    """The top module that was not found, if that is what went wrong; none of the standard library's or of ours."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            top = error.name.partition(".")[0]
            known = top in sys.stdlib_module_names or top in (
                "engine",
                "nodes",
                "custom_nodes",
                "folder_paths",
                "server",
            )
            return None if known or top.startswith("comfy") or top in sys.modules else top
        error = error.__cause__ or error.__context__
    return None


def _name(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution.partition("[")[0]).lower()
