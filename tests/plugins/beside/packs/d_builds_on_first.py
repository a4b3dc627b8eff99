"""Imports a module of another pack, which it has none of its own of."""

import shared_words


class ThirdWords:
    """Gives what it finds."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"

    def go(self):
        return (shared_words.WORD,)


NODE_CLASS_MAPPINGS = {"ThirdWords": ThirdWords}
