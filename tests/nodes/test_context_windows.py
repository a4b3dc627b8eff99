"""Windows over frames: which there are, how they are put together, with a network whose answer for each window is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given as cases
from hypothesis import strategies as st

from engine.datatypes.parameterization import Parameterization
from engine.denoising.inside.network import PatchedNetwork
from engine.models.errors import ModelError
from engine.sampling.context_windows import FUSING, SCHEDULES, free_noise, looped, static, uniform, weights
from engine.sampling.denoisers import Occasion
from engine.sampling.noise_schedule import NoiseSchedule
from nodes.conditioning import conditioning_combine, text_encode
from nodes.context_windows import context_windows_manual, wan_context_windows_manual
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler

FLOW = NoiseSchedule.of(Parameterization(prediction="flow", schedule="flow", shift=1.0))
FACTS: dict[str, Any] = {
    "length": 4, "overlap": 2, "schedule": "standard_static", "stride": 1, "closed": False, "fuse": "flat", "dim": 2,
    "kept_in_cond": [], "kept_in_latent": [], "split": False, "causal": False, "free": False,
}  # fmt: skip


def called(network: Any, x: torch.Tensor, sigma: float = 1.0, levels: Any = None, **facts: Any) -> torch.Tensor:
    more = {name: facts.pop(name) for name in ("concat", "control", "options", "occasion") if name in facts}
    made = PatchedNetwork(network, FLOW, [["windows", FACTS | facts]], levels)
    context = more.pop("context", torch.zeros(len(x), 1, 1))
    occasion = more.pop("occasion", Occasion(sigma))
    return made(x, torch.full((len(x),), sigma), context, occasion=occasion, **more)


def frames(count: int, size: int = 2) -> torch.Tensor:
    """A video (1, 1, count, size, size) whose frames are their numbers."""
    return torch.arange(float(count)).reshape(1, 1, count, 1, 1).expand(1, 1, count, size, size).clone()


class Network:
    """Adds to each frame the mean of those that it sees, and remembers them."""

    def __init__(self, dim: int = 2) -> None:
        self.dim, self.seen = dim, []

    def __call__(self, x, t, context, *, concat=None, control=None, options=None):
        self.seen.append(x.movedim(self.dim, 0).flatten(1)[:, 0].tolist())
        self.concat = concat
        return x + x.mean(self.dim, keepdim=True)


# --- which windows --------------------------------------------------------------------------------------------------


def test_static_windows_end_with_the_row():
    assert static(10, 4, 2) == [(0, 1, 2, 3), (2, 3, 4, 5), (4, 5, 6, 7), (6, 7, 8, 9)]
    assert static(9, 4, 1) == [(0, 1, 2, 3), (3, 4, 5, 6), (5, 6, 7, 8)]
    assert SCHEDULES["batched"](9, 4, 2, 1, False, 5) == [(0, 1, 2, 3), (4, 5, 6, 7), (8,)]


def test_looped_windows_begin_elsewhere_at_each_step_and_have_strides():
    assert looped(8, 4, 2, 1, 0, closed=True) == [(0, 1, 2, 3), (2, 3, 4, 5), (4, 5, 6, 7), (6, 7, 0, 1)]
    assert looped(8, 4, 2, 1, 0, closed=False) == [(0, 1, 2, 3), (2, 3, 4, 5), (4, 5, 6, 7)]
    assert looped(8, 4, 2, 1, 1, closed=True)[0] == (4, 5, 6, 7)
    assert looped(8, 4, 2, 1, 2, closed=True)[0] == (2, 3, 4, 5)
    assert (0, 2, 4, 6) in looped(8, 4, 2, 9, 0, closed=True)
    assert looped(8, 4, 2, 1, 1, closed=False) == [(4, 5, 6, 7), (6, 7, 0, 1), (0, 1, 2, 3)]
    assert uniform(8, 4, 2, 1, 1) == [(0, 1, 2, 3), (4, 5, 6, 7)]


@cases(
    st.sampled_from(sorted(SCHEDULES)),
    st.integers(2, 40),
    st.data(),
    st.integers(1, 5),
    st.booleans(),
    st.integers(0, 30),
)
def test_every_frame_is_in_a_window_and_counts(name, count, data, stride, closed, step):
    length = data.draw(st.integers(1, count - 1))
    overlap = data.draw(st.integers(0, length - 1))
    found = SCHEDULES[name](count, length, overlap, stride, closed, step)
    assert set().union(*found) == set(range(count))
    assert len(found) <= (stride + 1) * (count + 1)
    assert all(len(set(window)) == len(window) <= max(length, 1) for window in found if name != "looped_uniform")
    for fuse in FUSING:
        for window in found:
            share = weights(fuse, window, count, overlap)
            assert share.shape == (len(window),)
            assert bool((share > 0).all())


def test_weights_are_as_their_names_say():
    assert weights("pyramid", (0, 1, 2, 3), 9, 2).tolist() == [1, 2, 2, 1]
    assert weights("pyramid", (0, 1, 2, 3, 4), 9, 2).tolist() == [1, 2, 3, 2, 1]
    assert weights("flat", (3, 4), 9, 1).tolist() == [1, 1]
    assert weights("relative", (2, 3, 4), 9, 1).tolist() == pytest.approx([0.01, 1.0, 0.01], abs=6e-3)
    assert weights("overlap-linear", (0, 1, 2, 3), 9, 2).tolist() == pytest.approx([1, 1, 1, 0], abs=1e-5)
    assert weights("overlap-linear", (3, 4, 5, 6, 7), 9, 3).tolist() == pytest.approx([0, 0.5, 1, 0.5, 0], abs=1e-5)
    assert weights("overlap-linear", (5, 6, 7, 8), 9, 2).tolist() == pytest.approx([0, 1, 1, 1], abs=1e-5)


# --- what they give -------------------------------------------------------------------------------------------------


def test_predictions_of_windows_are_put_together_by_their_weights():
    x, network = frames(7), Network()
    got = called(network, x, overlap=1, fuse="pyramid")[0, 0, :, 0, 0]
    assert network.seen == [[0, 1, 2, 3], [3, 4, 5, 6]]
    means = {0: 1.5, 1: 1.5, 2: 1.5, 3: (1 * 1.5 + 1 * 4.5) / 2, 4: 4.5, 5: 4.5, 6: 4.5}
    assert got.tolist() == pytest.approx([n + means[n] for n in range(7)])


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize("fuse", sorted(FUSING))
def test_a_network_that_sees_frames_alone_gives_the_same_in_any_windows(schedule, fuse):
    x = torch.randn(2, 3, 11, 4, 4, generator=torch.Generator().manual_seed(1))

    def alone(x, t, context, **_):
        return torch.tanh(x) * 2

    for sigma in (1.0, 0.5, 0.25):
        got = called(alone, x, sigma, [1.0, 0.5, 0.25, 0.0], schedule=schedule, fuse=fuse, stride=3)
        assert torch.allclose(got, torch.tanh(x) * 2, atol=1e-5)


def test_a_row_that_one_window_covers_is_predicted_as_ever():
    x, network = frames(4), Network()
    assert torch.equal(called(network, x), network(x, None, None))


def test_uniform_windows_follow_the_steps_of_the_run():
    x, network = frames(8), Network()
    firsts = []
    for sigma in (1.0, 0.75, 0.7, 0.5):
        network.seen.clear()
        called(network, x, sigma, [1.0, 0.75, 0.5, 0.0], schedule="looped_uniform", closed=True)
        firsts.append(network.seen[0][0])
    assert firsts == [0, 4, 4, 2]  # a level between two belongs to the step that it is in


def test_the_frame_before_a_window_is_given_and_dropped():
    x, network = frames(7), Network()
    got = called(network, x, overlap=1, causal=True)[0, 0, :, 0, 0]
    assert network.seen == [[0, 1, 2, 3], [2, 3, 4, 5, 6]]
    assert got.tolist() == pytest.approx([1.5, 2.5, 3.5, 3 + (1.5 + 4) / 2, 8, 9, 10])


def test_what_stands_beside_the_latent_is_cut_and_retained():
    x, network = frames(7), Network()
    beside = frames(7) + 100
    called(network, x, overlap=1, concat=beside, kept_in_cond=[0])
    assert network.concat[0, 0, :, 0, 0].tolist() == [100, 104, 105, 106]
    assert network.seen[-1] == [3, 4, 5, 6]
    called(network, x, overlap=1, concat=beside, causal=True, kept_in_cond=[0])
    assert network.concat[0, 0, :, 0, 0].tolist() == [102, 100, 104, 105, 106]


def test_what_stands_beside_the_latent_without_such_a_row_is_for_every_window():
    network = Network()
    called(network, frames(7), concat=frames(1) + 100, kept_in_cond=[0])
    assert network.concat.shape[2] == 1


def test_a_retained_latent_stands_in_every_window_and_counts_for_itself():
    x, network = frames(7), Network()
    got = called(network, x, overlap=1, kept_in_latent=[0])[0, 0, :, 0, 0]
    assert network.seen == [[0, 1, 2, 3], [0, 4, 5, 6]]
    assert got.tolist() == pytest.approx([1.5, 2.5, 3.5, 4.5, 7.75, 8.75, 9.75], abs=1e-4)


def test_pictures_of_a_batch_are_a_row_too_with_all_that_is_theirs():
    """Two conditions of five pictures each; the network adds each row's text, time and control."""
    x = torch.arange(10.0).reshape(10, 1, 1, 1).expand(10, 1, 2, 2)
    context = torch.arange(10.0).reshape(10, 1, 1)
    options = {"sizes": torch.arange(10.0) * 10, "word": "as it is"}
    control = {"down": [torch.arange(10.0).reshape(10, 1, 1, 1) * 100]}
    rows: list[int] = []

    def network(x, t, context, *, concat=None, control=None, options=None):
        rows.append(len(x))
        added = context.flatten() + options["sizes"] + control["down"][0].flatten()
        assert options["word"] == "as it is"
        return x + added.reshape(-1, 1, 1, 1)

    made = PatchedNetwork(network, FLOW, [["windows", FACTS | {"dim": 0, "length": 3, "overlap": 1}]])
    occasion = Occasion(1.0, (0, 1), (object(), object()))
    got = made(x, torch.ones(10), context, control=control, options=options, occasion=occasion)
    assert rows == [6, 6]
    assert got[:, 0, 0, 0].tolist() == pytest.approx([n * 112 for n in range(10)])


