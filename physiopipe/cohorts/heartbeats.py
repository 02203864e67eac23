"""Heart beats as sums of Gaussian waves: what both simulated cohorts draw their ECG from. Pure functions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Wave:
    """One wave of a beat: where it lies, how wide it is, and the heart vector at its peak.

    Attributes:
        offset_s: its peak's time after the R peak, s.
        width_s: standard deviation of the Gaussian, s.
        vector_mv: heart vector towards the left arm, the feet and the back (Frank's x, y, z), mV.
    """

    offset_s: float
    width_s: float
    vector_mv: tuple[float, float, float]


# A healthy adult's beat. The T wave is two Gaussians, for it rises slower than it falls.
NORMAL_BEAT: dict[str, Wave] = {
    "P": Wave(-0.160, 0.022, (0.07, 0.13, -0.03)),
    "Q": Wave(-0.026, 0.008, (-0.16, -0.06, -0.20)),
    "R": Wave(0.000, 0.011, (0.95, 0.90, 0.25)),
    "S": Wave(0.027, 0.010, (-0.22, -0.20, 0.55)),
    "T1": Wave(0.260, 0.050, (0.15, 0.14, -0.08)),
    "T2": Wave(0.300, 0.030, (0.15, 0.14, -0.08)),
}

# Leads I, II, V1..V6 of the heart vector: Dower's matrix (Dower, Machado & Osborne 1980, Clin Cardiol 3:87).
DOWER: F64 = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)


def beats_of_rate(heart_rate_bpm: F64, rate_hz: float) -> F64:
    """Times (s) of the beats of a heart whose momentary rate is given: the integral of the rate passes 0, 1, 2, …

    Args:
        heart_rate_bpm: (time,) momentary heart rate at `rate_hz`, beats a minute.
        rate_hz: samples a second.
    """
    beats_passed = np.concatenate([[0.0], np.cumsum(heart_rate_bpm / (60.0 * rate_hz))])
    return np.interp(np.arange(np.ceil(beats_passed[-1])), beats_passed, np.arange(len(beats_passed)) / rate_hz)


def gaussians(n_samples: int, rate_hz: float, centres_s: F64, width_s: float, heights: F64) -> F32:
    """One Gaussian at each centre, (n_samples,): a sample sees only the centre nearest to it, which is exact enough
    where centres lie many widths apart.

    Args:
        n_samples: length of the result.
        rate_hz: samples a second.
        centres_s: (beat,) rising times, s.
        width_s: standard deviation, s.
        heights: (beat,) heights.
    """
    if len(centres_s) == 0:
        return np.zeros(n_samples, np.float32)
    borders = np.ceil((centres_s[1:] + centres_s[:-1]) / 2 * rate_hz).astype(np.int64).clip(0, n_samples)
    spans = np.diff(np.concatenate([[0], borders, [n_samples]]))
    z = (np.arange(n_samples, dtype=np.float64) / rate_hz - np.repeat(centres_s, spans)) / width_s
    return np.asarray(np.exp(-0.5 * z * z) * np.repeat(heights, spans), dtype=np.float32)
