"""One batch of recordings through unpack, filter and resample: files in, files out (`shard` follows).

Each step reads the file of the step before, one stack of recordings at a time, so memory does not grow with the batch.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from physiopipe.cohorts.base import Cohort, PublishedTree, imported
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file, write_json
from physiopipe.params import Filter, Resample, Section
from physiopipe.recordings.batchfile import SUFFIX, BatchWriter, read_batch
from physiopipe.recordings.download_stamp import read_download
from physiopipe.recordings.recording import (
    OF_EACH,
    HeldSignal,
    LongRecording,
    Recording,
    RecordingBatch,
    Rejected,
    RejectedRecord,
    in_batches,
    recording_batch_of,
    recording_of,
)
from physiopipe.recordings.tree import Batch
from physiopipe.signals.filters import bandpass_notch, check_corners, ringing_s, surroundings
from physiopipe.signals.pieces import LONG_SAMPLES, on_grid, pieces_of
from physiopipe.signals.quality import Judged, measure_blocks, measure_blocks_of_long
from physiopipe.signals.resampling import resample_to_rates, resampled_length, whole_seconds
from physiopipe.signals.spectra import F32, check_finite
from physiopipe.signals.windowing import MILLIVOLT_STEP, quantise

RESAMPLING_CONTEXT_S = 2.0  # twice what `resample_to_rates` extends a recording by


def unpack_file(known: Cohort, path: Path, sha256: str, data: Section, simulated: bool, stamp: Path) -> None:
    """Read a cohort's one file once, into one file of recordings a modality beside `stamp`, which is written last.

    Raises:
        PhysiopipeError: the file is not the one of this sha256, for which the run was planned.
    """
    if (found := sha256_file(path)) != sha256:
        raise PhysiopipeError(
            f"{path} changed since this run was planned: expected sha256 {sha256}, found {found}. Nothing was kept of "
            "it; run again."
        )
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(BatchWriter(stamp.parent / f"{name}{SUFFIX}")) for name in known.modalities
        }
        read = tqdm(known.read_file(path, data, simulated), desc="unpack", unit="", disable=None)
        for item in in_batches(read):
            assert not isinstance(item, LongRecording), "a file is read whole"
            record = item.record if isinstance(item, Rejected) else item.record[0]  # of one source, so of one modality
            writers[record.rpartition("_")[2]].add(item)
    write_json(stamp, {"modalities": list(known.modalities)})


def read_recordings(
    known: Cohort, modality: str, recordings: Path, batch: Batch, raw_folder: Path | None, data: Section
) -> Iterator[RecordingBatch | LongRecording | Rejected]:
    """Recordings of a batch as they were recorded, in published order.

    Args:
        recordings: the stamp of a downloaded batch, or of an unpacked file.
        batch: the batch's plan.
        raw_folder: where downloaded files are kept; None for an unpacked file.
        data: the cohort's section of parameters.
    """
    if raw_folder is None:
        unpacked = recordings.parent / f"{modality}{SUFFIX}"
        try:
            yield from read_batch(unpacked)
        except PhysiopipeError:
            if not unpacked.exists():  # it was damaged, or is gone: the stamp no longer holds
                recordings.unlink(missing_ok=True)
            raise
        return
    yield from in_batches(_read_raw(known, modality, batch, raw_folder, recordings, data))


def _read_raw(
    known: Cohort, modality: str, batch: Batch, raw_folder: Path, stamp: Path, data: Section
) -> Iterator[Recording | LongRecording | Rejected]:
    assert isinstance(known.publication, PublishedTree)
    missing = {each.record: each for each in read_download(stamp, raw_folder).rejected}
    read = imported(known.publication.read)
    for record, first in batch.first_files.items():
        if record in missing:
            yield Rejected(record, missing[record].reason, absent=missing[record].absent)
            continue
        try:
            found = read(raw_folder / first, batch.source, modality, data)
            if isinstance(found, Recording | LongRecording):
                yield found
            else:
                yield from found
        except RejectedRecord as error:
            yield Rejected(record, error.reason)


def filter_batch(recordings: Iterable[RecordingBatch | LongRecording | Rejected], output: Path, params: Filter) -> None:
    """Band-pass and notch every recording at its own rate; one that cannot be filtered is rejected with its reason.
    Where the parameters name no corners, signals go on as they were read.

    A long one is filtered, and goes on, in pieces (`physiopipe.signals.pieces`).

    What the quality flags rest on is measured here too, on the recording as it was read.
    """
    with BatchWriter(output) as writer, tqdm(desc="filter", unit="", disable=None) as progress:
        for item in recordings:
            for done in filter_one(item, params):
                writer.add(done)
            progress.update(_count(item))


def filter_one(item: RecordingBatch | LongRecording | Rejected, params: Filter) -> Iterator[RecordingBatch | Rejected]:
    """One stack of recordings, filtered and measured, as `filter_batch` writes it: whole, or in pieces."""
    if isinstance(item, Rejected):
        yield item
        return
    if isinstance(item, LongRecording):
        yield from _filtered_in_pieces(item, params)
        return
    if item.signal.shape[2] > LONG_SAMPLES:
        for number in range(len(item)):
            one = _one_of(item, number)
            held = HeldSignal(one.signal[0])
            yield from _filtered_in_pieces(LongRecording(recording_of(one), held), params)
        return
    mains_hz = params.notch_of(item.source)
    try:
        filtered = _filtered_array(item.signal, item.rate_hz, mains_hz, params)
    except PhysiopipeError as error:
        if len(item) == 1:
            yield Rejected(item.record[0], str(error))
        else:  # which one it is, and the others
            for number in range(len(item)):
                yield from filter_one(_one_of(item, number), params)
        return
    judged = Judged(mains_hz, params.highpass_hz, params.order)
    blocks, block_s = measure_blocks(item.signal, item.rate_hz, judged)
    yield replace(item, signal=filtered, blocks=blocks, block_s=block_s)


def _filtered_array(signal: F32, rate_hz: float, mains_hz: float | None, params: Filter) -> F32:
    """Filtered, or the samples themselves where there is no filter."""
    if params.corners_hz is None:
        check_finite(signal)
        return signal
    highpass_hz, lowpass_hz = params.corners_hz
    return bandpass_notch(
        signal,
        rate_hz,
        highpass_hz=highpass_hz,
        lowpass_hz=lowpass_hz,
        order=params.order,
        notch_hz=mains_hz,
        notch_quality=params.notch_quality,
    )


def _filtered_in_pieces(recording: LongRecording, params: Filter) -> Iterator[RecordingBatch | Rejected]:
    """A long recording in pieces that touch, each with what lies around it as far as resampling will ask."""
    head, signal = recording.head, recording.signal
    samples, rate_hz = signal.shape[1], head.rate_hz
    mains_hz = params.notch_of(head.source)
    corners_hz, rings_s = params.corners_hz, 0.0
    if corners_hz is not None:
        rings_s = ringing_s(
            highpass_hz=corners_hz[0], order=params.order, notch_hz=mains_hz, notch_quality=params.notch_quality
        )
    try:
        if corners_hz is not None:
            check_corners(rate_hz, *corners_hz)
        judged = Judged(mains_hz, params.highpass_hz, params.order)
        blocks = measure_blocks_of_long(signal.read, samples, rate_hz, judged)
    except PhysiopipeError as error:
        yield Rejected(head.record, str(error))
        return
    grid = whole_seconds(rate_hz)
    beside = on_grid(RESAMPLING_CONTEXT_S * rate_hz, grid)
    rings = on_grid(rings_s * rate_hz, grid)
    stack = recording_batch_of([head])
    head_side, tail_side = surroundings(signal.read, samples, rate_hz, min(rings, samples // 2))
    for piece in pieces_of(samples, grid, beside + rings):
        raw = signal.read(piece.start, piece.stop)
        left = head_side.shape[1] if piece.start == 0 else 0
        raw = np.concatenate([head_side[:, :left], raw, tail_side[:, : 0 if piece.stop < samples else None]], axis=1)
        filtered = _filtered_array(raw, rate_hz, mains_hz, params)[:, left:]
        first, end = max(piece.first - beside, 0), min(piece.end + beside, samples)
        yield replace(
            stack,
            signal=filtered[None, :, first - piece.start : end - piece.start],
            blocks=None if piece.first else blocks.values[None],
            block_s=blocks.block_s,
            whole=samples,
            first=piece.first,
            before=piece.first - first,
            after=end - piece.end,
        )


def _one_of(stack: RecordingBatch, number: int) -> RecordingBatch:
    of_each = {name: getattr(stack, name)[number : number + 1] for name in OF_EACH}
    return replace(stack, signal=stack.signal[number : number + 1], **of_each)


def _count(item: RecordingBatch | LongRecording | Rejected) -> int:
    return len(item) if isinstance(item, RecordingBatch) else 1


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
                if item.whole:
                    resampled = own_samples(item, resampled)
                if item.unit == "mV":
                    counts, _, saturated = quantise(resampled.signal, MILLIVOLT_STEP)
                    if not saturated.any():
                        resampled = replace(resampled, signal=counts, step=MILLIVOLT_STEP)
                writer.add(resampled)
            progress.update(len(item))


def own_samples(piece: RecordingBatch, resampled: RecordingBatch) -> RecordingBatch:
    """A resampled piece of a long recording without what came with it of its neighbours."""
    own = piece.signal.shape[2] - piece.before - piece.after
    first, begin, whole, end = (
        resampled_length(samples, piece.rate_hz, resampled.rate_hz)
        for samples in (piece.first, piece.before, piece.whole, piece.first + own)
    )
    signal = resampled.signal[:, :, begin : begin + end - first]
    return replace(resampled, signal=signal, whole=whole, first=first, before=0, after=0)
