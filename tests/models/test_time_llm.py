"""Time-LLM gives its authors' numbers; kept keys of prompts change nothing but the time; windows are independent."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from formula import formula_signal
from language_golden import carried, fill_by_hash, golden_body, gradient_norms, hashed_weight, in_sample, sampled
from torch import Tensor
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.frozen import check_frozen, frozen_digests, frozen_parameters
from physiopipe.models.gpt2 import Gpt2Sizes, random_gpt2
from physiopipe.models.gpt2_body import add_positions, run_block
from physiopipe.models.patching import cut_patches
from physiopipe.models.prompts import PromptCache, PromptTokens, pad_prompts, prompt_statistics, prompt_texts
from physiopipe.models.time_llm import TimeLLM, normalise

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'physiopipe[methods]'")

KEY_BIAS = "reprogramming_layer.key_projection.bias"  # its gradient is 0 but for rounding
LENGTHS = (13, 20, 13, 27, 9, 20)  # tokens of the prompts of two windows of three channels


def small(layers: int = 2, **options: Any) -> TimeLLM:
    """A model whose language model's weights are large enough for the prompt to matter."""
    torch.manual_seed(3)
    body = random_gpt2(Gpt2Sizes(layers=layers, width=32, heads=4, positions=64, vocabulary=257)).body
    fill_by_hash(body)
    options = {"channels": 3, "samples": 64, "d_model": 8, "d_ff": 16, "heads": 2, "prototypes": 20, **options}
    return TimeLLM(body, **options)


def prompts(lengths: tuple[int, ...] = LENGTHS, common: int = 5) -> list[list[int]]:
    generator = torch.Generator().manual_seed(7)
    rows = [torch.randint(256, (n - common,), generator=generator).tolist() for n in lengths]
    return [[*range(40, 40 + common), r, *row[1:]] for r, row in enumerate(rows)]


def forecast_tokens() -> PromptTokens:
    return pad_prompts([[(7 * j + 11 * r) % 97 for j in range(20 + 3 * (r % 4))] for r in range(6)], 99)


@cache
def ours() -> tuple[dict[str, np.ndarray], dict[str, dict[str, float]]]:
    """Every array of the golden file from our model, and the gradients' norms of both losses.

    The authors' forecasting head, a linear layer for each channel, stands here: the method needs none.
    """
    body = golden_body()
    sizes = {"patch_samples": 16, "stride_samples": 8, "d_model": 16, "d_ff": 32, "heads": 4, "prototypes": 1000}
    model = TimeLLM(body, channels=3, samples=101, attend_to_padding=True, **sizes).eval()
    fill_by_hash(model)
    x, tokens = formula_signal((2, 101, 3)).transpose(1, 2), forecast_tokens()
    rows, mean, deviation = normalise(x)
    statistics = prompt_statistics(rows.flatten(0, 1))
    found: dict[str, Tensor] = {"mean": mean.mT, "stdev": deviation.mT}
    found |= {"prompt_min": statistics.minimum, "prompt_max": statistics.maximum, "prompt_median": statistics.median}
    found |= {"prompt_upward": statistics.upward.long(), "prompt_lags": statistics.lags}
    found["patches"] = cut_patches(rows.flatten(0, 1), 16, 8)
    found["patch_embedding"] = model.patch_embedding(found["patches"])
    found["prototypes"] = model.prototypes()[::25]
    found["reprogrammed"] = model.patch_tokens(rows)
    found["llm_input"] = torch.cat((body.wte(tokens.tokens), found["reprogrammed"]), 1)
    found["block0"] = run_block(body.h[0], add_positions(body, found["llm_input"], torch.arange(41)))
    found["block1"] = run_block(body.h[1], found["block0"])
    found["last_hidden_state"] = body.ln_f(found["block1"])

    found["logits"], found["labels"] = model(x, tokens), torch.tensor([0, 1])
    found["cross_entropy"] = functional.cross_entropy(found["logits"], found["labels"])
    found["cross_entropy"].backward()
    norms = {"ce": gradient_norms(model)}

    model.zero_grad()
    head = {
        f"output_projection.linear.{n}": hashed_weight(f"output_projection.linear.{n}", shape).requires_grad_()
        for n, shape in (("weight", (24, 384)), ("bias", (24,)))
    }
    found["head_input"] = model.head_input(x, tokens)
    found["head_output"] = functional.linear(found["head_input"].flatten(2), *head.values())
    found["forecast"] = (found["head_output"] * deviation + mean).mT
    found["mse"] = functional.mse_loss(found["forecast"], formula_signal((2, 24, 3)).flip(1))
    found["mse"].backward()
    of_head = {name: value.grad.double().norm().item() for name, value in head.items() if value.grad is not None}
    norms["mse"] = gradient_norms(model) | of_head
    return {name: value.detach().numpy() for name, value in found.items()}, norms


