# ruff: noqa
import sys

import folder_paths

assert "custom_nodes.rules-pack_x_v1" not in sys.modules and "custom_nodes.early" not in sys.modules
sys.early_was_here = folder_paths.get_input_directory()
