"""Phase-locking values against a plain double loop, and what must hold of any."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as scipy_signal

from physiopipe.errors import PhysiopipeError
from physiopipe.signals import connectivity
from physiopipe.signals.connectivity import phase_locking_values

RATE_HZ = 128.0


def noise(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def loop(window: npt.NDArray[np.float64], rate_hz: float) -> npt.NDArray[np.float64]:
    """Pair by pair: filter by transfer function, phases, mean of unit vectors by their cosines and sines."""
    sections = scipy_signal.butter(4, [4 * 2 / rate_hz, 45 * 2 / rate_hz], "bandpass", output="sos")
    phases = [np.angle(scipy_signal.hilbert(scipy_signal.sosfiltfilt(sections, row))) for row in window]
    values = np.zeros((len(window), len(window)))
    for a in range(len(window)):
        for b in range(len(window)):
            difference = phases[a] - phases[b]
            values[a, b] = np.hypot(np.cos(difference).mean(), np.sin(difference).mean())
    return values


@pytest.mark.parametrize("rate_hz", [128.0, 200.0])
def test_against_a_double_loop(rate_hz: float) -> None:
    windows = noise((3, 5, 1280)) + 0.7 * noise((3, 1, 1280), 1)
    found = phase_locking_values(windows, rate_hz)
    assert found.dtype == np.float32
    for window, values in zip(windows, found, strict=True):
        np.testing.assert_allclose(values, loop(window, rate_hz), rtol=0, atol=1e-6)
        assert 0.1 < values[0, 1] < 0.9


def test_batches_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = noise((7, 3, 300)).astype(np.float32)
    whole = phase_locking_values(windows, RATE_HZ)
    monkeypatch.setattr(connectivity, "_AT_ONCE", 2 * 3 * 300)
    np.testing.assert_array_equal(phase_locking_values(windows, RATE_HZ), whole)


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 6),
    samples=st.integers(60, 400),
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(1e-6, 1e6),
)
def test_in_0_to_1_symmetric_and_blind_to_scale_offset_and_sign(
    channels: int, samples: int, seed: int, scale: float
) -> None:
    windows = noise((2, channels, samples), seed)
    values = phase_locking_values(windows, RATE_HZ)
    assert values.shape == (2, channels, channels)
    assert ((values >= 0) & (values <= 1)).all()
    np.testing.assert_array_equal(values, values.swapaxes(1, 2))
    np.testing.assert_allclose(np.diagonal(values, axis1=1, axis2=2), 1, atol=1e-6)
    signs = np.where(np.arange(channels) % 2, -scale, scale)[:, None]
    np.testing.assert_allclose(phase_locking_values(windows * signs + 3 * signs, RATE_HZ), values, atol=1e-4)


def test_a_fixed_distance_of_phases_gives_1_and_independent_noise_little() -> None:
    seconds = np.arange(1280) / RATE_HZ
    sines = np.stack([np.sin(2 * np.pi * 10 * seconds + lag) for lag in (0.0, 0.7, 2.0)])[None]
    assert phase_locking_values(sines, RATE_HZ).min() > 0.99
    independent = phase_locking_values(noise((40, 4, 1280)), RATE_HZ)
    off_diagonal = independent[:, ~np.eye(4, dtype=bool)]
    # About 820 independent phases in 10 s of a band of 41 Hz: a mean resultant of 0.03
    assert 0.01 < off_diagonal.mean() < 0.06
    assert off_diagonal.max() < 0.2


def test_a_constant_channel_has_no_phase() -> None:
    windows = noise((2, 3, 256))
    windows[1, 2] = 4200.0
    values = phase_locking_values(windows, RATE_HZ)
    assert (values[1, 2] == 0).all()
    assert (values[1, :, 2] == 0).all()
    assert values[0].min() > 0
    assert values[1, :2, :2].min() > 0


@pytest.mark.parametrize(
    ("windows", "rate_hz", "match"),
    [
        (np.zeros((3, 200)), RATE_HZ, "found shape"),
        (np.zeros((1, 3, 27)), RATE_HZ, "expected 28 or more"),
        (np.zeros((1, 3, 200)), 80.0, "does not fit a recording of 80 Hz"),
        (np.full((1, 3, 200), np.nan), RATE_HZ, "not finite"),
    ],
)
def test_what_cannot_be_is_refused(windows: npt.NDArray[np.float64], rate_hz: float, match: str) -> None:
    with pytest.raises(PhysiopipeError, match=match):
        phase_locking_values(windows, rate_hz)


def test_no_windows_and_the_shortest() -> None:
    assert phase_locking_values(np.zeros((0, 3, 200)), RATE_HZ).shape == (0, 3, 3)
    assert np.isfinite(phase_locking_values(noise((1, 3, 28)), RATE_HZ)).all()
