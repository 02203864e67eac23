"""A tree of N records in the published layout and the published mix of sources, made from a few hundred real ones.

Each record is a real one under a new name: its header is rewritten, its samples are a hard link. A source's real
records are taken in turn, so the same N give the same tree.
"""

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
from records import benchmark_batches, benchmark_tree, some_of

from physiopipe.cohorts.challenge import ChallengeData
from physiopipe.cohorts.challenge_tree import batches_of_source
from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.files import sha256_file
from physiopipe.recordings.recording import RejectedRecord
from physiopipe.recordings.tree import Batch
from physiopipe.recordings.wfdb import read_wfdb_record

FOLDER_RECORDS = 1000
INCART = "st_petersburg_incart"
INCART_SAMPLES = 462_600
PUBLISHED = {source: SOURCE_INFO[source].records for source in ChallengeData().sources}


def original_records(scratch: Path) -> tuple[Path, list[Batch], str]:
    """A copy of the benchmark's records in `scratch`, with a stand-in of INCART's length in that source's place.

    Returns:
        The tree's folder (without lists), its batches, and what it holds, in words.
    """
    tree, what = benchmark_tree(scratch)
    batches = [_readable(batch, tree) for batch in benchmark_batches(tree) if batch.source != INCART]
    home = scratch / "originals"
    shutil.copytree(tree / "training", home / "training")
    shutil.rmtree(home / "training" / INCART, ignore_errors=True)
    batches.append(_incart_length(home, batches))
    what += f"; {INCART}: samples of one of them repeated to 30 minutes at 257 Hz"
    return home, batches, what


def _readable(batch: Batch, tree: Path) -> Batch:
    """A batch without records that are bad (simulated ones, on purpose), which the plain way cannot read."""
    good = set()
    for record, header in batch.first_files.items():
        try:
            read_wfdb_record(tree / header, batch.source)
        except RejectedRecord:
            continue
        good.add(record)
    return some_of(batch, good)


def _incart_length(home: Path, batches: list[Batch]) -> Batch:
    """A record of INCART's rate and length, of a real record's samples: the processing's cost is that of a real one."""
    real = home / next(iter(batches[0].first_files.values()))
    lines = real.with_suffix(".hea").read_text().splitlines()
    samples = np.fromfile(real.with_suffix(".mat"), "<i2", offset=24).reshape(-1, 12)
    samples = np.resize(samples, (INCART_SAMPLES, 12))
    folder = home / "training" / INCART / "g1"
    folder.mkdir(parents=True)
    with (folder / "I0001.mat").open("wb") as handle:
        handle.write(np.array([30, 12, INCART_SAMPLES, 0, 4], "<u4").tobytes() + b"val\0")
        samples.tofile(handle)
    signals = []
    for line, total in zip(lines[1:13], samples.sum(axis=0, dtype=np.int16).tolist(), strict=True):
        fields = line.split()
        fields[0], fields[5], fields[6] = "I0001.mat", str(samples[0, len(signals)]), str(total)
        signals.append(" ".join(fields))
    text = [f"I0001 12 257 {INCART_SAMPLES}", *signals, *lines[13:]]
    (folder / "I0001.hea").write_text("\n".join(text) + "\n")
    (made,) = batches_of_source(INCART, {f"training/{INCART}/g1": ["I0001"]}, {})
    return made


def published_mix(records: int, sources: list[str]) -> dict[str, int]:
    """Records of each source: `records` in all, in proportion to the published counts, largest remainders first."""
    total = sum(PUBLISHED[source] for source in sources)
    exact = {source: records * PUBLISHED[source] / total for source in sources}
    mix = {source: int(share) for source, share in exact.items()}
    by_remainder = sorted(sources, key=lambda source: mix[source] - exact[source])
    for source in by_remainder[: records - sum(mix.values())]:
        mix[source] += 1
    return mix


def make_tree(target: Path, originals: Path, batches: list[Batch], mix: dict[str, int]) -> None:
    """Write `target`: RECORDS, training/<source>/g<k>/{RECORDS, *.hea, *.mat} and SHA256SUMS.txt."""
    sums: dict[str, str] = {}
    folders: list[str] = []
    for batch in batches:
        sources = [(originals / header).with_suffix("") for header in batch.first_files.values()]
        texts = [path.with_suffix(".hea").read_text(encoding="utf-8") for path in sources]
        digests = [sha256_file(path.with_suffix(".mat")) for path in sources]
        for first in range(0, mix[batch.source], FOLDER_RECORDS):
            folder = f"training/{batch.source}/g{first // FOLDER_RECORDS + 1}"
            (target / folder).mkdir(parents=True)
            names = []
            for number in range(first, min(first + FOLDER_RECORDS, mix[batch.source])):
                copy, which = divmod(number, len(sources))
                name = f"{sources[which].name}_{copy:04d}"
                header = _renamed(texts[which], sources[which].name, name).encode()
                path = target / folder / name
                path.with_suffix(".hea").write_bytes(header)
                os.link(sources[which].with_suffix(".mat"), path.with_suffix(".mat"))
                sums[f"{folder}/{name}.hea"] = hashlib.sha256(header).hexdigest()
                sums[f"{folder}/{name}.mat"] = digests[which]
                names.append(name)
            (target / folder / "RECORDS").write_text("\n".join(names) + "\n")
            folders.append(f"{folder}/")
    (target / "RECORDS").write_text("\n".join(folders) + "\n")
    for relative in ("RECORDS", *(f"{folder}RECORDS" for folder in folders)):
        sums[relative] = sha256_file(target / relative)
    lines = "".join(f"{digest} {relative}\n" for relative, digest in sorted(sums.items()))
    (target / "SHA256SUMS.txt").write_text(lines)


def _renamed(header: str, old: str, new: str) -> str:
    """A WFDB header whose record line and signal lines name another record."""
    lines = header.splitlines(keepends=True)
    return "".join(line if line.startswith("#") else line.replace(old, new, 1) for line in lines)


def batches_of(mix: dict[str, int]) -> Counter[str]:
    """Batches of each source of a mix."""
    return Counter({source: len(_batches(source, count)) for source, count in mix.items()})


def largest_batch(source: str, count: int) -> int:
    """Records of the largest batch of a source that has `count` of them."""
    return max(len(batch.records) for batch in _batches(source, count))


def _batches(source: str, count: int) -> list[Batch]:
    folders: dict[str, list[str]] = {}
    for number in range(count):
        folders.setdefault(f"training/{source}/g{number // FOLDER_RECORDS + 1}", []).append(str(number))
    return batches_of_source(source, folders, {})
