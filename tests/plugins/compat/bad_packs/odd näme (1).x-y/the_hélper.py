# ruff: noqa
class Odd:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"wïth space": ("INT", {"default": 1})}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, **given):
        return {"ui": {"module": [self.RELATIVE_PYTHON_MODULE], "given": sorted(given)}}
