# ruff: noqa
class After:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self):
        return {"ui": {"after": [True]}}


NODE_CLASS_MAPPINGS = {"AfterPrestartup": After}
