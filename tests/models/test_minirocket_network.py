"""MiniRocket through aeon gives the carried numbers, those of a plain loop, and the same again from saved arrays.

What runs aeon is left to the slow tests: its first call compiles for half a minute.
"""

import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load, save

from physiopipe.errors import PhysiopipeError
from physiopipe.models.minirocket import MiniRocket

NUMBERS: dict[str, Any] = json.loads(Path(__file__).with_name("minirocket_golden.json").read_text())
CASES = pytest.mark.parametrize("case", ["multivariate", "many", "univariate"])
NAMES = {  # golden name: ours
    "n_channels_per_combination": "channels_per_combination",
    "channel_indices": "channel_indices",
    "dilations": "dilations",
    "n_features_per_dilation": "features_per_dilation",
    "biases": "biases",
}
Arrays = dict[str, npt.NDArray[Any]]


@pytest.fixture
def aeon() -> None:
    pytest.importorskip("aeon", reason="needs aeon: pip install 'physiopipe[methods]'")


def formula_windows(case: str) -> npt.NDArray[np.float64]:
    i = np.arange(8 * 16 * 1280, dtype=np.float64)
    windows = (np.sin(0.05 * i + 1) + 0.5 * np.sin(0.31 * i) * np.cos(0.007 * i)).reshape(8, 16, 1280)
    return windows[:, :1] if case == "univariate" else windows


def carried_arrays() -> Arrays:
    golden = NUMBERS["multivariate"]
    arrays: Arrays = {ours: np.array(golden[name], np.int32) for name, ours in NAMES.items()}
    return arrays | {"shape": np.array([16, 1280], np.int32), "biases": np.array(golden["biases"], np.float32)}


def hold_features(found: npt.NDArray[np.float32], golden: npt.NDArray[np.float32]) -> None:
    """Equal but for a flip of one time step in a few: another order of summation may cross a bias."""
    difference = np.abs(found - golden)
    assert (difference > 1e-6).sum() <= max(1, found.size // 1000)
    assert difference.max() < 0.13  # one of the eight steps that the largest dilation leaves


def at_positions(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.ravel()[np.linspace(0, array.size - 1, min(NUMBERS["positions"], array.size)).astype(int)]


@pytest.mark.slow
@pytest.mark.usefixtures("aeon")
@CASES
def test_carried_numbers(case: str) -> None:
    golden = NUMBERS[case]
    fitted = MiniRocket.fit(formula_windows(case), features=golden["features_asked"], seed=42)
    for name in set(NAMES) & set(golden) - {"biases"}:
        assert getattr(fitted, NAMES[name]).tolist() == golden[name]
    whole = len(golden["biases"]) == len(fitted.biases)
    biases = fitted.biases if whole else at_positions(fitted.biases)
    np.testing.assert_allclose(biases, golden["biases"], rtol=0, atol=5e-6)
    hold_features(at_positions(fitted.transform(formula_windows(case))), np.array(golden["features"], np.float32))


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.usefixtures("aeon")
@CASES
def test_every_number(case: str) -> None:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    golden = np.load(Path(sample) / "methods-golden" / "minirocket" / "aeon_8x16x1280.npz")
    suffix = {"multivariate": "", "many": "_1000", "univariate": "_univariate"}[case]
    fitted = MiniRocket.fit(formula_windows(case), features=NUMBERS[case]["features_asked"], seed=42)
    for name, ours in NAMES.items():
        if name + suffix in golden:
            np.testing.assert_allclose(getattr(fitted, ours), golden[name + suffix], rtol=0, atol=5e-6)
    hold_features(fitted.transform(formula_windows(case)), golden["features" + suffix])


@pytest.mark.slow
@pytest.mark.usefixtures("aeon")
def test_saved_arrays_give_the_same_features() -> None:
    windows = np.random.default_rng(3).normal(size=(6, 5, 100)).astype(np.float32)
    fitted = MiniRocket.fit(windows, features=300, seed=9)
    expected = fitted.transform(windows)
    assert expected.shape == (6, 252)
    assert expected.dtype == np.float32
    for dtype in (None, np.float32, np.float64):
        again = MiniRocket.from_arrays(load(save({k: a.astype(dtype or a.dtype) for k, a in fitted.arrays().items()})))
        np.testing.assert_array_equal(again.transform(windows), expected)
    np.testing.assert_array_equal(MiniRocket.fit(windows, features=300, seed=9).transform(windows), expected)
    assert (MiniRocket.fit(windows, features=300, seed=10).biases != fitted.biases).any()
    assert fitted.transform(windows[:0]).shape == (0, 252)
    with pytest.raises(PhysiopipeError, match="expected \\(N, 5 channels, 100 samples\\)"):
        fitted.transform(windows[:, :4])


@pytest.mark.slow
@pytest.mark.usefixtures("aeon")
def test_torch_keeps_its_threads_and_numpy_its_stream() -> None:
    """In a process of its own: numba starts its threads once."""
    code = """if True:
        import numpy as np, torch
        from physiopipe.models.minirocket import MiniRocket
        before = torch.get_num_threads(), np.random.get_state()[1].tolist()
        windows = np.random.default_rng(1).normal(size=(3, 2, 50))
        MiniRocket.fit(windows, features=84, seed=1).transform(windows, threads=1)
        after = torch.get_num_threads(), np.random.get_state()[1].tolist()
        print(before[0], after[0], before[1] == after[1])
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1", "1", "True"]


@pytest.mark.slow
@pytest.mark.usefixtures("aeon")
@pytest.mark.parametrize("channels", [1, 4])
def test_features_against_a_plain_loop(channels: int) -> None:
    windows = np.random.default_rng(channels).normal(size=(5, channels, 90)).astype(np.float32)
    fitted = MiniRocket.fit(windows, features=84 * 5, seed=4)
    hold_features(fitted.transform(windows), plain_features(fitted, windows))


def plain_features(fitted: MiniRocket, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The transform as its paper describes it, a window, combination and time at a time."""
    samples = windows.shape[2]
    columns: list[list[float]] = []
    combination = chosen = bias = 0
    for j, dilation in enumerate(fitted.dilations.tolist()):
        for k, heavy in enumerate(combinations(range(9), 3)):
            count = int(fitted.channels_per_combination[combination])
            channels = fitted.channel_indices[chosen : chosen + count]
            summed = windows.astype(np.float64)[:, channels].sum(1) if windows.shape[1] > 1 else windows[:, 0]
            output = np.zeros(summed.shape)
            for tap in range(9):
                shift = (tap - 4) * dilation
                for t in range(max(0, -shift), min(samples, samples - shift)):
                    output[:, t] += (2 if tap in heavy else -1) * summed[:, t + shift]
            counted = output[:, 4 * dilation : samples - 4 * dilation] if (j + k) % 2 else output
            for _ in range(int(fitted.features_per_dilation[j])):
                columns.append((counted.astype(np.float32) > fitted.biases[bias]).mean(1).tolist())
                bias += 1
            combination, chosen = combination + 1, chosen + count
    return np.array(columns, np.float32).T


def test_carried_arrays_are_those_of_a_fitted_transform() -> None:
    arrays = carried_arrays()
    again = MiniRocket.from_arrays({name: array.astype(np.float64) for name, array in arrays.items()}).arrays()
    assert list(again) == ["shape", *NAMES.values()]
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype


def changed(name: str, place: int, value: float) -> Arrays:
    arrays = carried_arrays()
    arrays[name] = arrays[name].astype(np.float64)
    arrays[name][place] = value
    return arrays


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("shape", 0, 15),  # channel 15 is drawn
        ("shape", 1, 1000),  # too short for the largest dilation
        ("channel_indices", 7, 16),
        ("channel_indices", 7, -1),
        ("channel_indices", 7, 1.5),
        ("channels_per_combination", 0, 9),
        ("dilations", -1, 160),
        ("dilations", 0, 0),
        ("features_per_dilation", 0, 2),
        ("features_per_dilation", 0, 2**40),
        ("biases", 3, np.nan),
        ("biases", 3, 0.1),  # no float32
    ],
)
def test_damaged_arrays_are_refused(name: str, place: int, value: float) -> None:
    with pytest.raises(PhysiopipeError, match="not those of a fitted transform"):
        MiniRocket.from_arrays(changed(name, place, value))


