# ruff: noqa
import threading


def fail():
    raise RuntimeError("in a thread from import on")


threading.Thread(target=fail).start()


class ThreadRaises:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self):
        def leave():
            raise SystemExit(5)

        for what in (fail, leave):
            threading.Thread(target=what).start()
        return {"ui": {"went": ["on"]}}


NODE_CLASS_MAPPINGS = {"ThreadRaises": ThreadRaises}
