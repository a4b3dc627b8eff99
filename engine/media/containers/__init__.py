"""Texts that files carry beside picture and sound, read off the bytes of each kind of container.

No decoder runs and no pixel or frame is looked at: a reader walks the file's own boxes, whose number, depth and size are
bounded, so a file made to mislead costs next to nothing. Readers yield (key, text) and pass over what is damaged.
"""
