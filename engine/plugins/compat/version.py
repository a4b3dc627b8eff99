"""`comfyui_version`: the version of the field's standard whose names and behaviour packs find here."""

__version__ = "0.3.64"
