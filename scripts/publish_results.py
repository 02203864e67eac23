#!/usr/bin/env python3
"""Keep what a study printed: python scripts/publish_results.py STUDY COHORT TARGET [--note TEXT] [--unfinished]

Copies tables, metrics, predictions, the headline figure and the parameters of a finished study into a folder under
docs/results, with the machine, the date and the commit that made them. Places on this machine (addresses that are
folders) are taken out of the parameters: what was read is said by the digests in data/inputs, which are kept too.

Tables that are older than some predictions are refused, for they are not of all of them.

With `--unfinished` rows of Table 1 may be missing: tables are made of those that are there, and say which are not.
"""

import argparse
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import yaml

from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json
from physiopipe.params.reading import load_params
from physiopipe.results.evaluate import evaluate
from physiopipe.results.study import study_of

TABLES = (
    "table1.md", "table1.csv", "ablations.md", "ablations.csv", "gap.md", "gap.csv", "fusions.md", "without_beats.csv",
    "comparisons.csv", "pairwise.csv", "ranks.csv", "costs.csv",
    "robustness.csv", "metrics.json", "summary.json",
)  # fmt: skip
PREDICTIONS = ("predictions", "ablations", "robustness")  # folders that the tables are made of
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


def missing_rows(study: Path, cohort: str) -> list[str]:
    """Rows that the parameters name and that have no predictions yet."""
    wanted = yaml.safe_load((study / "params.yaml").read_text(encoding="utf-8")).get("methods", [])
    return [name for name in wanted if not (study / f"results/{cohort}/predictions/{name}.parquet").is_file()]


def why_old(results: Path) -> str:
    """Why the tables are not of all predictions that are there; empty where they are."""
    table = results / "table1.csv"
    if not table.is_file():
        return f"{table} is missing"
    files = [path for kind in PREDICTIONS for path in sorted((results / kind).glob("*.parquet"))]
    newer = [path for path in files if path.stat().st_mtime_ns > table.stat().st_mtime_ns]
    first = f"{newer[0].parent.name}/{newer[0].name}" if newer else ""
    return f"{table} is older than {len(newer)} file(s) of predictions ({first}, ...)" if newer else ""


def tables_of_what_is_there(study: Path, cohort: str, target: Path, missing: list[str]) -> None:
    """Make the tables in `target`, from the predictions that are in it."""
    whole = study_of(load_params(study / "params.yaml"), cohort)
    done = tuple(name for name in whole.methods if name not in missing)
    if not done:
        raise PhysiopipeError(f"{study}/results/{cohort}/predictions has no row yet: run `dvc repro` there first.")
    changed = tuple(name for name in whole.ablations if (target / f"ablations/{name}.parquet").is_file())
    said = [
        f"UNFINISHED: {len(absent)} of {len(wanted)} {what} have not been run: {', '.join(absent)}."
        for what, wanted, there in (("rows", whole.methods, done), ("ablations", whole.ablations, changed))
        if (absent := [name for name in wanted if name not in there])
    ]
    evaluate(target, replace(whole, methods=done, ablations=changed, robustness=(), caveats=(*whole.caveats, *said)))
    kept = _tables(target)
    for path in target.iterdir():
        if path.is_file() and path.name not in kept:
            path.unlink()


def publish(study: Path, cohort: str, target: Path, note: str, unfinished: bool = False) -> None:
    results, missing = study / "results" / cohort, missing_rows(study, cohort)
    if missing and not unfinished:
        raise PhysiopipeError(
            f"{results}/predictions lacks {', '.join(missing)}: run `dvc repro` there first, or add --unfinished."
        )
    old = why_old(results)
    if old and not unfinished:
        raise PhysiopipeError(
            f"{old}: expected tables of all predictions; run `physiopipe evaluate --cohort {cohort}` in {study} first, "
            "or add --unfinished."
        )
    make_tables = bool(missing or old)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=study, capture_output=True, text=True, check=True).stdout
    shutil.rmtree(target, ignore_errors=True)
    (target / "predictions").mkdir(parents=True)
    for name in _tables(results):
        if not make_tables and (results / name).is_file():
            shutil.copyfile(results / name, target / name)
    for name in FIGURES:
        if not make_tables and (results / "figures" / name).is_file():
            shutil.copyfile(results / "figures" / name, target / name)
    for kind in ("predictions", "ablations"):
        for path in sorted((results / kind).glob("*.parquet")):
            (target / kind).mkdir(exist_ok=True)
            shutil.copyfile(path, target / kind / path.name)
    if (results / "costs").is_dir():
        shutil.copytree(results / "costs", target / "costs", ignore=shutil.ignore_patterns(".*"))
    if make_tables:
        tables_of_what_is_there(study, cohort, target, missing)
    shutil.copyfile(study / "results/pretrain/metrics.json", target / "pretraining.json")
    (target / "params.yaml").write_text(without_places((study / "params.yaml").read_text(encoding="utf-8")))
    windows = {name: read_json(study / f"data/windows/{name}/manifest.json") for name in _cohorts(study)}
    simulated = windows[cohort]["simulated"]
    lines = [
        f"# {target.name}: what was run, and where", "",
        "- **Simulated**: these numbers say nothing about people." if simulated else "- Real recordings.",
        f"- Commit {commit.strip()}, {datetime.now(UTC).date()}; {processor()}, Python {platform.python_version()}.",
        *(
            f"- {name}: {about['records']} recordings, {about['windows']} windows, {about['rejected']} rejected"
            f"{', simulated' if about['simulated'] else ''}."
            for name, about in windows.items()
        ),
        *([f"- **Unfinished**: not run yet: {', '.join(missing)}. `dvc repro` goes on from there."] if missing else []),
        *([f"- {note}"] if note else []),
        "- Parameters: [params.yaml](params.yaml); kept by `scripts/publish_results.py`. "
        + _what_is_here(target),
    ]  # fmt: skip
    (target / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _tables(folder: Path) -> list[str]:
    """TABLES; without those of the gap where its mixtures were not run, so that there is only their head."""
    gap = folder / "gap.csv"
    has_gap = gap.is_file() and len(gap.read_text(encoding="utf-8").splitlines()) > 1
    return [name for name in TABLES if has_gap or not name.startswith("gap.")]


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
    parser.add_argument("--unfinished", action="store_true", help="publish the rows that are there")
    arguments = parser.parse_args()
    try:
        publish(arguments.study, arguments.cohort, arguments.target, arguments.note, arguments.unfinished)
    except PhysiopipeError as error:
        sys.exit(str(error))
    print(f"wrote {arguments.target}")
