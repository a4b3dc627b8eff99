"""Action keys: what a node is and reads, in 16 bytes."""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import Any

from xxhash import xxh3_128_digest

from engine.cache.actions import SlotDigests
from engine.cache.digests import constant_bytes
from engine.execute.context import hidden_inputs
from engine.execute.facts import SpecFacts, name_bytes
from engine.execute.run import Run
from engine.execute.sealed import seal_bytes
from engine.execute.state import BLOCKED, SILENT, NodeState, StoredInput
from engine.graph.prompt import ALWAYS, Link
from engine.graph.schema import Mentions

NO_FILE = b"no file"
_NAME_END = re.compile(r"[,;:()\[\]]")
_MOST_ENDS = 16
"""Of a word this many places are looked at where the name of a file could end."""


class Blocked(Exception):  # noqa: N818 - a signal, not an error
    """A node receives nothing but a blocked value through the link `link`."""

    def __init__(self, digest: bytes, link: Link) -> None:
        super().__init__()
        self.digest = digest
        self.link = link


class BadLinkError(Exception):
    """An input links to an output that its producer does not have."""

    def __init__(self, name: str, link: Link, outputs: int) -> None:
        super().__init__()
        self.name = name
        self.link = link
        self.outputs = outputs


def action_key(run: Run, state: NodeState) -> bytes:
    """Key of the action `state` is about to be; for a node with lazy inputs, of its part before any of them is read.

    Sets `state.recorded` to False, with a key no other run will have, for what must not be reused. All producers of
    inputs that are not lazy must be resolved. Raises Blocked and BadLinkError.
    """
    facts = state.facts
    parts = [facts.prefix]
    state.recorded = True
    inputs = state.node.inputs
    for name in inputs if len(inputs) < 2 else sorted(inputs):
        value = inputs[name]
        if type(value) is Link:
            if name in facts.lazy:
                parts.append(b"z" + name_bytes(name))
                continue
            parts.append(facts.name_bytes.get(name) or name_bytes(name))
            parts.append(_link_bytes(run, facts, name, value))
        elif type(value) is StoredInput:
            parts += (name_bytes(name), _slot_bytes(value.digests))
        elif name in facts.name_bytes or facts.open_inputs:
            if name in facts.lazy:
                parts.append(b"z" + name_bytes(name))
                continue
            parts.append(facts.name_bytes.get(name) or name_bytes(name))
            parts.append(_constant(state, value))
    if not facts.plain:
        parts.append(_extras(run, state))
    if facts.spec.output_node and run.services.provenance is not None:
        parts.append(seal_bytes(run, state))
    if state.parent is not None and ALWAYS in state.node.meta:
        state.recorded = False
    if not state.recorded:
        parts += (run.nonce, state.id.encode())
    return xxh3_128_digest(b"".join(parts))


def extended_key(run: Run, state: NodeState, key: bytes, name: str) -> bytes:
    """`key` after the lazy input `name` was read."""
    value = state.node.inputs.get(name)
    if type(value) is Link:
        outputs = run.states[value.node].outputs
        assert outputs is not None
        read = _slot_bytes(outputs[value.slot])
    elif type(value) is StoredInput:
        read = _slot_bytes(value.digests)
    else:
        read = _constant(state, value)
    return xxh3_128_digest(key + name_bytes(name) + read)


def _link_bytes(run: Run, facts: SpecFacts, name: str, link: Link) -> bytes:
    producer = run.states[link.node]
    outputs = producer.outputs
    assert outputs is not None
    if not 0 <= link.slot < len(outputs):
        raise BadLinkError(name, link, len(outputs))
    digests = outputs[link.slot]
    if name in facts.raw:
        return constant_bytes(list(link)) + _slot_bytes(digests)
    if type(digests) is bytes:
        if digests.startswith(BLOCKED) and not (facts.spec.without_blocked and digests == SILENT):
            raise Blocked(digests, link)
        return b"l" + digests
    _check_blocked(facts, digests, link)
    return _slot_bytes(digests)


def _check_blocked(facts: SpecFacts, digests: SlotDigests, link: Link) -> None:
    """Of a list, some items may be blocked, unless the node takes the list as a whole."""
    blocked = [item for item in digests if isinstance(item, bytes) and item.startswith(BLOCKED)]
    if facts.spec.without_blocked:
        blocked = [item for item in blocked if item != SILENT]
    if blocked and (len(blocked) == len(digests) or facts.spec.input_is_list):
        raise Blocked(blocked[0], link)


