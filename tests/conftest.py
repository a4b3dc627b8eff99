"""What all tests share: how they run, a whole Stable Diffusion 1, real but tiny, in files, and a context to call nodes with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from engine.models.pinned import PINNED
from engine.models.tokenizer_files import tokenizer_file
from engine.threads import tell_libraries
from tests import lanes
from tests.harness import CATALOGUE, made_once

# Before torch starts: for tiny tensors, threads cost far more than they give, and spinning ones cost the other tests.
tell_libraries(os.environ, 1)

# A busy machine fails no test, and in CI the same examples are tried each time. How many is with each test.
settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("suite")

WORDS = "red green blue apple ball cat dog sun moon tree a photo of the on in"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test the markers of its lane; what takes longest begins first."""
    paths = {item: item.path.relative_to(config.rootpath).as_posix() for item in items}
    for item, path in paths.items():
        for marker in lanes.markers(path):
            item.add_marker(marker)
        if os.environ.get("CI") and lanes.timed(path):
            item.add_marker(pytest.mark.flaky(reruns=1))
    items.sort(key=lambda item: lanes.turn(paths[item]))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say last of all which tests failed: only the end of a long output may be kept."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    for outcome, told in (("failed", "Failed"), ("error", "Failed around"), ("rerun", "Failed at the first try")):
        for name in dict.fromkeys(report.nodeid for report in reporter.stats.get(outcome, ())):
            reporter.write_line(f"{told}: {name}")


@dataclass
class TinySD:
    """Its folder is a base directory (`models/checkpoints/tiny.safetensors`, …); the modules are what the files hold."""

    base: Path
    modules: dict[str, Any] = field(repr=False)
    tokenizer_files: tuple[Path, Path]
    loras: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def file(self, folder: str, name: str) -> Path:
        return self.base / "models" / folder / name


