#!/usr/bin/env python3
"""Keep what a study printed: python scripts/publish_results.py STUDY COHORT TARGET [--note TEXT]

Copies tables, metrics, predictions, the headline figure and the parameters of a finished study into a folder under
docs/results, with the machine, the date and the commit that made them. Places on this machine (addresses that are
folders) are taken out of the parameters: what was read is said by the digests in data/inputs, which are kept too.
"""

import argparse
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import yaml

from physiopipe.files import read_json

TABLES = (
    "table1.md", "table1.csv", "ablations.md", "ablations.csv", "gap.md", "gap.csv", "fusions.md", "without_beats.csv",
    "comparisons.csv", "pairwise.csv", "ranks.csv", "costs.csv",
    "robustness.csv", "metrics.json", "summary.json",
)  # fmt: skip
FIGURES = ("headline.png", "auc_by_task.png", "cost.png", "critical_difference.png")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def without_places(text: str) -> str:
    """Parameters as text, with addresses that are folders of this machine named as such."""
    kept = []
    for line in text.splitlines():
        key, colon, value = line.partition(": ")
        if key.strip() in ("base_url", "path") and value.startswith(("/", "~", "file:")):
            line = f"{key}{colon}a folder or file on this machine"
        kept.append(line)
    return "\n".join(kept) + "\n"


def publish(study: Path, cohort: str, target: Path, note: str) -> None:
    results = study / "results" / cohort
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=study, capture_output=True, text=True, check=True).stdout
    shutil.rmtree(target, ignore_errors=True)
    (target / "predictions").mkdir(parents=True)
    tables = [name for name in TABLES if not name.startswith("gap.") or _has_rows(results / "gap.csv")]
    for name in tables:
        if (results / name).is_file():
            shutil.copyfile(results / name, target / name)
    for name in FIGURES:
        if (results / "figures" / name).is_file():
            shutil.copyfile(results / "figures" / name, target / name)
    for kind in ("predictions", "ablations"):
        for path in sorted((results / kind).glob("*.parquet")):
            (target / kind).mkdir(exist_ok=True)
            shutil.copyfile(path, target / kind / path.name)
    if (results / "costs").is_dir():
        shutil.copytree(results / "costs", target / "costs", ignore=shutil.ignore_patterns(".*"))
    shutil.copyfile(study / "results/pretrain/metrics.json", target / "pretraining.json")
    (target / "params.yaml").write_text(without_places((study / "params.yaml").read_text(encoding="utf-8")))
    windows = {name: read_json(study / f"data/windows/{name}/manifest.json") for name in _cohorts(study)}
    simulated = windows[cohort]["simulated"]
    lines = [
        f"# What was run, and where: {cohort}", "",
        "- **Simulated**: these numbers say nothing about people." if simulated else "- Real recordings.",
        f"- Commit {commit.strip()}, {datetime.now(UTC).date()}; {processor()}, Python {platform.python_version()}.",
        *(
            f"- {name}: {about['records']} recordings, {about['windows']} windows, {about['rejected']} rejected"
            f"{', simulated' if about['simulated'] else ''}."
            for name, about in windows.items()
        ),
        *([f"- {note}"] if note else []),
        "- Made by `dvc repro` with [params.yaml](params.yaml), kept by `scripts/publish_results.py`. "
        + _what_is_here(target),
    ]  # fmt: skip
    (target / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _has_rows(table: Path) -> bool:
    """Whether more than its head is there."""
    return table.is_file() and len(table.read_text(encoding="utf-8").splitlines()) > 1


def _what_is_here(target: Path) -> str:
    """The tables that are here, and the folders that their numbers come from."""
    tables = [name for name in TABLES if name.endswith(".md") and (target / name).is_file()]
    folders = [f"`{kind}/`" for kind in ("predictions", "ablations") if any((target / kind).glob("*.parquet"))]
    links = ", ".join(f"[{name}]({name})" for name in tables)
    return f"Tables: {links}; every number from the files of {' and '.join(folders)} here."


def _cohorts(study: Path) -> list[str]:
    chosen = yaml.safe_load((study / "params.yaml").read_text(encoding="utf-8"))["cohorts"]
    return [chosen["pretraining"], *chosen["downstream"]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("cohort")
    parser.add_argument("target", type=Path)
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    publish(arguments.study, arguments.cohort, arguments.target, arguments.note)
    print(f"wrote {arguments.target}")
