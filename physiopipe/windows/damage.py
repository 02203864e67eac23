"""Damaged parts and cohorts: finding what is wrong, and taking it out of every place that would bring it back.

A stored file is one file under several names (hard links): in data/parts, in data/windows and in DVC's cache, where
DVC takes it for good and restores it.
"""

import filecmp
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from physiopipe.errors import PhysiopipeError
from physiopipe.files import is_sealed, read_json
from physiopipe.windows.checksums import damage_of_folder, damage_of_tables


def read_part(part: Path) -> dict[str, Any]:
    """The content of a part's part.json, as it was written.

    Raises:
        PhysiopipeError: it is not.
    """
    content: dict[str, Any] = read_json(part / "part.json")
    if not isinstance(content, dict) or not is_sealed(content) or "inputs" not in content:
        raise PhysiopipeError(f"{part / 'part.json'} is not what was written.")
    return content


def damage_of_part(part: Path) -> dict[Path, str]:
    """Read a whole part: its damaged files, each with what is wrong (empty: all is well)."""
    try:
        about = read_part(part)
    except PhysiopipeError:
        return {part / "part.json": "missing, or not what was written"}
    wrong = damage_of_tables(part, about["files"])
    for name, array in about["arrays"].items():
        wrong |= damage_of_folder(part / name, array["blake3"])
    return wrong


def remove_part(part: Path, damage: Iterable[Path]) -> None:
    """Remove a part, and its damaged files from DVC's cache; the next run makes it anew."""
    remove_from_cache([path for path in damage if path.is_file()])
    shutil.rmtree(part, ignore_errors=True)


def damage_of_cohort(folder: Path) -> dict[Path, str]:
    """Read every file of a cohort under data/windows: those that are not as the manifest says, each with why."""
    try:
        manifest = read_json(folder / "manifest.json")
        arrays = {array["path"]: array["blake3"] for array in manifest["arrays"]}
        tables = manifest["files"]
    except (PhysiopipeError, KeyError, TypeError, AttributeError):
        return {folder / "manifest.json": "not a manifest of this version"}
    if not is_sealed(manifest):
        return {folder / "manifest.json": "not what was written (another sha256 of its content)"}
    wrong = damage_of_tables(folder, tables)
    for name, expected in arrays.items():
        wrong |= damage_of_folder(folder / name, expected)
    wrong |= {
        path: "not in the manifest"
        for path in sorted(folder.glob("*/*"))
        if path.relative_to(folder).as_posix() not in arrays
    }
    return wrong


def remove_from_cohort(folder: Path, damage: Iterable[Path], parts: Path) -> list[Path]:
    """Take damaged files out of a cohort under data/windows, of the parts they are linked from, and of DVC's cache.

    Args:
        damage: of `damage_of_cohort`.
        parts: the folder of all parts.

    Returns:
        What was removed: the cohort's folder (cheaply linked again), parts with damage, files of DVC's cache.
    """
    gone = remove_from_cache([path for path in damage if path.is_file()])
    for about in sorted(parts.glob(f"{folder.name}-*/*/*/part.json")):
        if wrong := damage_of_part(about.parent):
            remove_part(about.parent, wrong)
            gone.append(about.parent)
    shutil.rmtree(folder)
    return [*gone, folder]


def remove_from_cache(paths: list[Path]) -> list[Path]:
    """Remove what holds the same bytes as these damaged files from DVC's cache, and return it."""
    gone = []
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        by_size.setdefault(path.stat().st_size, []).append(path)
    for cached in _cached_files() if by_size else ():
        twins = by_size.get(cached.stat().st_size, [])
        if any(cached.samefile(path) or filecmp.cmp(cached, path, shallow=False) for path in twins):
            cached.unlink()
            gone.append(cached)
    return gone


def _cached_files() -> Iterator[Path]:
    """Files of DVC's cache, wherever the study keeps it."""
    if not Path(".dvc").is_dir():
        return
    found = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=False)
    folder = Path(found.stdout.strip()) if found.returncode == 0 and found.stdout.strip() else Path(".dvc/cache")
    yield from (path for path in folder.rglob("*") if path.is_file())
