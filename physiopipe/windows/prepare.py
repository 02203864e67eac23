"""One batch of recordings through unpack, filter and resample: files in, files out (`shard` follows).

Each step reads the file of the step before, one recording at a time, so memory does not grow with the batch.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from physiopipe.errors import PhysiopipeError
from physiopipe.params import DreamerData, Filter, Resample
from physiopipe.recordings.batchfile import BatchWriter, read_batch
from physiopipe.recordings.download import read_download
from physiopipe.recordings.recording import Recording, Rejected, RejectedRecord
from physiopipe.recordings.tree import Batch
from physiopipe.recordings.wfdb import read_challenge_record
from physiopipe.signals.filters import bandpass_notch
from physiopipe.signals.leads import CLINICAL_LEADS, to_clinical_order
from physiopipe.signals.quality import measure_blocks
from physiopipe.signals.resampling import resample_to_rates
from physiopipe.signals.windows import MILLIVOLT_STEP, quantise


def unpack_dreamer(path: Path, data: DreamerData, eeg: Path, ecg: Path) -> None:
    """Read DREAMER.mat once, into one file of recordings for each modality; rejected clips are noted in both."""
    from physiopipe.recordings.dreamer import read_dreamer

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
        recordings: the stamp of a downloaded batch (.json), or a file of recordings (.batch).
        batch: the batch's plan.
        raw_folder: where downloaded files are kept.
    """
    if recordings.suffix == ".batch":
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
    """Band-pass and notch every recording at its own rate; one that cannot be filtered is rejected with its reason.

    What the quality flags rest on is measured here too, on the recording as it was read.
    """
    with BatchWriter(output) as writer:
        for item in tqdm(recordings, desc="filter", unit="", disable=None):
            if isinstance(item, Rejected):
                writer.reject(*item)
                continue
            mains_hz = params.notch_of(item.source)
            try:
                filtered = bandpass_notch(
                    item.signal,
                    item.rate_hz,
                    highpass_hz=params.highpass_hz,
                    lowpass_hz=params.lowpass_hz,
                    order=params.order,
                    notch_hz=mains_hz,
                    notch_quality=params.notch_quality,
                )
            except PhysiopipeError as error:
                writer.reject(item.record, str(error))
                continue
            blocks, block_s = measure_blocks(item.signal, item.rate_hz, mains_hz)
            writer.add(replace(item, signal=filtered, blocks=blocks, block_s=block_s))


def resample_batch(filtered: Path, output: Path, params: Resample) -> None:
    """Write every recording of a filtered batch once for each rate; millivolt already as int16, as it will be stored.

    What exceeds the range of int16 stays float32, so that `shard` can count it.
    """
    with BatchWriter(output) as writer:
        for item in tqdm(read_batch(filtered), desc="resample", unit="", disable=None):
            if isinstance(item, Rejected):
                writer.reject(*item)
                continue
            for rate, signal in resample_to_rates(item.signal, item.rate_hz, params.rates_hz).items():
                stored, step = signal, 1.0
                if item.unit == "mV":
                    counts, _, saturated = quantise(signal[None], MILLIVOLT_STEP)
                    if not saturated.any():
                        stored, step = counts[0], MILLIVOLT_STEP
                writer.add(replace(item, signal=stored, step=step, rate_hz=rate))
