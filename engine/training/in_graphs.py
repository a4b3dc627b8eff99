"""Training a change of a denoiser's layers on latents and conditionings, as a node does it: in memory, reporting each step.

What is learned is what the network itself predicts (Ho et al. 2020 for eps, Salimans & Ho 2022 for v, Lipman et al. 2022 for
flows), at timesteps drawn evenly; flows with the family's own shift. Everything that is drawn comes from one generator, example
by example, so that a step of two batches is a step of one twice as large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.network import Network
from engine.sampling.denoisers import input_scale
from engine.sampling.noise_schedule import NoiseSchedule
from engine.training.adapters import Adapter, Attached, Layer

OPTIMIZERS: Final[Mapping[str, Any]] = {
    "AdamW": torch.optim.AdamW,
    "Adam": torch.optim.Adam,
    "SGD": torch.optim.SGD,
    "RMSprop": torch.optim.RMSprop,
}
LOSSES: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "MSE": functional.mse_loss,
    "L1": functional.l1_loss,
    "Huber": functional.huber_loss,
    "SmoothL1": functional.smooth_l1_loss,
}
_KNOWN: Final = ("eps", "v", "x0", "flow")


@dataclass(frozen=True)
class Plan:
    """How to train: so many optimiser `steps` of `accumulation` batches of `batch` examples each."""

    steps: int
    batch: int = 1
    accumulation: int = 1
    learning_rate: float = 5e-4
    optimizer: str = "AdamW"
    loss: str = "MSE"
    seed: int = 0
    autocast: torch.dtype | None = None
    checkpointing: bool = False
    bypass: bool = False


class Example(NamedTuple):
    """A latent (1, C, h, w) in the network's space, a text (1, T, D), and what else the network takes, each with one row."""

    latent: Tensor
    context: Tensor
    options: Mapping[str, Any]


class Drawn(NamedTuple):
    """An example on its way through the network: the noisy latent as it takes it, the timestep, and what it should say."""

    example: Example
    noisy: Tensor
    timestep: float
    target: Tensor


def layers_of(module: nn.Module) -> Iterator[tuple[str, Layer]]:
    """Yield the layers that adapters go on, with their paths."""
    for path, layer in module.named_modules():
        if path and isinstance(layer, nn.Linear | nn.Conv2d):
            yield path, layer


def train(
    network: Network,
    buckets: Sequence[Sequence[Example]],
    adapters: Mapping[str, Adapter],
    plan: Plan,
    report: Callable[[int, int], None],
) -> list[float]:
    """Train `adapters` (layer path → adapter) and return the mean loss of each step. The network is left as it was.

    `report(steps done, steps)` may raise to end it. Raises ModelError for a network that cannot be trained so, and for a loss
    that is no number.
    """
    parameters = [part for adapter in adapters.values() for part in adapter.parts.values()]
    for adapter in adapters.values():
        adapter.to(network.device)
    scaler = torch.amp.GradScaler(enabled=network.dtype is torch.float16 and network.device.type == "cuda")
    generator = torch.Generator().manual_seed(plan.seed % 2**63)
    losses: list[float] = []
    with torch.inference_mode(False), torch.enable_grad(), _ready(network, adapters, plan):
        optimizer = OPTIMIZERS[plan.optimizer](parameters, lr=plan.learning_rate)
        for step in range(plan.steps):
            optimizer.zero_grad(set_to_none=True)
            losses.append(_step(network, buckets, plan, generator, scaler, lambda: report(len(losses), plan.steps)))
            scaler.step(optimizer)
            scaler.update()
            report(step + 1, plan.steps)
    return losses


def _step(
    network: Network,
    buckets: Sequence[Sequence[Example]],
    plan: Plan,
    generator: torch.Generator,
    scaler: torch.amp.GradScaler,
    between: Callable[[], None],
) -> float:
    """Add the gradients of one step's batches up, and return the mean loss."""
    total, count = 0.0, plan.accumulation * plan.batch
    for number in range(plan.accumulation):
        if number:
            between()
        for group in _grouped(_draw(network, buckets, plan.batch, generator)):
            loss = _loss(network, group, plan) * (len(group) / count)
            if not math.isfinite(value := float(loss.detach())):
                raise ModelError(
                    f"The loss is {value} now: training has run away. Lower the learning rate, or train in fp32."
                )
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += value
    return total


