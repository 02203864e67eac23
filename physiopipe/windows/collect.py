"""The parts of a cohort, linked into one folder with one index; the manifest comes last."""

import csv
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_folder, link_or_copy, read_json, sha256_json, write_json
from physiopipe.windows.part import INDEX_SCHEMA, folder_checksum, write_index, write_rejected

_TOOLS = ("physiopipe", "numpy", "scipy")


def collect_cohort(cohort: str, parts: Sequence[Path], target: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Link finished parts into `target` and write index.parquet, rejected.csv and, last, manifest.json.

    Args:
        parts: folders of finished parts, in the order of the plan.
        target: replaced whole; source files are linked (or copied), never changed.
        parameters: what the cohort depends on, recorded in the manifest.

    Returns:
        The manifest: no times and no paths of this machine, so equal inputs give equal bytes.
    """
    with atomic_folder(target) as folder:
        tables, rejected, described = [], [], []
        for part in parts:
            about = read_json(part / "part.json")
            for array, numbers in about["arrays"].items():
                home = Path(array.removesuffix(".zarr")) / f"part-{about['batch']}.zarr"
                for path in sorted(p for p in (part / array).rglob("*") if p.is_file()):
                    link_or_copy(path, folder / home / path.relative_to(part / array))
                described.append({"path": home.as_posix(), **numbers})
            tables.append(pq.read_table(part / "index.parquet", schema=INDEX_SCHEMA))
            with (part / "rejected.csv").open(newline="", encoding="utf-8") as handle:
                rejected += [(row["record"], row["reason"]) for row in csv.DictReader(handle)]
        if not any(table.num_rows for table in tables):
            raise PhysiopipeError(
                f"cohort {cohort}: none of its records gave a window; {len(rejected)} were rejected, first {rejected[:3]}. "
                "Look at data/parts/*/*/*/rejected.csv and at the shard parameters."
            )
        write_index(folder / "index.parquet", pa.concat_tables(tables).unify_dictionaries())
        write_rejected(folder / "rejected.csv", rejected)
        abouts = [read_json(part / "part.json") for part in parts]
        manifest = {
            "arrays": described,
            "cohort": cohort,
            "parameters": dict(parameters),
            "parameters_sha256": sha256_json(dict(parameters)),
            "parts": [{k: v for k, v in about.items() if k not in ("arrays", "channels")} for about in abouts],
            "records": sum(about["records"] for about in abouts),
            "rejected": len(rejected),
            "simulated": any(about["simulated"] for about in abouts),
            "tools": {name: importlib.metadata.version(name) for name in _TOOLS},
            "windows": sum(numbers["windows"] for numbers in described),
        }
        write_json(folder / "manifest.json", manifest)
    return manifest


def verify_cohort(folder: Path) -> list[str]:
    """Compare every array of a cohort with its manifest; what differs, in words (empty: all is well)."""
    problems = []
    for array in read_json(folder / "manifest.json")["arrays"]:
        found = folder_checksum(folder / array["path"])
        if found["sha256"] != array["sha256"]:
            problems.append(f"{folder / array['path']}: sha256 {found['sha256']}, the manifest says {array['sha256']}")
    return problems
