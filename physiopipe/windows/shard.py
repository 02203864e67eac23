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
from physiopipe.signals.windows import cut_windows, quantise
from physiopipe.windows.part import PartName, PartWriter, StoredWindows

MILLIVOLT_STEP = 0.001  # ECG in millivolt is stored in units of 1 µV, the resolution of the published files


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
            windows = 0
            for recording in rates:
                stored = _stored(recording, quality, missing, params)
                writer.add(recording, int(recording.rate_hz), stored)
                windows += len(stored.counts)
            if windows == 0:
                seconds = raw.signal.shape[1] / raw.rate_hz
                writer.reject(
                    record, f"{seconds:.1f} s long: at no rate does it fill {params.min_fill:.0%} of a window"
                )
        writer.finish()


def _stored(
    recording: Recording, quality: RecordQuality, missing: npt.NDArray[np.bool_], params: Shard
) -> StoredWindows:
    cut = cut_windows(
        recording.signal,
        patches=params.patches,
        min_fill=params.min_fill,
        max_windows=params.max_windows_per_record,
        align=params.align,
    )
    start_s = cut.start / recording.rate_hz
    flat_leads, flags = quality.flags(start_s, params.patches * PATCH_SAMPLES / recording.rate_hz)
    present = ~flat_leads & ~missing
    cut.samples[~present] = 0
    # What is stored is judged, not the raw signal: an offset or a slow drift is gone, a wrong gain is not.
    peak = np.abs(cut.samples).max(axis=(1, 2, 3), initial=0)
    flags = flags | {"amplitude": peak > params.quality.amplitude_limit}
    counts, scale, saturated = quantise(cut.samples, MILLIVOLT_STEP if recording.unit == "mV" else None)
    return StoredWindows(counts, scale, start_s, cut.valid_patches, saturated, present, flags)
