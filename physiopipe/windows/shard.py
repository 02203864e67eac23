"""The last step of a batch: windows, quality flags and int16, stored as a part."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from physiopipe.files import atomic_folder
from physiopipe.params import PATCH_SAMPLES, Filter, Shard
from physiopipe.recordings.batchfile import read_batch, read_rejects
from physiopipe.recordings.recording import Recording, Rejected
from physiopipe.signals.quality import RecordQuality
from physiopipe.signals.windows import MILLIVOLT_STEP, Windows, cut_windows, quantise
from physiopipe.windows.part import PartName, PartWriter, StoredWindows


def shard_batch(
    recordings: Iterator[Recording | Rejected],
    resampled: Path,
    folder: Path,
    name: PartName,
    rates_hz: tuple[int, ...],
    params: Shard,
    notch: Filter,
) -> None:
    """Cut a resampled batch into windows and store them as a part.

    Args:
        recordings: the batch as recorded, for the quality flags, in the order of `resampled`.
        notch: names the mains frequency of each source.
    """
    with atomic_folder(folder) as temporary:
        writer = PartWriter(temporary, name, rates_hz, params.patches)
        for record, reason in read_rejects(resampled):
            writer.reject(record, reason)
        groups = groupby(read_batch(resampled), key=lambda recording: recording.record)
        for record, rates in tqdm(groups, desc="shard", unit="", disable=None):
            raw = next(item for item in recordings if item.record == record)
            assert isinstance(raw, Recording)
            missing = np.isin(raw.channels, raw.missing)
            mains_hz = notch.notch_of(raw.source)
            quality = RecordQuality(raw.signal, raw.rate_hz, missing=missing, mains_hz=mains_hz, limits=params.quality)
            pieces = [(recording, _cut(recording, params)) for recording in rates]
            if not sum(len(cut.start) for _, cut in pieces):
                seconds = raw.signal.shape[1] / raw.rate_hz
                writer.reject(
                    record, f"{seconds:.1f} s long: at no rate does it fill {params.min_fill:.0%} of a window"
                )
                continue
            # Asked for once: the windows of all rates together cost little more than those of one
            start_s = [cut.start / recording.rate_hz for recording, cut in pieces]
            size = params.patches * PATCH_SAMPLES
            window_s = [np.full(len(cut.start), size / recording.rate_hz) for recording, cut in pieces]
            flat_leads, flags = quality.flags(np.concatenate(start_s), np.concatenate(window_s))
            present = ~flat_leads & ~missing
            first = 0
            for (recording, cut), starts in zip(pieces, start_s, strict=True):
                own = slice(first, first + len(starts))
                first = own.stop
                found = {name: values[own] for name, values in flags.items()}
                stored = _stored(recording, cut, starts, present[own], found, params.quality.amplitude_limit)
                writer.add(recording, int(recording.rate_hz), stored)
        writer.finish()


def _cut(recording: Recording, params: Shard) -> Windows:
    return cut_windows(
        recording.signal,
        patches=params.patches,
        min_fill=params.min_fill,
        max_windows=params.max_windows_per_record,
        align=params.align,
    )


def _stored(
    recording: Recording,
    cut: Windows,
    start_s: npt.NDArray[np.float64],
    present: npt.NDArray[np.bool_],
    flags: dict[str, npt.NDArray[np.bool_]],
    amplitude_limit: float,
) -> StoredWindows:
    absent = ~present
    if absent.any():
        cut.samples[absent] = 0
    if recording.signal.dtype == np.int16:
        counts = cut.samples
        scale = np.full(len(counts), recording.step, dtype=np.float32)
        saturated = np.zeros(len(counts), dtype=np.int64)
    else:
        counts, scale, saturated = quantise(cut.samples, MILLIVOLT_STEP if recording.unit == "mV" else None)
    # What is stored is judged, not the raw signal: an offset or a slow drift is gone, a wrong gain is not. A saturated
    # window is beyond any limit that fits into its int16.
    axes = (1, 2, 3)
    peak = np.maximum(counts.max(axis=axes, initial=0), -counts.min(axis=axes, initial=0).astype(np.int32)) * scale
    flags = flags | {"amplitude": (peak > amplitude_limit) | (saturated > 0)}
    return StoredWindows(counts, scale, start_s, cut.valid_patches, saturated, present, flags)
