# ruff: noqa
import sys

sys.exit("I do not like it here")
