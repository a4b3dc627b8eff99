"""NodeSpec: everything the world may know of a node without importing its code.

Validation, planning, the editor's widgets, `object_info` and the command line work from specs alone, so a catalogue of
them on disk is enough to plan a run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from engine.datatypes.sockets import WIDGET_TYPES

FOLDERS: Final = "folder"
"""The kind of `Files` that are subfolders."""


class Files(msgspec.Struct, frozen=True, tag="files"):
    """Choices that are the file names of a models folder (`checkpoints`), or of `input`, read anew on each request."""

    folder: str
    extra: tuple[str, ...] = ()
    kind: str = ""
    """Of the files in `input`: "" for pictures, "video", "audio" (videos too, for their sound), "latent", or
    FOLDERS for its subfolders."""


class Mentions(msgspec.Struct, frozen=True):
    """Files that a text input names after `prefix` (`embedding:NAME`): what is in them belongs to the node's key.

    `NAME` is a file of `folder`, with or without one of `suffixes`; what is not there yet counts once it is.
    """

    prefix: str
    folder: str
    suffixes: tuple[str, ...] = ()


MOST_OUTPUTS: Final = 64
"""How many outputs a node has whose declaration sets no bound."""

Choices = tuple[str | int | float | bool, ...] | Files


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input. `default` is None where there is none; `required` says whether that matters."""

    name: str
    type: str
    required: bool = True
    default: Any = None
    ge: int | float | None = None
    le: int | float | None = None
    """Inclusive bounds. Whole ones stay whole: no float is 2**64 - 1, the largest seed."""
    step: int | float | None = None
    choices: Choices | None = None
    retired: tuple[str, ...] = ()
    """Former choices: taken where a graph has them, and not offered."""
    multiline: bool = False
    tip: str = ""
    lazy: bool = False
    link_only: bool = False
    """Never a widget, though its type could be one (`forceInput`)."""
    raw_link: bool = False
    """The node receives the link `[id, slot]` itself (and still waits for it)."""
    seed: bool = False
    """A seed, with the editor's control after generate."""
    mentions: Mentions | None = None
    setting: str = ""
    """The table of the settings whose names are its choices (`services`), filled in when the program starts."""
    widget: str = ""
    """A widget of a pack that editors show for it (`widgetType`); its value is JSON, whatever the type."""
    options: dict[str, Any] = {}
    """Further options that `object_info` passes on to editors unchanged."""

    @property
    def is_widget(self) -> bool:
        """Whether an editor shows a widget for it, so that its value may stand in the prompt."""
        return not self.link_only and (bool(self.widget) or self.type in WIDGET_TYPES)


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One output; with `is_list` the node returns a list whose items go on one by one."""

    name: str
    type: str
    is_list: bool = False
    tip: str = ""
    match: str = ""
    """The template whose inputs say which of its types this is."""


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The declaration of a node, made by any front door (decorator, class, adapter) of `engine.authoring`."""

    name: str
    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    display_name: str = ""
    category: str = ""
    doc: str = ""
    version: str = ""
    """Changes when the node's code changes; part of every action key."""
    module: str = ""
    """Import name of the module that defines it."""
    pack: str = ""
    output_node: bool = False
    input_is_list: bool = False
    without_blocked: bool = False
    """Of a node that takes lists: what is silently blocked is left out of them, in place of skipping the node."""
    cache: bool = True
    """False: never reused between runs (`NOT_IDEMPOTENT`)."""
    has_validate: bool = False
    has_fingerprint: bool = False
    """The node can say what outside state it reads (`IS_CHANGED`); the answer is part of its key."""
    open_inputs: bool = False
    """Takes inputs beyond the declared ones."""
    chooses_inputs: bool = False
    """Of those, its code says which constants it takes (links always arrive)."""
    more_outputs: str = ""
    """The type of outputs beyond the declared ones, for a node to which links may name such; else empty."""
    hidden: dict[str, str] = {}
    """Parameter name → one of UNIQUE_ID, PROMPT, EXTRA_PNGINFO, DYNPROMPT."""
    told_hidden: dict[str, str] = {}
    """Of the same form, and told to editors only: the node takes from its context what the field's class takes from these."""
    deprecated: bool = False
    experimental: bool = False
    stand_in: bool = False
    """Stands in for the node of this name of a pack that people may have: where they have it, theirs is the node."""
    called_without: bool = False
    """Whether its function is called though a required input has nothing to give, as an empty list has: packs have defaults."""
    dynamic: bool = False
    """Its choices may be others each time that its code is asked."""

    def input(self, name: str) -> InputSpec | None:
        """The input called `name`, or None."""
        return next((spec for spec in self.inputs if spec.name == name), None)

    @property
    def slots(self) -> int:
        """How many outputs links may name."""
        return max(len(self.outputs), MOST_OUTPUTS if self.more_outputs else 0)

    @property
    def reads_id(self) -> bool:
        """Whether the node reads its own id, so that equal nodes must not share a result."""
        return "UNIQUE_ID" in self.hidden.values()


class Catalogue:
    """Every known NodeSpec by name, with the aliases that saved workflows of the field use."""

    def __init__(self, specs: Iterable[NodeSpec] = (), aliases: Mapping[str, str] | None = None) -> None:
        self._specs: dict[str, NodeSpec] = {}
        self.aliases = dict(aliases or {})
        self.changes = 0
        """How often a spec was added or replaced."""
        self.judged: set[str] = set()
        """Names of nodes whose inputs only their own code can judge, as it checks them or says which there are."""
        for spec in specs:
            self.add(spec)

    def __iter__(self) -> Iterator[NodeSpec]:
        return iter(self._specs.values())

    def __len__(self) -> int:
        return len(self._specs)

    def __contains__(self, name: str) -> bool:
        return self.spec(name) is not None

    def spec(self, name: str) -> NodeSpec | None:
        """The spec that `name` (a node type or an alias of one) stands for, or None."""
        found = self._specs.get(name)
        if found is None and name in self.aliases:
            found = self._specs.get(self.aliases[name])
        return found

    def add(self, spec: NodeSpec) -> None:
        """Add or replace one spec."""
        self._specs[spec.name] = spec
        self.changes += 1
        if spec.has_validate or spec.dynamic or spec.chooses_inputs:
            self.judged.add(spec.name)
        else:
            self.judged.discard(spec.name)

    @property
    def dynamic(self) -> bool:
        """Whether there are nodes whose choices may change."""
        return any(spec.dynamic for spec in self._specs.values())

    def nearest(self, name: str, count: int = 3) -> list[str]:
        """The known names most like `name`, best first; for messages about misspelt ones."""
        names = [*self._specs, *self.aliases]
        lowered: dict[str, str] = {}
        for known in names:
            lowered.setdefault(known.lower(), known)
        return [lowered[hit] for hit in difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.6)]
