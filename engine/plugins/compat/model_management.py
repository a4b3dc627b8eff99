"""`comfy.model_management`: devices, memory, and stopping. Models are the business of the engine's manager."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

import psutil
import torch

from engine.authoring.context import Cancelled
from engine.plugins.compat import running
from engine.plugins.compat.host import host_or_none

InterruptProcessingException = Cancelled
OOM_EXCEPTION = torch.OutOfMemoryError
XFORMERS_IS_AVAILABLE = False
XFORMERS_VERSION = ""
current_loaded_models: list[Any] = []
in_training = False
directml_enabled = False
xpu_available = False
lowvram_available = True
FLOAT8_TYPES = [torch.float8_e4m3fn, torch.float8_e5m2]


class VRAMState(Enum):
    """How much the device is filled."""

    DISABLED = 0
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(Enum):
    """What kind of device computes."""

    GPU = 0
    CPU = 1
    MPS = 2


def _device() -> torch.device:
    with suppress(RuntimeError):
        name = str(getattr(running.model_manager(), "device", ""))
        if name:
            return torch.device(name)
    host = host_or_none()
    if host is not None and host.device is not None:
        return torch.device(host.device())
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


cpu_state = {"cpu": CPUState.CPU, "mps": CPUState.MPS}.get(_device().type, CPUState.GPU)
vram_state = {"cpu": VRAMState.DISABLED, "mps": VRAMState.SHARED}.get(_device().type, VRAMState.NORMAL_VRAM)
set_vram_to = vram_state


def get_torch_device() -> torch.device:
    """The device that computes."""
    return _device()


def get_torch_device_name(device: Any) -> str:
    """What the device is called."""
    kind = torch.device(device) if isinstance(device, str) else device
    if getattr(kind, "type", "") == "cuda":
        return f"{kind} {torch.cuda.get_device_name(kind)} : native"
    return str(getattr(kind, "type", kind))


def intermediate_device() -> torch.device:
    """Where values between nodes are."""
    return torch.device("cpu")


def intermediate_dtype() -> torch.dtype:
    """What values between nodes are made of."""
    return torch.float32


def unet_offload_device() -> torch.device:
    """Where a denoiser waits."""
    return torch.device("cpu")


def unet_inital_load_device(parameters: int = 0, dtype: Any = None) -> torch.device:
    """Where a denoiser is first put."""
    return torch.device("cpu")


def text_encoder_device() -> torch.device:
    """Where text is encoded."""
    return _device()


def text_encoder_offload_device() -> torch.device:
    """Where a text encoder waits."""
    return torch.device("cpu")


def vae_device() -> torch.device:
    """Where pictures are encoded."""
    return _device()


def vae_offload_device() -> torch.device:
    """Where a VAE waits."""
    return torch.device("cpu")


def unet_dtype(*args: Any, **kwargs: Any) -> torch.dtype:
    """What a denoiser is computed in."""
    return torch.float16 if should_use_fp16() else torch.float32


def unet_manual_cast(*args: Any, **kwargs: Any) -> torch.dtype | None:
    """What to cast a denoiser's weights to for computing; None for as they are."""
    return None


def text_encoder_initial_device(load_device: Any, offload_device: Any, model_size: int = 0) -> Any:
    """Where a text encoder is first put: where it waits."""
    return offload_device


def text_encoder_dtype(device: Any = None) -> torch.dtype:
    """What text is encoded in."""
    return torch.float32


def vae_dtype(device: Any = None, allowed_dtypes: Sequence[torch.dtype] = ()) -> torch.dtype:
    """What pictures are encoded in."""
    return torch.float32


def dtype_size(dtype: torch.dtype) -> int:
    """Bytes of one number."""
    return dtype.itemsize


def should_use_fp16(
    device: Any = None, model_params: int = 0, prioritize_performance: bool = True, manual_cast: bool = False
) -> bool:
    """Whether half precision pays."""
    return _kind(device) == "cuda"