def _draw(
    network: Network, buckets: Sequence[Sequence[Example]], batch: int, generator: torch.Generator
) -> Iterator[Drawn]:
    """Draw a batch out of one bucket; of several, by how much they hold."""
    schedule = NoiseSchedule.of(network.handle.parameterization)
    bucket = buckets[0]
    if len(buckets) > 1:
        shares = torch.tensor([float(len(one)) for one in buckets])
        bucket = buckets[int(torch.multinomial(shares, 1, generator=generator))]
    for _ in range(batch):
        example = bucket[int(torch.randint(len(bucket), (1,), generator=generator))]
        share = float(torch.rand(1, generator=generator))
        noise = torch.randn(example.latent.shape, generator=generator)
        yield _noisy(schedule, example, share, noise)


def _noisy(schedule: NoiseSchedule, example: Example, share: float, noise: Tensor) -> Drawn:
    """An example at the share 0..1 of the timesteps."""
    x0, prediction = example.latent, schedule.parameterization.prediction
    if schedule.is_flow:
        sigma = schedule.sigma(share * schedule.timesteps)
        return Drawn(example, torch.lerp(x0, noise, sigma), schedule.timestep(sigma), noise - x0)
    in_time = schedule.parameterization.schedule == "cosine_time"
    timestep = share if in_time else float(int(share * schedule.timesteps))
    sigma = schedule.sigma(timestep)
    scale = input_scale(schedule, sigma)
    targets = {"eps": noise, "x0": x0, "v": scale * (noise - sigma * x0)}
    return Drawn(example, (x0 + sigma * noise) * scale, schedule.timestep(sigma), targets[prediction])


def _grouped(drawn: Iterator[Drawn]) -> list[list[Drawn]]:
    """What can go through the network at once: latents, texts and options of the same shapes."""
    groups: dict[object, list[Drawn]] = {}
    for one in drawn:
        told = {
            name: tuple(value.shape) if isinstance(value, Tensor) else repr(value)
            for name, value in one.example.options.items()
        }
        key = tuple(one.noisy.shape), tuple(one.example.context.shape), tuple(sorted(told.items()))
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _loss(network: Network, group: Sequence[Drawn], plan: Plan) -> Tensor:
    place = network.device
    first = group[0].example.options
    options = {
        name: torch.cat([one.example.options[name] for one in group]) if isinstance(value, Tensor) else value
        for name, value in first.items()
    }
    concat = options.pop("concat", None)
    precision: AbstractContextManager[object] = nullcontext()
    if plan.autocast is not None:
        precision = torch.autocast(place.type, plan.autocast)
    # Networks are called without gradients, which is what stands around this.
    call = getattr(type(network).__call__, "__wrapped__", type(network).__call__)
    with precision:
        said: Tensor = call(
            network,
            torch.cat([one.noisy for one in group]).to(place),
            torch.tensor([one.timestep for one in group], device=place),
            torch.cat([one.example.context for one in group]).to(place),
            concat=concat,
            options=options,
        )
    if not said.requires_grad:
        raise ModelError(
            f"{network.handle.source.path}: {network.family.title} cannot be trained here: its network is only called without "
            "gradients. Use a model of another family."
        )
    target = torch.cat([one.target for one in group]).to(place)
    return LOSSES[plan.loss](said[:, : target.shape[1]].float(), target.float())


@contextmanager
def _ready(network: Network, adapters: Mapping[str, Adapter], plan: Plan) -> Iterator[None]:
    """The network with its adapters; with `checkpointing`, what its blocks compute is computed again for the gradients."""
    prediction = network.handle.parameterization.prediction
    if prediction not in _KNOWN:
        raise ModelError(
            f"{network.handle.source.path}: training is for networks that predict {', '.join(_KNOWN)}, this one predicts "
            f"{prediction}. Use the model that it was made of."
        )
    module: Any = network.module
    switch = plan.checkpointing and getattr(module, "_supports_gradient_checkpointing", False)
    if switch:
        module.enable_gradient_checkpointing()
    try:
        with Attached(module, adapters, bypass=plan.bypass):
            yield
    finally:
        if switch:
            module.disable_gradient_checkpointing()
