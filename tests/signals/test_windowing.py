"""Cutting, quantising and normalising windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physiopipe.errors import PhysiopipeError
from physiopipe.signals.windowing import MAY_LACK, cut_windows, quantise


def ramp(samples: int, channels: int = 2) -> np.ndarray:
    """Every sample says where it is from: channel * 10^6 + 1 + index."""
    return (np.arange(channels)[:, None] * 1e6 + 1 + np.arange(samples)).astype(np.float32)


@pytest.mark.parametrize(("rate_hz", "valid"), [(100, [5]), (200, [10]), (500, [10, 10, 5]), (1000, [10] * 5)])
def test_ten_seconds_at_the_four_rates(rate_hz: int, valid: list[int]) -> None:
    windows = cut_windows(ramp(10 * rate_hz), patches=10, min_fill=0.4, max_windows=None, align="start")
    assert windows.valid_patches.tolist() == valid
    assert windows.start.tolist() == [2000 * window for window in range(len(valid))]
    assert windows.samples.shape == (len(valid), 2, 10, 200)
    assert (windows.samples.dtype, windows.start.dtype, windows.valid_patches.dtype) == (np.float32, np.int64, np.int16)


@settings(max_examples=150, deadline=None)
@given(
    samples=st.integers(0, 9000),
    patches=st.integers(1, 12),
    min_fill=st.floats(0.01, 1),
    max_windows=st.none() | st.integers(1, 6),
    align=st.sampled_from(["start", "end"]),
)
def test_windows_hold_the_recording_in_order_once(
    samples: int, patches: int, min_fill: float, max_windows: int | None, align: str
) -> None:
    signal = ramp(samples)
    size = patches * 200
    windows = cut_windows(signal, patches=patches, min_fill=min_fill, max_windows=max_windows, align=align)  # type: ignore[arg-type]
    count = windows.start.size
    assert windows.samples.shape == (count, 2, patches, 200)
    assert (np.diff(windows.start) > 0).all()
    flat = windows.samples.reshape(count, 2, size)
    for window, start, valid in zip(flat, windows.start, windows.valid_patches, strict=True):
        filled = np.count_nonzero(window[0])
        np.testing.assert_array_equal(window[:, :filled], signal[:, start : start + filled])
        assert not window[:, filled:].any()
        assert valid == (filled + MAY_LACK) // 200
        assert 1 <= valid <= patches
        assert filled + MAY_LACK >= min_fill * size
    indices = flat[:, 0][flat[:, 0] != 0]
    assert np.unique(indices).size == indices.size
    all_windows = samples // size + (samples % size + MAY_LACK >= max(min_fill * size, 200) and samples % size > 0)
    assert count == (all_windows if max_windows is None else min(all_windows, max_windows))


def test_the_last_patch_may_lack_one_percent() -> None:
    def valid(samples: int) -> list[int]:
        cut = cut_windows(ramp(samples), patches=10, min_fill=0.4, max_windows=None, align="start")
        return cut.valid_patches.tolist()

    assert valid(1998) == [10]
    assert valid(1997) == [9]
    assert valid(990) == [4]  # 9.9 s at 100 Hz
    assert valid(797) == []


def test_a_window_short_of_two_samples_counts_as_full() -> None:
    cut = cut_windows(ramp(3999), patches=10, min_fill=1.0, max_windows=None, align="start")
    assert cut.valid_patches.tolist() == [10, 10]
    assert cut_windows(ramp(3990), patches=10, min_fill=1.0, max_windows=None, align="start").start.tolist() == [0]


def test_from_the_end_windows_end_with_the_recording() -> None:
    cut = cut_windows(ramp(5000), patches=10, min_fill=0.4, max_windows=None, align="end")
    assert cut.start.tolist() == [0, 1000, 3000]
    assert cut.valid_patches.tolist() == [5, 10, 10]
    assert cut.samples[-1, 0, -1, -1] == 5000
    # The oldest window holds the rest first and zeros after it.
    np.testing.assert_array_equal(cut.samples[0, 0].ravel()[:1000], np.arange(1, 1001))
    assert not cut.samples[0, 0].ravel()[1000:].any()


@pytest.mark.parametrize("max_windows", [1, 2, 3, 7, 30, 89])
def test_picks_are_spread_over_the_recording(max_windows: int) -> None:
    cut = cut_windows(ramp(90 * 2000), patches=10, min_fill=0.4, max_windows=max_windows, align="start")
    assert cut.start.size == max_windows
    picked = cut.start // 2000
    assert np.ptp(np.diff(picked)) <= 1 if max_windows > 2 else True
    assert abs((picked[0] - 0) - (89 - picked[-1])) <= 1  # as far from the start as from the end


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_quantising_costs_half_a_unit_at_most(seed: int, size: float) -> None:
    samples = (size * np.random.default_rng(seed).normal(size=(3, 2, 2, 200))).astype(np.float32)
    units, scale, saturated = quantise(samples, None)
    assert (units.dtype, scale.dtype, saturated.dtype) == (np.int16, np.float32, np.int64)
    assert not saturated.any()
    back = units * scale[:, None, None, None]
    assert (np.abs(back - samples) <= (0.5 + 4e-3) * scale[:, None, None, None]).all()
    assert (np.abs(units).max(axis=(1, 2, 3)) == 32767).all()


def test_a_fixed_unit_rounds_half_to_even_and_saturates() -> None:
    samples = np.array(
        [[0.5, 1.5, 2.5, -0.5, -1.5, 7.0], [40000.0, -40000.0, 32767.0, 32767.4, -32767.0, 0.0]], np.float32
    )
    units, scale, saturated = quantise(samples, 1.0)
    assert units.tolist() == [[0, 2, 2, 0, -2, 7], [32767, -32767, 32767, 32767, -32767, 0]]
    assert scale.tolist() == [1, 1]
    assert saturated[0] == 0
    assert saturated[1] == 2


def test_a_microvolt_is_the_unit_of_millivolt() -> None:
    units, scale, _ = quantise(np.array([[0.001, -1.2345, 32.767, 33.0]], np.float32), 0.001)
    assert units[0, [0, 2, 3]].tolist() == [1, 32767, 32767]
    assert units[0, 1] in (-1234, -1235)
    assert scale[0] == np.float32(0.001)


def test_empty_and_silent_windows_are_quantised() -> None:
    units, scale, saturated = quantise(np.zeros((2, 1, 1, 200), np.float32), None)
    assert not units.any()
    assert (scale > 0).all()
    assert not saturated.any()
    assert quantise(np.zeros((0, 1, 1, 200), np.float32), 0.001)[0].shape == (0, 1, 1, 200)


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(PhysiopipeError, match="NaN"):
        quantise(np.array([[np.nan]], np.float32), 0.001)
    with pytest.raises(PhysiopipeError, match="above 0"):
        quantise(np.ones((1, 1), np.float32), 0.0)