def should_use_bf16(
    device: Any = None, model_params: int = 0, prioritize_performance: bool = True, manual_cast: bool = False
) -> bool:
    """Whether bfloat16 pays."""
    return _kind(device) == "cuda" and torch.cuda.is_bf16_supported()


def supports_fp8_compute(device: Any = None) -> bool:
    """Whether numbers of 8 bits can be computed with; they are not."""
    return False


def supports_dtype(device: Any, dtype: Any) -> bool:
    """Whether the device has this kind of number."""
    return dtype == torch.float32 or (dtype in (torch.float16, torch.bfloat16) and _kind(device) == "cuda")


def supports_cast(device: Any, dtype: Any) -> bool:
    """Whether the device can convert this kind of number."""
    return dtype in (torch.float32, torch.float16, torch.bfloat16)


def pick_weight_dtype(dtype: Any, fallback_dtype: Any, device: Any = None) -> Any:
    """`dtype` where the device can convert it, else the other one."""
    return dtype if dtype is not None and supports_cast(device, dtype) else fallback_dtype


def device_supports_non_blocking(device: Any) -> bool:
    """Whether copies may go on while others compute."""
    return False


def is_device_type(device: Any, type: str) -> bool:
    """Whether the device is of that kind."""
    return _kind(device) == type


def is_device_cpu(device: Any) -> bool:
    """Whether the device is the processor."""
    return _kind(device) == "cpu"


def is_device_mps(device: Any) -> bool:
    """Whether the device is Apple's."""
    return _kind(device) == "mps"


def is_device_cuda(device: Any) -> bool:
    """Whether the device is NVIDIA's, or AMD's in its clothes."""
    return _kind(device) == "cuda"


def is_intel_xpu() -> bool:
    """Whether the device is Intel's."""
    return _kind(None) == "xpu"


def is_directml_enabled() -> bool:
    """Whether computing goes through DirectML."""
    return False


def is_nvidia() -> bool:
    """Whether the device is NVIDIA's."""
    return _kind(None) == "cuda" and torch.version.cuda is not None


def is_amd() -> bool:
    """Whether the device is AMD's."""
    return _kind(None) == "cuda" and torch.version.hip is not None


def cpu_mode() -> bool:
    """Whether the processor computes."""
    return _kind(None) == "cpu"


def mps_mode() -> bool:
    """Whether Apple's device computes."""
    return _kind(None) == "mps"


def xformers_enabled() -> bool:
    """Whether xformers computes attention; PyTorch does."""
    return False


def xformers_enabled_vae() -> bool:
    """Whether xformers computes the VAE's attention; PyTorch does."""
    return False


def pytorch_attention_enabled() -> bool:
    """Whether PyTorch computes attention."""
    return True


def pytorch_attention_flash_attention() -> bool:
    """Whether PyTorch has its fast attention."""
    return _kind(None) == "cuda"


def sage_attention_enabled() -> bool:
    """Whether SageAttention computes attention; PyTorch does."""
    return False


def flash_attention_enabled() -> bool:
    """Whether FlashAttention computes attention; PyTorch does."""
    return False


def force_upcast_attention_dtype() -> Any:
    """What attention is computed in, if it is forced."""
    return None


def get_autocast_device(dev: Any) -> str:
    """The kind of device, for torch.autocast."""
    return _kind(dev) or "cuda"


def cast_to(
    weight: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    stream: Any = None,
) -> Any:
    """A tensor of that dtype on that device."""
    return weight.to(device=device, dtype=dtype, non_blocking=non_blocking, copy=copy)


