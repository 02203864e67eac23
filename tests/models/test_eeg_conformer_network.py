"""EEG Conformer gives the numbers of its authors' code, on weights and windows made by formula."""

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formula import formula_signal, formula_tensor
from torch import Tensor
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.eeg_conformer import EegConformer, Stem, recombined_trials

NUMBERS: dict[str, Any] = json.loads(Path(__file__).with_name("eeg_conformer_golden.json").read_text())
SIZES = {"2x1x14x1280_k2": (14, 1280, 2), "2x1x14x2000_k2": (14, 2000, 2), "2x1x22x1000_k4": (22, 1000, 4)}
CASES = pytest.mark.parametrize("case", SIZES)
STEMS = pytest.mark.parametrize("stem", ["published", "composed"])
SCALES = ("0.shallownet.2.weight", "fn.0.weight")  # of normalisation layers, by their golden names
OUR_NAMES = {  # golden name, as a pattern: ours
    r"0\.shallownet\.0\.(.*)": r"stem.temporal.\1",
    r"0\.shallownet\.1\.(.*)": r"stem.spatial.\1",
    r"0\.shallownet\.2\.(.*)": r"stem.norm.\1",
    r"0\.projection\.0\.(.*)": r"stem.projection.\1",
    r"1\.(\d)\.0\.fn\.0\.(.*)": r"blocks.\1.norm1.\2",
    r"1\.(\d)\.0\.fn\.1\.(.*)": r"blocks.\1.attention.\2",
    r"1\.(\d)\.1\.fn\.0\.(.*)": r"blocks.\1.norm2.\2",
    r"1\.(\d)\.1\.fn\.1\.0\.(.*)": r"blocks.\1.linear1.\2",
    r"1\.(\d)\.1\.fn\.1\.3\.(.*)": r"blocks.\1.linear2.\2",
    r"2\.fc\.0\.(.*)": r"head.1.\1",
    r"2\.fc\.3\.(.*)": r"head.4.\1",
    r"2\.fc\.6\.(.*)": r"head.7.\1",
}


def our_name(golden: str) -> str | None:
    """None for the head over averaged tokens that the authors' code has and never uses."""
    for pattern, ours in OUR_NAMES.items():
        if re.fullmatch(pattern, golden):
            return re.sub(pattern, ours, golden)
    assert golden.startswith("2.clshead.")
    return None


def golden_names(case: str) -> list[str]:
    return list(NUMBERS["cases"][case]["eval_grad_norms"])


def formula_model(case: str, stem: Stem, dtype: torch.dtype) -> EegConformer:
    model = EegConformer(*SIZES[case], dropout=0, last_dropout=0, stem=stem).to(dtype)
    names = {ours: name for name in golden_names(case) if (ours := our_name(name))}
    parameters = dict(model.named_parameters())
    assert set(parameters) == set(names)
    with torch.no_grad():
        for ours, tensor in parameters.items():
            tensor.copy_(formula_tensor(names[ours], tuple(tensor.shape), names[ours].endswith(SCALES)))
    return model


@cache
def measured(case: str, stem: Stem, dtype: torch.dtype) -> dict[str, Any]:
    """What the golden file holds, by its names."""
    found: dict[str, Any] = {}
    electrodes, samples, classes = SIZES[case]
    x = formula_signal((2, electrodes, samples)).to(dtype)
    for mode in ("eval", "train"):
        model = formula_model(case, stem, dtype).train(mode == "train")
        outputs: dict[str, Tensor] = {}
        for name in ("stem.norm", "stem", "blocks.0", "blocks.5", "head.2", "head.5"):
            model.get_submodule(name).register_forward_hook(
                lambda _layer, _inputs, output, name=name, to=outputs: to.update({name: output.detach()})
            )
        logits = model(x)
        loss = functional.cross_entropy(logits, torch.tensor([0, classes - 1]))
        loss.backward()
        parameters = dict(model.named_parameters())
        found |= {
            f"{mode}_elu_row1_t": functional.elu(outputs["stem.norm"])[1, :, ::16],
            f"{mode}_tokens": outputs["stem"],
            f"{mode}_block0": outputs["blocks.0"],
            f"{mode}_block5": outputs["blocks.5"],
            f"{mode}_fc1": outputs["head.2"],
            f"{mode}_fc2": outputs["head.5"],
            f"{mode}_logits": logits,
            f"{mode}_ce": loss,
            f"{mode}_grad_norms": {
                name: gradient_norm(parameters[ours]) if (ours := our_name(name)) else 0.0
                for name in golden_names(case)
            },
        }
        if mode == "eval":
            block, tokens = model.blocks[0], outputs["stem"]
            found["eval_block0_after_attention"] = tokens + block.attention(block.norm1(tokens))
        else:
            found["train_running_mean"] = model.stem.norm.running_mean
            found["train_running_var"] = model.stem.norm.running_var
    return {name: a.detach().numpy() if isinstance(a, Tensor) else a for name, a in found.items()}


