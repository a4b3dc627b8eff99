import sys

sys.exit(4)  # ruff: noqa
