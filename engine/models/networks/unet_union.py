"""How unions of ControlNets of Stable Diffusion XL are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch

from engine.models.errors import ModelError
from engine.models.network import ControlNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Company

# fmt: off
TASKS: Final = {
    "openpose": 0, "depth": 1, "hed/pidi/softedge": 2, "scribble": 2, "canny": 3, "lineart": 3, "mlsd": 3, "normalbae": 4,
    "seg": 5, "tile": 6, "inpaint": 7,
}
# fmt: on
"""The numbers of ControlNet++'s tasks, by the names that SetUnionControlNetType has."""


class UnionControl(ControlNetwork):
    """A ControlNet that is told what its picture shows (its `mode`)."""

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        hint: Tensor,
        strength: float = 1.0,
        options: Mapping[str, Any] | None = None,
        company: Company | None = None,
    ) -> dict[str, Any]:
        """Return {"down": [tensors], "mid": tensor}, as ControlNetwork does.

        Raises ModelError when it has not been told its task or does not know it, and for other widths.
        """
        self._check(x, context)
        task, known = TASKS.get(self.handle.mode), int(self.handle.config["num_control_type"])
        if task is None or task >= known:
            names = ", ".join(name for name, number in TASKS.items() if number < known)
            raise ModelError(
                f"{self.handle.source.path}: a union of ControlNets, told {self.handle.mode or 'auto'!r}: expected what the "
                f"picture shows, one of {names}. Set it by SetUnionControlNetType."
            )
        kind = torch.zeros(x.shape[0], known, device=self.device, dtype=self.dtype)
        kind[:, task] = 1.0
        down, mid = self.module(
            x.to(self.device, self.dtype),
            t.to(self.device),
            encoder_hidden_states=context.to(self.device, self.dtype),
            controlnet_cond=[self._fit_hint(hint, (x.shape[0], x.shape[-2], x.shape[-1]))],
            control_type=kind,
            control_type_idx=[task],
            conditioning_scale=[strength],
            added_cond_kwargs=self._sizes(options),
            return_dict=False,
        )
        return {"down": [residual.to(x) for residual in down], "mid": mid.to(x)}