def test_combined_prompts_are_for_a_part_of_the_row_each():
    first, second = (SimpleNamespace(context=torch.full((1, 1, 1), v), options={}) for v in (10.0, 20.0))
    x = torch.zeros(2, 1, 8, 1, 1)
    contexts = torch.cat([first.context, second.context])

    def network(x, t, context, **_):
        return x + context[..., None, None]

    made = PatchedNetwork(network, FLOW, [["windows", FACTS | {"overlap": 0, "split": True}]])
    occasion = Occasion(1.0, (0, 0), (first, second), {0: [first, second]})
    for part in made(x, torch.ones(2), contexts, occasion=occasion):
        assert part[0, :, 0, 0].tolist() == [10] * 4 + [20] * 4
    longer = SimpleNamespace(context=torch.zeros(1, 2, 1), options={})
    occasion = Occasion(1.0, (0, 0), (first, second), {0: [first, longer]})
    with pytest.raises(ModelError, match=r"wants combined texts of the same length, got 1 and 2 tokens"):
        made(x, torch.ones(2), contexts, occasion=occasion)


def test_free_noise_is_that_of_earlier_frames_shuffled():
    noise = torch.randn(1, 4, 13, 2, 2, generator=torch.Generator().manual_seed(1))
    made = free_noise(noise, 2, 6, 2, 5)
    assert torch.equal(made[:, :, :6], noise[:, :, :6])
    for start, end, source in ((6, 10, range(4)), (10, 13, range(4, 7))):
        found = [
            next(n for n in source if torch.equal(made[:, :, place], made[:, :, n])) for place in range(start, end)
        ]
        assert sorted(found) == sorted(source)[: end - start] or len(set(found)) == end - start
    assert torch.equal(made, free_noise(noise, 2, 6, 2, 5))
    assert not torch.equal(made, free_noise(noise, 2, 6, 2, 6))


