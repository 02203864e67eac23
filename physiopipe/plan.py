"""Where the data half keeps its files, and which parameters and inputs name them.

A finished part lies in a folder named by the digest of all that determines it, so a changed or reverted parameter
costs only what is really missing. Light imports: the Snakefile loads this module each time it is parsed.
"""

import fcntl
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json, sha256_file, sha256_json, write_json
from physiopipe.params import Params
from physiopipe.recordings.tree import Batch, open_tree, plan_batches, read_plan, read_planned_batch
from physiopipe.signals.processing import PROCESSING_VERSION

Cohort = Literal["challenge", "dreamer"]
MODALITIES: dict[str, tuple[str, ...]] = {"challenge": ("ecg",), "dreamer": ("eeg", "ecg")}

DATA = Path("data")
LOCKS = DATA / "locks"


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


def section(params: Params, cohort: str, modality: str, step: str) -> Any:
    """The parameters of one step (filter, resample, shard) for one modality of a cohort."""
    return getattr(getattr(getattr(params, step), cohort), modality)


def plan_folder(cohort: str) -> Path:
    return DATA / "plan" / cohort


def simulated_file(cohort: str) -> Path:
    """The file of a simulated cohort that is written last."""
    name = "SHA256SUMS.txt" if cohort == "challenge" else "DREAMER.mat"
    return DATA / "simulated" / cohort / name


def source_location(params: Params, cohort: str) -> str:
    """URL or folder of the Challenge tree, or path of DREAMER.mat: simulated or real."""
    if getattr(params.data, cohort).origin == "simulated":
        simulated = simulated_file(cohort)
        return str(simulated.parent if cohort == "challenge" else simulated)
    return params.data.challenge.base_url if cohort == "challenge" else params.data.dreamer.path


def raw_folder(params: Params) -> Path:
    """Where the Challenge's recordings are kept once downloaded, in the published layout."""
    simulated = params.data.challenge.origin == "simulated"
    return DATA / "raw" / ("challenge-simulated" if simulated else "challenge-2021")


def inputs_digest(batch: Batch) -> str:
    """Names a batch by the published checksums of its files."""
    return sha256_json([list(entry) for entry in batch.files])[:16]


def recordings_file(params: Params, cohort: str, modality: str, batch: Batch) -> Path:
    """What `filter` starts from: the stamp of a downloaded batch, or a batch file unpacked from DREAMER.mat."""
    if cohort == "challenge":
        return raw_folder(params) / "complete" / batch.name / f"{inputs_digest(batch)}.json"
    digest = sha256_json([inputs_digest(batch), params.data.dreamer.eeg_unit_uv])[:16]
    return DATA / "raw" / "dreamer-unpacked" / digest / f"{modality}.batch"


def part_digest(params: Params, cohort: str, modality: str, batch: Batch) -> str:
    """Digest of everything that determines a part's bytes: inputs, parameters and the code's own version."""
    content: dict[str, Any] = {
        step: section(params, cohort, modality, step).model_dump(mode="json")
        for step in ("filter", "resample", "shard")
    }
    content["inputs"] = [list(entry) for entry in batch.files]
    content["cohort"], content["modality"] = cohort, modality
    content["simulated"] = getattr(params.data, cohort).origin == "simulated"
    content["processing_version"] = PROCESSING_VERSION
    if cohort == "dreamer":
        content["eeg_unit_uv"] = params.data.dreamer.eeg_unit_uv
    return sha256_json(content)[:24]


def discover_batches(params: Params, cohort: str) -> list[Batch]:
    """Learn the batches of a cohort from the Challenge's tree, or from DREAMER.mat (one batch)."""
    location = source_location(params, cohort)
    if cohort == "challenge":
        return plan_batches(open_tree(location, params.run), params.data.challenge)
    path = Path(location)
    return [Batch(cohort, cohort, ((path.name, sha256_file(require_dreamer(path))),))]


def require_dreamer(path: Path) -> Path:
    """The path of DREAMER.mat, or an error that says how to get it."""
    if not path.is_file():
        from physiopipe.cohorts.dreamer_file import ACCESS  # numpy, which the Snakefile can do without

        raise PhysiopipeError(f"{path} is missing. {ACCESS}")
    return path


def local_inputs(params: Params) -> dict[str, Any]:
    """What the study reads from this machine, by sha256, for each of challenge, dreamer and weights.

    A simulated cohort is determined by its parameters, and a tree on a server by its address: both are told as such.
    """
    found: dict[str, Any] = {cohort: {"origin": "simulated"} for cohort in MODALITIES}
    if params.data.challenge.origin == "published":
        sums = Path(params.data.challenge.base_url) / "SHA256SUMS.txt"
        found["challenge"] = (
            {"sha256": sha256_file(sums)} if sums.is_file() else {"url": params.data.challenge.base_url}
        )
    if params.data.dreamer.origin == "file":
        found["dreamer"] = {"sha256": sha256_file(require_dreamer(Path(params.data.dreamer.path)))}
    weights = params.finetune.eeg_weights
    found["weights"] = {"origin": weights.origin}
    if weights.origin == "file":
        path = Path(weights.path)
        if not path.is_file():
            raise PhysiopipeError(
                f"{path} is missing: put the EEG encoder's weights there, name them in finetune.eeg_weights.path, or "
                "set finetune.eeg_weights.origin to hub (download) or none (untrained)."
            )
        found["weights"]["sha256"] = sha256_file(path)
    return found


def planned_parts(params: Params, cohort: str) -> list[PlannedPart]:
    """Every part of a cohort, after `discover` has written its plan."""
    batches = read_plan(plan_folder(cohort))
    return [
        PlannedPart(cohort, modality, batch.name, part_digest(params, cohort, modality, batch))
        for modality in MODALITIES[cohort]
        for batch in batches
    ]


def planned_batch(cohort: str, name: str) -> Batch:
    """One batch of a cohort's plan, by name."""
    return read_planned_batch(plan_folder(cohort), name)


def cohort_parameters(params: Params, cohort: str) -> dict[str, Any]:
    """What the windows of a cohort depend on; recorded in the manifest."""
    content: dict[str, Any] = {"data": getattr(params.data, cohort).model_dump(mode="json")}
    if getattr(params.data, cohort).origin == "simulated":
        content["simulate"] = getattr(params.simulate, cohort).model_dump(mode="json")
    for step in ("filter", "resample", "shard"):
        content[step] = getattr(getattr(params, step), cohort).model_dump(mode="json")
    return content


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
    for cohort in MODALITIES:
        content = cohort_parameters(params, cohort)
        for kind, sections in (
            ("simulate", ("simulate",)),
            ("data", ("data", "simulate")),
            ("windows", tuple(content)),
        ):
            chosen = {key: content[key] for key in sections if key in content}
            path = plan_folder(cohort) / f"{kind}.params.json"
            if not path.exists() or read_json(path) != chosen:
                write_json(path, chosen)
