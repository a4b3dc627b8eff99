"""Does to the process what others would suffer from."""

import os
import tempfile
import threading

import torch
from gives import Gives

torch.nn.functional.gelu = lambda *given, **named: 0
torch.nn.Linear.forward = lambda self, x: x
os.chdir(tempfile.gettempdir())
torch.set_default_dtype(torch.float64)
threading.Thread(target=lambda: threading.Event().wait(), name="stays for ever", daemon=True).start()
if os.fork() == 0:
    os._exit(0)
os.fork()


class Moves(Gives):
    def go(self):
        os.chdir(tempfile.gettempdir())
        return (str(torch.nn.Linear(2, 3)(torch.ones(1, 2)).shape[1]),)


class ForksAndReturns(Gives):
    def go(self):
        os.fork()
        return ("once",)


class PatchesLater(Gives):
    """Replaces a function of torch when it runs."""

    def go(self):
        torch.nn.functional.relu = lambda x: 0
        return ("patched",)


NODE_CLASS_MAPPINGS = {"PatchesLater": PatchesLater, "Moves": Moves, "ForksAndReturns": ForksAndReturns}
