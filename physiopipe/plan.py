"""Where the data half keeps its files, and which parameters and inputs name them.

A finished part lies in a folder named by the digest of all that determines it, so a changed or reverted parameter
costs only what is really missing. Light imports: the Snakefile loads this module each time it is parsed.
"""

import fcntl
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from physiopipe.cohorts.base import Cohort, OneFile, PublishedList, PublishedTree, imported
from physiopipe.cohorts.registry import COHORTS, cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json, sha256_file, sha256_json, write_json
from physiopipe.params import Params
from physiopipe.recordings.tree import Batch, open_tree, read_plan, read_planned_batch
from physiopipe.signals.processing import PROCESSING_VERSION

DATA = Path("data")
LOCKS = DATA / "locks"
SIMULATED = "simulated"


@dataclass(frozen=True)
class PlannedPart:
    """One batch of one modality: a unit of work, and the folder its result will have."""

    cohort: str
    modality: str
    batch: str
    digest: str

    @property
    def folder(self) -> Path:
        return DATA / "parts" / f"{self.cohort}-{self.modality}" / self.batch / self.digest


def plan_folder(name: str) -> Path:
    return DATA / "plan" / name


def simulated_file(name: str) -> Path:
    """The file of a simulated cohort that is written last."""
    return DATA / "simulated" / name / cohort(name).simulated_file


def source_location(params: Params, name: str) -> str:
    """URL or folder of a published tree, or path of a published file: simulated or real."""
    one_file = isinstance(cohort(name).publication, OneFile)
    if params.simulated(name):
        last = simulated_file(name)
        return str(last if one_file else last.parent)
    return str(params.data[name].path if one_file else params.data[name].base_url)


def raw_folder(params: Params, name: str) -> Path:
    """Where the recordings of a published tree are kept once downloaded, in the published layout."""
    publication = cohort(name).publication
    assert isinstance(publication, PublishedTree)
    return DATA / "raw" / (f"{name}-{SIMULATED}" if params.simulated(name) else publication.folder)


def cohort_of_tree(folder: str) -> str:
    """The cohort whose published tree is kept in this folder of data/raw."""
    for name in COHORTS:
        publication = cohort(name).publication
        if isinstance(publication, PublishedTree) and folder in (publication.folder, f"{name}-{SIMULATED}"):
            return name
    raise PhysiopipeError(f"data/raw/{folder} is the folder of no cohort's published tree.")


def inputs_digest(batch: Batch) -> str:
    """Names a batch by the published checksums of its files."""
    return sha256_json([list(entry) for entry in batch.files])[:16]


def recordings_file(params: Params, name: str, batch: Batch) -> Path:
    """What `filter` starts from: the stamp of a downloaded batch, or of a file that was unpacked."""
    if isinstance(cohort(name).publication, PublishedTree):
        return raw_folder(params, name) / "complete" / batch.name / f"{inputs_digest(batch)}.json"
    digest = sha256_json([inputs_digest(batch), _reading(params, name)])[:16]
    return DATA / "raw" / f"{name}-unpacked" / digest / "unpacked.json"


def _reading(params: Params, name: str) -> dict[str, Any]:
    """The parameters of `data` that change what is read of a recording."""
    return {key: getattr(params.data[name], key) for key in cohort(name).reading}


def part_digest(params: Params, name: str, modality: str, batch: Batch) -> str:
    """Digest of everything that determines a part's bytes: inputs, parameters and the code's own version."""
    content: dict[str, Any] = {
        step: getattr(params, step)[name][modality].model_dump(mode="json") for step in ("filter", "resample", "shard")
    }
    content["inputs"] = [list(entry) for entry in batch.files]
    content["cohort"], content["modality"] = name, modality
    content["simulated"] = params.simulated(name)
    content["processing_version"] = PROCESSING_VERSION
    content["reading"] = _reading(params, name)
    return sha256_json(content)[:24]


def discover_batches(params: Params, name: str) -> list[Batch]:
    """Learn the batches of a cohort from its published tree, or from its one file (one batch)."""
    publication, location = cohort(name).publication, source_location(params, name)
    if isinstance(publication, PublishedTree):
        found: list[Batch] = imported(publication.plan)(open_tree(location, params.run), params.data[name])
        return found
    path = require_file(cohort(name), Path(location))
    return [Batch(name, name, ((path.name, sha256_file(path)),))]


