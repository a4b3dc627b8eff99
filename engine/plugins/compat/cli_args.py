"""`comfy.cli_args`: the command line as packs read it."""

from __future__ import annotations

import enum
from argparse import ArgumentParser, Namespace
from typing import Any

from engine.plugins.compat.host import the_host


class LatentPreviewMethod(enum.Enum):
    """How intermediate pictures are made."""

    NoPreviews = "none"
    Auto = "auto"
    Latent2RGB = "latent2rgb"
    TAESD = "taesd"

    @classmethod
    def from_string(cls, value: str) -> LatentPreviewMethod | None:
        """The method of that name, or None."""
        return next((method for method in cls if method.value == value), None)


class PerformanceFeature(enum.Enum):
    """Faster, less exact ways of computing; none is on."""

    Fp16Accumulation = "fp16_accumulation"
    Fp8MatrixMultiplication = "fp8_matrix_mult"
    CublasOps = "cublas_ops"
    AutoTune = "autotune"


class Arguments(Namespace):
    """Every option at its quiet default; one that nobody knows is None, as packs ask for those of other versions."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "cpu":  # told late, as asking for the device imports torch
            from engine.plugins.compat.model_management import is_device_cpu

            self.cpu = is_device_cpu(None)
            return self.cpu
        return None

    def get(self, name: str, default: Any = None) -> Any:
        """The option, as from a dict."""
        found = getattr(self, name)
        return default if found is None else found


def _arguments() -> Arguments:
    paths, server = the_host().paths, the_host().server
    return Arguments(
        base_directory=str(paths.base),
        output_directory=str(paths.output),
        input_directory=str(paths.input),
        temp_directory=str(paths.temp),
        user_directory=str(paths.user),
        preview_method=LatentPreviewMethod.Auto,
        preview_size=512,
        disable_metadata=not the_host().embeds,
        listen=server.address,
        port=server.port,
        max_upload_size=server.max_upload_size / (1024 * 1024),
        gpu_only=False,
        highvram=False,
        normalvram=False,
        lowvram=False,
        novram=False,
        fast=set(),
        multi_user=False,
        verbose="INFO",
        extra_model_paths_config=None,
        disable_all_custom_nodes=False,
        whitelist_custom_nodes=[],
        deterministic=False,
        force_fp16=False,
        force_fp32=False,
        directml=None,
        disable_xformers=True,
        windows_standalone_build=False,
    )


def _parser(known: Arguments) -> ArgumentParser:
    """A parser of the options that there are, each at what it is; packs add options of their own, or read the defaults."""
    made = ArgumentParser(add_help=False)
    for name, value in vars(known).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            made.add_argument(option, action="store_true", default=value)
        elif isinstance(value, list | set):
            made.add_argument(option, nargs="*", default=value)
        else:
            made.add_argument(option, default=value, type=type(value) if isinstance(value, int | float) else str)
    return made


args = _arguments()
parser = _parser(args)
