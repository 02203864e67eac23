"""Handcrafted features of stored windows: EEG band power, heart rate, amplitudes of the ECG's waves. Pure functions.

EEG bands are those of Katsigiannis & Ramzan 2018 (theta 4-8, alpha 8-13, beta 13-30 Hz). All work at 200 Hz, where a
patch is one second.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage
import scipy.signal

F32 = npt.NDArray[np.float32]

RATE_HZ = 200
BANDS_HZ = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0)}
ECG_FEATURES = ("heart_rate_bpm", "rr_sd_ms", "log_qrs_amplitude", "t_amplitude", "t_over_qrs")

_BLOCK = 256  # windows at a time: bounds memory at about 100 MB
_SEGMENT = 400  # 2 s with half overlap: 0.5 Hz between frequencies
_REFRACTORY_S = 0.28
_BEAT_BEFORE, _BEAT_AFTER = 60, 100  # samples of a beat about its R peak: -0.3 to 0.5 s


def feature_names(eeg_channels: int, per_channel: bool = False) -> tuple[str, ...]:
    """Names of the columns of `window_features`."""
    names = [f"log_{band}_power" for band in BANDS_HZ]
    if per_channel:
        names += [f"log_{band}_power_{channel}" for channel in range(eeg_channels) for band in BANDS_HZ]
    return (*names, *ECG_FEATURES)


def window_features(eeg: F32, ecg: F32, per_channel: bool = True) -> tuple[F32, tuple[str, ...]]:
    """Features of paired windows.

    Args:
        eeg: (n, channel, patch, 200) in µV at 200 Hz.
        ecg: (n, lead, patch, 200) at 200 Hz, not z-scored (amplitudes are features), any unit.
        per_channel: whether band powers of each channel follow the ones averaged over channels.

    Returns:
        (n, k) float32 and the k names. NaN where a feature cannot be measured: the power of a flat channel, everything
        of an ECG with fewer than three beats.
    """
    blocks = [np.hstack([band_power(eeg[part], per_channel), beat_features(ecg[part])]) for part in _parts(len(eeg))]
    names = feature_names(eeg.shape[1], per_channel)
    return (np.vstack(blocks) if blocks else np.zeros((0, len(names)), np.float32)), names


def _parts(n: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))


def band_power(eeg: F32, per_channel: bool = True) -> F32:
    """Natural log of the power in each band, (n, 3) averaged over channels in the log, then (n, 3 · channel).

    Welch's method with 2 s Hann segments. A flat channel is NaN, and left out of the average.
    """
    signal = eeg.reshape(*eeg.shape[:2], -1)
    segments = np.lib.stride_tricks.sliding_window_view(signal, _SEGMENT, axis=-1)[..., :: _SEGMENT // 2, :]
    taper = scipy.signal.get_window("hann", _SEGMENT).astype(np.float32)
    centred = (segments - segments.mean(axis=-1, keepdims=True)) * taper
    power = np.square(np.abs(scipy.fft.rfft(centred, axis=-1))).mean(axis=-2)  # (n, channel, frequency)
    frequency = scipy.fft.rfftfreq(_SEGMENT, 1 / RATE_HZ)
    to_density = 2 / (RATE_HZ * float(np.square(taper).sum())) * RATE_HZ / _SEGMENT
    bands = np.stack(
        [power[..., (frequency >= low) & (frequency < high)].sum(axis=-1) for low, high in BANDS_HZ.values()], axis=-1
    )
    with np.errstate(divide="ignore"):
        logs = np.log(bands * to_density)
    logs[np.ptp(signal, axis=-1) == 0] = np.nan
    alive = np.isfinite(logs)
    counts = alive.sum(axis=1)
    mean = np.where(counts > 0, np.where(alive, logs, 0).sum(axis=1) / np.maximum(counts, 1), np.nan)
    logs[~alive] = np.nan
    every = logs.reshape(len(logs), -1) if per_channel else logs[:, 0, :0]
    return np.hstack([mean, every]).astype(np.float32)


def r_peaks(ecg: F32) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Window and sample of every R peak, ordered by window, then time.

    The steepness of all leads together, each scaled by its own, has a hump at each QRS complex; its summit is moved to
    the largest deflection of the leads nearby.

    Args:
        ecg: (n, lead, time) at 200 Hz.
    """
    sos = scipy.signal.butter(2, (8, 25), "bandpass", output="sos", fs=RATE_HZ)
    narrow = scipy.signal.sosfiltfilt(sos, ecg, axis=-1, padlen=min(200, ecg.shape[-1] - 1))
    scale = narrow.std(axis=-1, keepdims=True)
    narrow = np.divide(narrow, scale, out=np.zeros_like(narrow), where=scale > 1e-6)
    steep = np.square(np.gradient(narrow, axis=-1)).sum(axis=1)  # (n, time)
    hump = scipy.ndimage.uniform_filter1d(steep, 21, axis=-1)
    # a second's highest hump, median over seconds: neither an artefact nor a pause moves it far
    seconds = hump[:, : hump.shape[1] // RATE_HZ * RATE_HZ].reshape(len(hump), -1, RATE_HZ).max(axis=-1)
    threshold = 0.3 * np.median(seconds, axis=1, keepdims=True)
    distance = int(_REFRACTORY_S * RATE_HZ)
    highest = scipy.ndimage.maximum_filter1d(hump, 2 * distance + 1, axis=-1)
    window, sample = np.nonzero((hump == highest) & (hump > np.maximum(threshold, 1e-9)))
    near = np.clip(sample[:, None] + np.arange(-10, 11), 0, ecg.shape[-1] - 1)
    deflection = np.square(narrow).sum(axis=1)[window[:, None], near]
    return window, near[np.arange(len(near)), deflection.argmax(axis=1)]


def beat_features(ecg: F32) -> F32:
    """Features of ECG_FEATURES, (n, 5): mean heart rate, SD of RR intervals, and of each window's mean beat the log of
    the peak-to-peak QRS amplitude, the T wave's height over the PR segment along the lead's QRS sign, and their ratio;
    amplitudes are means over the leads that are not flat, in the leads' unit.

    Args:
        ecg: (n, lead, patch, 200) at 200 Hz.
    """
    if not ecg.shape[1]:
        return np.full((len(ecg), len(ECG_FEATURES)), np.nan, np.float32)
    signal = np.asarray(ecg, dtype=np.float32).reshape(*ecg.shape[:2], -1)
    n, leads, length = signal.shape
    result = np.full((n, len(ECG_FEATURES)), np.nan)
    window, sample = r_peaks(signal)
    beats = np.bincount(window, minlength=n)
    columns = np.arange(len(window)) - np.repeat(np.cumsum(beats) - beats, beats)
    table = np.full((n, max(int(beats.max(initial=0)), 3)), np.nan)
    table[window, columns] = sample / RATE_HZ
    enough = beats >= 3
    if not enough.any():
        return result.astype(np.float32)
    rr = np.diff(table[enough], axis=1)
    middle = np.nanmedian(rr, axis=1, keepdims=True)
    rr = np.where(np.abs(rr - middle) < 0.35 * middle, rr, np.nan)  # without missed and doubled beats
    result[enough, 0] = 60 / np.nanmean(rr, axis=1)
    result[enough, 1] = 1000 * np.nanstd(rr, axis=1)

    whole = (sample >= _BEAT_BEFORE) & (sample + _BEAT_AFTER <= length)
    around = sample[whole, None] + np.arange(-_BEAT_BEFORE, _BEAT_AFTER)
    pieces = signal[window[whole, None, None], np.arange(leads)[:, None], around[:, None, :]]
    sums = np.zeros((n, leads, _BEAT_BEFORE + _BEAT_AFTER))
    np.add.at(sums, window[whole], pieces)
    mean_beat = sums[enough] / np.maximum(np.bincount(window[whole], minlength=n)[enough], 1)[:, None, None]
    r = _BEAT_BEFORE
    qrs = mean_beat[..., r - 14 : r + 15]
    base = np.median(mean_beat[..., r - 18 : r - 12], axis=-1)  # the PR segment, 60 to 90 ms ahead of R
    sign = np.where(qrs.max(axis=-1) - base >= base - qrs.min(axis=-1), 1.0, -1.0)
    height = np.ptp(qrs, axis=-1)
    late = (mean_beat[..., r + 30 :] - base[..., None]) * sign[..., None]  # 150 ms after R and on
    smooth = scipy.ndimage.uniform_filter1d(late, 5, axis=-1)
    after_s = np.arange(30, _BEAT_AFTER) / RATE_HZ
    in_reach = after_s < 0.55 * (60 / result[enough, 0])[:, None]  # of a fast heart, ahead of the next P wave
    at = np.abs(np.where(in_reach[:, None], smooth, 0)).argmax(axis=-1)[..., None]
    t_wave = np.take_along_axis(smooth, at, axis=-1)[..., 0]
    alive = height > 0
    count = np.maximum(alive.sum(axis=-1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        result[enough, 2] = np.where(alive, np.log(height), 0).sum(axis=-1) / count
        result[enough, 3] = np.where(alive, t_wave, 0).sum(axis=-1) / count
        result[enough, 4] = np.where(alive, t_wave / height, 0).sum(axis=-1) / count
    result[np.flatnonzero(enough)[~alive.any(axis=-1)], 2:] = np.nan
    return result.astype(np.float32)
