"""Settings of one base directory, read from its `safelight.toml` when there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

FILE_NAME: Final = "safelight.toml"
GIB: Final = 1024**3

Gib = Annotated[float, msgspec.Meta(ge=0)]


class SettingsError(ValueError):
    """A settings file, or an option in place of one, that cannot be used; the message names it, and what was expected."""


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the cache may hold, in GiB."""

    ram_gib: Gib = 2.0
    disk_gib: Gib = 8.0


class ExpansionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a run may grow by nodes that expand into others, as loops do: beyond it the loop fails.

    `depth`: how many expansions may be nested, which is the passes of a loop. `mib`: of nodes and values among their inputs.
    """

    nodes: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    depth: Annotated[int, msgspec.Meta(ge=1)] = 2_500
    mib: Annotated[int, msgspec.Meta(ge=1)] = 1024


Amount = Annotated[float, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]


class PriceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model of a service costs: for a million tokens of text in, of pictures in, and out; and for each picture."""

    input: Amount = 0.0
    input_image: Amount = 0.0
    output: Amount = 0.0
    picture: Amount = 0.0


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service of the OpenAI images API, as nodes may use it by its name.

    `url`: what `/images/generations` is put behind, such as `https://host/v1`. `key`: what it is presented with, and better
    `key_variable`: the environment variable that holds it. `model`: which one answers where a node names none.
    `hosts`: further ones from which its pictures are fetched, where it answers with addresses; `*.example.org` too.
    `seconds`: for one try. `retries`: further tries of what it was too busy for. `longest_wait`: seconds until the next.
    `answer_mib`: of one answer. `sends_seed`: whether it takes the field `seed`. `response_format`: what it is asked for,
    where it takes that field. `prices`: by model, in `currency`.
    """

    url: str = ""
    key: str = ""
    key_variable: str = ""
    model: str = ""
    hosts: tuple[str, ...] = ()
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 300.0
    retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3
    longest_wait: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 60.0
    answer_mib: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 256
    sends_seed: bool = False
    response_format: Annotated[str, msgspec.Meta(pattern="^(|b64_json|url)$")] = ""
    currency: str = "USD"
    prices: dict[str, PriceSettings] = {}

    def __repr__(self) -> str:
        return f"ServiceSettings(model={self.model!r}, …)"  # neither the key nor the address belongs into a log


class OpenAIModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of the OpenAI routes: the saved `workflow` of that name.

    `inputs`: field of a request (`prompt`, `width`, `seed`, `image`…) → the parameter that it goes to, where that has another
    name. `values`: parameter → value of every request that does not set it; `quality`: further such values by quality.
    """

    workflow: str
    inputs: dict[str, str] = {}
    values: dict[str, str | int | float | bool] = {}
    quality: dict[str, dict[str, str | int | float | bool]] = {}


class OpenAISettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The OpenAI routes. `saved`: whether every saved workflow is a model of its own name, beside the `models`.

    `default`: the model of requests that name none.
    """

    saved: bool = True
    default: str = ""
    models: dict[str, OpenAIModelSettings] = {}


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server may tell that a job has ended (`engine.server.webhooks`); nowhere, unless `hosts` names it.

    `hosts`: `example.org`, `*.example.org`, `10.0.0.5:9000`. `networks`: private ones in which named hosts may be.
    `secret`: with which messages are signed, `whsec_…`. `tries`: how often a message is sent in all; `first_wait`: seconds
    until the second time, and five times as long each time after it, up to six hours.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    secret: str = ""
    tries: Annotated[int, msgspec.Meta(ge=1, le=50)] = 8
    first_wait: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 5.0

    def __repr__(self) -> str:
        return f"WebhookSettings(hosts={self.hosts!r}, …)"  # the secret does not belong into a log


class ProvenanceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What saved files tell of their making (`engine.media.provenance`).

    `credentials`: whether files are signed: never, those of graphs and requests that ask for it, or all. `source_type`: whether
    all get the IPTC digital source type, which signed ones have anyway. `embed_workflow`: whether the workflow goes inside.
    `certificate` and `key`: PEM files, relative to the base directory; without them a self-signed certificate is made at first
    use. `algorithm`: of that key. `timestamps`: a server of RFC 3161 that is asked for the time. `trust`: PEM files of
    certificates whose signatures are reported as trusted.
    """

    credentials: Literal["off", "on", "always"] = "off"
    source_type: bool = False
    embed_workflow: bool = True
    certificate: str = ""
    key: str = ""
    algorithm: Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"] = "es256"
    timestamps: Annotated[str, msgspec.Meta(pattern=r"^(|https?://\S+)$")] = ""
    trust: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`models`: further folders to search, laid out like `models/`. `device`: "auto", "cpu", "cuda", "cuda:1", "mps".

    `disabled_packs`: names of folders or files in `custom_nodes/` that are not loaded.
    `threads`: how many threads tensor maths uses on the CPU; left out, one for each core (`engine.threads`).
    `pack_import_seconds`: a pack whose import takes longer is left out, so that the rest need not wait for it.
    `warm_up`: whether a worker loads torch and what a first picture needs before anybody asks for one.
    `openai`: which models the routes of the OpenAI API have.
    `services`: services that make pictures elsewhere, by the name that nodes choose them by (`engine.remote`).
    `webhooks`: where the server may tell that a job has ended.
    `provenance`: what saved files tell of their making.
    """

    models: tuple[str, ...] = ()
    device: Annotated[str, msgspec.Meta(pattern=r"^(auto|cpu|mps|xpu|cuda(:\d+)?)$")] = "auto"
    cache: CacheSettings = CacheSettings()
    expansion: ExpansionSettings = ExpansionSettings()
    disabled_packs: tuple[str, ...] = ()
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    pack_import_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    warm_up: bool = True
    openai: OpenAISettings = OpenAISettings()
    services: dict[Name, ServiceSettings] = {}
    webhooks: WebhookSettings = WebhookSettings()
    provenance: ProvenanceSettings = ProvenanceSettings()


class Folders(msgspec.Struct, frozen=True, kw_only=True):
    """Folders that are elsewhere than in the base directory; None: where they are by default."""

    output: Path | None = None
    input: Path | None = None
    temp: Path | None = None
    user: Path | None = None
    models: Path | None = None
    extra_model_paths: tuple[Path, ...] = ()
    """YAML files that name further model folders and folders of node packs."""
    custom_nodes: tuple[Path, ...] = ()
    """Further folders of node packs."""
    disable_metadata: bool = False
    """No folder, but of one start as these are: files are saved without the workflow, whatever the settings say."""


def load_settings(base: Path) -> Settings:
    """The settings in `base/safelight.toml`, or the defaults. Raises SettingsError for a file that is not sound."""
    path = base / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}.") from error
    import tomllib

    try:
        return msgspec.convert(tomllib.loads(text), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}. Correct that entry, or remove it to get the default.") from error
