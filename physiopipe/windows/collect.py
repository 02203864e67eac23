"""The parts of a cohort, linked into one folder with one index; the manifest comes last."""

import csv
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_folder, link_or_copy, sealed, sha256_json, write_json
from physiopipe.signals.processing import PROCESSING_VERSION
from physiopipe.windows.checksums import TABLES, described
from physiopipe.windows.damage import damage_of_part, read_part, remove_part
from physiopipe.windows.identity import check_identity, part_digest, source_digest
from physiopipe.windows.part import TOOLS, write_index, write_rejected
from physiopipe.windows.rejections import Rejections, check_share, count_rejections

_OF_THE_PART = ("arrays", "channels", "content_sha256", "files")  # told elsewhere, or of the part's own files


def collect_cohort(
    cohort: str, parts: Sequence[Path], target: Path, parameters: Mapping[str, Any], max_rejected_share: float = 1.0
) -> tuple[dict[str, Any], list[Rejections]]:
    """Link finished parts into `target` and write index.parquet, rejected.csv and, last, manifest.json.

    Every byte of the parts is read and compared with its checksum; a damaged part is removed, so that the next run
    makes it anew.

    Args:
        parts: folders of finished parts, in the order of the plan.
        target: replaced whole; source files are linked (or copied), never changed.
        parameters: what the cohort depends on, recorded in the manifest; parts made with others are refused.
        max_rejected_share: of the records that are here, in a modality; with more, nothing is written.

    Returns:
        The manifest (no times, no paths of this machine and no addresses: equal inputs give equal bytes), and what was
        rejected of each modality.
    """
    _check_whole(cohort, parts, parameters)
    abouts = [read_part(part) for part in parts]
    _check_alike(cohort, parts, abouts)
    counted = _count(parts, abouts)
    check_share(cohort, counted, max_rejected_share)
    with atomic_folder(target) as folder:
        tables, rejected, arrays = [], [], []
        for part, about in zip(parts, abouts, strict=True):
            for array, numbers in about["arrays"].items():
                home = Path(array.removesuffix(".zarr")) / f"part-{about['batch']}.zarr"
                for name in numbers["blake3"]:
                    link_or_copy(part / array / name, folder / home / name)
                arrays.append({"path": home.as_posix(), **numbers})
            tables.append(pq.read_table(part / "index.parquet"))
            rejected += _rejected_of(part)
        index = pa.concat_tables(tables).unify_dictionaries()
        _check_records(cohort, index)
        if not index.num_rows:
            raise PhysiopipeError(
                f"cohort {cohort}: none of its records gave a window; {len(rejected)} were rejected, first "
                f"{rejected[:3]}. Look at data/parts/*/*/*/rejected.csv and at the shard parameters."
            )
        write_index(folder / "index.parquet", index)
        write_rejected(folder / "rejected.csv", rejected)
        manifest = {
            "arrays": arrays,
            "cohort": cohort,
            "files": {name: described(folder / name) for name in TABLES},
            "parameters": dict(parameters),
            "parameters_sha256": sha256_json(dict(parameters)),
            "parts": [{k: v for k, v in about.items() if k not in _OF_THE_PART} for about in abouts],
            "processing_version": PROCESSING_VERSION,
            "records": sum(about["records"] for about in abouts),
            "rejected": len(rejected),
            "simulated": any(about["simulated"] for about in abouts),
            "source_sha256": source_digest({about["batch"]: about["inputs"] for about in abouts}),
            "tools": {name: importlib.metadata.version(name) for name in TOOLS},
            "windows": sum(numbers["windows"] for numbers in arrays),
        }
        check_identity(manifest, target / "manifest.json")
        write_json(folder / "manifest.json", sealed(manifest))
    return manifest, counted


def _check_whole(cohort: str, parts: Sequence[Path], parameters: Mapping[str, Any]) -> None:
    """Read all parts; remove those that are damaged or another's, and say which they were."""
    told = []
    for part in parts:
        wrong = damage_of_part(part) or _of_another(cohort, part, parameters)
        if wrong:
            remove_part(part, wrong)
            told += [f"  {path}: {why}" for path, why in wrong.items()]
    if told:
        raise PhysiopipeError(
            "Stored windows were damaged since they were written:\n" + "\n".join(told) + "\nThe parts that hold them "
            "are removed (from DVC's cache as well). Run again, and they are made anew."
        )


def _count(parts: Sequence[Path], abouts: Sequence[Mapping[str, Any]]) -> list[Rejections]:
    counted = []
    for modality in dict.fromkeys(about["modality"] for about in abouts):
        mine = [(part, about) for part, about in zip(parts, abouts, strict=True) if about["modality"] == modality]
        rejected = [row for part, _ in mine for row in _rejected_of(part)]
        counted.append(count_rejections(modality, [about for _, about in mine], rejected))
    return counted


def _rejected_of(part: Path) -> list[tuple[str, str]]:
    with (part / "rejected.csv").open(newline="", encoding="utf-8") as handle:
        return [(row["record"], row["reason"]) for row in csv.DictReader(handle)]


def _of_another(cohort: str, part: Path, parameters: Mapping[str, Any]) -> dict[Path, str]:
    """A whole part in a folder that is not its own: a copy or a link of another one."""
    about = read_part(part)
    if not parameters or about["cohort"] != cohort:  # a made-up cohort states none; `_check_alike` tells of the other
        return {}
    of_part = {key: about[key] for key in ("modality", "inputs", "simulated")}
    if about["digest"] == part.name == part_digest(parameters, name=cohort, **of_part):
        return {}
    return {part / "part.json": "made from other recordings or parameters than its folder stands for"}


def _check_alike(cohort: str, parts: Sequence[Path], abouts: Sequence[Mapping[str, Any]]) -> None:
    """Refuse parts that cannot stand side by side: of another cohort, of one name, or of unlike channels or units."""
    named: dict[tuple[str, str], Path] = {}
    kinds: dict[str, tuple[Path, Any]] = {}
    for part, about in zip(parts, abouts, strict=True):
        if about["cohort"] != cohort:
            raise PhysiopipeError(f"{part} is a part of cohort {about['cohort']}, expected {cohort}.")
        name = (about["modality"], about["batch"])
        if name in named:
            raise PhysiopipeError(f"{named[name]} and {part} are both batch {name[1]} of {name[0]}: name each once.")
        named[name] = part
        kind = (about["channels"], about["unit"])
        if about["arrays"] and kinds.setdefault(about["modality"], (part, kind))[1] != kind:
            other, expected = kinds[about["modality"]]
            raise PhysiopipeError(
                f"{part} holds {name[0]} of channels and unit {kind}, {other} of {expected}: a cohort has one kind "
                "of each modality. Delete the older of the two and run `snakemake --cores 2` again."
            )


def _check_records(cohort: str, index: pa.Table) -> None:
    """Refuse a record that two parts of a modality hold: it would count twice, and might be on two sides of a split."""
    pairs = index.select(["modality", "record", "part"]).group_by(["modality", "record", "part"]).aggregate([])
    twice = pairs.group_by(["modality", "record"]).aggregate([("part", "count")])
    names = twice.filter(pc.greater(twice["part_count"], 1))["record"].to_pylist()
    if names:
        raise PhysiopipeError(
            f"cohort {cohort}: {len(names)} records are in more than one part, first {sorted(names)[:3]}. "
            "Take out one of the source folders that publish them."
        )
