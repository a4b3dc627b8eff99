import os

os._exit(5)  # ruff: noqa
