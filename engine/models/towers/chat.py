"""How language models are talked to: their chat templates, written out. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Chat:
    """One turn of a chat: `system` and `user` hold what is said at `{}`, special tokens written out.

    `begin`: what stands before all. `default`: the system prompt where none is told, "" for none. `apart` False: the model knows
    no system prompt, and reads it before the user's text. `quiet`: what tells a model that can think not to. `picture`: what
    stands for a picture. `ends`: tokens that end what the model says.
    """

    system: str
    user: str
    ends: tuple[str, ...]
    begin: str = ""
    default: str = ""
    apart: bool = True
    quiet: str = ""
    picture: str = ""

    def text(self, prompt: str, system: str = "", *, pictures: int = 0, thinking: bool = False) -> str:
        """Return what the model reads; it goes on where the text ends."""
        system = system or self.default
        said = f"{self.picture * pictures}{prompt}"
        if system and not self.apart:
            system, said = "", f"{system}\n\n{said}"
        before = self.system.replace("{}", system) if system else ""
        return f"{self.begin}{before}{self.user.replace('{}', said)}{'' if thinking else self.quiet}"


_SEEN: Final = "<|vision_start|><|image_pad|><|vision_end|>"
_QWEN_SYSTEM, _QWEN_USER = (
    "<|im_start|>system\n{}<|im_end|>\n",
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
)
_QWEN_ENDS = ("<|im_end|>", "<|endoftext|>")
_QUIET: Final = "<think>\n\n</think>\n\n"

QWEN2_5_VL: Final = Chat(
    system=_QWEN_SYSTEM, user=_QWEN_USER, ends=_QWEN_ENDS, default="You are a helpful assistant.", picture=_SEEN
)
QWEN3: Final = Chat(system=_QWEN_SYSTEM, user=_QWEN_USER, ends=_QWEN_ENDS, quiet=_QUIET)
QWEN3_5: Final = replace(QWEN3, picture=_SEEN)
"""Inferred: that it thinks and is told not to as Qwen3 does."""
QWEN3_VL: Final = Chat(system=_QWEN_SYSTEM, user=_QWEN_USER, ends=_QWEN_ENDS, picture=_SEEN)
"""The instruct models, which do not think."""
GEMMA3: Final = Chat(
    begin="<bos>",
    system="{}",
    user="<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n",
    ends=("<end_of_turn>", "<eos>"),
    apart=False,
)
LLAMA: Final = Chat(
    begin="<|begin_of_text|>",
    system="<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
    user=("<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
    ends=("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"),
)
MISTRAL: Final = Chat(begin="<s>", system="[SYSTEM_PROMPT]{}[/SYSTEM_PROMPT]", user="[INST]{}[/INST]", ends=("</s>",))
