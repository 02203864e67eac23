"""One batch of recordings through unpack, filter and resample: files in, files out (`shard` follows).

Each step reads the file of the step before, one stack of recordings at a time, so memory does not grow with the batch.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from physiopipe.cohorts.base import Cohort, PublishedTree, imported
from physiopipe.errors import PhysiopipeError
from physiopipe.files import write_json
from physiopipe.params import Filter, Resample, Section
from physiopipe.recordings.batchfile import SUFFIX, BatchWriter, read_batch
from physiopipe.recordings.download import read_download
from physiopipe.recordings.recording import OF_EACH, Recording, RecordingBatch, Rejected, RejectedRecord, in_batches
from physiopipe.recordings.tree import Batch
from physiopipe.signals.filters import bandpass_notch
from physiopipe.signals.quality import measure_blocks
from physiopipe.signals.resampling import resample_to_rates
from physiopipe.signals.windowing import MILLIVOLT_STEP, quantise


def unpack_file(known: Cohort, path: Path, data: Section, simulated: bool, stamp: Path) -> None:
    """Read a cohort's one file once, into one file of recordings a modality beside `stamp`, which is written last."""
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(BatchWriter(stamp.parent / f"{name}{SUFFIX}")) for name in known.modalities
        }
        read = tqdm(known.read_file(path, data, simulated), desc="unpack", unit="", disable=None)
        for item in in_batches(read):
            record = item.record if isinstance(item, Rejected) else item.record[0]  # of one source, so of one modality
            writers[record.rpartition("_")[2]].add(item)
    write_json(stamp, {"modalities": list(known.modalities)})


def read_recordings(
    known: Cohort, modality: str, recordings: Path, batch: Batch, raw_folder: Path | None, data: Section
) -> Iterator[RecordingBatch | Rejected]:
    """Recordings of a batch as they were recorded, in published order.

    Args:
        recordings: the stamp of a downloaded batch, or of an unpacked file.
        batch: the batch's plan.
        raw_folder: where downloaded files are kept; None for an unpacked file.
        data: the cohort's section of parameters.
    """
    if raw_folder is None:
        yield from read_batch(recordings.parent / f"{modality}{SUFFIX}")
        return
    missing = dict(read_download(recordings, raw_folder).rejected)
    yield from in_batches(_read_raw(known, modality, batch, raw_folder, missing, data))


def _read_raw(
    known: Cohort, modality: str, batch: Batch, raw_folder: Path, missing: dict[str, str], data: Section
) -> Iterator[Recording | Rejected]:
    assert isinstance(known.publication, PublishedTree)
    read = imported(known.publication.read)
    for record, first in batch.first_files.items():
        if record in missing:
            yield Rejected(record, missing[record])
            continue
        try:
            found = read(raw_folder / first, batch.source, modality, data)
            if isinstance(found, Recording):
                yield found
            else:
                yield from found
        except RejectedRecord as error:
            yield Rejected(record, error.reason)


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
