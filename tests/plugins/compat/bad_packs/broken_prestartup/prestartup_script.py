# ruff: noqa
raise RuntimeError("before everything")
