"""The encoder gives the numbers of the authors' CBraMod (measured from their code on formula-made weights)."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import SHAPES, case_name, formula_encoder, formula_input, formula_mask, masked_loss_and_gradients

NUMBERS: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text())
CASES = pytest.mark.parametrize(("layers", "shape"), SHAPES, ids=[case_name(*case) for case in SHAPES])


@cache
def ours(layers: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, float, dict[str, float]]:
    encoder, x, mask = formula_encoder(layers), formula_input(shape), formula_mask(shape)
    with torch.no_grad():
        output = encoder(x).numpy()
    masked, loss, norms = masked_loss_and_gradients(encoder, x, mask)
    return output, masked.numpy(), loss, norms


@CASES
def test_carried_numbers(layers: int, shape: tuple[int, ...]) -> None:
    golden = NUMBERS["cases"][case_name(layers, shape)]
    output, masked, loss, norms = ours(layers, shape)
    at = np.linspace(0, output.size - 1, NUMBERS["positions"]).astype(int)
    np.testing.assert_allclose(output.ravel()[at], golden["output"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(masked.ravel()[at], golden["output_masked"], rtol=0, atol=1e-4)
    assert loss == pytest.approx(golden["masked_mse"], abs=1e-5)
    assert norms == pytest.approx(golden["grad_norms"], rel=1e-3, abs=1e-7)


@pytest.mark.sample
@CASES
def test_every_number(layers: int, shape: tuple[int, ...]) -> None:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    golden = np.load(Path(sample) / "cbramod-golden" / f"{case_name(layers, shape)}.npz")
    output, masked, loss, norms = ours(layers, shape)
    np.testing.assert_allclose(output, golden["output"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(masked, golden["output_masked"], rtol=0, atol=1e-4)
    assert loss == pytest.approx(float(golden["masked_mse"]), abs=1e-5)
    expected = dict(zip(golden["grad_names"].tolist(), golden["grad_norms"].tolist(), strict=True))
    assert norms == pytest.approx(expected, rel=1e-3, abs=1e-7)
