"""The batches of a published Challenge tree: which records lie in which folder, and the checksum of every file.

A batch is one published folder (about 1,000 records) or two, or a share of one whose records are long. The plan of a
cohort is kept as `batches.csv` and a `<batch>.csv` of paths and checksums for each, so that whatever comes later needs
no network to know its inputs.
"""

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file
from physiopipe.recordings.http_tree import HttpTree
from physiopipe.recordings.transport import Connection, FolderTree, Tree, check_relative, read_required

if TYPE_CHECKING:
    from physiopipe.params import ChallengeData, Run

# A job starts Python, which takes as long as a hundred records; what it leaves for the next takes disk space, four to
# nine times that of the raw samples.
MAX_BATCH_RECORDS = 2000
MAX_BATCH_BYTES = 250_000_000
HEADER, SAMPLES = ".hea", ".mat"
_BATCH_NAME = re.compile(r"[a-z0-9_.-]+")
_SUM_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(?:\./)?(\S.*)")
_PLAN_COLUMNS = ("batch", "source", "records", "files")
_FILE_COLUMNS = ("path", "sha256")


@dataclass(frozen=True)
class Batch:
    """The unit of every job: one published folder, several small ones, or a share of one.

    Attributes:
        name: `georgia.g1`, `georgia.g1-g2` (both), `ptb.g1.2` (the second share); only a-z, 0-9, `_`, `.`, `-`.
        source: `georgia`.
        files: (path below the tree's root, sha256) of each file, header before samples; sha256 is empty where the tree
            lists a record and publishes no checksum of its file.
    """

    name: str
    source: str
    files: tuple[tuple[str, str], ...]

    @property
    def headers(self) -> dict[str, str]:
        """The path of each record's header below the tree's root, by the record's name, in published order."""
        paths = (path for path, _ in self.files if path.endswith(HEADER))
        return {path.rpartition("/")[2].removesuffix(HEADER): path for path in paths}

    @property
    def records(self) -> tuple[str, ...]:
        """Names of the records, in published order."""
        return tuple(self.headers)


def open_tree(base_url: str, run: "Run") -> Tree:
    """The tree at an https or http address, in a public S3 bucket, at a file:// address or in a folder.

    Reading a public bucket without an account is a plain GET, so s3://bucket/prefix is read over https, at
    AWS_ENDPOINT_URL where that is set (another S3 service).
    """
    scheme, separator, rest = base_url.partition("://")
    if not separator:
        return FolderTree(Path(base_url).expanduser())
    if scheme == "file":
        return FolderTree(Path(unquote(urlsplit(base_url).path)))
    if scheme == "s3" and re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?", rest):
        bucket, _, prefix = rest.strip("/").partition("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")
        root = f"{endpoint}/{bucket}" if endpoint else f"https://{bucket}.s3.amazonaws.com"
        return HttpTree(f"{root}/{prefix}".rstrip("/"), run)
    if scheme in ("http", "https") and rest.strip("/"):
        return HttpTree(base_url.rstrip("/"), run)
    raise PhysiopipeError(
        f"data.challenge.base_url is {base_url!r}: expected https://…, http://…, s3://bucket/…, "
        "file:///… or the path of a folder."
    )


def plan_batches(tree: Tree, data: "ChallengeData") -> list[Batch]:
    """Learn the batches from RECORDS and SHA256SUMS.txt, in the order of `data.sources`, then as published.

    Raises:
        PhysiopipeError: a list is missing or wrong, a name climbs out of its folder, or a source is missing and
            `allow_missing_sources` is false.
    """
    with tree.connect() as connection:
        sums = _read_sums(connection)
        folders = [line.rstrip("/") for line in _read_lines(connection, "RECORDS", sums)]
        for folder in folders:
            check_relative(folder, connection.locate("RECORDS"))
        batches: list[Batch] = []
        missing: list[str] = []
        for source in data.sources:
            own = [folder for folder in folders if f"{folder}/".startswith(f"training/{source}/")]
            wanted = data.max_records_per_source
            records_of: dict[str, list[str]] = {}
            for folder in own:
                if wanted == 0:
                    break
                where = connection.locate(f"{folder}/RECORDS")
                records = _read_lines(connection, f"{folder}/RECORDS", sums)[:wanted]
                wanted = None if wanted is None else wanted - len(records)
                _check_names(source, folder, records, where)
                records_of[folder] = records
            batches += batches_of_source(source, records_of, sums)
            if not own:
                missing.append(source)
    if missing and not data.allow_missing_sources:
        raise PhysiopipeError(
            f"{tree.base_url} has no folder of {', '.join(missing)}: expected training/<source>/ of each of "
            f"data.challenge.sources in its RECORDS, found {', '.join(folders) or 'nothing'}. Take another base_url, "
            "take the source out of data.challenge.sources, or set data.challenge.allow_missing_sources: true."
        )
    if not batches:
        raise PhysiopipeError(f"{tree.base_url} lists no record of {', '.join(data.sources)}: there is nothing to do.")
    twice = [name for name, times in Counter(batch.name for batch in batches).items() if times > 1]
    if twice:
        raise PhysiopipeError(f"{tree.base_url} has two folders that would both be called {twice[0]}.")
    return batches


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
    rows = [(b.name, b.source, str(len(b.records)), str(len(b.files))) for b in batches]
    _write(folder / "batches.csv", _csv(_PLAN_COLUMNS, rows))


