"""BLAKE3 of stored files: what is written with a part, and compared when a stage first reads a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

from physiopipe.errors import PhysiopipeError

TABLES = ("index.parquet", "rejected.csv")
_BLOCK_BYTES = 1 << 22


def file_blake3(path: Path) -> str:
    """Hexadecimal BLAKE3 of a file's bytes, on all cores."""
    digest = blake3(max_threads=blake3.AUTO)
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def described(path: Path) -> dict[str, Any]:
    """Bytes and BLAKE3 of a file."""
    return {"bytes": path.stat().st_size, "blake3": file_blake3(path)}


def folder_checksum(folder: Path) -> dict[str, Any]:
    """Bytes of a folder, and the BLAKE3 of each of its files by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "bytes": sum(path.stat().st_size for path in files),
        "blake3": {path.relative_to(folder).as_posix(): file_blake3(path) for path in files},
    }


def damage_of_folder(folder: Path, expected: Mapping[str, str]) -> dict[Path, str]:
    """Files of a folder that are not those of `expected` (relative path → BLAKE3), each with what is wrong."""
    if not folder.is_dir():
        return {folder: "missing"}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    wrong = {folder / name: "missing" for name in expected if name not in found}
    for name, path in sorted(found.items()):
        if name not in expected:
            wrong[path] = "not among the files that were written"
        elif file_blake3(path) != expected[name]:
            wrong[path] = "not the bytes that were written (another BLAKE3)"
    return wrong


def damage_of_tables(folder: Path, expected: Mapping[str, Mapping[str, Any]]) -> dict[Path, str]:
    """As `damage_of_folder`, of the index and the list of rejected records beside the arrays."""
    wrong = {}
    for name in TABLES:
        path = folder / name
        if not path.is_file():
            wrong[path] = "missing"
        elif described(path) != expected.get(name):
            wrong[path] = "not the bytes that were written (another size or BLAKE3)"
    return wrong


class Checked:
    """Files of a cohort's folder, compared with the manifest the first time that each is read.

    Args:
        folder: of the cohort.
        manifest: what it says; files that it does not describe are not compared.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self._folder = folder
        self._expected = {name: about["blake3"] for name, about in manifest.get("files", {}).items()}
        for array in manifest["arrays"]:
            for name, digest in array.get("blake3", {}).items():
                self._expected[f"{array['path']}/{name}"] = digest

    def compare(self, path: Path, content: "bytes | memoryview | None" = None) -> None:
        """Compare a file, or what was read of it, with its checksum; each is compared once.

        Raises:
            PhysiopipeError: it is damaged, with what to do.
        """
        name = path.relative_to(self._folder).as_posix()
        expected = self._expected.get(name)
        if expected is None:
            return
        if content is None and not path.is_file():
            return  # the reader says that it is missing
        found = file_blake3(path) if content is None else blake3(content).hexdigest()
        if found != expected:
            raise damaged([path])
        del self._expected[name]


def damaged(paths: Sequence[Path]) -> PhysiopipeError:
    """What to say where a stage finds damage under data/windows."""
    return PhysiopipeError(
        f"{', '.join(map(str, paths))}: damaged since it was written (another BLAKE3 than the manifest's). Run "
        "`physiopipe verify --remove`, which looks for all damage and takes it out of data/windows, data/parts and "
        "DVC's cache; then `dvc repro` (or `snakemake --cores 2`) makes it anew."
    )
