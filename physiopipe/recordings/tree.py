"""A published tree of recordings: its lists, its address, and the plan of its batches.

Which records make a batch is the cohort's choice. The plan of a cohort is kept as `batches.csv` and a `<batch>.csv` of
paths and checksums for each, so that whatever comes later needs no network to know its inputs.
"""

import csv
import hashlib
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file
from physiopipe.recordings.folder_tree import FolderTree
from physiopipe.recordings.http_tree import HttpTree
from physiopipe.recordings.transport import Connection, Tree, read_required

if TYPE_CHECKING:
    from physiopipe.params import Run

HEADER, SAMPLES = ".hea", ".mat"
_TABLES = (".csv", ".tsv")
_SUM_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(?:\./)?(\S.*)")
_BIDS_NAME = re.compile(r"(sub-[0-9A-Za-z]+(?:_[a-z]+-[0-9A-Za-z]+)*)_[a-z]+")  # entities, then the suffix
_PLAN_COLUMNS = ("batch", "source", "records", "files", "bytes")
_FILE_COLUMNS = ("path", "sha256")


@dataclass(frozen=True)
class Batch:
    """The unit of every job: one published folder, several small ones, or a share of one.

    Attributes:
        name: `georgia.g1`, `georgia.g1-g2` (both), `ptb.g1.2` (the second share); only a-z, 0-9, `_`, `.`, `-`.
        source: `georgia`.
        files: (path below the tree's root, checksum) of each file, a record's first file (its header) before the
            others. A checksum is a sha256, or `md5:` and an MD5; it is empty where the tree lists a record and
            publishes no checksum of its file.
        size: of all files together, bytes, as far as it is known beforehand; 0: not known.
    """

    name: str
    source: str
    files: tuple[tuple[str, str], ...]
    size: int = 0

    @property
    def first_files(self) -> dict[str, str]:
        """The path of each record's first file below the tree's root, by the record's name, in published order.

        A table (.csv, .tsv) is no record.
        """
        found: dict[str, str] = {}
        for path, _ in self.files:
            if not path.endswith(_TABLES):
                found.setdefault(record_of(path), path)
        return found

    @property
    def records(self) -> tuple[str, ...]:
        """Names of the records, in published order."""
        return tuple(self.first_files)


def record_of(path: str) -> str:
    """The record that a file of a tree belongs to: its name without folders and ending.

    In a BIDS tree, the files of one recording differ in their suffix too: `sub-01_task-rest_{eeg.edf, events.tsv}`.
    """
    name = path.rpartition("/")[2].rpartition(".")[0]
    bids = _BIDS_NAME.fullmatch(name)
    return bids[1] if bids else name


def open_tree(base_url: str, run: "Run") -> Tree:
    """The tree at an https or http address, in a public S3 bucket, at a file:// address or in a folder.

    Reading a public bucket without an account is a plain GET, so s3://bucket/prefix is read over https, at
    AWS_ENDPOINT_URL where that is set (another S3 service). A bucket with a dot in its name is part of the path: the
    service's certificate does not cover a host name of so many parts.
    """
    folder = local_folder(base_url)
    if folder is not None:
        return FolderTree(folder)
    scheme, _, rest = base_url.partition("://")
    if scheme == "s3" and re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?", rest):
        bucket, _, prefix = rest.strip("/").partition("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")
        if not endpoint and "." in bucket:
            endpoint = "https://s3.amazonaws.com"
        root = f"{endpoint}/{bucket}" if endpoint else f"https://{bucket}.s3.amazonaws.com"
        return HttpTree(f"{root}/{prefix}".rstrip("/"), run)
    if scheme in ("http", "https") and rest.strip("/"):
        return HttpTree(base_url.rstrip("/"), run)
    raise PhysiopipeError(
        f"base_url is an address of the kind {scheme}://, or not a whole one: expected https://…, http://…, "
        "s3://bucket/…, file:///… or the path of a folder."
    )


def local_folder(base_url: str) -> Path | None:
    """The folder that an address names (a path, `~/…` or file://…); None for one on a server."""
    scheme, separator, _ = base_url.partition("://")
    if not separator:
        return Path(base_url).expanduser()
    return Path(unquote(urlsplit(base_url).path)) if scheme == "file" else None


def lists_sha256(root: Path) -> str:
    """Digest of all lists of a tree on this machine: its checksums, and the names in it and its folders."""
    digest = hashlib.sha256()
    records = root / "RECORDS"
    lines = records.read_text(encoding="utf-8", errors="replace").splitlines() if records.is_file() else []
    folders = (root / line.strip() / "RECORDS" for line in lines if line.strip())
    for path in (root / "SHA256SUMS.txt", records, *folders):
        content = path.read_bytes() if path.is_file() else b""
        digest.update(b"%d\n" % len(content) + content)
    return digest.hexdigest()


