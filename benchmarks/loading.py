"""Loading: time and memory of a model's file, its packed forms while they run, and stacked LoRAs, each beside its own measure.

    python benchmarks/loading.py                        # a random FLUX.1 of about a gigabyte in bf16, in a folder of its own
    python benchmarks/loading.py --width 768 --json result.json
    python benchmarks/loading.py --width 3072 --parts loading      # 4.4 gigabytes

- loading ÷ `safetensors.torch.load_file`, both until every byte of every weight was read: files are mapped, and a mapped file is
  read when it is used, so what `load_file` gives is summed up once, as loading does with its weights to find NaN;
- peak memory of loading ÷ the file, and while a call of the network runs ÷ that of bf16: each in a process of its own, peak
  resident memory above what it had before loading. Mapped pages count;
- putting 20 LoRAs on ÷ reading their files; beside it the bound: of each weight one product of all factors, side by side and in
  the weight's type already, added to it into new memory. In processor time: nothing
  here waits, and other programs change it less.

Pairs alternate, the least of `--repeats`, the files in the page cache. Random weights: what is measured does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORMS = ("bf16", "fp8", "int8", "Q4_0")
PARTS = ("loading", "memory", "patching")
LORAS, RANK = 20, 16
_HEAD = 128


def config(width: int) -> dict[str, Any]:
    """Arguments of a FLUX.1 with few blocks: about a gigabyte in bf16 at 1536."""
    return {
        "in_channels": 64,
        "num_layers": 3,
        "num_single_layers": 8,
        "attention_head_dim": _HEAD,
        "num_attention_heads": width // _HEAD,
        "joint_attention_dim": 256,
        "pooled_projection_dim": 128,
        "guidance_embeds": True,
    }


def shapes(width: int) -> dict[str, tuple[int, ...]]:
    """The parameters of that network, in the library's names."""
    import torch
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    with torch.device("meta"):
        return {n: tuple(p.shape) for n, p in FluxTransformer2DModel(**config(width)).named_parameters()}


