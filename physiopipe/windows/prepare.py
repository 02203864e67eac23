"""One batch of recordings through filter, resample and shard: files in, files out.

Each step reads the file of the step before, one recording at a time, so memory does not grow with the batch.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_folder
from physiopipe.params import PATCH_SAMPLES, DreamerData, Filter, Resample, Shard
from physiopipe.recordings.batchfile import BatchWriter, read_batch, read_rejects
from physiopipe.recordings.download import read_download
from physiopipe.recordings.dreamer import read_dreamer
from physiopipe.recordings.recording import Recording, Rejected, RejectedRecord
from physiopipe.recordings.tree import Batch
from physiopipe.recordings.wfdb import read_challenge_record
from physiopipe.signals.filters import bandpass_notch
from physiopipe.signals.leads import CLINICAL_LEADS, to_clinical_order
from physiopipe.signals.quality import RecordQuality
from physiopipe.signals.resampling import resample_to_rates
from physiopipe.signals.windows import cut_windows, quantise
from physiopipe.windows.part import PartName, PartWriter, StoredWindows

MILLIVOLT_STEP = 0.001  # ECG in millivolt is stored in units of 1 µV, the resolution of the published files


def unpack_dreamer(path: Path, data: DreamerData, eeg: Path, ecg: Path) -> None:
    """Read DREAMER.mat once, into one file of recordings for each modality; rejected clips are noted in both."""
    with BatchWriter(eeg) as eeg_writer, BatchWriter(ecg) as ecg_writer:
        writers = {"eeg": eeg_writer, "ecg": ecg_writer}
        for item in tqdm(read_dreamer(path, data, data.origin == "simulated"), desc="unpack", unit="", disable=None):
            writer = writers[item.record.rpartition("_")[2]]
            if isinstance(item, Rejected):
                writer.reject(*item)
            else:
                writer.add(item)


def read_recordings(recordings: Path, batch: Batch, raw_folder: Path) -> Iterator[Recording | Rejected]:
    """Recordings of a batch as they were recorded, in published order, ECG leads in clinical order.

    Args:
        recordings: the stamp of a downloaded batch (.json), or a file of recordings (.npz).
        batch: the batch's plan.
        raw_folder: where downloaded files are kept.
    """
    if recordings.suffix == ".npz":
        yield from (Rejected(*row) for row in read_rejects(recordings))
        yield from read_batch(recordings)
        return
    missing = dict(read_download(recordings, raw_folder).rejected)
    for record in batch.records:
        if record in missing:
            yield Rejected(record, missing[record])
            continue
        try:
            recording = read_challenge_record(raw_folder / batch.folder / f"{record}.hea", batch.source)
        except RejectedRecord as error:
            yield Rejected(record, error.reason)
            continue
        try:
            yield _in_clinical_order(recording)
        except PhysiopipeError as error:
            yield Rejected(record, str(error))


def _in_clinical_order(recording: Recording) -> Recording:
    leads = to_clinical_order(recording.signal, recording.channels)
    named = np.array(CLINICAL_LEADS)
    return replace(
        recording,
        signal=leads.signal,
        channels=CLINICAL_LEADS,
        missing=tuple(named[~leads.present].tolist()),
        derived=tuple(named[leads.derived].tolist()),
    )


def filter_batch(recordings: Iterator[Recording | Rejected], output: Path, params: Filter) -> None:
    """Band-pass and notch every recording at its own rate; one that cannot be filtered is rejected with its reason."""
    with BatchWriter(output) as writer:
        for item in tqdm(recordings, desc="filter", unit="", disable=None):
            if isinstance(item, Rejected):
                writer.reject(*item)
                continue
            try:
                filtered = bandpass_notch(
                    item.signal,
                    item.rate_hz,
                    highpass_hz=params.highpass_hz,
                    lowpass_hz=params.lowpass_hz,
                    order=params.order,
                    notch_hz=params.notch_of(item.source),
                    notch_quality=params.notch_quality,
                )
            except PhysiopipeError as error:
                writer.reject(item.record, str(error))
                continue
            writer.add(replace(item, signal=filtered))


def resample_batch(filtered: Path, output: Path, params: Resample) -> None:
    """Write every recording of a filtered batch once for each rate."""
    with BatchWriter(output) as writer:
        for record, reason in read_rejects(filtered):
            writer.reject(record, reason)
        for recording in tqdm(read_batch(filtered), desc="resample", unit="", disable=None):
            for rate, signal in resample_to_rates(recording.signal, recording.rate_hz, params.rates_hz).items():
                writer.add(replace(recording, signal=signal, rate_hz=rate))


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


def _stored(recording: Recording, quality: RecordQuality, missing: np.ndarray, params: Shard) -> StoredWindows:
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
