"""Functional connectivity: the phase-locking value (Lachaux et al. 1999, Human Brain Mapping 8, 194-208)."""

import numpy as np
import numpy.typing as npt
from scipy import signal as scipy_signal

from physiopipe.errors import PhysiopipeError
from physiopipe.signals.filters import check_corners

F32 = npt.NDArray[np.float32]

_AT_ONCE = 1 << 21  # samples of a batch of windows: 32 MB in complex numbers


def phase_locking_values(
    windows: npt.NDArray[np.floating],
    rate_hz: float,
    *,
    highpass_hz: float = 4.0,
    lowpass_hz: float = 45.0,
    order: int = 4,
) -> F32:
    """How steadily the phases of two channels keep their distance, for every pair of channels in each window.

    The magnitude of the mean over time of exp(i (phase a - phase b)), of phases of the analytic signal (Hilbert
    transform) after a Butterworth band-pass run forward and backward. 1: the distance never changes; independent
    signals come near 0, the nearer the longer the window and the wider the band.

    Args:
        windows: (N, channels, samples). Each is filtered by itself, extended by a reflection at its ends.
        rate_hz: samples a second.
        highpass_hz, lowpass_hz: corners, -3 dB of one pass.
        order: of `scipy.signal.butter` for each edge.

    Returns:
        (N, channels, channels) float32, symmetric, in 0..1, with 1 on the diagonal. A channel that is constant in a
        window has no phase: its row and column are 0, diagonal included.

    Raises:
        PhysiopipeError: another shape, corners that the rate cannot hold, windows too short for the filter, values
            that are not finite.
    """
    if windows.ndim != 3:
        raise PhysiopipeError(
            f"Phase-locking values: found shape {windows.shape}, expected (windows, channels, samples)."
        )
    check_corners(rate_hz, highpass_hz, lowpass_hz)
    if not np.isfinite(windows).all():
        raise PhysiopipeError("Phase-locking values: windows hold values that are not finite: reject or mend them.")
    count, channels, samples = windows.shape
    sections = scipy_signal.butter(order, (highpass_hz, lowpass_hz), "bandpass", fs=rate_hz, output="sos")
    shortest = 3 * (2 * len(sections) + 1) + 1  # scipy's extension of the ends, and one sample more
    if samples < shortest:
        raise PhysiopipeError(f"Phase-locking values: found {samples} samples a window, expected {shortest} or more.")
    values = np.empty((count, channels, channels), np.float32)
    batch = max(1, _AT_ONCE // max(1, channels * samples))
    for start in range(0, count, batch):
        some = windows[start : start + batch].astype(np.float64)
        analytic = scipy_signal.hilbert(scipy_signal.sosfiltfilt(sections, some))
        size = np.abs(analytic)
        alive = (np.ptp(some, axis=-1, keepdims=True) > 0) & (size > 0)
        phasors = np.divide(analytic, size, out=np.zeros_like(analytic), where=alive)
        products = phasors @ phasors.conj().swapaxes(1, 2)
        values[start : start + batch] = np.minimum(np.abs(products) / samples, 1.0)
    return values
