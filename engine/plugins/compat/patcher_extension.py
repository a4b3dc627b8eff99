"""`comfy.patcher_extension`: places of the sampler where packs hang functions, and how these are called."""

from __future__ import annotations

from typing import Any, ClassVar


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


def add_wrapper_with_key(
    wrapper_type: str,
    key: str | None,
    wrapper: Any,
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Hang a function around a place of the sampler, under a name of the pack's."""
    _hang("wrappers", wrapper_type, key, wrapper, transformer_options, is_model_options)


def add_wrapper(
    wrapper_type: str, wrapper: Any, transformer_options: dict[str, Any], is_model_options: bool = False
) -> None:
    """Hang a function around a place of the sampler."""
    add_wrapper_with_key(wrapper_type, None, wrapper, transformer_options, is_model_options)


def add_callback_with_key(
    call_type: str, key: str | None, callback: Any, transformer_options: dict[str, Any], is_model_options: bool = False
) -> None:
    """Have a function called at a moment, under a name of the pack's."""
    _hang("callbacks", call_type, key, callback, transformer_options, is_model_options)


def add_callback(
    call_type: str, callback: Any, transformer_options: dict[str, Any], is_model_options: bool = False
) -> None:
    """Have a function called at a moment."""
    add_callback_with_key(call_type, None, callback, transformer_options, is_model_options)


def get_all_wrappers(
    wrapper_type: str, transformer_options: dict[str, Any] | None, is_model_options: bool = False
) -> list[Any]:
    """The functions around a place, of all names."""
    return _hung("wrappers", wrapper_type, transformer_options, is_model_options)


def get_all_callbacks(
    call_type: str, transformer_options: dict[str, Any] | None, is_model_options: bool = False
) -> list[Any]:
    """The functions called at a moment, of all names."""
    return _hung("callbacks", call_type, transformer_options, is_model_options)


def _hang(kind: str, place: str, key: str | None, function: Any, options: dict[str, Any], of_model: bool) -> None:
    inner = options.setdefault("transformer_options", {}) if of_model else options
    inner.setdefault(kind, {}).setdefault(place, {}).setdefault(key, []).append(function)


def _hung(kind: str, place: str, options: dict[str, Any] | None, of_model: bool) -> list[Any]:
    inner = (options or {}).get("transformer_options", {}) if of_model else (options or {})
    return [function for functions in inner.get(kind, {}).get(place, {}).values() for function in functions]
