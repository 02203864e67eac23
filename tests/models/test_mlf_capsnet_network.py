"""MLF-CapsNet gives the numbers of its authors' code, on weights and windows made by formula."""

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formula import fill_by_formula, formula_signal, uniform
from torch import Tensor
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.mlf_capsnet import (
    CapsuleLayer,
    MlfCapsNet,
    lengths,
    margin_loss,
    squash,
    standardised_across_electrodes,
)

NUMBERS: dict[str, Any] = json.loads(Path(__file__).with_name("mlf_capsnet_golden.json").read_text())
CLASSES = {256: [0, 1], 64: [0, 1, 1, 0]}  # of the windows, by filters
CASES = pytest.mark.parametrize("filters", CLASSES)


def signed(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
    v = 2 * uniform(name, int(np.prod(shape))).reshape(shape) - 1
    return torch.from_numpy((v * scale).astype(np.float32))


@cache
def ours(filters: int) -> dict[str, Any]:
    """What the golden files hold, by their names."""
    model = MlfCapsNet(filters=filters)
    fill_by_formula(model, lambda _: False)
    with torch.no_grad():
        model.digitcaps.W.copy_(signed("digitcaps.W", tuple(model.digitcaps.W.shape), 0.02))
    classes = torch.tensor(CLASSES[filters])
    x = formula_signal((len(classes), 128, 14, 1))[..., 0].transpose(1, 2)
    stages: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_hook(lambda _layer, _inputs, output, name=name: stages.update({name: output.detach()}))
        for name, layer in model.named_children()
    ]
    capsules = model.capsules(x)
    for handle in handles:
        handle.remove()
    found: dict[str, Any] = {
        **strided("conv1", functional.relu(stages["conv1"]), filters),
        **strided("primary", stages["primarycap_conv2d"], filters),
        **strided("bottleneck", stages["bottleneck_layer"], filters),
    }
    found |= {"capsules_strided": capsules[:, ::97], "capsules_first40": capsules[0, :40]}
    for routings in (1, 2, 3):
        model.digitcaps.routings = routings
        routed = model.digitcaps(capsules)
        found |= {f"digitcaps_r{routings}": routed, f"length_r{routings}": lengths(routed)}
    found["margin_loss"] = margin_loss(model(x), classes)
    found["margin_loss"].backward()
    found["labels_onehot"] = functional.one_hot(classes, 2).float()
    found["grad_norms"] = {name: float(p.grad.double().norm()) for name, p in model.named_parameters()}  # type: ignore[union-attr]
    found["grad_W_caps0_to_7"] = model.digitcaps.W.grad[:, :8]  # type: ignore[index]
    return {name: a.detach().numpy() if isinstance(a, Tensor) else a for name, a in found.items()}


