# ruff: noqa
import nodes


class Mine:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self):
        return {"ui": {"mine": [True]}}


nodes.NODE_CLASS_MAPPINGS["VAEDecode"] = Mine
nodes.NODE_CLASS_MAPPINGS.update({"SaveImage": Mine})
nodes.SaveImage = Mine
NODE_CLASS_MAPPINGS = {"KSampler": Mine, "CheckpointLoaderSimple": Mine, "TakesCoreNames": Mine}
