"""Imports a module of another pack, which it has none of its own of."""

import shared_words
from gives import Gives


class ThirdWords(Gives):
    def go(self):
        return (shared_words.WORD,)


NODE_CLASS_MAPPINGS = {"ThirdWords": ThirdWords}
