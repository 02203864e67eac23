"""How strong the signals are: what an encoder whose input is scaled may have lost."""

import numpy as np

from physiopipe.clips.clip_data import F32, F64, ClipData, Modality

LEAST_SCALED_RMS, MOST_SCALED_RMS = 0.1, 3.0  # of an encoder's input that was to be of order 1
_LEAST = 1e-12  # in the stored unit: far below any recording's noise


def log_amplitude(clips: ClipData, modality: Modality) -> F32:
    """Natural log of each channel's SD over the valid patches of a window, float32 (w, C), in the stored unit.

    A channel without signal has the mean of the window's other channels; a window without any signal is exactly 0.
    """
    signal, present = getattr(clips, modality), getattr(clips, f"{modality}_present")
    found = np.zeros(present.shape)
    for row, (window, there, valid) in enumerate(zip(signal, present, clips.valid_patches, strict=True)):
        there = there & (valid > 0)
        if there.any():
            spread = window[there, :valid].reshape(int(there.sum()), -1).astype(np.float64).std(axis=1)
            logs = np.log(np.maximum(spread, _LEAST))
            found[row] = logs.mean()
            found[row, there] = logs
    return found.astype(np.float32)


def eeg_rms_uv(clips: ClipData) -> float:
    """Root mean square of the EEG over all present channels and valid patches, microvolt; NaN where there is none."""
    squares, count = 0.0, 0
    for window, there, valid in zip(clips.eeg, clips.eeg_present, clips.valid_patches, strict=True):
        part: F64 = window[there, :valid].astype(np.float64)
        squares, count = squares + float(np.square(part).sum()), count + part.size
    return float(np.sqrt(squares / count)) if count else float("nan")


def scale_remarks(clips: ClipData, scale_uv: float) -> list[str]:
    """The RMS of the EEG once it is divided by a scale, µV, and a warning where that is far from what encoders take."""
    rms_uv = eeg_rms_uv(clips)
    lines = [f"EEG: RMS {rms_uv:.3g} µV, {rms_uv / scale_uv:.2g} once divided by {scale_uv:g} µV"]
    if not LEAST_SCALED_RMS <= rms_uv / scale_uv <= MOST_SCALED_RMS:  # NaN, without any EEG, too
        lines.append(
            f"WARNING: expected {LEAST_SCALED_RMS:g} to {MOST_SCALED_RMS:g} there. Look at encoders.eeg_scale_uv, and "
            "at the unit of the cohort's EEG"
        )
    return lines
