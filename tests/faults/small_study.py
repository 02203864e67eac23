"""A study of two sources and four records each, and what must hold after whatever was done to one."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from studies import Study

from physiopipe.files import read_json
from physiopipe.windows.checksums import folder_checksum
from physiopipe.windows.damage import damage_of_cohort

SMALL = "data.challenge.sources=[georgia,ptb]"
WINDOWS = Path("data/windows/challenge")
MANIFEST = str(WINDOWS / "manifest.json")
SNAKEMAKE = ("snakemake", "--cores", "2", MANIFEST)
MADE = ("data", "logs", "models", "results", "state", ".snakemake")


@dataclass(frozen=True)
class Undisturbed:
    """A study that ran to its end, and how long that took."""

    study: Study
    seconds: float


def copy_of(study: Study, folder: Path, *kept: str) -> Study:
    """A copy of a study without what it has made, except the paths `kept`, with their times."""

    def left_out(place: str, names: list[str]) -> set[str]:
        return {"__pycache__", *(MADE if Path(place) == study.folder else ())} & set(names)

    shutil.copytree(study.folder, folder, ignore=left_out)
    for name in kept:
        source, target = study.folder / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    return Study(folder)


def simulated_copy(study: Study, folder: Path) -> Study:
    """A copy whose recordings are simulated and whose batches are still to be discovered."""
    return copy_of(study, folder, "data/simulated/challenge")


def simulated_tree(study: Study) -> Path:
    """The one tree of recordings that a study has simulated."""
    (sums,) = study.folder.glob("data/simulated/challenge/*/SHA256SUMS.txt")
    return sums.parent


def check_like(study: Study, undisturbed: Study) -> None:
    """The cohort is the undisturbed study's byte for byte, its checksums hold, and nothing half-made is left."""
    assert (study.folder / MANIFEST).read_bytes() == (undisturbed.folder / MANIFEST).read_bytes()
    assert damage_of_cohort(study.folder / WINDOWS) == {}
    check_finished_parts(study)
    data = study.folder / "data"
    assert [path for path in data.rglob("*") if ".partial" in path.name] == []
    assert [path for path in data.glob("work/**/*") if path.is_file()] == []


def check_finished_parts(study: Study) -> None:
    """Whatever has a part's final name is whole; Snakemake makes the empty folder before the job."""
    for part in study.folder.glob("data/parts/*/*/[!.]*"):
        if not any(part.iterdir()):
            continue
        for name, about in read_json(part / "part.json")["arrays"].items():
            assert folder_checksum(part / name) == {key: about[key] for key in ("bytes", "blake3")}
