"""The last step of a batch: windows, quality flags and int16, stored as a part."""

from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from physiopipe.files import atomic_folder
from physiopipe.params import PATCH_SAMPLES, Shard
from physiopipe.recordings.batchfile import read_batch
from physiopipe.recordings.recording import RecordingBatch, Rejected
from physiopipe.signals.beats import Beats, beats_rate_hz
from physiopipe.signals.quality import Blocks, RecordQuality
from physiopipe.signals.windowing import MILLIVOLT_STEP, Quantised, Windows, cut_windows, quantise
from physiopipe.windows.long_windows import LongWindows
from physiopipe.windows.part import PartName, PartWriter, StoredWindows


def shard_batch(resampled: Path, folder: Path, name: PartName, rates_hz: tuple[int, ...], params: Shard) -> None:
    """Cut a resampled batch into windows and store them as a part."""
    with atomic_folder(folder) as temporary, tqdm(desc="shard", unit="", disable=None) as progress:
        writer = PartWriter(temporary, name, rates_hz, params.patches)
        beats_at_hz = beats_rate_hz(rates_hz) if name.modality == "ecg" else None
        for _, group in groupby(read_batch(resampled), _records):
            rates, cuts = [], []
            pieces = LongWindows(params)
            beats = Beats(beats_at_hz) if beats_at_hz else None
            for item in group:
                if isinstance(item, Rejected):
                    writer.reject(*item)
                    continue
                if beats and item.rate_hz == beats_at_hz:
                    beats.add(item.signal * item.step if item.signal.dtype == np.int16 else item.signal)
                if item.whole:
                    pieces.add(item)
                else:
                    rates.append(item)
                    cuts.append(_cut(item, params))
            if pieces.heads:
                rates, cuts = pieces.heads, pieces.windows()
            if not rates:
                continue
            if sum(len(cut.start) for cut in cuts):
                writer.add(rates[0], stored_windows(rates, cuts, params, beats))
            else:
                reason = f"{rates[0].seconds:.1f} s long: at no rate does it fill {params.min_fill:.0%} of a window"
                for record in rates[0].record:
                    writer.reject(record, reason)
            progress.update(len(rates[0]))
        writer.finish()


def _records(item: RecordingBatch | Rejected) -> str | tuple[str, ...]:
    return item.record


def _cut(stack: RecordingBatch, params: Shard) -> Windows:
    return cut_windows(
        stack.signal,
        patches=params.patches,
        min_fill=params.min_fill,
        max_windows=params.max_windows_per_record,
        align=params.align,
    )


def stored_windows(
    rates: list[RecordingBatch], cuts: list[Windows], params: Shard, beats: Beats | None
) -> StoredWindows:
    """Flag and quantise the windows of a stack of recordings, at every rate."""
    stack = rates[0]
    assert stack.blocks is not None, "measured by filter_batch"
    missing = np.array([np.isin(stack.channels, missing) for missing in stack.missing])
    quality = RecordQuality(Blocks(stack.blocks, stack.block_s), missing=missing, limits=params.quality)
    # Asked for once: the windows of all rates together cost little more than those of one
    windows_at = [len(cut.start) for cut in cuts]
    rate_hz = np.repeat([rate.rate_hz for rate in rates], windows_at)
    start_s = np.concatenate([cut.start for cut in cuts]) / rate_hz
    window_s = params.patches * PATCH_SAMPLES / rate_hz
    flat_leads, flags = quality.flags(start_s, window_s)
    present = ~flat_leads & ~missing[:, None]
    flags["no_beats"] = beats.absent(start_s, window_s, present) if beats else np.zeros_like(flags["flat"])
    quantised, first = [], 0
    for rate, cut in zip(rates, cuts, strict=True):
        absent = ~present[:, first : first + len(cut.start)]
        first += len(cut.start)
        if absent.any():
            cut.samples[absent] = 0
        quantised.append(_quantised(rate, cut))
    counts, scales, saturations = zip(*quantised, strict=True)
    scale, saturated = np.concatenate(scales, axis=1), np.concatenate(saturations, axis=1)
    # What is stored is judged, not the raw signal: an offset or a slow drift is gone, a wrong gain is not. A saturated
    # window is beyond any limit that fits into its int16.
    peak = np.concatenate([_peak(of_rate) for of_rate in counts], axis=1) * scale
    return StoredWindows(
        counts={int(rate.rate_hz): of_rate for rate, of_rate in zip(rates, counts, strict=True)},
        scale=scale,
        start_s=start_s,
        valid_patches=np.concatenate([cut.valid_patches for cut in cuts]),
        saturated=saturated,
        present=present,
        flags=flags | {"amplitude": (peak > params.quality.amplitude_limit) | (saturated > 0)},
    )


def _quantised(stack: RecordingBatch, cut: Windows) -> Quantised:
    """Windows (recording, window, channel, patch, sample) as counts; scale and saturated are (recording, window)."""
    of_window = cut.samples.shape[:2]
    if cut.samples.dtype == np.int16:
        return Quantised(cut.samples, np.full(of_window, stack.step, np.float32), np.zeros(of_window, np.int64))
    windows = cut.samples.reshape(-1, *cut.samples.shape[2:])
    counts, scale, saturated = quantise(windows, MILLIVOLT_STEP if stack.unit == "mV" else None)
    return Quantised(counts.reshape(cut.samples.shape), scale.reshape(of_window), saturated.reshape(of_window))


def _peak(counts: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
    """Largest magnitude in each window."""
    axes = (-3, -2, -1)
    lowest = counts.min(axis=axes, initial=0).astype(np.int32)  # -32768 has no positive twin among int16
    return np.asarray(np.maximum(counts.max(axis=axes, initial=0), -lowest), dtype=np.int32)