def _slot_bytes(digests: SlotDigests) -> bytes:
    if isinstance(digests, bytes):
        return b"l" + digests
    if len(digests) == 1:
        return b"l" + digests[0]
    return b"m%d:" % len(digests) + b"".join(digests)


def _constant(state: NodeState, value: Any) -> bytes:
    try:
        return constant_bytes(value)
    except TypeError:  # an object that only this process knows, given through the Python interface
        state.recorded = False
        return b"?"


def _extras(run: Run, state: NodeState) -> bytes:
    """What else the result depends on: chosen files and settings, outside state, the node's own id."""
    facts = state.facts
    parts = []
    for name, folder in facts.files.items():
        parts += [_file_bytes(run, folder, chosen) for chosen in _texts(run, state, name)]
    for name, folder in facts.folders.items():
        parts += [_folder_bytes(run, folder, chosen) for chosen in _texts(run, state, name)]
    for name, mentions in facts.mentions.items():
        for text in _texts(run, state, name):
            if mentions.prefix in text:
                parts += _mentioned_files(run, mentions, text)
    for name, table in facts.settings.items():
        parts += [run.services.setting(table, chosen) for chosen in _texts(run, state, name)]
    if facts.spec.reads_id:
        parts.append(b"#" + state.id.encode())
    if facts.spec.has_fingerprint:
        parts.append(_fingerprint(run, state))
    if not facts.spec.cache:
        state.recorded = False
    return b"".join(parts)


def _texts(run: Run, state: NodeState, name: str) -> list[str]:
    """The texts that the input `name` holds or that come through its link; where they are lost the node just runs."""
    value: Any = state.node.inputs.get(name)
    if type(value) not in (Link, StoredInput):
        listed = value if isinstance(value, list) else [value]
        return [one for one in listed if isinstance(one, str)]
    digests: Any = value.digests if type(value) is StoredInput else (run.states[value.node].outputs or ())[value.slot]
    texts = []
    for digest in (digests,) if isinstance(digests, bytes) else digests:
        entry = run.cache.get(digest)
        if entry is None:
            state.recorded = False
        elif isinstance(entry.value, str):
            texts.append(entry.value)
    return texts


def _mentioned_files(run: Run, mentions: Mentions, text: str) -> list[bytes]:
    """Digests of the files that `text` may name, in the order it names them.

    Where a name ends is for the node to say: every place where it could counts, since a file too many does no harm.
    """
    digests = []
    for match in re.finditer(rf"{re.escape(mentions.prefix)}\s*(\S+)", text):
        word = re.sub(r"\\(?=[()])", "", match[1])
        ends = [end.start() for end in _NAME_END.finditer(word)][:_MOST_ENDS]
        for name in (word[:end].replace("\\", "/") for end in (*ends, len(word)) if end):
            for suffix in ("", *mentions.suffixes):
                found = _file_bytes(run, mentions.folder, name + suffix)
                if found != NO_FILE:
                    digests.append(found)
                    break
    return digests


def _file_bytes(run: Run, folder: str, name: str) -> bytes:
    try:
        path = run.services.find_file(folder, name)
        if path is None:
            return NO_FILE
        digests = [run.cache.files.digest(one) for one in (path, *run.services.files_beside(path))]
        return digests[0] if len(digests) == 1 else xxh3_128_digest(b"".join(digests))
    except Exception:  # no such name, or unreadable: the node itself will say what is wrong with it
        return NO_FILE


def _folder_bytes(run: Run, folder: str, name: str) -> bytes:
    """The names and contents of all files in a chosen folder."""
    try:
        files = run.services.paths.files_in(folder, name)
        told = (name_bytes(f"{below}/{path.name}") + run.cache.files.digest(path) for below, path in files)
        return xxh3_128_digest(b"".join(told))
    except Exception:  # no such folder, or unreadable: the node itself will say what is wrong with it
        return NO_FILE


def _fingerprint(run: Run, state: NodeState) -> bytes:
    """The node's own word on the outside state it reads; an exception or NaN means that it is never the same."""
    try:
        definition = run.executor.definition(state.facts.spec.name)
        assert definition.fingerprint is not None
        known = {n: None if type(v) in (Link, StoredInput) else v for n, v in state.node.inputs.items()}
        if not definition.trusted:
            known = run.cache.copies.of_each(known)
        answer = definition.fingerprint(**known | hidden_inputs(run, state))
        if inspect.isawaitable(answer):
            answer = asyncio.run_coroutine_threadsafe(_awaited(answer), run.loop).result()
        if answer != answer:
            state.recorded = False
        return constant_bytes(answer)
    except Exception:
        state.recorded = False
        return b"?"


async def _awaited(answer: Any) -> Any:
    return await answer
