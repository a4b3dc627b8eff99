"""A module of a name that two packs have."""

import shared_box.lid

WORD = "first"
assert shared_box.lid.LID == WORD