@pytest.mark.parametrize("name", ["shape", *NAMES.values()])
def test_arrays_that_are_missing_cut_or_no_numbers_are_refused(name: str) -> None:
    arrays = carried_arrays()
    for other in (arrays[name][:-1], arrays[name][:0], arrays[name][None]):
        with pytest.raises(PhysiopipeError, match="not those of a fitted transform"):
            MiniRocket.from_arrays(arrays | {name: other})
    for wrong in ({k: a for k, a in arrays.items() if k != name}, arrays | {name: arrays[name].astype("U")}):
        with pytest.raises(PhysiopipeError, match="expected numbers, named"):
            MiniRocket.from_arrays(wrong)


@pytest.mark.usefixtures("aeon")
@pytest.mark.parametrize("shape", [(4, 100), (4, 2, 8), (0, 2, 100), (4, 0, 100)])
def test_windows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PhysiopipeError, match="MiniRocket: found"):
        MiniRocket.fit(np.zeros(shape), seed=1)


@pytest.mark.usefixtures("aeon")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    windows = np.zeros((3, 2, 50))
    windows[1, 1, 20] = value
    with pytest.raises(PhysiopipeError, match="not finite"):
        MiniRocket.fit(windows, seed=1)


def test_without_aeon_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aeon", None)
    monkeypatch.setitem(sys.modules, "aeon.transformations.collection.convolution_based", None)
    with pytest.raises(PhysiopipeError, match=r"pip install 'physiopipe\[methods\]'"):
        MiniRocket.fit(np.zeros((3, 2, 50)), seed=1)
    with pytest.raises(PhysiopipeError, match=r"pip install 'physiopipe\[methods\]'"):
        MiniRocket.from_arrays(carried_arrays()).transform(np.zeros((3, 16, 1280)))
