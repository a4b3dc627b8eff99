"""What the nodes of the packs beside have in common; a module on the path of the process, that is no pack's."""


class Gives:
    """A node without inputs that gives what `go`, which is each pack's own, finds."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
