#!/usr/bin/env python3
"""Join published trees whose folders share names into one: python scripts/join_trees.py TREE [TREE ...] TARGET

Each tree has RECORDS (folders), <folder>/RECORDS (names of records) and SHA256SUMS.txt. Files are hard-linked, or
copied where that is not possible; lists are joined in order, each name once; the lists' own checksums are left out.
A file that two trees hold with different checksums is refused.
"""

import shutil
import sys
from pathlib import Path

from physiopipe.files import link_or_copy

LISTS = ("RECORDS", "SHA256SUMS.txt")


def lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def join(trees: list[Path], target: Path) -> int:
    """Write the joined tree into a new folder; the number of records."""
    if target.exists():
        raise SystemExit(f"{target} is already there: name a new folder, or remove it.")
    records: dict[str, dict[str, None]] = {}
    sums: dict[str, str] = {}
    building = target.with_name(f".{target.name}.partial")
    shutil.rmtree(building, ignore_errors=True)
    for tree in trees:
        for line in lines(tree / "SHA256SUMS.txt"):
            digest, _, path = line.partition(" ")
            path = path.strip().removeprefix("*").removeprefix("./")
            if path.rpartition("/")[2] in LISTS or not (tree / path).is_file():
                continue
            if sums.setdefault(path, digest) != digest:
                raise SystemExit(
                    f"{path} has another checksum in {tree} than in a tree before it: they cannot be joined."
                )
            if not (building / path).exists():
                link_or_copy(tree / path, building / path)
        for folder in (line.rstrip("/") for line in lines(tree / "RECORDS")):
            records.setdefault(folder, {}).update(dict.fromkeys(lines(tree / folder / "RECORDS")))
    for folder, names in records.items():
        (building / folder / "RECORDS").write_text("\n".join(names) + "\n", encoding="utf-8")
    (building / "RECORDS").write_text("".join(f"{folder}/\n" for folder in records), encoding="utf-8")
    text = "".join(f"{digest} {path}\n" for path, digest in sorted(sums.items()))
    (building / "SHA256SUMS.txt").write_text(text, encoding="utf-8")
    building.rename(target)
    return sum(map(len, records.values()))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    *sources, new = (Path(each) for each in sys.argv[1:])
    print(f"{new}: {join(sources, new)} records of {len(sources)} trees")