# --- bad input ------------------------------------------------------------------------------------------------------


def test_what_cannot_be_cut_is_told():
    with pytest.raises(ModelError, match=r"over dimension 2: what a ControlNet adds cannot be cut there"):
        called(Network(), frames(7), control={"down": []})
    with pytest.raises(ModelError, match=r"dim is 5, and this model's latents have the dimensions 0 .* and 2 to 4"):
        called(Network(), frames(7), dim=5)


@pytest.fixture
def parts(bench) -> Any:
    return checkpoint_loader(bench, "tiny.safetensors")


def test_bad_settings_are_told_at_the_node(parts):
    with pytest.raises(ValueError, match=r"context_overlap: windows of 4 latents cannot have 4 in common"):
        context_windows_manual(parts.MODEL, 4, 4)
    with pytest.raises(ValueError, match=r"dim: 1 is the channels"):
        context_windows_manual(parts.MODEL, dim=1)
    with pytest.raises(ValueError, match=r"latent_retain_index_list: '1;2' is no list of places"):
        context_windows_manual(parts.MODEL, latent_retain_index_list="1;2")
    with pytest.raises(
        ModelError, match=r"WanContextWindowsManual: model: Stable Diffusion 1.x has latents without frames"
    ):
        wan_context_windows_manual(parts.MODEL)


