"""SimMTM gives the numbers of its authors' code (float64, formula-made weights), and what its switches promise."""

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from carried import Arrays, assert_carried, assert_every, carried, sampled
from formula import fill_by_formula, formula_signal, uniform
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.contrastive import cosine_similarities, log_softmax_of_others
from physiopipe.models.dropout import Dropout
from physiopipe.models.simmtm import (
    LearnedLossWeights,
    SimMTM,
    SimMTMClassifier,
    aggregate,
    geometric_masks,
    masked_views,
    series_contrast,
)

NUMBERS = carried("golden_simmtm.json")
SERIES, VIEWS, CLASSES = 3, 4, 2
LABELS = torch.tensor([0, 1, 1])
SCALES = ("conv_block1.1.weight", "conv_block2.1.weight", "conv_block3.1.weight", "dense.1.weight")
LOSS_WEIGHTS = torch.tensor([0.9, 1.2])


@cache
def _formula_models(samples: int) -> nn.ModuleDict:
    model = SimMTM(samples)
    head = nn.ModuleDict({"classifier": SimMTMClassifier(model.features, CLASSES)})
    for module in (model, head):  # the classifier's names are hashed with "classifier." in front
        fill_by_formula(module, lambda name: name in SCALES)
    model.awl.params.data = LOSS_WEIGHTS.clone()
    for part in model.modules():
        if isinstance(part, Dropout):
            part.probability = 0
    return nn.ModuleDict({"model": model, "classifier": head["classifier"]}).double()


def formula_models(samples: int) -> nn.ModuleDict:
    """The model and its classifier in float64, without dropout."""
    return copy.deepcopy(_formula_models(samples))


def formula_masks(samples: int) -> Tensor:
    shape = ((VIEWS - 1) * SERIES, 1, samples)
    return geometric_masks(shape, torch.from_numpy(uniform("mask", int(np.prod(shape)) + 1)))


def gradient_norms(module: nn.Module) -> np.ndarray:
    return np.array([float(p.grad.norm()) for p in module.parameters() if p.grad is not None])


def arrays(values: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: v.detach().numpy() if isinstance(v, Tensor) else np.asarray(v) for name, v in values.items()}


def positives(series: int) -> Tensor:
    """Which pairs of rows are other views of one series."""
    of = torch.arange(VIEWS * series) % series
    return (of.unsqueeze(-1) == of) & ~torch.eye(VIEWS * series, dtype=torch.bool)


def ordered(similarity: Tensor, series: int) -> Tensor:
    """Each row's similarities, positives first, without its own: the authors' order."""
    negatives = torch.arange(series) != torch.arange(VIEWS * series).unsqueeze(-1) % series
    negative = negatives.repeat(1, VIEWS)
    rows = [torch.cat((row[p], row[n])) for row, p, n in zip(similarity, positives(series), negative, strict=True)]
    return torch.stack(rows)


def step_numbers(model: SimMTM, x: Tensor, masks: Tensor) -> dict[str, Any]:
    """What the authors' numbers hold for one pretraining step, in either mode."""
    rows = masked_views(x, masks)
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    h = model.encode(rows)
    z = model.dense(h)
    similarity = cosine_similarities(z, 1e-12)
    log_weights = log_softmax_of_others(similarity, model.temperature)
    mean = aggregate(h, log_weights)
    found = {
        "h_rows05": h[[0, 5]],
        "h_mean": h.mean(1),
        "h_sq": h.square().mean(1),
        "z": z,
        "similarity": similarity,
        "cl_logits": ordered(similarity, SERIES),
        "rebuild_weights": log_weights.exp(),
        "agg_row5": mean[5].view(128, -1),
        "pred_rows05": model.head(mean)[[0, 5]],
    }
    model.load_state_dict(statistics, strict=False)  # one training pass alone may move them
    losses = model(x, masks, target="masked")
    losses.total.backward()
    return found | {"losses": torch.stack(losses), "pretrain_grad_norms": gradient_norms(model)}


