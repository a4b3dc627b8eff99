from engine.local.engine import Engine as Engine
from engine.local.workflow import Workflow as Workflow

PLACES: tuple[str, ...]
