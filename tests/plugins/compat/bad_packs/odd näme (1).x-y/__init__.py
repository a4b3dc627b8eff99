# ruff: noqa
from .the_hélper import Odd

NODE_CLASS_MAPPINGS = {"Odd nöde (1)": Odd}
NODE_DISPLAY_NAME_MAPPINGS = {"Odd nöde (1)": "Odd \ud800 title"}