def write_models(folder: Path, width: int, packed_too: bool = True) -> None:
    """One file for each form: matrices packed, vectors in bf16."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    pool = (torch.randn(1 << 22) * 0.02).to(torch.bfloat16)

    def random(shape: tuple[int, ...]) -> Any:
        count = 1
        for side in shape:
            count *= side
        return pool.repeat(-(-count // len(pool)))[:count].reshape(shape)

    plain = {name: random(shape) for name, shape in shapes(width).items()}
    save_file(plain, folder / "bf16.safetensors")
    if not packed_too:
        return
    matrices = [name for name, value in plain.items() if value.ndim == 2]
    packed = dict(plain)
    for name in matrices:
        packed[name] = (plain[name] * 4).to(torch.float8_e4m3fn)
        packed[name.replace(".weight", ".weight_scale")] = torch.tensor(0.25)
    save_file(packed, folder / "fp8.safetensors")
    packed = dict(plain)
    told = {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 64}
    for name in matrices:
        packed[name] = (plain[name] * 1000).clamp(-127, 127).to(torch.int8)
        packed[name.replace(".weight", ".weight_scale")] = torch.full((len(plain[name]), 1), 0.001)
    layers = {name.removesuffix(".weight"): told for name in matrices}
    save_file(packed, folder / "int8.safetensors", {"_quantization_metadata": json.dumps({"layers": layers})})
    write_q4(folder / "Q4_0.gguf", plain)


def write_q4(path: Path, tensors: dict[str, Any]) -> None:
    """A GGUF file by the package's writer: matrices as blocks of any numbers with a factor of 0.005."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, "flux")
    for name, value in tensors.items():
        if value.ndim != 2:
            writer.add_tensor(name, value.float().numpy())
            continue
        blocks = np.random.default_rng(0).integers(0, 256, (value.numel() // 32, 18), dtype=np.uint8)
        blocks[:, :2] = np.frombuffer(np.float16(0.005).tobytes(), np.uint8)
        rows = blocks.reshape(len(value), -1)
        writer.add_tensor(name, rows, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_loras(folder: Path, width: int) -> list[Path]:
    """LoRAs for every matrix, in the library's names, fp16."""
    import torch
    from safetensors.torch import save_file

    paths = []
    for number in range(LORAS):
        torch.manual_seed(number)
        tensors = {}
        for name, shape in shapes(width).items():
            if len(shape) == 2:
                module = f"transformer.{name.removesuffix('.weight')}"
                tensors[f"{module}.lora_A.weight"] = torch.randn(RANK, shape[1]).half() * 0.01
                tensors[f"{module}.lora_B.weight"] = torch.randn(shape[0], RANK).half() * 0.01
        paths.append(folder / f"lora{number}.safetensors")
        save_file(tensors, paths[-1])
    return paths


def best(repeats: int, *measured: Callable[[], float]) -> list[float]:
    """The least of each, measured in turn."""
    rounds = [[one() for one in measured] for _ in range(repeats)]
    return [min(times) for times in zip(*rounds, strict=True)]


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    begin = clock()
    work()
    return clock() - begin


def read_through(tensors: Any) -> None:
    """Use every byte of every tensor, once."""
    for tensor in tensors:
        tensor.flatten().view(-1).sum()


def loading(path: Path, repeats: int) -> dict[str, float]:
    from safetensors.torch import load_file

    from engine.models.manager import ModelManager

    handle = ModelManager(dtype="bfloat16").denoiser(path)

    def ours() -> None:
        with ModelManager(dtype="bfloat16", files=lambda path: handle.source.digest).use(handle):
            pass  # loading has read every byte: it looks for NaN

    def theirs() -> None:
        read_through(load_file(path).values())

    ours()
    seconds, wanted = best(repeats, lambda: timed(ours), lambda: timed(theirs))
    return {"seconds": seconds, "load_file": wanted, "ratio": seconds / wanted}


def products(path: Path, loras: list[Path]) -> Callable[[], object]:
    """What nothing can do without: of each weight, one product that is added to it."""
    import torch
    from safetensors.torch import load_file

    weights, files = load_file(path), [load_file(one) for one in loras]
    modules = [name.removesuffix(".lora_A.weight") for name in files[0] if name.endswith(".lora_A.weight")]
    found = []
    for module in modules:
        weight = weights[f"{module.removeprefix('transformer.')}.weight"]
        ups = torch.cat([file[f"{module}.lora_B.weight"] for file in files], dim=1).to(weight.dtype)
        downs = torch.cat([file[f"{module}.lora_A.weight"] for file in files]).to(weight.dtype)
        found.append((weight, ups, downs))
    return lambda: [torch.addmm(*one) for one in found]


def patching(path: Path, loras: list[Path], repeats: int) -> dict[str, float]:
    from safetensors.torch import load_file

    from engine.models.manager import ModelManager

    digests = {str(one): one.name for one in (path, *loras)}
    manager = ModelManager(dtype="bfloat16", files=lambda path: digests[str(path)])
    plain = handle = manager.denoiser(path)
    for one in loras:
        result = manager.lora(one, handle, None, 0.5)
        assert result.model is not None
        handle = result.model

    def on(wanted: Any) -> None:
        with manager.use(wanted):
            pass

    def ours() -> float:
        on(plain)
        return timed(lambda: on(handle), time.process_time)

    def read() -> None:
        for one in loras:
            read_through(load_file(one).values())

    def theirs() -> float:
        return timed(read, time.process_time)

    alone = products(path, loras)
    seconds, wanted, bound = best(repeats, ours, theirs, lambda: timed(alone, time.process_time))
    ratios = {"ratio": seconds / wanted, "ours / bound": seconds / bound, "bound / reading": bound / wanted}
    return {"seconds": seconds, "reading": wanted, "bound": bound, **ratios}


def peak() -> int:
    """Peak resident memory of this process, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def measure(path: Path) -> None:
    """In a process of its own: print the memory that loading takes, and loading and a call of the network."""
    import torch

    from engine.models import weights
    from engine.models.manager import ModelManager

    manager = ModelManager(dtype="bfloat16", files=lambda path: path.name)
    handle = manager.denoiser(path)
    weights.empty_module(handle)  # the library's modules are imported before
    before = peak()
    with manager.use(handle) as network:
        loaded = peak()
        given = network.inputs({"pooled_output": torch.zeros(1, 128)}, torch.zeros(1, 16, 16, 16), True)
        network(torch.zeros(1, 16, 16, 16), torch.tensor([500.0]), torch.zeros(1, 16, 256), options=given)
    print(json.dumps({"loaded": loaded - before, "running": peak() - before}))


def memory(folder: Path) -> dict[str, dict[str, float]]:
    found = {}
    for form in FORMS:
        path = next(folder.glob(f"{form}.*"))
        command = [sys.executable, __file__, "--measure", str(path)]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        found[form] = {**told, "file": path.stat().st_size}
        found[form]["loaded / file"] = told["loaded"] / path.stat().st_size
        found[form]["running / bf16"] = told["running"] / found["bf16"]["running"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1536, help="of the network, a multiple of 128")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.measure:
        measure(told.measure)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_models(folder, told.width, "memory" in told.parts)
        plain = folder / "bf16.safetensors"
        measured: dict[str, Callable[[], dict[str, Any]]] = {
            "loading": lambda: loading(plain, told.repeats),
            "memory": lambda: memory(folder),
            "patching": lambda: patching(plain, write_loras(folder, told.width), told.repeats),
        }
        result = {part: measured[part]() for part in told.parts}
    for part, facts in result.items():
        rows = facts.items() if isinstance(next(iter(facts.values())), dict) else [(part, facts)]
        for row, numbers in rows:
            print(f"{row:10}", *(f"{what} {number:.3g}" for what, number in numbers.items()), sep="  ")
    if told.json:
        told.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
