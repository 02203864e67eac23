"""One batch of recordings through unpack, filter and resample: files in, files out (`shard` follows).

Each step reads the file of the step before, one stack of recordings at a time, so memory does not grow with the batch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from physiopipe.errors import PhysiopipeError
from physiopipe.params import DreamerData, Filter, Resample
from physiopipe.recordings.batchfile import SUFFIX, BatchWriter, read_batch
from physiopipe.recordings.download import read_download
from physiopipe.recordings.recording import OF_EACH, Recording, RecordingBatch, Rejected, RejectedRecord, in_batches
from physiopipe.recordings.tree import Batch
from physiopipe.recordings.wfdb import read_challenge_record
from physiopipe.signals.filters import bandpass_notch
from physiopipe.signals.leads import CLINICAL_LEADS, to_clinical_order
from physiopipe.signals.quality import measure_blocks
from physiopipe.signals.resampling import resample_to_rates
from physiopipe.signals.windowing import MILLIVOLT_STEP, quantise


def unpack_dreamer(path: Path, data: DreamerData, eeg: Path, ecg: Path) -> None:
    """Read DREAMER.mat once, into one file of recordings for each modality; rejected clips are noted in both."""
    from physiopipe.cohorts.dreamer_file import read_dreamer

    with BatchWriter(eeg) as eeg_writer, BatchWriter(ecg) as ecg_writer:
        writers = {"eeg": eeg_writer, "ecg": ecg_writer}
        read = tqdm(read_dreamer(path, data, data.origin == "simulated"), desc="unpack", unit="", disable=None)
        for item in in_batches(read):
            record = item.record if isinstance(item, Rejected) else item.record[0]  # of one source, so of one modality
            writers[record.rpartition("_")[2]].add(item)


def read_recordings(recordings: Path, batch: Batch, raw_folder: Path) -> Iterator[RecordingBatch | Rejected]:
    """Recordings of a batch as they were recorded, in published order, ECG leads in clinical order.

    Args:
        recordings: the stamp of a downloaded batch (.json), or a file of recordings (.batch).
        batch: the batch's plan.
        raw_folder: where downloaded files are kept.
    """
    if recordings.suffix == SUFFIX:
        yield from read_batch(recordings)
    else:
        missing = dict(read_download(recordings, raw_folder).rejected)
        yield from in_batches(_read_raw(batch, raw_folder, missing))


def _read_raw(batch: Batch, raw_folder: Path, missing: dict[str, str]) -> Iterator[Recording | Rejected]:
    for record, header in batch.headers.items():
        if record in missing:
            yield Rejected(record, missing[record])
            continue
        try:
            recording = read_challenge_record(raw_folder / header, batch.source)
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


def filter_batch(recordings: Iterable[RecordingBatch | Rejected], output: Path, params: Filter) -> None:
    """Band-pass and notch every recording at its own rate; one that cannot be filtered is rejected with its reason.

    What the quality flags rest on is measured here too, on the recording as it was read.
    """
    with BatchWriter(output) as writer, tqdm(desc="filter", unit="", disable=None) as progress:
        for item in recordings:
            for done in _filtered(item, params):
                writer.add(done)
            progress.update(_count(item))


def _filtered(item: RecordingBatch | Rejected, params: Filter) -> Iterator[RecordingBatch | Rejected]:
    if isinstance(item, Rejected):
        yield item
        return
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
        if len(item) == 1:
            yield Rejected(item.record[0], str(error))
        else:  # which one it is, and the others
            for number in range(len(item)):
                yield from _filtered(_one_of(item, number), params)
        return
    blocks, block_s = measure_blocks(item.signal, item.rate_hz, mains_hz)
    yield replace(item, signal=filtered, blocks=blocks, block_s=block_s)


def _one_of(stack: RecordingBatch, number: int) -> RecordingBatch:
    of_each = {name: getattr(stack, name)[number : number + 1] for name in OF_EACH}
    return replace(stack, signal=stack.signal[number : number + 1], **of_each)


def _count(item: RecordingBatch | Rejected) -> int:
    return 1 if isinstance(item, Rejected) else len(item)


def resample_batch(filtered: Path, output: Path, params: Resample) -> None:
    """Write every recording of a filtered batch once for each rate; millivolt already as int16, as it will be stored.

    What exceeds the range of int16 stays float32, so that `shard` can count it.
    """
    with BatchWriter(output) as writer, tqdm(desc="resample", unit="", disable=None) as progress:
        for item in read_batch(filtered):
            if isinstance(item, Rejected):
                writer.add(item)
                continue
            for rate, signal in resample_to_rates(item.signal, item.rate_hz, params.rates_hz).items():
                resampled = replace(item, signal=signal, rate_hz=rate)
                if item.unit == "mV":
                    counts, _, saturated = quantise(signal, MILLIVOLT_STEP)
                    if not saturated.any():
                        resampled = replace(resampled, signal=counts, step=MILLIVOLT_STEP)
                writer.add(resampled)
            progress.update(len(item))
