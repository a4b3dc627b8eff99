"""Takes what common packs take, and writes beside what it takes for the core."""

import inspect
import os
from pathlib import Path

import comfyui_version
import folder_paths
from comfy.cli_args import args, parser
from comfy_api.feature_flags import SERVER_FEATURE_FLAGS, get_server_features
from comfy_api.input import VideoInput
from comfy_api.input_impl import VideoFromComponents, VideoFromFile
from comfy_api.util import VideoComponents
from comfy_execution.utils import get_executing_context
from gives import Gives
from server import PromptServer

import nodes

PLACES = {os.path.dirname(found) for found in (folder_paths.__file__, inspect.getfile(PromptServer), nodes.__file__)}
for place in PLACES:
    (Path(place) / "written_by_a_pack.txt").write_text("here")


class Added(Gives):
    def go(self):
        server = PromptServer.instance
        return (
            {
                "version": comfyui_version.__version__,
                "listen": [args.listen, args.port, server.address, server.port],
                "parsed": parser.parse_args(["--port", "9"]).port,
                "upload": [SERVER_FEATURE_FLAGS["max_upload_size"], get_server_features()["max_upload_size"]],
                "video": issubclass(VideoFromFile, VideoInput) and issubclass(VideoFromComponents, VideoInput),
                "components": VideoComponents([1], 24).frame_rate,
                "executing": get_executing_context(),
                "places": sorted(PLACES),
            },
        )


NODE_CLASS_MAPPINGS = {"Added": Added}