@cache
def model_arrays(samples: int) -> Arrays:
    x, masks = formula_signal((SERIES, 1, samples)).double(), formula_masks(samples)
    found: dict[str, Any] = {"x": x, "mask": masks}
    models = formula_models(samples).eval()
    model = models["model"]
    signal = masked_views(x, masks)[5:6]
    for block in (1, 2, 3):
        signal = model.get_submodule(f"conv_block{block}")(signal)
        found[f"eval_block{block}_row5"] = signal[0]
    found["eval_logits"] = models["classifier"](model.encode(x))
    found |= {f"eval_{name}": value for name, value in step_numbers(model, x, masks).items()}

    model = formula_models(samples)["model"]
    found |= {f"train_{name}": value for name, value in step_numbers(model, x, masks).items()}
    found["awl_grad"] = model.awl.params.grad
    for name, norm in (("block1", model.conv_block1[1]), ("dense", model.dense[1])):
        found[f"train_running_mean_{name}"], found[f"train_running_var_{name}"] = norm.running_mean, norm.running_var

    models = formula_models(samples)
    found["finetune_logits"] = models["classifier"](models["model"].encode(x))
    found["finetune_ce"] = functional.cross_entropy(found["finetune_logits"], LABELS)
    found["finetune_ce"].backward()
    found["finetune_grad_norms"] = gradient_norms(models)
    return arrays(found)


def formula_rows(name: str, shape: tuple[int, ...]) -> Tensor:
    v = 2 * uniform(name, int(np.prod(shape))).reshape(shape) - 1
    return torch.from_numpy(v.astype(np.float32)).double().requires_grad_()


@cache
def loss_arrays() -> Arrays:
    found: dict[str, Any] = {}
    for rows, width, channels, length in ((12, 128, 128, 10), (16, 32, 16, 5)):
        z, y = formula_rows(f"emb_z{rows}", (rows, width)), formula_rows(f"emb_x{rows}", (rows, channels, length))
        similarity = cosine_similarities(z, 1e-12)
        log_weights = log_softmax_of_others(similarity, 0.2)
        loss, mean = series_contrast(log_weights, rows // VIEWS), aggregate(y.flatten(1), log_weights)
        scalar = loss + 10 * mean.square().mean()
        scalar.backward()
        values = {
            "loss_cl": loss,
            "similarity": similarity,
            "positives_mask": positives(rows // VIEWS),
            "rebuild_weights": log_weights.exp(),
            "agg_mean": mean.mean(1),
            "agg_first": mean.view(rows, channels, length)[:, :4],
            "scalar": scalar,
            "z_grad": z.grad,
            "x_grad_norm": float(torch.linalg.vector_norm(y.grad)) if y.grad is not None else None,
        }
        found |= {f"N{rows}_{name}": value for name, value in values.items()}
    combine, losses = LearnedLossWeights().double(), torch.tensor([1.3, 0.7], dtype=torch.float64)
    found["awl_ones_1.3_0.7"] = combine(*losses)
    combine.params.data = LOSS_WEIGHTS.double()
    found["awl_0.9_1.2_1.3_0.7"] = combine(*losses)
    found["awl_0.9_1.2_grad"] = torch.autograd.grad(found["awl_0.9_1.2_1.3_0.7"], combine.params)[0]
    return arrays(found)


def case_arrays(case: str) -> Arrays:
    found = loss_arrays() if case == "losses" else model_arrays(int(case.removeprefix("simmtm_B3_T")))
    return {name: array.astype(np.uint8) if array.dtype == bool else array for name, array in found.items()}


CASES = pytest.mark.parametrize("case", ["simmtm_B3_T178", "simmtm_B3_T1280", "losses"])


@CASES
def test_carried_numbers(case: str) -> None:
    assert_carried(case_arrays(case), NUMBERS["cases"][case], NUMBERS["positions"], tolerance=1e-6)


@pytest.mark.sample
@CASES
def test_every_number(case: str) -> None:
    golden = sampled(f"simmtm/{case}.npz")
    assert_every(case_arrays(case), golden, tolerance=3e-7)
    if case != "losses":
        models = formula_models(178)
        names = [name for name, _ in models["model"].named_parameters()]
        assert names == golden["grad_names"].tolist()
        tuned = [name.removeprefix("model.") for name, _ in models.named_parameters()]
        unused = ("dense.", "awl.", "head.")
        expected = golden["finetune_grad_names"].tolist()
        assert [name for name in tuned if not name.startswith(unused)] == expected


def test_float32_gives_them_too() -> None:
    model = formula_models(178)["model"].float()
    losses = model(formula_signal((SERIES, 1, 178)), formula_masks(178), target="masked")
    golden = NUMBERS["cases"]["simmtm_B3_T178"]["train_losses"]
    assert torch.stack(losses).detach().tolist() == pytest.approx(golden, rel=1e-5)


@pytest.mark.parametrize(
    ("samples", "parameters", "of_classifier"), [(178, 672_532, 82_114), (1280, 10_931_554, 450_754)]
)
def test_parameters_number_as_published(samples: int, parameters: int, of_classifier: int) -> None:
    model = SimMTM(samples)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(p.numel() for p in SimMTMClassifier(model.features).parameters()) == of_classifier


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 50, 177, 2560])
def test_features_of_any_length(samples: int) -> None:
    model = SimMTM(samples, channels=2, widths=(4, 6, 8)).eval()
    assert model.encode(torch.randn(2, 2, samples)).shape == (2, model.features)


