# ruff: noqa
import os

import folder_paths

folder_paths.add_model_folder_path("early_models", os.path.join(folder_paths.models_dir, "early"))
