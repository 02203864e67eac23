"""Recordings brought to stored windows, in this process, by a cohort's own parameters."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from physiopipe.cohorts.base import PublishedTree, imported
from physiopipe.cohorts.registry import cohort
from physiopipe.files import sha256_file
from physiopipe.params import Params, check_params
from physiopipe.plan import source_location
from physiopipe.recordings.batchfile import SUFFIX, read_batch
from physiopipe.recordings.download import download_batch
from physiopipe.recordings.recording import LongRecording, RecordingBatch, Rejected
from physiopipe.recordings.tree import open_tree
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.part import PartName
from physiopipe.windows.prepare import filter_batch, read_recordings, resample_batch, unpack_file
from physiopipe.windows.shard import shard_batch


def defaults() -> Params:
    """Every parameter's default, of the default cohorts."""
    return check_params({}, "defaults", with_methods=False)


def store_windows(
    folder: Path,
    name: str,
    recordings: Mapping[str, Iterable[RecordingBatch | LongRecording | Rejected]],
    params: Params,
    *,
    simulated: bool,
    **shard: Any,
) -> Path:
    """Windows of recordings by modality, as the workflow makes them; `shard` replaces parameters of that step."""
    parts = []
    for modality, batches in recordings.items():
        filter_batch(batches, folder / "filtered", params.filter[name][modality])
        resample_batch(folder / "filtered", folder / "resampled", params.resample[name][modality])
        parts.append(folder / "parts" / modality)
        shard_batch(
            folder / "resampled",
            parts[-1],
            PartName(name, modality, name, "test", simulated, cohort(name).task_names),
            params.resample[name][modality].rates_hz,
            params.shard[name][modality].model_copy(update=shard),
        )
    collect_cohort(name, parts, folder / "windows", {})
    return folder / "windows"


def store_file(folder: Path, name: str, path: Path, params: Params, **shard: Any) -> Path:
    """Windows of a simulated cohort that is published as one file."""
    stamp = folder / "raw" / "unpacked.json"
    unpack_file(cohort(name), path, sha256_file(path), params.data[name], True, stamp)
    raw = {modality: read_batch(stamp.parent / f"{modality}{SUFFIX}") for modality in cohort(name).modalities}
    return store_windows(folder, name, raw, params, simulated=True, **shard)


def store_tree(folder: Path, name: str, params: Params, **shard: Any) -> Path:
    """Windows of a cohort that is a tree of files, from where it lies: downloaded and checked, then read."""
    known, data = cohort(name), params.data[name]
    assert isinstance(known.publication, PublishedTree)
    named = str(getattr(data, "base_url", ""))
    location = (
        named if named and Path(named).is_dir() else source_location(params, name)
    )  # a simulated tree lies where tests say
    tree, raw = open_tree(location, params.run), folder / "raw"
    partly = getattr(data, "allow_missing", False)
    stamps = {}
    for batch in imported(known.publication.plan)(tree, data):
        stamps[batch] = folder / "complete" / f"{batch.name}.json"
        download_batch(tree, batch, raw, stamps[batch], folder / "locks", params.run, allow_missing=partly)

    def read(modality: str) -> Iterator[RecordingBatch | LongRecording | Rejected]:
        for batch, stamp in stamps.items():
            yield from read_recordings(known, modality, stamp, batch, raw, data)

    recordings = {modality: read(modality) for modality in known.modalities}
    return store_windows(folder, name, recordings, params, simulated=params.simulated(name), **shard)