def check(name: str, found: Any, expected: Any) -> None:
    if name in ("prompt_min", "prompt_max", "prompt_median", "prompt_upward", "labels"):
        np.testing.assert_array_equal(found, expected, err_msg=name)
    elif name == "prompt_lags":
        np.testing.assert_array_equal(np.sort(found.reshape(6, 5)), np.sort(np.reshape(expected, (6, 5))))
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5, err_msg=name)


def check_norms(found: dict[str, float], expected: dict[str, float]) -> None:
    assert found[KEY_BIAS] == pytest.approx(0, abs=1e-5)
    assert {**found, KEY_BIAS: 0} == pytest.approx({**expected, KEY_BIAS: 0}, rel=1e-5)


def test_carried_numbers() -> None:
    golden = carried("golden_time_llm.json")
    arrays, norms = ours()
    assert set(arrays) == set(golden["arrays"])
    for name, expected in golden["arrays"].items():
        check(name, sampled(arrays[name], golden["positions"]), expected)
    for loss, expected in golden["grad_norms"].items():
        check_norms(norms[loss], expected)


@pytest.mark.sample
def test_every_number() -> None:
    golden = in_sample("time-llm/timellm_2x101x3.npz")
    arrays, norms = ours()
    for name in arrays:
        assert arrays[name].shape == golden[name].shape
        check(name, arrays[name], golden[name])
    for loss in ("ce", "mse"):
        expected = zip(golden[f"{loss}_grad_names"].tolist(), golden[f"{loss}_grad_norms"].tolist(), strict=True)
        check_norms(norms[loss], dict(expected))


def test_sizes_are_those_published() -> None:
    """Trained parameters for 16 channels of 1280 samples, as the authors' sizes and a small stand-in have them."""
    stand_in = {"patch_samples": 64, "stride_samples": 64, "d_ff": 32, "heads": 4, "prototypes": 100}
    for sizes, options, expected in (
        (Gpt2Sizes(layers=6), {}, (1_536, 50_258_000, 2_395_904, 655_362)),
        (Gpt2Sizes(layers=2, width=128, heads=4, vocabulary=257), stand_in, (6_144, 25_800, 53_760, 21_506)),
    ):
        with torch.device("meta"):
            model = TimeLLM(random_gpt2(sizes).body, channels=16, samples=1280, **options)
        parts = (model.patch_embedding, model.mapping_layer, model.reprogramming_layer, model.classifier)
        assert tuple(sum(p.numel() for p in part.parameters()) for part in parts) == expected
        assert all(name.startswith("llm_model.") for name in frozen_parameters(model))


