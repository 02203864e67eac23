"""What the clips of a model's people were like, and in what a stranger's clip differs from them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import MODALITIES, ClipData, Modality

_QUANTILES = (0.005, 0.995)
_SHOWN = 6
_ABSENT = {"eeg": "missing or flat", "ecg": "missing, flat or without heartbeats"}


def likeness(
    clips: ClipData,
    recorded: Mapping[Modality, Sequence[str]],
    rates_hz: Mapping[Modality, Sequence[float]],
    units: Mapping[Modality, str],
) -> dict[str, dict[str, Any]]:
    """By modality of the cohort, as JSON values: channels, unit, rates of the recordings, range of the amplitude.

    `channels` are those that methods are given, `recorded` those of the stored windows: where the clip rule derives
    limb leads, `predict` must read the latter and derive them in its turn. A window's amplitude is the root mean
    square of each channel that is present, median over channels; the range is from the 0.5th to the 99.5th percentile
    over windows.
    """
    found: dict[str, dict[str, Any]] = {}
    for modality in (each for each in MODALITIES if each in units):
        amplitude = window_amplitude(clips, modality)
        known = amplitude[np.isfinite(amplitude)]
        low, high = np.quantile(known, _QUANTILES).tolist() if len(known) else (0.0, 0.0)
        found[modality] = {
            "channels": list(getattr(clips, f"{modality}_channels")),
            "recorded": list(recorded[modality]),
            "unit": units[modality],
            "rates_hz": sorted(set(rates_hz[modality])),
            "amplitude_low": float(f"{low:.4g}"),
            "amplitude_high": float(f"{high:.4g}"),
        }
    return found


def window_amplitude(clips: ClipData, modality: Modality) -> npt.NDArray[np.float64]:
    """Median over present channels of the root mean square of a window's valid patches, (w,); NaN without signal."""
    windows, present = getattr(clips, modality), getattr(clips, f"{modality}_present")
    found = np.full(len(windows), np.nan)
    for row, (valid, there) in enumerate(zip(clips.valid_patches.tolist(), present, strict=True)):
        if valid and there.any():
            power = np.square(windows[row, there, :valid], dtype=np.float64).mean(axis=(1, 2))
            found[row] = np.median(np.sqrt(power))
    return found


def unlike(
    clips: ClipData,
    known: Mapping[str, dict[str, Any]],
    modalities: Iterable[Modality],
    recorded_hz: Mapping[Modality, float],
) -> list[list[str]]:
    """For each clip, sentences on what of it the model has not met: absent channels, another rate, other amplitudes.

    Args:
        modalities: those that the model reads.
        recorded_hz: rate of the recording in each modality.
    """
    found: list[list[str]] = [[] for _ in range(len(clips))]
    for modality in modalities:
        about, title = known[modality], modality.upper()
        present, amplitude = getattr(clips, f"{modality}_present"), window_amplitude(clips, modality)
        for clip, sentences in enumerate(found):
            mine = clips.clip_of == clip
            gone = [name for name, there in zip(about["channels"], present[mine].any(axis=0), strict=True) if not there]
            if gone:
                more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
                some = f"{title} without {', '.join(gone[:_SHOWN])}{more}"
                what = some if len(gone) < len(about["channels"]) else f"no {title}"
                sentences.append(f"{what} ({_ABSENT[modality]})")
            rates = about["rates_hz"]
            if rates and not min(rates) <= recorded_hz[modality] <= max(rates):
                trained = " to ".join(f"{rate:g}" for rate in sorted({min(rates), max(rates)}))
                sentences.append(f"{title} recorded at {recorded_hz[modality]:g} Hz, trained on {trained} Hz")
            sizes = amplitude[mine & np.isfinite(amplitude)]
            low, high = about["amplitude_low"], about["amplitude_high"]
            if len(sizes) and not low <= np.median(sizes) <= high:
                unit = about["unit"] if about["unit"] != "unspecified" else "(in a unit that is not known)"
                sentences.append(f"{title} amplitude {np.median(sizes):.3g} {unit}, trained on {low:g} to {high:g}")
    return found