def cast_to_device(tensor: Any, device: Any, dtype: Any, copy: bool = False) -> Any:
    """A tensor of that dtype on that device."""
    return tensor.to(device=device, dtype=dtype, copy=copy)


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """Bytes that the device has."""
    device = _as_device(dev)
    total = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else psutil.virtual_memory().total
    return (total, total) if torch_total_too else total


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """Bytes that are free on the device, PyTorch's own reserve among them."""
    device = _as_device(dev)
    if device.type == "cuda":
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free = torch.cuda.mem_get_info(device)[0] + reserve
    else:
        free = reserve = psutil.virtual_memory().available
    return (free, reserve) if torch_free_too else free


def maximum_vram_for_weights(device: Any = None) -> int:
    """Bytes of the device that weights may take."""
    return max(0, int(get_total_memory(device)) - minimum_inference_memory() - extra_reserved_memory())


def minimum_inference_memory() -> int:
    """Bytes to keep free for computing."""
    return 1 << 30


def extra_reserved_memory() -> int:
    """Bytes to keep free for others."""
    return 1 << 28


def module_size(module: Any) -> int:
    """Bytes of a module's parameters and buffers."""
    return sum(tensor.nelement() * tensor.element_size() for tensor in module.state_dict().values())


def load_model_gpu(model: Any) -> None:
    """Have a model ready. The manager puts it on the device when it is used; a module of a pack is left to the pack."""
    load_models_gpu([model])


def load_models_gpu(models: Sequence[Any], memory_required: float = 0, *args: Any, **kwargs: Any) -> None:
    """Have models ready; see load_model_gpu."""


def free_memory(memory_required: float, device: Any, keep_loaded: Sequence[Any] = ()) -> list[Any]:
    """Drop models that nobody uses."""
    unload_all_models()
    return []


def unload_all_models() -> None:
    """Drop models that nobody uses."""
    with suppress(RuntimeError):
        running.model_manager().free()
    soft_empty_cache()


def unload_model_clones(model: Any, *args: Any, **kwargs: Any) -> None:
    """Drop other patched copies; the manager keeps one set of weights for all."""


def cleanup_models(*args: Any, **kwargs: Any) -> None:
    """Forget models that are gone; the manager does."""


def cleanup_models_gc() -> None:
    """Forget models that are gone; the manager does."""


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    """Models on the device, as wrappers; the manager has them."""
    return []


def soft_empty_cache(force: bool = False) -> None:
    """Give memory that PyTorch holds and does not use back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def throw_exception_if_processing_interrupted() -> None:
    """Raise InterruptProcessingException when the job was cancelled."""
    running.check_cancelled()


def processing_interrupted() -> bool:
    """Whether the job was cancelled."""
    return running.is_cancelled()


def interrupt_current_processing(value: bool = True) -> None:
    """Cancel the job of the running node."""
    ctx: Any = running.current_context()
    run = getattr(ctx, "_run", None)
    if value and run is not None:
        run.cancel.cancel()


def raise_non_oom(error: Exception) -> None:
    """Raise `error` unless it says that memory ran out."""
    if not isinstance(error, OOM_EXCEPTION):
        raise error


def is_oom(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    return isinstance(error, OOM_EXCEPTION)


def resolve_lowvram_weight(weight: Any, model: Any, key: str) -> Any:
    """The weight itself."""
    return weight


def debug_memory_summary() -> str:
    """What PyTorch says about the device's memory."""
    return torch.cuda.memory_summary() if sys.modules["torch"].cuda.is_available() else ""


def __getattr__(name: str) -> Any:
    """`total_vram` and `total_ram`: what there is, in MiB; measured when it is asked for."""
    if name == "total_vram":
        return get_total_memory() / (1 << 20)
    if name == "total_ram":
        return psutil.virtual_memory().total / (1 << 20)
    raise AttributeError(f"module 'comfy.model_management' of Safelight's shim has no attribute {name!r}")


def _as_device(device: Any) -> torch.device:
    if device is None or isinstance(device, str):
        return torch.device(device) if device else _device()
    return device if isinstance(device, torch.device) else _device()


def _kind(device: Any) -> str:
    return _as_device(device).type
