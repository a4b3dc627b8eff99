"""Its choices are files of a folder that is made later."""

import os
from pathlib import Path

import folder_paths

BASE = Path(folder_paths.base_path)
EARLY = [sorted(os.listdir(BASE / name)) for name in ("input", "output", "temp")]


class Waits:
    """Chooses a file."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": (sorted(os.listdir(BASE / "late")),)}}

    RETURN_TYPES = ()
    FUNCTION = "go"

    def go(self, file):
        return ()


NODE_CLASS_MAPPINGS = {"Waits": Waits}
