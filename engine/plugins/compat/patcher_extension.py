"""`comfy.patcher_extension`: names of places where packs hang functions; nothing calls them here."""

from __future__ import annotations

from typing import Any, ClassVar

from engine.plugins.compat.absent import refuse


class CallbacksMP:
    """Moments in a model's life."""

    ON_CLONE = "on_clone"
    ON_LOAD = "on_load_after"
    ON_DETACH = "on_detach_after"
    ON_CLEANUP = "on_cleanup"
    ON_PRE_RUN = "on_pre_run"
    ON_PREPARE_STATE = "on_prepare_state"
    ON_APPLY_HOOKS = "on_apply_hooks"
    ON_REGISTER_ALL_HOOK_PATCHES = "on_register_all_hook_patches"
    ON_INJECT_MODEL = "on_inject_model"
    ON_EJECT_MODEL = "on_eject_model"

    @classmethod
    def init_callbacks(cls) -> dict[str, Any]:
        """None of them filled."""
        return {}


class WrappersMP:
    """Functions of the sampler that may be wrapped."""

    OUTER_SAMPLE = "outer_sample"
    PREPARE_SAMPLING = "prepare_sampling"
    SAMPLER_SAMPLE = "sampler_sample"
    PREDICT_NOISE = "predict_noise"
    CALC_COND_BATCH = "calc_cond_batch"
    APPLY_MODEL = "apply_model"
    DIFFUSION_MODEL = "diffusion_model"

    @classmethod
    def init_wrappers(cls) -> dict[str, Any]:
        """None of them filled."""
        return {}


class PatcherInjection:
    """A pair of functions that change a model and change it back."""

    def __init__(self, inject: Any, eject: Any) -> None:
        self.inject = inject
        self.eject = eject


class WrapperExecutor:
    """Calls a function through its wrappers, outermost first."""

    new_executor: ClassVar[Any]

    def __init__(self, original: Any, class_obj: Any, wrappers: list[Any], idx: int) -> None:
        self.original = original
        self.class_obj = class_obj
        self.wrappers = list(wrappers)
        self.idx = idx

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The next wrapper, or the function."""
        following = WrapperExecutor(self.original, self.class_obj, self.wrappers, self.idx + 1)
        return following.execute(*args, **kwargs)

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """This wrapper, or the function when there are no more."""
        if self.idx >= len(self.wrappers):
            return self.original(*args, **kwargs)
        return self.wrappers[self.idx](self, *args, **kwargs)

    @classmethod
    def new_class_executor(cls, original: Any, class_obj: Any, wrappers: list[Any], idx: int = 0) -> WrapperExecutor:
        """For a method."""
        return cls(original, class_obj, wrappers, idx)


WrapperExecutor.new_executor = classmethod(lambda cls, original, wrappers, idx=0: cls(original, None, wrappers, idx))


def add_wrapper(*args: Any, **kwargs: Any) -> Any:
    """Hang a function on the sampler."""
    refuse("comfy.patcher_extension.add_wrapper", "hooks that a pack puts inside the denoising network or the guidance")


add_wrapper_with_key = add_wrapper
add_callback = add_wrapper
add_callback_with_key = add_wrapper
