"""Models that a pack changed, in graphs with our nodes, run by a server: what is run anew, and what is reused."""

from __future__ import annotations

from typing import Any


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def graph(model: str = "1", sampler: str = "euler", **more: Any) -> dict[str, Any]:
    """A KSampler behind node `model`, and the sum of what it makes."""
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="tiny.safetensors"),
        "2": node("CLIPTextEncode", text="red apple", clip=["1", 1]),
        "3": node("CLIPTextEncode", text="", clip=["1", 1]),
        "4": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "8": node(
            "KSampler", model=[model, 0], positive=["2", 0], negative=["3", 0], latent_image=["4", 0],
            seed=1, steps=2, cfg=3.0, sampler_name=sampler, scheduler="normal", denoise=1.0,
        ),
        "9": node("TricksSum", latent=["8", 0]),
        **more,
    }  # fmt: skip


def custom(model: str = "1", **more: Any) -> dict[str, Any]:
    """SamplerCustomAdvanced with a guider, node 6, and a sampler, node 7."""
    return {
        **graph(model),
        "5": node("RandomNoise", noise_seed=1),
        "6": node("CFGGuider", model=[model, 0], positive=["2", 0], negative=["3", 0], cfg=3.0),
        "7": node("KSamplerSelect", sampler_name="euler"),
        "10": node("BasicScheduler", model=[model, 0], scheduler="normal", steps=2, denoise=1.0),
        "8": node(
            "SamplerCustomAdvanced", noise=["5", 0], guider=["6", 0], sampler=["7", 0], sigmas=["10", 0],
            latent_image=["4", 0],
        ),
        **more,
    }  # fmt: skip


def shown(server: Any, prompt: dict[str, Any]) -> Any:
    entry = server.run(prompt)
    assert entry["status"]["status_str"] == "success", str(entry["status"]["messages"][-1])
    return entry["outputs"]["9"]


def hooked(factor: float) -> dict[str, Any]:
    return graph("20", **{"20": node("TricksHook", model=["1", 0], factor=factor)})


def hooked_with(sampler: str) -> dict[str, Any]:
    return graph("20", sampler, **{"20": node("TricksHook", model=["1", 0], factor=1.0)})


def test_what_is_below_a_hooked_model_runs_anew_when_the_hook_changes_and_not_otherwise(server: Any) -> None:
    plain = shown(server, graph())["sum"]
    first, second = shown(server, hooked(0.5)), shown(server, hooked(0.25))
    assert len({*plain, *first["sum"], *second["sum"]}) == 3
    assert shown(server, hooked(1.0))["sum"] == plain
    runs = second["runs"][0]
    assert shown(server, hooked(0.25)) == second
    assert shown(server, hooked(0.125))["runs"] == [runs + 2]


def test_a_lora_that_a_pack_puts_on_is_that_of_our_loader(server: Any) -> None:
    theirs = graph("20", **{"20": node("TricksLora", model=["1", 0], lora="kohya.safetensors")})
    ours = graph(
        "20", **{"20": node("LoraLoaderModelOnly", model=["1", 0], lora_name="kohya.safetensors", strength_model=1.0)}
    )
    assert shown(server, theirs)["sum"] == shown(server, ours)["sum"] != shown(server, graph())["sum"]


def test_a_sampler_and_a_guider_of_a_pack_take_part_in_our_node(server: Any) -> None:
    plain = shown(server, custom())["sum"][0]
    sampled = shown(server, custom(**{"7": node("TricksSampler")}))["sum"][0]
    assert abs(sampled - plain) < 1e-3 * plain
    guider = node("TricksGuider", model=["1", 0], positive=["2", 0], negative=["3", 0])
    assert shown(server, custom(**{"6": guider}))["sum"][0] != plain
    assert shown(server, custom(**{"6": guider, "7": node("TricksSampler")}))["sum"][0] != plain


def test_a_sampler_that_a_pack_adds_by_name_is_a_choice_of_our_nodes_and_runs(server: Any) -> None:
    plain = shown(server, graph())["sum"][0]
    assert abs(shown(server, graph(sampler="tricks"))["sum"][0] - plain) < 1e-3 * plain
    assert abs(shown(server, hooked_with("tricks"))["sum"][0] - plain) < 1e-3 * plain
    chosen = custom(**{"7": node("KSamplerSelect", sampler_name="tricks")})
    assert abs(shown(server, chosen)["sum"][0] - shown(server, custom())["sum"][0]) < 1e-3 * plain
    found = server.get("/object_info/KSampler")["KSampler"]["input"]["required"]
    assert "tricks" in found["sampler_name"][0]
    assert "falling" in found["scheduler"][0]
    falling = graph()
    falling["8"]["inputs"]["scheduler"] = "falling"
    assert shown(server, falling)["sum"][0] != plain
    status, _ = server.ask("POST", "/prompt", {"prompt": graph(sampler="nobodys")})
    assert status == 400
