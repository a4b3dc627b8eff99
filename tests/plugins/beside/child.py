"""The process in which the packs of this folder are loaded: it prints what became of them, and of what they touched."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any


def main(base: Path) -> None:
    """Load the packs and print the facts as JSON."""
    import torch

    import engine.datatypes.sockets as before
    from engine.paths import Paths
    from engine.plugins.adapters import ADAPTERS
    from engine.plugins.importing import Loading
    from engine.plugins.opening import load_library
    from engine.plugins.preparation import preparation
    from engine.plugins.replaced import MOST_USED, Replaced

    gelu, folder = torch.nn.functional.gelu, os.getcwd()
    stored = base / "catalogue.msgpack"
    loading = Loading(adapters=ADAPTERS, prepare=preparation(Paths(base)), patience=60.0)
    library = load_library((), [base / "custom_nodes"], stored, loading)
    facts: dict[str, Any] = {
        "notes": {one.pack: list(one.notes) for one in library.records},
        "nodes": {one.pack: [spec.name for spec in one.specs] for one in library.records},
        "errors": {one.pack: one.error for one in library.records},
        "problems": [[one.pack, one.message] for one in library.problems],
        "gelu": torch.nn.functional.gelu is gelu,
        "default type": str(torch.get_default_dtype()),
        "folder": os.getcwd() == folder,
        "engine": sys.modules["engine.datatypes.sockets"] is before,
        "minidom": "xml.dom.minidom" in sys.modules,
        "failed half": "half_imported" in sys.modules,
    }

    def run(name: str, **given: Any) -> Any:
        definition = library.definition(name)
        assert definition.make is not None
        try:
            return definition.run(definition.make(), None, **given)
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    facts["ran"] = {
        name: run(name)
        for name in ("CleanRuns", "FirstWords", "SecondWords", "ThirdWords", "UnknownUses", "UnknownSub", "Guarded")
    }
    facts["ran"]["Moves"] = run("Moves"), os.getcwd() == folder
    facts["ran"]["ForksAndReturns"] = run("ForksAndReturns")
    facts["added"] = run("Added")
    relu, standing = torch.nn.functional.relu, Replaced(MOST_USED)
    facts["ran"]["PatchesLater"] = run("PatchesLater")
    facts["put back later"] = standing.put_back(), torch.nn.functional.relu is relu

    asked = library.refresh()
    facts["waiting before"] = [spec.name for spec in asked]
    (base / "late").mkdir()
    (base / "late" / "a.txt").write_text("")
    facts["waiting after"] = [spec.name for spec in library.refresh(["Waits"])]
    found = library.catalogue.spec("Waits")
    facts["choices"] = list(found.inputs[0].choices) if found is not None else None
    facts["version"] = found.version if found is not None else ""
    facts["problems after"] = [one.message for one in library.problems if one.pack == "waits"]
    facts["threads"] = [one.name for one in threading.enumerate()]
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