def test_clean_target_is_the_series() -> None:
    """The two targets differ by what the masks hide: their losses by hand, of the same reconstruction."""
    torch.manual_seed(0)
    model, x, masks = SimMTM(60, channels=2).eval(), torch.randn(3, 2, 60), torch.rand(9, 2, 60) < 0.5
    with torch.no_grad():
        rows = masked_views(x, masks)
        h = model.encode(rows)
        log_weights = log_softmax_of_others(cosine_similarities(model.dense(h)), 0.2)
        rebuilt = model.head(aggregate(h, log_weights)).view(4, 3, 2, 60)
        clean, masked = model(x, masks), model(x, masks, target="masked")
    assert float(clean.reconstruction) == pytest.approx(float((rebuilt - x).square().mean()), rel=1e-5)
    hidden = torch.where(masks.view(3, 3, 2, 60), x, 0.0)
    apart = ((rebuilt[0] - x).square().sum() + (rebuilt[1:] - hidden).square().sum()) / rebuilt.numel()
    assert float(masked.reconstruction) == pytest.approx(float(apart), rel=1e-5)
    assert float(clean.reconstruction) != pytest.approx(float(masked.reconstruction), rel=1e-3)
    assert float(clean.contrastive) == float(masked.contrastive)


def chain(draws: np.ndarray, ratio: float, run: float) -> list[bool]:
    """The masks' Markov chain, position by position."""
    keeps, states = bool(draws[0] > ratio), []
    leave = {False: 1 / run, True: 1 / run * ratio / (1 - ratio)}
    for draw in draws[1:]:
        states.append(keeps)
        if draw < leave[keeps]:
            keeps = not keeps
    return states


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(0.05, 0.75), st.floats(3.0, 9.0))
def test_masks_are_the_chain(seed: int, size: int, ratio: float, run: float) -> None:
    draws = np.random.default_rng(seed).random(size + 1)
    masks = geometric_masks((size,), torch.from_numpy(draws), masked_ratio=ratio, mean_masked_run=run)
    assert masks.tolist() == chain(draws, ratio, run)


@pytest.mark.parametrize(("ratio", "run"), [(0.5, 3.0), (0.2, 5.0), (0.75, 4.0)])
def test_masks_have_the_share_and_the_runs_asked_for(ratio: float, run: float) -> None:
    draws = torch.from_numpy(np.random.default_rng(1).random(400_001))
    hidden = ~geometric_masks((400, 1, 1000), draws, masked_ratio=ratio, mean_masked_run=run).flatten()
    assert float(hidden.float().mean()) == pytest.approx(ratio, abs=0.01)
    starts = int((hidden[1:] & ~hidden[:-1]).sum())
    assert int(hidden.sum()) / starts == pytest.approx(run, rel=0.02)


def test_masked_copies_follow_the_series() -> None:
    x, masks = torch.randn(2, 1, 5), torch.rand(6, 1, 5) < 0.5
    rows = masked_views(x, masks)
    assert torch.equal(rows[:2], x)
    assert all(torch.equal(rows[2 + i], x[i % 2] * masks[i]) for i in range(6))


def test_what_does_not_fit() -> None:
    with pytest.raises(PhysiopipeError, match="masked ratio"):
        geometric_masks((4,), torch.rand(5), masked_ratio=0.9, mean_masked_run=3)
    with pytest.raises(ValueError, match="expected 5 draws"):
        geometric_masks((4,), torch.rand(4))
    with pytest.raises(ValueError, match="expected masks"):
        masked_views(torch.zeros(2, 1, 5), torch.ones(5, 1, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="expected series"):
        SimMTM(60).encode(torch.zeros(2, 1, 61))
    with pytest.raises(PhysiopipeError, match="odd kernel"):
        SimMTM(60, kernel=8)