def read_plan(folder: Path) -> list[Batch]:
    """Read the plan that `write_plan` kept."""
    return [_read_batch(folder, row) for row in _rows(folder / "batches.csv", _PLAN_COLUMNS)]


def planned_sizes(folder: Path) -> list[tuple[str, str, int]]:
    """(batch, source, files) of every batch of a plan, without its lists of files."""
    rows = _rows(folder / "batches.csv", _PLAN_COLUMNS)
    return [(row["batch"], row["source"], int(row["files"])) for row in rows]


def read_planned_batch(folder: Path, name: str) -> Batch:
    """Read one batch of a plan, without the files of the others."""
    rows = _rows(folder / "batches.csv", _PLAN_COLUMNS)
    for row in rows:
        if row["batch"] == name:
            return _read_batch(folder, row)
    known = ", ".join(row["batch"] for row in rows)
    raise PhysiopipeError(f"{folder / 'batches.csv'} has no batch {name!r}; it has {known or 'none'}.")


def _read_batch(folder: Path, row: dict[str, str]) -> Batch:
    path = folder / f"{row['batch']}.csv"
    files = tuple((entry["path"], entry["sha256"]) for entry in _rows(path, _FILE_COLUMNS))
    if str(len(files)) != row["files"]:
        raise PhysiopipeError(f"{path} names {len(files)} files, expected {row['files']}: run `discover` again.")
    return Batch(row["batch"], row["source"], files)


def _read_sums(connection: Connection) -> dict[str, str]:
    sums: dict[str, str] = {}
    text = read_required(connection, "SHA256SUMS.txt").decode("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        found = _SUM_LINE.fullmatch(line.rstrip())
        if found:
            sums[found[2]] = found[1].lower()
        elif line.strip():
            raise PhysiopipeError(
                f"{connection.locate('SHA256SUMS.txt')}, line {number}: expected `sha256 path`, found {line[:80]!r}. "
                "Is data.challenge.base_url the root of the tree?"
            )
    return sums


def _read_lines(connection: Connection, relative: str, sums: dict[str, str]) -> list[str]:
    """The names in a list of the tree, each once, in order; the list itself is checked where its sum is published."""
    content = read_required(connection, relative)
    found = hashlib.sha256(content).hexdigest()
    if sums.get(relative, found) != found:
        raise PhysiopipeError(
            f"{connection.locate(relative)} is not the published list: expected sha256 {sums[relative]}, "
            f"found {found}. Run again later, or take another mirror as data.challenge.base_url."
        )
    names = (line.strip() for line in content.decode("utf-8", errors="replace").splitlines())
    return list(dict.fromkeys(name for name in names if name))


def _check_names(source: str, folder: str, records: list[str], where: str) -> None:
    for record in records:
        check_relative(record, where)
        if "/" in record:
            raise PhysiopipeError(f"{where} names {record!r}: expected names of records, without folders.")
    name = _batch_name(source, [folder])
    if not _BATCH_NAME.fullmatch(name):
        raise PhysiopipeError(f"{where}: {folder!r} gives no usable name for a batch, found {name!r}.")


def batches_of_source(source: str, records_of: dict[str, list[str]], sums: dict[str, str]) -> list[Batch]:
    """The batches of a source: neighbouring folders together as far as a job can take them, a larger one in shares.

    Args:
        records_of: names of the records of each folder, in published order.
        sums: path below the tree's root → sha256.
    """
    info = SOURCE_INFO.get(source)
    most = MAX_BATCH_RECORDS if info is None else min(MAX_BATCH_RECORDS, MAX_BATCH_BYTES // info.bytes_per_record)
    joined: list[dict[str, str]] = []  # record → folder
    for folder, records in records_of.items():
        mine = dict.fromkeys(records, folder)
        if joined and len(joined[-1]) + len(mine) <= most and joined[-1].keys().isdisjoint(mine):
            joined[-1] |= mine
        elif mine:
            joined.append(mine)
    batches = []
    for folder_of in joined:
        name = _batch_name(source, list(dict.fromkeys(folder_of.values())))
        paths = [(f"{folder}/{record}{HEADER}", f"{folder}/{record}{SAMPLES}") for record, folder in folder_of.items()]
        count = -(-len(paths) // most)
        edges = [len(paths) * number // count for number in range(count + 1)]
        for number, (first, end) in enumerate(pairwise(edges), 1):
            files = tuple((path, sums.get(path, "")) for both in paths[first:end] for path in both)
            batches.append(Batch(name if count == 1 else f"{name}.{number}", source, files))
    return batches


def _batch_name(source: str, folders: list[str]) -> str:
    """`georgia.g1` of one folder, `georgia.g1-g2` of neighbours."""
    within = [".".join(folder.split("/")[2:]) for folder in (folders[0], folders[-1])]
    return ".".join(filter(None, [source, "-".join(dict.fromkeys(within))])).lower()


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