def slow_statistics(row: np.ndarray) -> tuple[float, list[int]]:
    """The median and lags of one row by their definitions, in double precision, smaller lags first among equals."""
    length = len(row) // 2 * 2
    power = np.abs(np.fft.rfft(row.astype(np.float64))) ** 2
    value = np.fft.irfft(power, length)
    value = np.round(value / value[0], 12)
    return float(np.sort(row)[(len(row) - 1) // 2]), sorted(range(length), key=lambda lag: (-value[lag], lag))[:5]


@pytest.mark.parametrize("samples", [64, 101, 1280])
def test_statistics_are_their_definitions(samples: int) -> None:
    rows = torch.randn(20, samples, generator=torch.Generator().manual_seed(samples)).cumsum(1)
    rows[0] = torch.cos(torch.arange(samples) * torch.pi)  # every second lag is as large as 0
    found = prompt_statistics(rows)
    expected = [slow_statistics(row) for row in rows.numpy()]
    assert found.median.tolist() == [median for median, _ in expected]
    assert found.lags[1:].tolist() == [lags for _, lags in expected[1:]]
    assert len(set(found.lags[0].tolist())) == 5
    assert found.upward.tolist() == [bool(row[-1] > row[0]) for row in rows]
    assert torch.equal(found.maximum, rows.max(1).values)
    assert torch.equal(found.minimum, rows.min(1).values)


def test_texts_name_each_number_once() -> None:
    rows = torch.linspace(-1.5, 2.0, 64).expand(2, -1) * torch.tensor([[1.0], [-1.0]])
    up, down = prompt_texts(prompt_statistics(rows), "EEG at 128 Hz.", "Name the valence.")
    assert "EEG at 128 Hz. Task: Name the valence." in up
    assert f"-1.5, 2.0, {prompt_statistics(rows).median[0].item()}, upward, [0, " in up
    assert "-2.0, 1.5, " in down
    assert "downward" in down
    short = prompt_texts(prompt_statistics(rows / 3), "", "", digits=3)[0]
    assert "-0.5, 0.667, 0.0741, upward" in short


def gradients(model: TimeLLM, x: Tensor, prompts: Any, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    torch.manual_seed(seed)  # the same dropout
    logits = model(x, prompts)
    functional.cross_entropy(logits, torch.arange(len(x)) % 2).backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("lengths", "common"), [(LENGTHS, 5), (LENGTHS, 0), ((9,) * 6, 4)])
def test_kept_keys_change_nothing(training: bool, layers: int, lengths: tuple[int, ...], common: int) -> None:
    model = small(layers).train(training)
    x, ids = torch.randn(2, 3, 64), prompts(lengths, common)
    kept = PromptCache(model.llm_model, ids, 3)[torch.tensor([1, 0])]
    assert kept.shared.shape[3] == common
    order = [3, 4, 5, 0, 1, 2]
    plain, of_plain = gradients(model, x, pad_prompts([ids[r] for r in order], 256), 11)
    cached, of_cached = gradients(model, x, kept, 11)
    assert set(of_plain) == set(of_cached) == {n for n, p in model.named_parameters() if p.requires_grad}
    torch.testing.assert_close(cached, plain, rtol=0, atol=1e-5)
    for name, expected in of_plain.items():
        torch.testing.assert_close(of_cached[name], expected, rtol=1e-5, atol=1e-5, msg=name)
    other = model.eval()(x, pad_prompts(ids, 256))
    assert (other - model(x, kept)).abs().max() > 1e-3  # a row's prompt matters


def test_kept_keys_have_no_dropout() -> None:
    model, ids = small().eval(), prompts()
    expected = PromptCache(model.llm_model, ids, 3)[torch.arange(2)]
    model.llm_model.train()
    found = PromptCache(model.llm_model, ids, 3)[torch.arange(2)]
    assert torch.equal(found.own, expected.own)


def test_prompts_all_alike() -> None:
    model, x = small().eval(), torch.randn(2, 3, 64)
    ids = [[5, 6, 7]] * 6
    cache = PromptCache(model.llm_model, ids, 3)
    assert cache.row_bytes == 0
    torch.testing.assert_close(model(x, cache[torch.arange(2)]), model(x, pad_prompts(ids, 0)), rtol=0, atol=1e-5)


def test_memory_is_bounded() -> None:
    """Rows past the limit are computed anew, to the same numbers; a row takes the bytes that are said."""
    model, lengths = small().eval(), tuple(10 + (5 * r) % 17 for r in range(12))
    ids, x, windows = prompts(lengths, 5), torch.randn(3, 3, 64), torch.tensor([3, 0, 2])
    whole = PromptCache(model.llm_model, ids, 3)
    whole.precompute()
    assert (len(whole), whole.kept) == (4, 4)
    assert whole.row_bytes == 2 * 2 * 32 * 4 * (max(lengths) - 5)
    assert whole[torch.arange(4)].own.nbytes == 12 * whole.row_bytes
    for rows in (0, 5, 9):
        bounded = PromptCache(model.llm_model, ids, 3, limit_bytes=rows * whole.row_bytes + 7)
        for _ in range(2):
            expected = model(x, whole[windows])
            torch.testing.assert_close(model(x, bounded[windows]), expected, rtol=0, atol=1e-5)
        bounded.precompute()
        assert bounded.kept == rows // 3  # of three rows each


def test_what_is_kept_of_a_window_does_not_depend_on_the_others() -> None:
    """The same bits alone, among others, kept first or last, or not kept: folds share a cache, and processes do not."""
    model, lengths = small().eval(), tuple(10 + (5 * r) % 17 for r in range(12))
    ids, windows = prompts(lengths, 5), torch.tensor([2, 0])
    expected = PromptCache(model.llm_model, ids, 3)[windows]
    later = PromptCache(model.llm_model, ids, 3)
    later.precompute()
    alone = PromptCache(model.llm_model, ids[6:9] + ids[:3], 3, shared_tokens=5)
    never = PromptCache(model.llm_model, ids, 3, limit_bytes=0)
    for found in (later[windows], alone[torch.arange(2)], never[windows]):
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    with pytest.raises(ValueError, match="6 tokens are said to be shared, and 5 are"):
        PromptCache(model.llm_model, ids, 3, shared_tokens=6)


@pytest.mark.parametrize("cached", [False, True])
def test_a_window_does_not_see_its_batch(cached: bool) -> None:
    model, x, ids = small().eval(), torch.randn(2, 3, 64), prompts((9, 9, 10, 27, 26, 25))
    cache = PromptCache(model.llm_model, ids, 3)
    together = model(x, cache[torch.arange(2)] if cached else pad_prompts(ids, 256))
    for w in range(2):
        alone = cache[torch.tensor([w])] if cached else pad_prompts(ids[3 * w : 3 * w + 3], 256)
        torch.testing.assert_close(model(x[w : w + 1], alone), together[w : w + 1], rtol=0, atol=1e-5)


def test_published_padding_does_see_its_batch() -> None:
    model, x, ids = small(attend_to_padding=True).eval(), torch.randn(2, 3, 64), prompts((9, 9, 10, 27, 26, 25))
    together, alone = model(x, pad_prompts(ids, 256)), model(x[:1], pad_prompts(ids[:3], 256))
    assert (together[0] - alone[0]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="attend_to_padding needs PromptTokens"):
        model(x, PromptCache(model.llm_model, ids, 3)[torch.arange(2)])


def test_training_leaves_the_language_model() -> None:
    model = small().train()
    assert not model.llm_model.training
    before, x, y = frozen_digests(model), torch.randn(6, 3, 64), torch.arange(6) % 2
    cache = PromptCache(model.llm_model, prompts(LENGTHS * 3), 3)
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = functional.cross_entropy(model(x, cache[torch.arange(6)]), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    check_frozen(model, before)
    assert losses[-1] < 0.1 * losses[0]


def test_what_does_not_fit() -> None:
    with pytest.raises(PhysiopipeError, match="d_ff 33"):
        small(d_ff=33)
    with pytest.raises(PhysiopipeError, match="patches of 65 samples"):
        small(patch_samples=65)
    model, x = small(), torch.randn(2, 3, 64)
    ids = prompts((60,) * 6)
    for given in (pad_prompts(ids, 256), PromptCache(model.llm_model, ids, 3)[torch.arange(2)]):
        with pytest.raises(PhysiopipeError, match=r"68 tokens.*64 positions"):
            model(x, given)
    with pytest.raises(ValueError, match=r"expected windows \(batch, 3, 64\)"):
        model(torch.randn(2, 64, 3), pad_prompts(ids, 256))
    with pytest.raises(ValueError, match="6 prompts, expected a multiple of the 4"):
        PromptCache(model.llm_model, ids, 4)