def strided(name: str, output: Tensor, filters: int) -> dict[str, Tensor]:
    """Parts of a convolution's output (B, filters, time, electrode), channels last, as the golden files cut them."""
    a = output.permute(0, 2, 3, 1)
    return {
        f"{name}_b1": a[-1, ::8, :, :: filters // 16],
        f"{name}_corner": a[0, :4, :3, :6],
        f"{name}_end": a[0, -4:, -3:, -6:],
        f"{name}_mean_per_sample": a.mean((1, 2, 3)),
        f"{name}_sq_per_sample": a.square().mean((1, 2, 3)),
    }


@cache
def our_layers() -> dict[str, Any]:
    found: dict[str, Any] = {"squash_of_caps_in": squash(signed("caps_in", (2, 30, 8)))}
    lengths_in = torch.from_numpy(uniform("lengths", 12).reshape(6, 2).astype(np.float32))
    classes = torch.tensor([0, 1, 0, 1, 1, 0])
    found["labels_onehot"] = functional.one_hot(classes, 2).float()
    found["margin_loss_of_uniform_lengths"] = margin_loss(lengths_in, classes)
    for outputs in (2, 3):
        for routings in (1, 2, 3, 5):
            layer = CapsuleLayer(30, 8, outputs, 16, routings)
            with torch.no_grad():
                layer.W.copy_(signed("caps_W", (outputs, 30, 16, 8), 0.5))
                found[f"layer_n{outputs}_r{routings}"] = layer(signed("caps_in", (2, 30, 8)))
    return {name: a.numpy() for name, a in found.items()}


def hold(found: Mapping[str, Any], golden: Mapping[str, Any], positions: int | None) -> None:
    """Every golden array against ours of the same name; at some `positions` of it, or everywhere (None)."""
    assert set(golden) <= set(found)
    for name, expected in golden.items():
        if name == "grad_norms":
            assert found[name] == pytest.approx(expected, rel=2e-5)
            continue
        array = np.asarray(found[name])
        if positions is None:
            assert array.shape == expected.shape
        else:
            array = array.ravel()[np.linspace(0, array.size - 1, min(positions, array.size)).astype(int)]
        limit = 1e-5 * np.abs(found[name]).max()
        np.testing.assert_allclose(array, expected, rtol=0, atol=limit, err_msg=name)


@CASES
def test_carried_numbers(filters: int) -> None:
    hold(ours(filters), NUMBERS["cases"][f"f{filters}"], NUMBERS["positions"])


def test_carried_numbers_of_layers() -> None:
    hold(our_layers(), NUMBERS["layers"], NUMBERS["positions"])


@pytest.mark.sample
@pytest.mark.parametrize("name", ["mlf_capsnet_f256", "mlf_capsnet_f64", "layers"])
def test_every_number(name: str) -> None:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    golden = dict(np.load(Path(sample) / "methods-golden" / "mlf-capsnet" / f"{name}.npz"))
    if name == "layers":
        golden.pop("lengths_in")
        hold(our_layers(), golden, None)
        return
    filters = int(name.removeprefix("mlf_capsnet_f"))
    np.testing.assert_array_equal(formula_signal((len(CLASSES[filters]), 128, 14, 1)).numpy(), golden.pop("x"))
    norms = dict(zip(golden.pop("grad_names").tolist(), golden.pop("grad_norms").tolist(), strict=True))
    hold(ours(filters), golden | {"grad_norms": norms}, None)


def test_sizes_and_start_as_published() -> None:
    torch.manual_seed(1)
    assert sum(p.numel() for p in MlfCapsNet(filters=64).parameters()) == 2_425_280
    model = MlfCapsNet()
    assert sum(p.numel() for p in model.parameters()) == 11_568_896
    assert float(model.digitcaps.W.detach().abs().max()) == pytest.approx(0.00188, abs=5e-6)
    with torch.no_grad():
        start = model(standardised_across_electrodes(torch.randn(2, 14, 128)))
    assert ((start > 3.2e-4) & (start < 6e-4)).all()


def test_other_windows_and_filters() -> None:
    model = MlfCapsNet(6, 40, 3, filters=16)
    loss = margin_loss(model(torch.randn(5, 6, 40)), torch.tensor([0, 1, 2, 0, 1]))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "sizes", [{"electrodes": 5}, {"samples": 3}, {"filters": 20}, {"routings": 0}], ids=lambda sizes: next(iter(sizes))
)
def test_impossible_sizes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(PhysiopipeError, match="MLF-CapsNet"):
        MlfCapsNet(**({"filters": 16} | sizes))  # type: ignore[arg-type]


def test_windows_of_another_shape_are_refused() -> None:
    with pytest.raises(PhysiopipeError, match=r"found windows of shape \(2, 128, 14\)"):
        MlfCapsNet(filters=16)(torch.zeros(2, 128, 14))


def test_standardised_across_electrodes_against_a_loop() -> None:
    x = np.random.default_rng(5).normal(3.0, 2.0, (2, 6, 9)).astype(np.float32)
    x[0, 2] = 0.0
    x[1, :, 4] = 0.0
    x[1, :, 5] = 7.0
    expected = np.zeros_like(x)
    for window in range(2):
        for step in range(9):
            there = [e for e in range(6) if x[window, e, step] != 0]
            values = x[window, there, step].astype(np.float64)
            if len(there) and values.std() > 0:
                expected[window, there, step] = (values - values.mean()) / values.std()
    np.testing.assert_allclose(standardised_across_electrodes(torch.from_numpy(x)).numpy(), expected, atol=2e-6)
