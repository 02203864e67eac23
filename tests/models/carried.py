"""Numbers of a method's authors: a file of them at evenly spaced positions, and all of them among the samples."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Arrays = Mapping[str, np.ndarray]


def carried(filename: str) -> dict[str, Any]:
    """A golden file beside this one."""
    numbers: dict[str, Any] = json.loads(Path(__file__).with_name(filename).read_text())
    return numbers


def sampled(relative: str) -> Arrays:
    """Every array of an .npz among the samples; the test is skipped where there are none."""
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    with np.load(Path(sample) / "methods-golden" / relative) as file:
        return dict(file)


def positions(size: int, most: int) -> np.ndarray:
    """At most `most` evenly spaced positions in a flattened array."""
    return np.linspace(0, size - 1, min(size, most)).astype(int)


def assert_carried(ours: Arrays, golden: Mapping[str, list[float]], most: int, tolerance: float) -> None:
    """The arrays, at `positions`, are the carried numbers within a share of each array's largest value."""
    assert set(ours) == set(golden)
    at = {name: positions(array.size, most) for name, array in ours.items()}
    for name, array in ours.items():
        expected, scale = np.array(golden[name]), float(np.abs(array).max())
        np.testing.assert_allclose(array.ravel()[at[name]], expected, rtol=0, atol=tolerance * scale, err_msg=name)


def assert_every(ours: Arrays, golden: Arrays, tolerance: float) -> None:
    """All numbers are the golden ones within a share of each array's largest value; arrays of text are left out."""
    assert set(ours) == {name for name, array in golden.items() if array.dtype.kind != "U"}
    for name, array in ours.items():
        assert array.shape == golden[name].shape, name
        scale = float(np.abs(golden[name]).max())
        np.testing.assert_allclose(array, golden[name], rtol=0, atol=tolerance * scale, err_msg=name)
