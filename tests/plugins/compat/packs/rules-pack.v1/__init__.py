# ruff: noqa
"""Each rule of the class protocol once. The folder's name has a hyphen and a dot."""

from .nodes_of_it import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

WEB_DIRECTORY = "./js"
