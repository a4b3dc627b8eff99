"""Puts its folder on the path, as the other pack does that has modules of the same names."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "inner"))

import shared_words
from gives import Gives

AT_IMPORT = shared_words.WORD


class FirstWords(Gives):
    def go(self):
        import importlib

        import shared_later
        from shared_box.lid import LID
        from shared_words import WORD

        again = importlib.import_module("shared_words").WORD
        return (" ".join([AT_IMPORT, WORD, LID, shared_later.WORD, again]),)


NODE_CLASS_MAPPINGS = {"FirstWords": FirstWords}