def require_file(known: Cohort, path: Path) -> Path:
    """The path of a cohort's one file, or an error that says how to get it."""
    assert isinstance(known.publication, OneFile)
    if not path.is_file():
        raise PhysiopipeError(f"{path} is missing. {known.publication.access}")
    return path


def local_inputs(params: Params) -> dict[str, Any]:
    """What the study reads from this machine, by sha256: each cohort, and the weights.

    A simulated cohort is determined by its parameters, and a tree on a server by its address: both are told as such.
    """
    found: dict[str, Any] = {}
    for name in params.cohorts.in_use:
        known = cohort(name)
        if params.simulated(name):
            found[name] = {"origin": SIMULATED}
        elif isinstance(known.publication, OneFile):
            found[name] = {"sha256": sha256_file(require_file(known, Path(params.data[name].path)))}
        elif isinstance(known.publication, PublishedList):
            found[name] = {"sha256": sha256_file(known.publication.list_path)}
        else:
            sums = Path(params.data[name].base_url) / "SHA256SUMS.txt"
            found[name] = {"sha256": sha256_file(sums)} if sums.is_file() else {"url": params.data[name].base_url}
    weights = params.encoders.eeg_weights
    found["weights"] = {"origin": weights.origin}
    if weights.origin == "file":
        path = Path(weights.path)
        if not path.is_file():
            raise PhysiopipeError(
                f"{path} is missing: put the EEG encoder's weights there, name them in encoders.eeg_weights.path, or "
                "set encoders.eeg_weights.origin to hub (download) or none (untrained)."
            )
        found["weights"]["sha256"] = sha256_file(path)
    return found


def planned_parts(params: Params, name: str) -> list[PlannedPart]:
    """Every part of a cohort, after `discover` has written its plan."""
    batches = read_plan(plan_folder(name))
    return [
        PlannedPart(name, modality, batch.name, part_digest(params, name, modality, batch))
        for modality in cohort(name).modalities
        for batch in batches
    ]


def planned_batch(name: str, batch: str) -> Batch:
    """One batch of a cohort's plan, by name."""
    return read_planned_batch(plan_folder(name), batch)


def cohort_parameters(params: Params, name: str) -> dict[str, Any]:
    """What the windows of a cohort depend on; recorded in the manifest."""
    sections = ("data", "simulate", "filter", "resample", "shard")
    return {
        section: getattr(params, section)[name].model_dump(mode="json")
        for section in sections
        if section != "simulate" or params.simulated(name)
    }


def claim_folder() -> None:
    """Claim this folder for one `snakemake`, until the process ends; PhysiopipeError where another one is at work.

    Two of them would delete each other's temporary files. The kernel drops the claim with the process, so nothing is
    to be unlocked after `kill -9`.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    handle = (LOCKS / "snakemake.lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PhysiopipeError(
            "another snakemake is at work in this folder: wait until it has ended, then run again what is missing."
        ) from None
    _claims.append(handle)


_claims: list[TextIOWrapper] = []  # open files keep their locks


def remove_finished_work() -> None:
    """Remove the filtered and resampled batches whose part is finished.

    Snakemake does so itself, but not where it was killed between a part's end and that: its next run has no use for
    them, and would leave them for good.
    """
    for batch in (DATA / "work").glob("*/*/*/*.batch"):
        cohort_and_modality, name = batch.parts[-3:-1]
        if (DATA / "parts" / cohort_and_modality / name / batch.stem / "part.json").exists():
            batch.unlink()


def write_stamps(params: Params) -> None:
    """Write data/plan/<cohort>/{simulate,data,windows}.params.json: the parameters that a rule depends on.

    A stamp is rewritten only when its content changes. Snakemake compares its time with the rule's outputs, so a
    changed parameter is noticed even where Snakemake's own records are gone (a fresh clone, `dvc exp run --temp`).
    """
    for name in params.cohorts.in_use:
        content = cohort_parameters(params, name)
        for kind, sections in (
            ("simulate", ("simulate",)),
            ("data", ("data", "simulate")),
            ("windows", tuple(content)),
        ):
            chosen = {key: content[key] for key in sections if key in content}
            path = plan_folder(name) / f"{kind}.params.json"
            if not path.exists() or read_json(path) != chosen:
                write_json(path, chosen)