def gradient_norm(parameter: Tensor) -> float:
    assert parameter.grad is not None
    return float(parameter.grad.double().norm())


def hold(found: Mapping[str, Any], golden: Mapping[str, Any], positions: int | None, tolerance: float) -> None:
    """Every golden array against ours of the same name; at some `positions` of it, or everywhere (None)."""
    for name, expected in golden.items():
        if name.endswith("grad_norms"):
            # The gradient of the keys' bias is 0 but for rounding: softmax does not see it
            largest = max(expected.values())
            assert found[name] == pytest.approx(expected, rel=10 * tolerance, abs=tolerance * largest)
            continue
        array = np.asarray(found[name])
        if positions is None:
            assert array.shape == expected.shape
        else:
            array = array.ravel()[np.linspace(0, array.size - 1, min(positions, array.size)).astype(int)]
        limit = tolerance * np.abs(found[name]).max()
        np.testing.assert_allclose(array, expected, rtol=0, atol=limit, err_msg=name)


@CASES
@STEMS
def test_carried_numbers(case: str, stem: Stem) -> None:
    hold(measured(case, stem, torch.float32), NUMBERS["cases"][case], NUMBERS["positions"], 5e-6)


@pytest.mark.sample
@CASES
@STEMS
def test_every_number(case: str, stem: Stem) -> None:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    golden = dict(np.load(Path(sample) / "methods-golden" / "eegconformer" / f"eegconformer_{case}.npz"))
    names = golden.pop("grad_names").tolist()
    for mode in ("eval", "train"):
        golden[f"{mode}_grad_norms"] = dict(zip(names, golden[f"{mode}_grad_norms"].tolist(), strict=True))
    hold(measured(case, stem, torch.float64), golden, None, 1e-7)
    hold(measured(case, stem, torch.float32), golden, None, 5e-6)


@pytest.mark.parametrize(("electrodes", "samples"), [(1, 120), (3, 200), (62, 200)])
def test_composed_stem_is_the_published_one(electrodes: int, samples: int) -> None:
    models = []
    for stem in ("published", "composed"):
        torch.manual_seed(3)
        models.append(EegConformer(electrodes, samples, 2, blocks=1, dropout=0, last_dropout=0, stem=stem).double())
    x = torch.randn(4, electrodes, samples, dtype=torch.float64)
    outputs = [model(x) for model in models]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-12)
    for output in outputs:
        functional.cross_entropy(output, torch.tensor([0, 1, 1, 0])).backward()
    for (name, published), composed in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(composed.grad, published.grad, rtol=1e-9, atol=1e-12, msg=name)


def test_parameters_as_published() -> None:
    unused = {case: 2 * 40 + 41 * classes for case, (_, _, classes) in SIZES.items()}
    published = {"2x1x14x1280_k2": 961_188, "2x1x14x2000_k2": 1_452_708, "2x1x22x1000_k4": 789_816}
    for case, sizes in SIZES.items():
        assert sum(p.numel() for p in EegConformer(*sizes).parameters()) + unused[case] == published[case]
    torch.manual_seed(1)
    assert EegConformer()(torch.zeros(3, 22, 1000)).shape == (3, 4)


