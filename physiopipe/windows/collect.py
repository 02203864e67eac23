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
from physiopipe.files import atomic_folder, link_or_copy, read_json, sha256_file, sha256_json, write_json
from physiopipe.windows.part import TOOLS, folder_checksum, write_index, write_rejected

_TABLES = ("index.parquet", "rejected.csv")


def collect_cohort(cohort: str, parts: Sequence[Path], target: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Link finished parts into `target` and write index.parquet, rejected.csv and, last, manifest.json.

    Args:
        parts: folders of finished parts, in the order of the plan.
        target: replaced whole; source files are linked (or copied), never changed.
        parameters: what the cohort depends on, recorded in the manifest.

    Returns:
        The manifest: no times and no paths of this machine, so equal inputs give equal bytes.
    """
    abouts = [read_json(part / "part.json") for part in parts]
    _check_alike(cohort, parts, abouts)
    with atomic_folder(target) as folder:
        tables, rejected, described = [], [], []
        for part, about in zip(parts, abouts, strict=True):
            for array, numbers in about["arrays"].items():
                home = Path(array.removesuffix(".zarr")) / f"part-{about['batch']}.zarr"
                files = sorted(path for path in (part / array).rglob("*") if path.is_file())
                size = sum(path.stat().st_size for path in files)
                if size != numbers["bytes"]:
                    raise PhysiopipeError(
                        f"{part / array} has {size} bytes, its part.json says {numbers['bytes']}: delete {part} and "
                        "run `snakemake --cores 2` again."
                    )
                for path in files:
                    link_or_copy(path, folder / home / path.relative_to(part / array))
                described.append({"path": home.as_posix(), **numbers})
            tables.append(pq.read_table(part / "index.parquet"))
            with (part / "rejected.csv").open(newline="", encoding="utf-8") as handle:
                rejected += [(row["record"], row["reason"]) for row in csv.DictReader(handle)]
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
            "arrays": described,
            "cohort": cohort,
            "files": {name: _described(folder / name) for name in _TABLES},
            "parameters": dict(parameters),
            "parameters_sha256": sha256_json(dict(parameters)),
            "parts": [{k: v for k, v in about.items() if k not in ("arrays", "channels")} for about in abouts],
            "records": sum(about["records"] for about in abouts),
            "rejected": len(rejected),
            "simulated": any(about["simulated"] for about in abouts),
            "tools": {name: importlib.metadata.version(name) for name in TOOLS},
            "windows": sum(numbers["windows"] for numbers in described),
        }
        write_json(folder / "manifest.json", manifest)
    return manifest


def verify_cohort(folder: Path) -> list[str]:
    """Read every file of a cohort and compare it with the manifest; what differs, in words (empty: all is well)."""
    manifest = read_json(folder / "manifest.json")
    problems = []
    for name in _TABLES:
        if not (folder / name).is_file():
            problems.append(f"{folder / name} is missing")
        elif _described(folder / name) != manifest["files"][name]:
            problems.append(f"{folder / name} is not the one that the manifest describes")
    for array in manifest["arrays"]:
        path = folder / array["path"]
        found = folder_checksum(path)
        if not path.is_dir():
            problems.append(f"{path} is missing")
        elif found["sha256"] != array["sha256"]:
            problems.append(f"{path}: sha256 {found['sha256']}, the manifest says {array['sha256']}")
    described = {array["path"] for array in manifest["arrays"]}
    for path in sorted(folder.glob("*/*")):
        if path.relative_to(folder).as_posix() not in described:
            problems.append(f"{path} is not in the manifest")
    return problems


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}


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