# --- in a run -------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(bench, parts):
    positive, other, negative = (text_encode(bench, text, parts.CLIP) for text in ("red apple", "a dog", ""))

    def run(model: Any, count: int = 6, positive: Any = positive) -> torch.Tensor:
        told = {"seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal"}
        latent = {"samples": torch.zeros(count, 4, 8, 8)}
        found: torch.Tensor = ksampler(bench, model, positive=positive, negative=negative, latent_image=latent, **told)[
            "samples"
        ]
        return found

    run.positive, run.other = positive, other
    return run


def test_pictures_that_know_nothing_of_each_other_are_the_same_in_windows(parts, run):
    plain = run(parts.MODEL)
    for schedule in SCHEDULES:
        got = run(context_windows_manual(parts.MODEL, 3, 1, schedule))
        assert torch.allclose(got, plain, atol=1e-4)
    assert torch.equal(run(context_windows_manual(parts.MODEL, 6, 1)), plain)


def test_lines_in_windows_and_free_noise_change_a_run(parts, run):
    plain = run(parts.MODEL)
    lines = run(context_windows_manual(parts.MODEL, 4, 2, dim=2))
    assert torch.isfinite(lines).all()
    assert not torch.allclose(lines, plain, atol=1e-4)
    free = run(context_windows_manual(parts.MODEL, 3, 1, freenoise=True))
    assert torch.allclose(free[:3], plain[:3], atol=1e-4)
    assert any(torch.allclose(free[3], free[n], atol=1e-4) for n in (0, 1))


def test_combined_prompts_share_out_the_pictures(parts, run):
    split = context_windows_manual(parts.MODEL, 3, 0, split_conds_to_windows=True)
    got = run(split, positive=conditioning_combine(run.positive, run.other))
    first, second = run(parts.MODEL, positive=run.positive), run(parts.MODEL, positive=run.other)
    assert torch.allclose(got[:3], first[:3], atol=1e-4)
    assert torch.allclose(got[3:], second[3:], atol=1e-4)