def check_records(batches: Sequence[Batch], where: str) -> None:
    """Refuse a record that two batches hold: it would count twice, and might be on two sides of a split."""
    batch_of: dict[str, Batch] = {}
    twice: dict[str, tuple[Batch, Batch]] = {}
    for batch in batches:
        for record in batch.records:
            if batch_of.setdefault(record, batch) is not batch:
                twice[record] = batch_of[record], batch
    if twice:
        record, (first, second) = next(iter(twice.items()))
        paths = f"{first.first_files[record]} and {second.first_files[record]}"
        raise PhysiopipeError(
            f"{where} lists {len(twice)} record(s) twice, first {record!r}: {paths}. Names of records are expected to "
            "be unique in a cohort: take one of the sources out of `data`, or mend the tree's lists."
        )


def write_plan(folder: Path, batches: list[Batch]) -> None:
    """Keep a plan: a csv for each batch, then batches.csv. Files that would not change are left alone."""
    names = {f"{batch.name}.csv" for batch in batches}
    for stale in sorted(folder.glob("*.csv")):
        if stale.name not in names | {"batches.csv"}:
            stale.unlink()
    for batch in batches:
        path, text = folder / f"{batch.name}.csv", _csv(_FILE_COLUMNS, batch.files)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            _write(path, text)
    rows = [(b.name, b.source, str(len(b.records)), str(len(b.files)), str(b.size)) for b in batches]
    _write(folder / "batches.csv", _csv(_PLAN_COLUMNS, rows))


def read_plan(folder: Path) -> list[Batch]:
    """Read the plan that `write_plan` kept."""
    return [_read_batch(folder, row) for row in _rows(folder / "batches.csv", _PLAN_COLUMNS)]


def planned_sizes(folder: Path) -> list[tuple[str, int, int]]:
    """(batch, files, bytes) of every batch of a plan, without its lists of files."""
    rows = _rows(folder / "batches.csv", _PLAN_COLUMNS)
    return [(row["batch"], int(row["files"]), int(row["bytes"])) for row in rows]


def read_planned_batch(folder: Path, name: str) -> Batch:
    """Read one batch of a plan, without the files of the others."""
    path = folder / "batches.csv"
    rows = _rows_by_batch(path, path.stat().st_mtime_ns if path.exists() else 0)
    if name not in rows:
        known = ", ".join(rows)
        raise PhysiopipeError(f"{path} has no batch {name!r}; it has {known or 'none'}.")
    return _read_batch(folder, rows[name])


@lru_cache(maxsize=8)
def _rows_by_batch(path: Path, _: int) -> dict[str, dict[str, str]]:
    """Rows of batches.csv, read once for all the batches that Snakemake asks for; the second argument is when it was
    written."""
    return {row["batch"]: row for row in _rows(path, _PLAN_COLUMNS)}


def _read_batch(folder: Path, row: dict[str, str]) -> Batch:
    path = folder / f"{row['batch']}.csv"
    files = tuple((entry["path"], entry["sha256"]) for entry in _rows(path, _FILE_COLUMNS))
    if str(len(files)) != row["files"]:
        raise PhysiopipeError(f"{path} names {len(files)} files, expected {row['files']}: run `discover` again.")
    return Batch(row["batch"], row["source"], files, int(row["bytes"]))


def read_sums(connection: Connection) -> dict[str, str]:
    """Published checksums: path below the root → sha256."""
    sums: dict[str, str] = {}
    text = read_required(connection, "SHA256SUMS.txt").decode("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        found = _SUM_LINE.fullmatch(line.rstrip())
        if found:
            sums[found[2]] = found[1].lower()
        elif line.strip():
            raise PhysiopipeError(
                f"{connection.locate('SHA256SUMS.txt')}, line {number}: expected `sha256 path`, found {line[:80]!r}. "
                "Is base_url the root of the tree?"
            )
    return sums


def read_lines(connection: Connection, relative: str, sums: dict[str, str]) -> list[str]:
    """The names in a list of the tree, each once, in order; the list itself is checked where its sum is published."""
    content = read_required(connection, relative)
    found = hashlib.sha256(content).hexdigest()
    if sums.get(relative, found) != found:
        raise PhysiopipeError(
            f"{connection.locate(relative)} is not the published list: expected sha256 {sums[relative]}, "
            f"found {found}. Run again later, or take another mirror as base_url."
        )
    names = (line.strip() for line in content.decode("utf-8", errors="replace").splitlines())
    return list(dict.fromkeys(name for name in names if name))


def _csv(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: run `discover` first (snakemake does).") from None
    if tuple(reader.fieldnames or ()) != columns or any(None in row or None in row.values() for row in rows):
        raise PhysiopipeError(f"{path} is not a plan with the columns {', '.join(columns)}: run `discover` again.")
    return rows
