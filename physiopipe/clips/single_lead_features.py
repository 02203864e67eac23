"""Twelve features of one EEG lead and nine of one ECG lead, of each stored window at 200 Hz. Pure functions.

For a stand-in for Wang et al. 2024 (IEEE Internet of Things Journal 11(5), 8746), whose features are not known: these
are a choice of this project. R peaks are those of `physiopipe.clips.features.r_peaks`.
"""

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import F32, F64, ClipData
from physiopipe.clips.features import RATE_HZ, r_peaks

BANDS_HZ = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
EEG_FEATURES = (
    *(f"differential_entropy_{band}" for band in BANDS_HZ),  # of µV
    *(f"relative_power_{band}" for band in BANDS_HZ),
    "log_activity",
    "mobility_per_s",
    "complexity",
    "spectral_entropy",
)
ECG_FEATURES = (
    "heart_rate_bpm",
    "sdnn_ms",
    "rmssd_ms",
    "pnn50",
    "sd1_ms",
    "sd2_ms",
    "heart_rate_range_bpm",
    "r_amplitude",
    "r_amplitude_sd",
)
_SEGMENT = 400  # 2 s
_SHORTEST_RR_S, _LONGEST_RR_S = 0.3, 2.0
_ROWS = 1024  # leads of windows at a time


def lead_features(clips: ClipData) -> F32:
    """Features of every window: EEG_FEATURES of each EEG channel, then ECG_FEATURES of the first ECG channel.

    Only valid patches enter.

    Returns:
        float32 (w, C · 12 + 9); NaN where one cannot be measured: a channel that is absent or flat, a window without a
        valid patch, an ECG with too few beats.
    """
    count, channels, _, samples = clips.eeg.shape
    eeg = np.full((count, channels, len(EEG_FEATURES)), np.nan)
    ecg = np.full((count, len(ECG_FEATURES)), np.nan)
    for valid in np.unique(clips.valid_patches[clips.valid_patches > 0]).tolist():
        rows = clips.valid_patches == valid
        window, channel = np.nonzero(clips.eeg_present & rows[:, None])
        if len(window):
            eeg[window, channel] = eeg_features(clips.eeg[window, channel, :valid].reshape(-1, valid * samples))
        shown = np.flatnonzero(rows & clips.ecg_present[:, 0])
        if len(shown):
            ecg[shown] = ecg_features(clips.ecg[shown, 0, :valid].reshape(-1, valid * samples))
    return np.hstack([eeg.reshape(count, -1), ecg]).astype(np.float32)


def eeg_features(signals: npt.NDArray[np.floating]) -> F64:
    """EEG_FEATURES of one-channel signals (n, time) in µV at 200 Hz, (n, 12); NaN for one that is constant.

    Differential entropy is that of a normal variable, ½ ln(2πe v), v the variance in the band (Butterworth of order 4,
    forward and backward; Duan et al. 2013). Relative powers are of 4-45 Hz, by Welch's method with 2 s segments, and
    add up to 1; spectral entropy is of the same spectrum, 1 for a flat one. Activity, mobility and complexity are
    Hjorth's (1970).
    """
    parts = [_eeg_features(signals[start : start + _ROWS]) for start in range(0, len(signals), _ROWS)]
    return np.vstack(parts) if parts else np.zeros((0, len(EEG_FEATURES)))


def _eeg_features(signals: npt.NDArray[np.floating]) -> F64:
    import scipy.signal

    x = signals.astype(np.float64)
    flat = ~(np.ptp(x, axis=1) > 0)
    columns = []
    for band in BANDS_HZ.values():
        sections = scipy.signal.butter(4, band, "bandpass", fs=RATE_HZ, output="sos")
        variance = scipy.signal.sosfiltfilt(sections, x, axis=-1).var(axis=1)
        columns.append(0.5 * _log(2 * np.pi * np.e * variance))
    frequency, density = scipy.signal.welch(x, RATE_HZ, nperseg=min(_SEGMENT, x.shape[1]), axis=-1)
    inside = (frequency >= BANDS_HZ["theta"][0]) & (frequency < BANDS_HZ["gamma"][1])
    share = _ratio(density[:, inside], density[:, inside].sum(axis=1, keepdims=True))
    frequency = frequency[inside]
    columns += [share[:, (frequency >= low) & (frequency < high)].sum(axis=1) for low, high in BANDS_HZ.values()]
    slope = np.diff(x, axis=1) * RATE_HZ
    mobility = np.sqrt(_ratio(slope.var(axis=1), x.var(axis=1)))
    of_slope = np.sqrt(_ratio((np.diff(slope, axis=1) * RATE_HZ).var(axis=1), slope.var(axis=1)))
    entropy = -np.where(share > 0, share * _log(np.where(share > 0, share, 1.0)), 0.0).sum(axis=1)
    columns += [_log(x.var(axis=1)), mobility, _ratio(of_slope, mobility), entropy / np.log(len(frequency))]
    found = np.stack(columns, axis=1)
    found[flat] = np.nan
    found[~np.isfinite(found)] = np.nan
    return found


def ecg_features(signals: npt.NDArray[np.floating]) -> F64:
    """ECG_FEATURES of one-lead signals (n, time) in any unit at 200 Hz, (n, 9).

    Of the intervals of 0.3 to 2 s between R peaks; differences are those of intervals that follow each other. SD1 and
    SD2 are the spread of the Poincaré plot across and along its diagonal (Brennan et al. 2001). A window of 10 s holds
    about twelve beats, so that measures of variability are rough, and those by frequency would mean nothing. R
    amplitudes are over the signal's median. NaN: all with fewer than two intervals, those of differences with no two
    in a row.
    """
    x = np.ascontiguousarray(signals, dtype=np.float32)
    found = np.full((len(x), len(ECG_FEATURES)), np.nan)
    window, sample = r_peaks(x[:, None, :])
    starts = np.searchsorted(window, np.arange(len(x) + 1))
    for row in range(len(x)):
        peaks = sample[starts[row] : starts[row + 1]]
        rr = np.diff(peaks) / RATE_HZ
        kept = (rr >= _SHORTEST_RR_S) & (rr <= _LONGEST_RR_S)
        if kept.sum() < 2:
            continue
        rate = 60 / rr[kept]
        height = x[row, peaks].astype(np.float64) - np.median(x[row])
        in_a_row = kept[1:] & kept[:-1]
        before, after = 1000 * rr[:-1][in_a_row], 1000 * rr[1:][in_a_row]
        found[row, [0, 1, 6]] = 60 / rr[kept].mean(), 1000 * rr[kept].std(), np.ptp(rate)
        found[row, 7:] = height.mean(), height.std()
        if len(before):
            change = after - before
            found[row, 2:4] = np.sqrt(np.square(change).mean()), (np.abs(change) > 50).mean()
            found[row, 4:6] = (change / np.sqrt(2)).std(), ((after + before) / np.sqrt(2)).std()
    return found


def _log(values: F64) -> F64:
    with np.errstate(divide="ignore"):
        found: F64 = np.log(values)
    return found


def _ratio(above: F64, below: F64) -> F64:
    """NaN where there is nothing to divide by."""
    nothing = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    found: F64 = np.divide(above, below, out=nothing, where=below > 0)
    return found