@dataclass
class Bench:
    """What a node may see of the engine, over a real model manager and real paths; it records what it is told."""

    models: Any
    paths: Any
    node_id: str = "1"
    preview_method: str = "latent2rgb"
    prompt: dict[str, Any] = field(default_factory=dict)
    workflow: dict[str, Any] | None = None
    told: list[tuple[float, float]] = field(default_factory=list)
    previews: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    seal: Any = None

    @property
    def embedded(self) -> dict[str, Any]:
        return {"prompt": self.prompt} | ({"workflow": self.workflow} if self.workflow is not None else {})

    def progress(self, value: float, total: float) -> None:
        self.told.append((value, total))

    def preview(self, image: Any) -> None:
        self.previews.append(image() if callable(image) else image)

    def show_text(self, text: Any) -> None:
        self.texts.append(text() if callable(text) else text)

    def warn(self, message: str) -> None:
        self.warned.append(message)

    def check_cancelled(self) -> None:
        return None


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> TinySD:
    """Built once a session: about a second, and the imports of diffusers' and transformers' modules."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(7)
        return _write_tiny_sd(tmp_path_factory.mktemp("tiny_sd"))


@pytest.fixture(scope="session")
def real_tokenizers() -> Path:
    """Where `make tokenizers` puts the real ones, a folder each."""
    folder = Path(os.environ.get("SAFELIGHT_TOKENIZERS", Path(sys.prefix) / "tokenizers"))
    if missing := [one.name for one in PINNED if not tokenizer_file(folder / one.name)]:
        pytest.fail(
            f"{folder}: no tokenizer {', '.join(missing)}. `make tokenizers` fetches them, or SAFELIGHT_TOKENIZERS names a folder."
        )
    return folder


@pytest.fixture(scope="session")
def tiny_manager(tiny_sd: TinySD) -> Any:
    from engine.models.manager import ModelManager

    return ModelManager("cpu")


@pytest.fixture
def bench(tiny_sd: TinySD, tiny_manager: Any) -> Bench:
    from engine.paths import Paths

    return Bench(tiny_manager, Paths(tiny_sd.base))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`shared_folder(name, make)`: a folder that one of the processes of this run fills, once, for all of them."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    return lambda name, make: made_once(root / "shared" / name, make)


@pytest.fixture(scope="session")
def core_catalogue(shared_folder: Callable[..., Path]) -> Path:
    """The stored catalogue of the built-in nodes, which takes seconds to make; `tests.harness.new_base` wants it."""

    def make(base: Path) -> None:
        from engine.__main__ import make_app

        make_app(base).load_library()

    return shared_folder("catalogue", make) / CATALOGUE


@pytest.fixture(scope="session")
def builtin_catalogue() -> Any:
    """The catalogue of all built-in nodes, read off their modules."""
    import importlib
    import pkgutil

    import nodes
    from engine.authoring.decorator import definition_of
    from engine.graph.schema import Catalogue
    from nodes.aliases import ALIASES

    modules = [importlib.import_module(f"nodes.{module.name}") for module in pkgutil.iter_modules(nodes.__path__)]
    definitions = [definition_of(value) for module in modules for value in vars(module).values()]
    return Catalogue([definition.spec for definition in definitions if definition is not None], ALIASES)


def _modules() -> dict[str, Any]:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    shape = {"block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 32, "attention_head_dim": 4}
    down = ("CrossAttnDownBlock2D", "DownBlock2D")
    return {
        "unet": UNet2DConditionModel(
            **shape, sample_size=8, down_block_types=down, up_block_types=("UpBlock2D", "CrossAttnUpBlock2D")
        ),
        "controlnet": ControlNetModel(
            **shape, down_block_types=down, conditioning_embedding_out_channels=(16, 32, 32, 32)
        ),
        "vae": AutoencoderKL(
            block_out_channels=(32, 32, 32, 32),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
        ),
        "text_encoder": CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(_vocabulary()),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=77,
                bos_token_id=len(_vocabulary()) - 2,
                eos_token_id=len(_vocabulary()) - 1,
                pad_token_id=len(_vocabulary()) - 1,
            )
        ),
    }


def _vocabulary() -> dict[str, int]:
    """CLIP's way: bytes, bytes that end a word, one merged token per word of WORDS (letter by letter), the two ends."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(merged for _, merged in _merges())]
    return {token: index for index, token in enumerate([*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"])}


def _merges() -> list[tuple[str, str]]:
    """Pairs as "left right", and what each makes; a word grows from its end."""
    found: dict[str, str] = {}
    for word in WORDS.split():
        tail = word[-1] + "</w>"
        for letter in reversed(word[:-1]):
            found[f"{letter} {tail}"] = letter + tail
            tail = letter + tail
    return list(found.items())


def _write_tokenizer(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True)
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps(_vocabulary()))
    merges.write_text("#version: 0.2\n" + "\n".join(pair for pair, _ in _merges()) + "\n")
    return vocabulary, merges


def _tokenizer_json(files: tuple[Path, Path]) -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    vocabulary, merges = files
    bpe = models.BPE.from_file(str(vocabulary), str(merges), end_of_word_suffix="</w>", unk_token="<|endoftext|>")
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    return str(tokenizer.to_str())


def _write_tiny_sd(base: Path) -> TinySD:
    import torch

    modules = {name: module.eval().requires_grad_(False) for name, module in _modules().items()}
    for parameter in modules["controlnet"].parameters():
        if not torch.count_nonzero(parameter):  # its output layers start at zero and would show nothing
            parameter.normal_(std=0.05)
    tiny = TinySD(base, modules, _write_tokenizer(base / "tokenizer"))
    _write_checkpoint(tiny)
    tiny.loras = {"kohya": _kohya_lora(modules), "diffusers": _diffusers_lora(modules)}
    for name, tensors in tiny.loras.items():
        _save(tiny.file("loras", f"{name}.safetensors"), tensors)
    return tiny


def _write_checkpoint(tiny: TinySD) -> None:
    from engine.models import sd_keys

    unet, vae = tiny.modules["unet"], tiny.modules["vae"]
    checkpoint = sd_keys.unet_to_original(unet.state_dict(), unet.config)
    autoencoder = sd_keys.vae_to_original(vae.state_dict(), vae.config)
    text = sd_keys.text_to_original(tiny.modules["text_encoder"].state_dict())
    facts = {"unet": {"heads": 4}, "vae": {"norm_groups": 32}, "text": {"heads": 2}}
    metadata = {"safelight.config": json.dumps(facts), "safelight.tokenizer": _tokenizer_json(tiny.tokenizer_files)}
    _save(tiny.file("checkpoints", "tiny.safetensors"), checkpoint | autoencoder | text, metadata)
    _save(tiny.file("checkpoints", "no_vae.safetensors"), checkpoint | text, metadata)
    _save(tiny.file("vae", "tiny_vae.safetensors"), autoencoder, metadata)
    control = tiny.modules["controlnet"]
    control_tensors = sd_keys.controlnet_to_original(control.state_dict(), control.config)
    _save(tiny.file("controlnet", "edges.safetensors"), control_tensors, metadata)


def _save(path: Path, tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata)


def _linears(module: Any, part: str) -> dict[str, Any]:
    import torch

    return {name: item for name, item in module.named_modules() if isinstance(item, torch.nn.Linear) and part in name}


def _kohya_lora(modules: dict[str, Any], rank: int = 4, alpha: float = 2.0) -> dict[str, Any]:
    import torch

    tensors = {}
    unet = {f"lora_unet_{name}": item for name, item in _linears(modules["unet"], "attn").items()}
    text = {
        f"lora_te_text_model_{name.removeprefix('text_model.')}": item
        for name, item in _linears(modules["text_encoder"], "self_attn").items()
    }
    for name, linear in (unet | text).items():
        key = name.replace(".", "_")
        tensors[f"{key}.lora_down.weight"] = torch.randn(rank, linear.in_features) * 0.2
        tensors[f"{key}.lora_up.weight"] = torch.randn(linear.out_features, rank) * 0.2
        tensors[f"{key}.alpha"] = torch.tensor(alpha)
    return tensors


def _diffusers_lora(modules: dict[str, Any], rank: int = 4) -> dict[str, Any]:
    """The names that PEFT gives and diffusers saves."""
    import torch

    tensors = {}
    for name, linear in _linears(modules["unet"], "attn").items():
        tensors[f"unet.{name}.lora_A.weight"] = torch.randn(rank, linear.in_features) * 0.2
        tensors[f"unet.{name}.lora_B.weight"] = torch.randn(linear.out_features, rank) * 0.2
    return tensors