def test_attention_scale_is_a_factor_of_the_queries() -> None:
    torch.manual_seed(6)
    by_width = EegConformer(4, 200, 2, dropout=0, last_dropout=0).eval()
    by_head = EegConformer(4, 200, 2, dropout=0, last_dropout=0, attention_scale="head").eval()
    by_head.load_state_dict(by_width.state_dict())
    x = torch.randn(2, 4, 200)
    assert (by_head(x) - by_width(x)).abs().max() > 1e-5
    with torch.no_grad():
        for block in by_head.blocks:
            for tensor in block.attention.queries.parameters():
                tensor.mul_((4 / 40) ** 0.5)
    torch.testing.assert_close(by_head(x), by_width(x), rtol=0, atol=1e-6)


def test_dropout_leaves_the_mean_of_attention_and_needs_training() -> None:
    torch.manual_seed(5)
    attention = EegConformer(4, 200, 2).blocks[0].attention
    with torch.no_grad():
        attention.queries.weight.mul_(8)  # some weights of attention are large, others small
    x = torch.randn(1, 9, 40)
    with torch.no_grad():
        kept = attention.eval()(x)
        draws = attention.train()(x.expand(4000, 9, 40))
    assert draws.std(0).min() > 0.01
    error = (draws.mean(0) - kept[0]) / (draws.std(0) / 4000**0.5)
    assert error.abs().max() < 5
    assert error.std() < 1.5


@pytest.mark.parametrize(("samples", "width", "match"), [(98, 40, "hold no token"), (200, 42, "10 heads")])
def test_impossible_sizes_are_refused(samples: int, width: int, match: str) -> None:
    with pytest.raises(PhysiopipeError, match=match):
        EegConformer(4, samples, 2, width=width)
    assert EegConformer(4, 99, 2)(torch.zeros(2, 4, 99)).shape == (2, 2)  # one token


def test_windows_of_another_shape_are_refused() -> None:
    with pytest.raises(PhysiopipeError, match=r"found windows of shape \(2, 4, 199\)"):
        EegConformer(4, 200, 2)(torch.zeros(2, 4, 199))


@pytest.mark.parametrize("samples", [80, 83])
def test_recombined_trials_are_segments_of_their_class_at_their_place(samples: int) -> None:
    classes = torch.tensor([0, 1, 1, 0, 4])
    trials = torch.arange(5 * 3 * samples, dtype=torch.float64).view(5, 3, samples)
    new, labels = recombined_trials(trials, classes, 400, generator=torch.Generator().manual_seed(2))
    assert new.shape == (1200, 3, samples)
    assert torch.bincount(labels).tolist() == [400, 400, 0, 0, 400]
    assert (labels[1:] != labels[:-1]).any()
    # A value says which trial, electrode and time it is from
    source, electrode, time = new // (3 * samples), new // samples % 3, new % samples
    assert (electrode == torch.arange(3)[:, None]).all()
    assert (time == torch.arange(samples)).all()
    assert (classes[source.long()] == labels[:, None, None]).all()
    changes = (source[:, 0, 1:] != source[:, 0, :-1]).double()
    edges = [samples * segment // 8 - 1 for segment in range(1, 8)]
    inside = [step for step in range(samples - 1) if step not in edges]
    assert changes[:, inside].sum() == 0
    two = changes[labels != 4][:, edges]  # of two trials, independently: half of the edges change
    assert (two.mean(0) - 0.5).abs().max() < 5 * 0.5 / 800**0.5
    assert not changes[labels == 4].any()


def test_recombined_trials_follow_the_generator_alone() -> None:
    trials, classes = torch.randn(6, 2, 40), torch.tensor([0, 1, 0, 1, 1, 0])
    runs = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed + len(runs))
        runs.append(recombined_trials(trials, classes, 5, generator=torch.Generator().manual_seed(seed)))
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1], runs[1][1])
    assert not torch.equal(runs[0][0], runs[2][0])


@pytest.mark.parametrize(("classes", "segments"), [(2, 8), (3, 0), (3, 41)])
def test_recombination_refuses_what_does_not_fit(classes: int, segments: int) -> None:
    with pytest.raises(PhysiopipeError, match="found 3 trials of 40 samples"):
        recombined_trials(
            torch.zeros(3, 2, 40),
            torch.zeros(classes, dtype=torch.int64),
            2,
            generator=torch.Generator(),
            segments=segments,
        )
