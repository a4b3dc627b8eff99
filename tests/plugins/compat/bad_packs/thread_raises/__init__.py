# ruff: noqa
import threading
import time


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

        def again_and_again():  # while another pack floods the log, what is printed may be left out
            for _ in range(50):
                threading.Thread(target=fail).start()
                time.sleep(0.2)

        for what in (again_and_again, leave):
            threading.Thread(target=what, daemon=True).start()
        return {"ui": {"went": ["on"]}}


NODE_CLASS_MAPPINGS = {"ThreadRaises": ThreadRaises}
